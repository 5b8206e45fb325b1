//! The directories of the state and metrics files.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use super::Finding;
use crate::config::Config;

/// Looks at the directories.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let state = ("state_path", &config.warm_restart.state_path);
    let metrics = ("storage_path", &config.metrics.storage_path);
    let used = [Some(state), config.metrics.enabled.then_some(metrics)];
    let used = used.into_iter().flatten();
    used.map(|(what, path)| directory(what, path)).collect()
}

fn directory(what: &'static str, path: &Path) -> Finding {
    let shown = path.display();
    match probe(path) {
        Ok(()) => Finding::good(what, format!("{shown} can be written to")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && may_be_made(path) => {
            Finding::good(what, format!("{shown} is not there and will be made"))
        }
        Err(error) => Finding::less(
            what,
            format!("{shown}: {error}"),
            "counters and history do not outlive the daemon, health falls; ports are published all \
             the same",
        ),
    }
}

/// Makes a file there and removes it.
fn probe(path: &Path) -> io::Result<()> {
    let file = path.join(format!(".doctor.{}", std::process::id()));
    fs::write(&file, b"can this be written?\n")?;
    fs::remove_file(&file)
}

fn may_be_made(path: &Path) -> bool {
    let above = path.ancestors().find(|above| above.exists());
    above.is_some_and(|above| above.is_dir() && access(above, Access::WRITE_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_directory_is_there_or_can_be_made_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let verdict = |path: &Path| directory("state_path", path).verdict;
        assert_eq!(verdict(folder.path()), Verdict::Good);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(verdict(&folder.path().join("a/b")), Verdict::Good);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(verdict(&file), Verdict::Less);
        assert_eq!(verdict(&file.join("below")), Verdict::Less);
    }
}
