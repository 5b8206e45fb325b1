//! Tests of the whole configuration: what is accepted, what is refused, and in which words.

mod ranges;

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const FILE: &str = "portsyncd.conf";
const EXAMPLE: &str = include_str!("../../../portsyncd.conf.example");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new(FILE))
}

fn accepted(text: &str) -> Config {
    parse(text).unwrap_or_else(|refusal| panic!("{text:?} was refused:\n{refusal}"))
}

fn problems(text: &str) -> Vec<Problem> {
    let refusal = parse(text).expect_err(text);
    assert!(!refusal.problems().is_empty());
    refusal.problems().to_vec()
}

/// The only problem of `text`.
fn problem(text: &str) -> Problem {
    let mut problems = problems(text);
    assert_eq!(problems.len(), 1, "{text:?}: {problems:#?}");
    problems.remove(0)
}

#[test]
fn nothing_is_the_defaults() {
    assert_eq!(accepted(""), Config::default());
    assert_eq!(accepted("[link]\n[health]\n"), Config::default());
}

#[test]
fn the_example_is_the_defaults() {
    assert_eq!(accepted(EXAMPLE), Config::default());
}

#[test]
fn every_kind_of_value_is_read() {
    let config = accepted(
        r#"
        [link]
        source = "netlink"
        netns = "asic0"
        extra_ports = ["eth?"]
        ring_buffer_kb = 4
        resync_interval_secs = 0
        [database]
        redis_host = "::1"
        redis_port = 0x1_000
        redis_socket = "/var/run/redis/redis.sock"
        retry_interval_secs = 30
        state_table_alias = "PORT"
        [performance]
        batch_timeout_ms = 7
        max_latency_us = 1_500
        min_success_rate = 95
        [health]
        max_failure_rate_percent = 0.5
        enable_watchdog = false
        [metrics]
        export_format = "both"
        storage_path = "/srv/metrics"
        listen = ["0.0.0.0:0", "[::]:9091"]
        allow_plain_remote = true
        "#,
    );
    assert_eq!(config.link.netns.as_deref(), Some("asic0"));
    assert!(config.link.extra_ports.matches(b"eth7"));
    assert_eq!(
        config.link.ring_buffer_kb,
        NonZeroU32::new(4).expect("not 0")
    );
    assert_eq!(config.link.ring_buffer_bytes(), 4096);
    assert_eq!(config.link.resync_interval, None);
    assert_eq!(config.link.source, Source::Netlink);
    assert_eq!(config.database.redis_host, "::1");
    assert_eq!(config.database.redis_port.get(), 4096);
    let socket = PathBuf::from("/var/run/redis/redis.sock");
    assert_eq!(config.database.redis_socket, Some(socket));
    assert_eq!(config.database.retry_interval, Duration::from_secs(30));
    assert_eq!(config.database.state_table_alias.as_deref(), Some("PORT"));
    assert_eq!(config.performance.batch_timeout, Duration::from_millis(7));
    assert_eq!(config.performance.max_latency, Duration::from_micros(1500));
    assert!((config.performance.min_success_rate - 95.0).abs() < f64::EPSILON);
    assert!((config.health.max_failure_rate_percent - 0.5).abs() < f64::EPSILON);
    assert!(!config.health.enable_watchdog);
    assert_eq!(config.metrics.export_format, ExportFormat::Both);
    assert_eq!(config.metrics.storage_path, Path::new("/srv/metrics"));
    let addresses: Vec<SocketAddr> = ["0.0.0.0:0", "[::]:9091"]
        .iter()
        .map(|text| text.parse().expect("address"))
        .collect();
    assert_eq!(config.metrics.listen, addresses);
}

#[test]
fn dotted_keys_and_inline_tables_are_toml_too() {
    let config = accepted("link.ring_buffer_kb = 64\nhealth = { max_stall_seconds = 3 }\n");
    assert_eq!(config.link.ring_buffer_bytes(), 65_536);
    assert_eq!(config.health.max_stall, Duration::from_secs(3));
}

