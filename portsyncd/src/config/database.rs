//! `[database]`: how to reach Redis and which of its databases are which.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use super::Password;
use super::reader::Section;

/// The keys of `[database]`.
///
/// Where Redis is: `sonic_db_config` wins over `redis_socket`, which wins over host and port.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// A host name or an address without brackets. Default `127.0.0.1`.
    pub redis_host: String,
    /// 1 to 65535. Default 6379.
    pub redis_port: NonZeroU16,
    /// Absolute path of Redis' unix socket, at most 107 bytes (unix(7)). Default none.
    pub redis_socket: Option<PathBuf>,
    /// Absolute path of a `database_config.json`; sockets, database numbers and separators then
    /// come from it. Default none.
    pub sonic_db_config: Option<PathBuf>,
    /// The ACL user to authenticate as; needs a password. Default none (Redis' `default` user).
    pub redis_username: Option<String>,
    /// Absolute path of the file whose single line is the password. Default none.
    pub redis_password_file: Option<PathBuf>,
    /// What stood in `redis_password_file` when the configuration was read.
    pub redis_password: Option<Password>,
    /// Set when `redis_tls = true`: speak TLS to host and port. Default none.
    pub redis_tls: Option<TlsFiles>,
    /// 0 to 99 (SONiC's Redis has `databases 100`), differing from the other two. Default 0.
    pub appl_db_number: u16,
    /// 0 to 99, differing from the other two. Default 4.
    pub config_db_number: u16,
    /// 0 to 99, differing from the other two. Default 6.
    pub state_db_number: u16,
    /// `connection_timeout_secs`, 1 s to 300 s. Default 5 s.
    pub connection_timeout: Duration,
    /// `retry_interval_secs`, the longest pause between two attempts to reconnect, 1 s to 300 s.
    /// Default 2 s.
    pub retry_interval: Duration,
    /// A second table of `STATE_DB` that repeats `PORT_TABLE`, for readers of the old guide:
    /// capital letters and `_`, at most 64, not `PORT_TABLE`. Default none.
    pub state_table_alias: Option<String>,
}

/// The files of a TLS connection to Redis. All PEM; readable when the configuration was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// `redis_tls_ca`: who may have signed Redis' certificate; without it, the system's own CAs.
    pub ca: Option<PathBuf>,
    /// `redis_tls_cert` with `redis_tls_key`, for a Redis that asks clients for a certificate.
    pub client: Option<TlsClientCertificate>,
}

/// A certificate chain and its key, both PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsClientCertificate {
    /// `redis_tls_cert`.
    pub cert: PathBuf,
    /// `redis_tls_key`.
    pub key: PathBuf,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            redis_host: "127.0.0.1".to_owned(),
            redis_port: const { NonZeroU16::new(6379).unwrap() },
            redis_socket: None,
            sonic_db_config: None,
            redis_username: None,
            redis_password_file: None,
            redis_password: None,
            redis_tls: None,
            appl_db_number: 0,
            config_db_number: 4,
            state_db_number: 6,
            connection_timeout: Duration::from_secs(5),
            retry_interval: Duration::from_secs(2),
            state_table_alias: None,
        }
    }
}

impl Database {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let redis_port = section.integer("redis_port", default.redis_port.get(), 1..=65_535);
        let redis_password_file = section.path("redis_password_file");
        let database = Self {
            redis_host: section.host("redis_host", &default.redis_host),
            redis_port: NonZeroU16::new(redis_port).unwrap_or(default.redis_port),
            redis_socket: section.socket("redis_socket"),
            sonic_db_config: section.path("sonic_db_config"),
            redis_username: section.optional_text("redis_username", user_name),
            redis_password: section.password("redis_password_file", redis_password_file.as_deref()),
            redis_password_file,
            redis_tls: tls(section),
            appl_db_number: section.integer("appl_db_number", default.appl_db_number, 0..=99),
            config_db_number: section.integer("config_db_number", default.config_db_number, 0..=99),
            state_db_number: section.integer("state_db_number", default.state_db_number, 0..=99),
            connection_timeout: section.seconds(
                "connection_timeout_secs",
                default.connection_timeout,
                1..=300,
            ),
            retry_interval: section.seconds("retry_interval_secs", default.retry_interval, 1..=300),
            state_table_alias: section.optional_text("state_table_alias", table_alias),
        };
        if section.is_set("redis_username") && !section.is_set("redis_password_file") {
            section.refuse("redis_username", "needs redis_password_file");
        }
        distinct_numbers(section, &database);
        database
    }
}

/// The three databases hold keys of the same names: two of them in one database would overwrite
/// each other.
fn distinct_numbers(section: &mut Section<'_, '_>, database: &Database) {
    let numbers = [
        ("appl_db_number", database.appl_db_number),
        ("config_db_number", database.config_db_number),
        ("state_db_number", database.state_db_number),
    ];
    for (i, (key, number)) in numbers.iter().enumerate().skip(1) {
        for (other, taken) in &numbers[..i] {
            if number == taken {
                // The line to blame is one that the file has.
                let (blamed, against) = if section.is_given(key) {
                    (key, other)
                } else {
                    (other, key)
                };
                section.refuse(
                    blamed,
                    &format!("must differ from {against}, which is {number} too"),
                );
            }
        }
    }
}

fn tls(section: &mut Section<'_, '_>) -> Option<TlsFiles> {
    let wanted = section.boolean("redis_tls", false);
    let ca = section.file("redis_tls_ca");
    let cert = section.file("redis_tls_cert");
    let key = section.file("redis_tls_key");
    section.set_together("redis_tls_cert", "redis_tls_key");
    if !wanted {
        for key in ["redis_tls_ca", "redis_tls_cert", "redis_tls_key"] {
            if section.is_set(key) {
                section.refuse(key, "has no effect unless redis_tls = true");
            }
        }
        return None;
    }
    if section.is_set("redis_socket") {
        section.refuse(
            "redis_tls",
            "needs redis_host and redis_port: a unix socket (redis_socket) does not speak TLS",
        );
    }
    Some(TlsFiles {
        ca,
        client: cert
            .zip(key)
            .map(|(cert, key)| TlsClientCertificate { cert, key }),
    })
}

fn user_name(value: &str) -> Result<(), &'static str> {
    let good = value.len() <= 128 && !value.contains(|c: char| c.is_whitespace() || c.is_control());
    good.then_some(())
        .ok_or("must be a Redis ACL user: at most 128 bytes, no white space")
}

fn table_alias(value: &str) -> Result<(), &'static str> {
    let letters = value.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    if !letters || value.len() > 64 {
        return Err("must be empty or at most 64 capital letters and `_`");
    }
    if value == "PORT_TABLE" {
        return Err("must not be PORT_TABLE, the table that is written anyway");
    }
    Ok(())
}
