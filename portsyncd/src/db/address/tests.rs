//! Tests of the addresses, without a Redis: what the `redis` crate is told.

use std::fs;

use super::*;
use crate::config::TlsClientCertificate;

fn resolved(database: &Database) -> DbAddresses {
    DbAddresses::resolve(database).expect("resolved")
}

fn shown(addresses: &DbAddresses) -> [String; 3] {
    addresses.all().map(ToString::to_string)
}

#[test]
fn the_defaults_are_sonics_on_loopback() {
    let addresses = resolved(&Database::default());
    assert_eq!(
        shown(&addresses),
        [
            "127.0.0.1:6379 db 0",
            "127.0.0.1:6379 db 4",
            "127.0.0.1:6379 db 6"
        ]
    );
    assert_eq!(addresses.all().map(DbAddress::separator), [':', '|', '|']);
    assert_eq!(addresses.all().map(DbAddress::name), DbName::ALL);

    let info = addresses.state.connection_info().expect("plain TCP");
    assert_eq!(
        *info.addr(),
        ConnectionAddr::Tcp("127.0.0.1".to_owned(), 6379)
    );
    assert_eq!(info.redis_settings().db(), 6);
    assert_eq!(info.redis_settings().password(), None);
    assert!(info.tcp_settings().nodelay());
    assert!(info.tcp_settings().keepalive().is_some());
}

#[test]
fn the_socket_wins_over_host_and_port() {
    let database = Database {
        redis_socket: Some(PathBuf::from("/run/redis.sock")),
        appl_db_number: 10,
        ..Database::default()
    };
    let addresses = resolved(&database);
    assert_eq!(addresses.appl.to_string(), "unix:/run/redis.sock db 10");
    let info = addresses.appl.connection_info().expect("unix");
    assert_eq!(
        *info.addr(),
        ConnectionAddr::Unix(PathBuf::from("/run/redis.sock"))
    );
    assert_eq!(info.redis_settings().db(), 10);
}

#[test]
fn an_ipv6_address_is_shown_in_brackets() {
    let mut database = Database {
        redis_host: "::1".to_owned(),
        ..Database::default()
    };
    assert_eq!(resolved(&database).appl.to_string(), "[::1]:6379 db 0");
    database.redis_tls = Some(TlsFiles::default());
    assert_eq!(resolved(&database).appl.to_string(), "tls:[::1]:6379 db 0");
    database.redis_host = "redis.example".to_owned();
    let shown = resolved(&database).appl.to_string();
    assert_eq!(shown, "tls:redis.example:6379 db 0");
}

/// `database_config.json` in a directory of its own, and a `[database]` that names it.
fn with_sonic_config(json: &str) -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("database_config.json");
    fs::write(&file, json).expect("write");
    let database = Database {
        redis_socket: Some(PathBuf::from("/not/used.sock")),
        sonic_db_config: Some(file),
        ..Database::default()
    };
    (dir, database)
}

const TWO_INSTANCES: &str = r#"{
    "INSTANCES": {
        "redis": {"hostname": "127.0.0.1", "port": 6379, "unix_socket_path": "/run/redis/redis.sock"},
        "redis1": {"hostname": "10.0.0.1", "port": 6380}
    },
    "DATABASES": {
        "APPL_DB": {"id": 20, "separator": ":", "instance": "redis"},
        "CONFIG_DB": {"id": 24, "separator": "/", "instance": "redis1"},
        "STATE_DB": {"id": 26, "separator": "|", "instance": "redis"}
    },
    "VERSION": "1.0"
}"#;

#[test]
fn sonic_db_config_wins_over_both() {
    let (_dir, database) = with_sonic_config(TWO_INSTANCES);
    let addresses = resolved(&database);
    assert_eq!(
        shown(&addresses),
        [
            "unix:/run/redis/redis.sock db 20",
            "10.0.0.1:6380 db 24",
            "unix:/run/redis/redis.sock db 26"
        ]
    );
    assert_eq!(addresses.config.separator(), '/');
}

#[test]
fn tls_does_not_go_with_an_instances_socket() {
    let (_dir, mut database) = with_sonic_config(TWO_INSTANCES);
    database.redis_tls = Some(TlsFiles::default());
    let refusal = DbAddresses::resolve(&database).expect_err("refused");
    let text = refusal.to_string();
    for word in ["redis_tls", "APPL_DB", "`redis`", "/run/redis/redis.sock"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn a_missing_database_config_is_named() {
    let (dir, database) = with_sonic_config(TWO_INSTANCES);
    fs::remove_file(dir.path().join("database_config.json")).expect("unlink");
    let refusal = DbAddresses::resolve(&database).expect_err("refused");
    assert!(matches!(
        &refusal,
        AddressError::SonicDbConfig(SonicDbConfigError::Unreadable { source, .. })
            if source.kind() == io::ErrorKind::NotFound
    ));
    assert!(refusal.to_string().contains("database_config.json"));
}

#[test]
fn the_password_goes_to_redis_and_to_no_text() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("password");
    fs::write(&file, "s3cret\n").expect("write");
    let text = format!(
        "[database]\nredis_username = \"sonic\"\nredis_password_file = \"{}\"\n",
        file.display()
    );
    let config = crate::config::Config::parse(&text, Path::new("x")).expect("good");
    let addresses = resolved(&config.database);
    let info = addresses.config.connection_info().expect("plain TCP");
    assert_eq!(info.redis_settings().username(), Some("sonic"));
    assert_eq!(info.redis_settings().password(), Some("s3cret"));
    for text in [
        format!("{addresses:?}"),
        format!("{info:?}"),
        addresses.config.to_string(),
    ] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn tls_files_that_hold_nothing_are_refused() {
    let dir = tempfile::tempdir().expect("directory");
    let junk = dir.path().join("junk.pem");
    fs::write(&junk, "no PEM in here\n").expect("write");
    let refusal = |files: TlsFiles| {
        let database = Database {
            redis_tls: Some(files),
            ..Database::default()
        };
        let address = resolved(&database).state;
        address.connection_info().expect_err("refused").to_string()
    };
    let ca = refusal(TlsFiles {
        ca: Some(junk.clone()),
        client: None,
    });
    assert!(
        ca.contains("redis_tls_ca") && ca.contains("junk.pem"),
        "{ca}"
    );
    let client = refusal(TlsFiles {
        ca: None,
        client: Some(TlsClientCertificate {
            cert: junk.clone(),
            key: junk,
        }),
    });
    assert!(client.contains("redis_tls_key"), "{client}");
    let absent = refusal(TlsFiles {
        ca: Some(dir.path().join("absent.pem")),
        client: None,
    });
    assert!(absent.contains("absent.pem"), "{absent}");
}
