//! `portsyncd.conf`.

use std::path::Path;

use portsyncd::config::Config;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let file = Path::new("/etc/sonic/portsyncd.conf");
    match Config::parse(text, file) {
        Ok(config) => {
            let again = Config::parse(text, file).expect("it was valid");
            assert!(config == again, "the same text, two configurations");
        }
        Err(error) => {
            let problems = error.problems();
            assert!(!problems.is_empty(), "refused for no reason");
            let said = error.to_string();
            assert_eq!(said.split('\n').count(), problems.len(), "{said:?}");
            let control = said.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(control, None, "a terminal would act on {said:?}");
            for line in said.split('\n') {
                assert!(line.starts_with("/etc/sonic/portsyncd.conf:"), "{line:?}");
            }
        }
    }
}