#[test]
fn all_problems_are_listed_in_the_order_of_their_lines() {
    let refusal = parse(
        "[metrics]\n\
         listen = [\"nowhere\"]\n\
         [database]\n\
         redis_port = 0\n\
         redis_prot = 6379\n\
         [link]\n\
         source = \"bpf\"\n\
         [performence]\n\
         batch_timeout_ms = 0\n",
    )
    .expect_err("refused")
    .to_string();
    let starts = [
        "portsyncd.conf:2: metrics.listen = [\"nowhere\"]: \"nowhere\" must be",
        "portsyncd.conf:4: database.redis_port = 0: must be a whole number from 1 to 65535",
        "portsyncd.conf:5: database.redis_prot: unknown key; did you mean `redis_port`?",
        "portsyncd.conf:7: link.source = \"bpf\": must be one of \"auto\", \"ebpf\", \"netlink\"",
        "portsyncd.conf:8: performence: unknown section; did you mean [performance]?",
    ];
    assert_eq!(refusal.lines().count(), starts.len(), "{refusal}");
    for (line, start) in refusal.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
}

#[test]
fn what_is_unknown_is_told_where_it_belongs() {
    for (text, key, reason) in [
        (
            "[link]\nlisten = []\n",
            "link.listen",
            "it belongs in [metrics]",
        ),
        ("redis_port = 1\n", "redis_port", "it belongs in [database]"),
        ("[databse]\n", "databse", "did you mean [database]?"),
        ("[redis]\n", "redis", "the sections are [database], [link]"),
        (
            "colour = 1\n",
            "colour",
            "unknown key; the sections are [database]",
        ),
        (
            "[link]\nRing_Buffer_KB = 4\n",
            "link.Ring_Buffer_KB",
            "`ring_buffer_kb`",
        ),
        (
            "[link]\ncolour = 1\n",
            "link.colour",
            "carrier_hook, linkwatch_sync, ",
        ),
        ("link = 4\n", "link", "must be a table: [link]"),
        ("[[link]]\n", "link", "must be a table: [link]"),
    ] {
        let problem = problem(text);
        assert_eq!(problem.key, key);
        assert!(problem.reason.contains(reason), "{}", problem.reason);
        assert!(problem.line.is_some());
    }
}

#[test]
fn bad_toml_has_file_line_and_the_parsers_words() {
    for (text, line) in [
        ("[link]\nsource = auto\n", 2),
        ("[link\n", 1),
        ("[link]\n[link]\n", 2),
        ("[link]\nnetns = \"a\"\nnetns = \"b\"\n", 3),
        ("\n\nlink.source = \n", 3),
    ] {
        let refusal = parse(text).expect_err(text).to_string();
        let start = format!("{FILE}:{line}: not TOML: ");
        assert!(refusal.starts_with(&start), "{refusal}");
        assert!(refusal.lines().all(|line| line.len() > start.len()));
    }
    let both = parse("[link\n[health]\nmax_stall_seconds = ten\n").expect_err("refused");
    let lines: Vec<_> = both.problems().iter().filter_map(|p| p.line).collect();
    assert_eq!(lines, [1, 3]);
}

#[test]
fn keys_that_need_each_other() {
    let dir = tempfile::tempdir().expect("directory");
    let pem = dir.path().join("some.pem");
    fs::write(&pem, "PEM").expect("write");
    let pem = pem.display();
    for (text, key, reason) in [
        (
            format!("[metrics]\ntls_cert = \"{pem}\"\n"),
            "metrics.tls_cert",
            "needs tls_key too",
        ),
        (
            format!("[metrics]\ntls_key = \"{pem}\"\n"),
            "metrics.tls_key",
            "needs tls_cert too",
        ),
        (
            format!("[metrics]\ntls_client_ca = \"{pem}\"\n"),
            "metrics.tls_client_ca",
            "needs tls_cert and tls_key",
        ),
        (
            format!("[database]\nredis_tls = true\nredis_tls_cert = \"{pem}\"\n"),
            "database.redis_tls_cert",
            "needs redis_tls_key too",
        ),
        (
            format!("[database]\nredis_tls_ca = \"{pem}\"\n"),
            "database.redis_tls_ca",
            "unless redis_tls = true",
        ),
        (
            "[database]\nredis_tls = true\nredis_socket = \"/run/redis.sock\"\n".to_owned(),
            "database.redis_tls",
            "a unix socket",
        ),
    ] {
        let problem = problem(&text);
        assert_eq!(problem.key, key);
        assert!(problem.reason.contains(reason), "{problem}");
    }
    let config = accepted(&format!(
        "[database]\nredis_tls = true\nredis_tls_ca = \"{pem}\"\n\
         redis_tls_cert = \"{pem}\"\nredis_tls_key = \"{pem}\"\n\
         [metrics]\ntls_cert = \"{pem}\"\ntls_key = \"{pem}\"\n"
    ));
    let files = config.database.redis_tls.expect("TLS");
    assert!(files.ca.is_some() && files.client.is_some());
    assert_eq!(config.metrics.tls.expect("TLS").client_ca, None);
    // One mistake is one problem: a file that cannot be read is not also a key that is missing.
    problem(&format!(
        "[metrics]\ntls_cert = \"/nonexistent\"\ntls_key = \"{pem}\"\n"
    ));
}

