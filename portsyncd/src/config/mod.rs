//! The configuration of the daemon: what `/etc/sonic/portsyncd.conf` may say.
//!
//! In flows TOML text, out flows a [`Config`] whose every value has been checked against its
//! range, or a [`ConfigError`] that lists *all* problems of the file at once, each with its line,
//! its key, the value given and what would be allowed. One file here per section; each says its
//! keys, their defaults and their ranges in one place.
//!
//! This module reads files (the configuration and the Redis password) and touches nothing else:
//! no socket is opened, no directory made, no environment consulted.

mod database;
mod health;
mod link;
mod list;
mod metrics;
mod password;
mod performance;
mod port_globs;
mod problem;
mod reader;
mod scalar;
mod text;
mod warm_restart;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use database::{Database, TlsClientCertificate, TlsFiles};
pub use health::Health;
pub use link::{AutoOff, CarrierHook, ExistingNetdevs, Link, Source};
pub use metrics::{ExportFormat, ListenerTls, Metrics};
pub use password::Password;
pub use performance::Performance;
pub use port_globs::PortGlobs;
pub use problem::Problem;
pub use warm_restart::WarmRestart;

use reader::Document;

/// The file that is read when none is named on the command line.
pub const DEFAULT_PATH: &str = "/etc/sonic/portsyncd.conf";

/// The longest configuration file that is read, in bytes. The example is below 10 kB.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Everything the configuration file says, with defaults for what it leaves out.
///
/// Two of them compare equal when nothing that the daemon acts on differs, so a reload can tell
/// which sections changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `[database]`: how to reach Redis.
    pub database: Database,
    /// `[link]`: where link events come from and which netdevs count.
    pub link: Link,
    /// `[performance]`: queueing, batching and the targets they are judged by.
    pub performance: Performance,
    /// `[health]`: when the daemon calls itself unwell, and the watchdog.
    pub health: Health,
    /// `[metrics]`: the listener and the saved metrics.
    pub metrics: Metrics,
    /// `[warm_restart]`: the state file.
    pub warm_restart: WarmRestart,
}

/// Why a configuration was refused. The text lists every problem, one a line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named on the command line, or the default one where it exists, cannot be read.
    #[error("{}: cannot read the configuration file: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What open(2) or read(2) said.
        source: io::Error,
    },
    /// The text is not TOML, or it says something that is not allowed.
    #[error("{}", problem::listing(file, problems))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// At least one, in the order of their lines.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// The problems found inside the file; empty when it could not be read at all.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }
}

impl Config {
    /// Whether the process comes to hold what nobody else may read: a password or a
    /// private key.
    #[must_use]
    pub fn holds_secrets(&self) -> bool {
        let client = self.database.redis_tls.as_ref();
        self.database.redis_password.is_some()
            || client.is_some_and(|files| files.client.is_some())
            || self.metrics.tls.is_some()
    }

    /// Reads `path`, or [`DEFAULT_PATH`] if none is named.
    ///
    /// # Errors
    /// A named file that is absent is an error, the default one is not: its absence means the
    /// built-in defaults. Otherwise as [`Config::parse`].
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let file = path.unwrap_or(Path::new(DEFAULT_PATH));
        let bytes = match read_limited(file) {
            Ok(bytes) => bytes,
            Err(source) if path.is_none() && source.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(source) => {
                return Err(ConfigError::Unreadable {
                    file: file.to_owned(),
                    source,
                });
            }
        };
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::parse(text, file),
            Err(error) => Err(ConfigError::Invalid {
                file: file.to_owned(),
                problems: vec![Problem::not_utf8(&bytes, error.valid_up_to())],
            }),
        }
    }

    /// Reads the text of a configuration file; `file` is only used to name it in errors.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every syntax error, or, where the syntax is right, every
    /// unknown section or key, wrong type, value out of range and combination that makes no sense.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let refused = |problems| ConfigError::Invalid {
            file: file.to_owned(),
            problems,
        };
        let mut document = Document::parse(text).map_err(refused)?;
        let config = Self {
            database: Database::read(&mut document.section("database")),
            link: Link::read(&mut document.section("link")),
            performance: Performance::read(&mut document.section("performance")),
            health: Health::read(&mut document.section("health")),
            metrics: Metrics::read(&mut document.section("metrics")),
            warm_restart: WarmRestart::read(&mut document.section("warm_restart")),
        };
        document.finish().map_err(refused)?;
        Ok(config)
    }
}

/// The bytes of `file`, refusing what is too long to be a configuration.
fn read_limited(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {MAX_FILE_BYTES} bytes"),
        ));
    }
    Ok(bytes)
}
