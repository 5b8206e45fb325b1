//! Every key of the file: what it refuses and in which words.

use std::collections::BTreeSet;

use super::{EXAMPLE, problem, problems};
use crate::config::problem::parse_toml;

/// For every key, values that it must refuse, and what the refusal says besides the key.
const REFUSED: &[(&str, &[(&str, &str)])] = &[
    (
        "database.redis_host",
        &[
            ("7", "not a whole number"),
            (r#""""#, "must be a host name"),
            (r#""[::1]""#, "without brackets"),
            (r#""redis:6379""#, "without a port"),
            (r#""a b""#, "host name"),
        ],
    ),
    (
        "database.redis_port",
        &[
            ("0", "from 1 to 65535"),
            ("65536", "from 1 to 65535"),
            ("-1", "from 1 to 65535"),
            (r#""6379""#, "whole number from 1 to 65535"),
            ("6379.0", "whole number"),
            (
                "99999999999999999999999999999999999999999999",
                "from 1 to 65535",
            ),
        ],
    ),
    (
        "database.redis_socket",
        &[
            (r#""redis.sock""#, "absolute path"),
            (r#""/a\u0000b""#, "NUL"),
            (LONG_SOCKET, "107 bytes"),
            ("6", "must be a string, not a whole number"),
        ],
    ),
    (
        "database.sonic_db_config",
        &[(r#""database_config.json""#, "absolute path")],
    ),
    (
        "database.redis_username",
        &[
            (r#""sonic""#, "needs redis_password_file"),
            (r#""a b""#, "no white space"),
        ],
    ),
    (
        "database.redis_password_file",
        &[
            (r#""/nonexistent/password""#, "No such file"),
            (r#""/dev/null""#, "not a regular file"),
            (r#""/""#, "not a regular file"),
        ],
    ),
    (
        "database.redis_tls",
        &[(r#""yes""#, "true or false"), ("1", "true or false")],
    ),
    (
        "database.redis_tls_ca",
        &[(r#""/nonexistent/ca.pem""#, "No such file")],
    ),
    (
        "database.redis_tls_cert",
        &[(r#""/nonexistent/cert.pem""#, "No such file")],
    ),
    (
        "database.redis_tls_key",
        &[(r#""/nonexistent/key.pem""#, "No such file")],
    ),
    (
        "database.appl_db_number",
        &[
            ("100", "from 0 to 99"),
            ("-1", "from 0 to 99"),
            ("4", "must differ from config_db_number"),
        ],
    ),
    (
        "database.config_db_number",
        &[
            ("100", "from 0 to 99"),
            ("6", "must differ from state_db_number"),
        ],
    ),
    (
        "database.state_db_number",
        &[
            ("100", "from 0 to 99"),
            ("0", "must differ from appl_db_number"),
        ],
    ),
    (
        "database.connection_timeout_secs",
        &[
            ("0", "from 1 to 300 (seconds)"),
            ("301", "from 1 to 300 (seconds)"),
        ],
    ),
    (
        "database.retry_interval_secs",
        &[("0", "from 1 to 300 (seconds)"), ("301", "from 1 to 300")],
    ),
    (
        "database.state_table_alias",
        &[
            (r#""PORT_TABLE""#, "must not be PORT_TABLE"),
            (r#""port""#, "capital letters"),
            (r#""PORT|X""#, "capital letters"),
        ],
    ),
    (
        "link.source",
        &[
            (r#""bpf""#, r#""auto", "ebpf", "netlink""#),
            ("true", r#""auto""#),
            (r#""""#, r#""auto""#),
        ],
    ),
    (
        "link.carrier_hook",
        &[(r#""on""#, r#""auto", "fentry", "kprobe", "off""#)],
    ),
    ("link.linkwatch_sync", &[(r#""on""#, r#""auto", "off""#)]),
    ("link.carrier_sampling", &[("false", r#""auto", "off""#)]),
    (
        "link.netns",
        &[
            (r#""/run/netns/asic0""#, "not a path"),
            (r#""..""#, "not a path"),
        ],
    ),
    (
        "link.existing_netdevs",
        &[(r#""keep""#, r#""adopt", "replace""#)],
    ),
    (
        "link.extra_ports",
        &[
            (r#""Ethernet*""#, "array of strings"),
            (r#"["a", 1]"#, "array of strings"),
            (r#"["Ethernet[0-"]"#, "Ethernet[0-"),
            (r#"["a/b"]"#, "slash"),
        ],
    ),
    (
        "link.ring_buffer_kb",
        &[
            ("0", "power of two from 4 to 65536"),
            ("2", "power of two"),
            ("1000", "power of two"),
            ("131072", "power of two"),
        ],
    ),
    (
        "link.netlink_rcvbuf_kb",
        &[("-1", "from 0 to 65536"), ("65537", "to 65536")],
    ),
    (
        "link.resync_interval_secs",
        &[("86401", "from 0 to 86400 (seconds)"), ("-1", "from 0")],
    ),
    (
        "performance.max_event_queue",
        &[("0", "from 1 to 1000000"), ("1000001", "from 1 to 1000000")],
    ),
    (
        "performance.batch_timeout_ms",
        &[
            ("0", "from 1 to 10000 (milliseconds)"),
            ("10001", "to 10000"),
        ],
    ),
    (
        "performance.max_latency_us",
        &[
            ("0", "from 1 to 60000000 (microseconds)"),
            ("60000001", "to 60000000"),
        ],
    ),
    (
        "performance.min_success_rate",
        &[
            ("-0.1", "from 0 to 100"),
            ("100.1", "percent"),
            ("nan", "from 0 to 100"),
            ("101", "from 0 to 100"),
        ],
    ),
    (
        "health.max_stall_seconds",
        &[("0", "from 1 to 3600 (seconds)"), ("3601", "to 3600")],
    ),
    (
        "health.max_failure_rate_percent",
        &[("-1", "from 0 to 100"), ("inf", "from 0 to 100")],
    ),
    (
        "health.min_port_sync_rate",
        &[("200.5", "from 0 to 100"), (r#""90%""#, "not a string")],
    ),
    (
        "health.enable_watchdog",
        &[("0", "true or false, not a whole number")],
    ),
    (
        "health.watchdog_interval_secs",
        &[("0", "from 1 to 3600 (seconds)"), ("3601", "to 3600")],
    ),
    (
        "metrics.enabled",
        &[("1979-05-27", "true or false, not a date")],
    ),
    (
        "metrics.save_interval_secs",
        &[("0", "from 1 to 86400 (seconds)"), ("86401", "to 86400")],
    ),
    (
        "metrics.retention_days",
        &[("0", "from 1 to 3650"), ("3651", "to 3650")],
    ),
    (
        "metrics.max_file_size_mb",
        &[("0", "from 1 to 10240"), ("10241", "to 10240")],
    ),
    (
        "metrics.export_format",
        &[(r#""xml""#, r#""prometheus", "json", "both""#)],
    ),
    (
        "metrics.storage_path",
        &[
            (r#""metrics""#, "absolute path"),
            (r#""""#, "absolute path"),
        ],
    ),
    (
        "metrics.listen",
        &[
            (r#""127.0.0.1:9090""#, "array of strings"),
            (r#"["localhost:9090"]"#, "IP address and a port"),
            (r#"["127.0.0.1"]"#, "IP address and a port"),
            (r#"["[::1]:9", "[::1]:9"]"#, "twice"),
            (MANY_ADDRESSES, "at most 16"),
            (r#"["0.0.0.0:9090"]"#, "allow_plain_remote"),
            (r#"["[2001:db8::1]:9090"]"#, "tls_cert"),
        ],
    ),
    (
        "metrics.allow_plain_remote",
        &[(r#""yes""#, "true or false")],
    ),
    (
        "metrics.tls_cert",
        &[(r#""/nonexistent/cert.pem""#, "No such file")],
    ),
    (
        "metrics.tls_key",
        &[(r#""/nonexistent/key.pem""#, "No such file")],
    ),
    (
        "metrics.tls_client_ca",
        &[(r#""/nonexistent/ca.pem""#, "No such file")],
    ),
    (
        "warm_restart.state_path",
        &[(r#""state""#, "absolute path"), (r#""""#, "absolute path")],
    ),
    (
        "warm_restart.max_backups",
        &[("0", "from 1 to 1000"), ("1001", "to 1000")],
    ),
    (
        "warm_restart.eoiu_timeout_secs",
        &[("0", "from 1 to 600 (seconds)"), ("601", "to 600")],
    ),
];

const LONG_SOCKET: &str = concat!(
    "\"/run/",
    "0123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789",
    "\"",
);

const MANY_ADDRESSES: &str = r#"["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0",
    "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0",
    "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"]"#;

#[test]
fn every_key_refuses_what_is_out_of_its_range() {
    for (path, values) in REFUSED {
        let (section, key) = path.split_once('.').expect("section.key");
        for (value, reason) in *values {
            let text = format!("# a comment\n[{section}]\n\n{key} = {value}\n");
            let problems = problems(&text);
            let named = problems.iter().find(|problem| {
                problem.key == *path && problem.line == Some(4) && problem.reason.contains(reason)
            });
            let named = named.unwrap_or_else(|| panic!("{text}: no {reason:?} in {problems:#?}"));
            let start: String = value.chars().take(20).collect();
            assert!(named.given.as_ref().expect("given").starts_with(&start));
        }
    }
}

#[test]
fn the_list_above_the_example_and_the_reader_have_the_same_keys() {
    let listed: BTreeSet<_> = REFUSED.iter().map(|(key, _)| (*key).to_owned()).collect();

    let mut example = BTreeSet::new();
    for (section, value) in &parse_toml(EXAMPLE).expect("TOML") {
        let toml::de::DeValue::Table(table) = value.get_ref() else {
            panic!("{section:?} is no section");
        };
        for key in table.keys() {
            example.insert(format!("{}.{}", section.get_ref(), key.get_ref()));
        }
    }
    assert_eq!(listed, example);

    let sections: BTreeSet<_> = REFUSED
        .iter()
        .filter_map(|(key, _)| key.split_once('.'))
        .map(|(section, _)| section)
        .collect();
    let mut read = BTreeSet::new();
    for section in sections {
        let reason = problem(&format!("[{section}]\nzzzzzzzzzzzzzzz = 1\n")).reason;
        let (_, keys) = reason.split_once("] has ").expect("the list of keys");
        read.extend(keys.split(", ").map(|key| format!("{section}.{key}")));
    }
    assert_eq!(listed, read);
}