#[test]
fn the_password_is_read_and_never_shown() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("password");
    let text = format!(
        "[database]\nredis_username = \"sonic\"\nredis_password_file = \"{}\"\n",
        file.display()
    );
    fs::write(&file, "s3cret\n").expect("write");
    let config = accepted(&text);
    let password = config.database.redis_password.as_ref().expect("a password");
    assert_eq!(password.expose(), "s3cret");
    assert!(!format!("{config:?}").contains("s3cret"));

    fs::write(&file, "s3cret\ntwo lines\n").expect("write");
    assert_ne!(config.database.redis_password, None);
    let problem = problem(&text);
    assert!(problem.reason.contains("one line"), "{problem}");
    assert!(!problem.to_string().contains("s3cret"));
}

#[test]
fn a_named_file_must_be_there() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("x.conf");
    let refusal = Config::load(Some(&file)).expect_err("absent").to_string();
    assert!(refusal.contains(&file.display().to_string()) && refusal.contains("No such file"));

    fs::write(&file, "[link]\nring_buffer_kb = 16\n").expect("write");
    let config = Config::load(Some(&file)).expect("good");
    assert_eq!(config.link.ring_buffer_bytes(), 16_384);

    fs::write(&file, b"[link]\n# \xff\n").expect("write");
    let refusal = Config::load(Some(&file))
        .expect_err("not UTF-8")
        .to_string();
    assert!(refusal.contains("x.conf:2: not UTF-8"), "{refusal}");

    fs::write(&file, " ".repeat(2 << 20)).expect("write");
    let refusal = Config::load(Some(&file)).expect_err("too long").to_string();
    assert!(refusal.contains("longer than"), "{refusal}");

    let refusal = Config::load(Some(dir.path())).expect_err("a directory");
    assert!(matches!(refusal, ConfigError::Unreadable { .. }));
}

proptest! {
    /// Whatever the text, there is a configuration or a list of problems, each on a line that the
    /// text has.
    #[test]
    fn no_text_panics(text in any::<String>()) {
        check(&text)?;
    }

    /// The same for text that gets past the TOML parser more often.
    #[test]
    fn no_toml_panics(
        lines in prop::collection::vec(
            prop_oneof![
                "\\[(database|link|performance|health|metrics|warm_restart|x)\\]",
                "(redis_host|redis_port|redis_tls|appl_db_number|source|netns|extra_ports|listen|\
                  ring_buffer_kb|min_success_rate|state_path|tls_cert|max_backups|é.b) = \
                  (-?[0-9]{1,30}|[0-9]{1,4}\\.[0-9]{1,4}|nan|true|\"[ -!#-\\[\\]-~é]{0,20}\"|\
                  \\[\"[a-z*?\\[\\]{}0-9:.]{0,12}\"\\]|\\{\\}|1979-05-27)",
            ],
            0..12,
        )
    ) {
        check(&lines.join("\n"))?;
    }
}

fn check(text: &str) -> Result<(), TestCaseError> {
    if let Err(refusal) = parse(text) {
        prop_assert!(!refusal.problems().is_empty());
        let lines = text.split('\n').count();
        for problem in refusal.problems() {
            prop_assert!(problem.line.is_some_and(|line| (1..=lines).contains(&line)));
            prop_assert!(!problem.to_string().contains('\n'));
        }
    }
    Ok(())
}
