//! Where each of the three databases is: from the configuration to what the `redis` crate connects
//! to.
//!
//! In flow `[database]` and, where it names one, a `database_config.json`; out flow three
//! [`DbAddress`]es. Nothing here opens a connection, and no text made here holds the password.

use std::fmt;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, TlsCertificates,
};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::sonic_db_config::{Listens, SonicDb, SonicDbConfig, SonicDbConfigError};
use crate::config::{Database, Password, TlsFiles};

/// A subscription is silent for as long as nothing changes, so only keepalive probes tell it that
/// a remote Redis is gone: after 15 s + 3 × 5 s.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// The databases this daemon uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DbName {
    /// `APPL_DB`.
    Appl,
    /// `CONFIG_DB`.
    Config,
    /// `STATE_DB`.
    State,
}

impl DbName {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Appl, Self::Config, Self::State];

    /// The name that SONiC knows it by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Appl => "APPL_DB",
            Self::Config => "CONFIG_DB",
            Self::State => "STATE_DB",
        }
    }

    /// What stands between table and key where no `database_config.json` says otherwise
    /// (sonic-swss-common, `common/table.cpp`).
    const fn usual_separator(self) -> char {
        match self {
            Self::Appl => ':',
            Self::Config | Self::State => '|',
        }
    }
}

impl fmt::Display for DbName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a Redis instance is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A unix socket.
    Unix(PathBuf),
    /// Host and port.
    Tcp(String, NonZeroU16),
    /// Host and port, TLS.
    Tls(String, NonZeroU16, TlsFiles),
}

/// Where one database is. Its `Display` is for logs: `unix:/path db 6`, `127.0.0.1:6379 db 6`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbAddress {
    name: DbName,
    transport: Transport,
    number: u16,
    separator: char,
    username: Option<String>,
    password: Option<Password>,
}

/// Where the three databases are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbAddresses {
    /// `APPL_DB`.
    pub appl: DbAddress,
    /// `CONFIG_DB`.
    pub config: DbAddress,
    /// `STATE_DB`.
    pub state: DbAddress,
}

/// Why a database has no address, or one that cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// `database.sonic_db_config` does not say where a database is.
    #[error("database.sonic_db_config: {0}")]
    SonicDbConfig(#[from] SonicDbConfigError),
    /// TLS is wanted of an instance that is a unix socket.
    #[error(
        "database.redis_tls: instance `{instance}`, which holds {database}, is the unix socket {}, \
         which does not speak TLS: set redis_tls = false, or leave sonic_db_config empty and name \
         redis_host and redis_port", path.display()
    )]
    TlsOverSocket {
        /// The database.
        database: DbName,
        /// Its instance.
        instance: String,
        /// The instance's socket.
        path: PathBuf,
    },
    /// A PEM file cannot be read.
    #[error("{key}: cannot read {}: {source}", file.display())]
    TlsFile {
        /// Such as `database.redis_tls_ca`.
        key: &'static str,
        /// Its value.
        file: PathBuf,
        /// What open(2) or read(2) said.
        source: io::Error,
    },
    /// A file of trusted CAs that holds none: no certificate could ever be accepted.
    #[error("database.redis_tls_ca: {} holds no PEM certificate", file.display())]
    NoCa {
        /// The file.
        file: PathBuf,
    },
    /// The PEM files hold nothing that can be used.
    #[error("database.redis_tls_ca, redis_tls_cert, redis_tls_key: {0}")]
    TlsContents(RedisError),
    /// The `redis` crate does not take the address.
    #[error("{database}: {source}")]
    Refused {
        /// The database.
        database: DbName,
        /// What it said.
        source: RedisError,
    },
}

impl DbAddresses {
    /// Finds all three. `sonic_db_config` is read now, if the configuration names one.
    ///
    /// # Errors
    /// Only with `sonic_db_config`: the file cannot be read, does not have a database, or has it
    /// behind a unix socket while `redis_tls` is on.
    pub fn resolve(database: &Database) -> Result<Self, AddressError> {
        let sonic = database
            .sonic_db_config
            .as_deref()
            .map(SonicDbConfig::load)
            .transpose()?;
        let address = |name| DbAddress::resolve(name, database, sonic.as_ref());
        Ok(Self {
            appl: address(DbName::Appl)?,
            config: address(DbName::Config)?,
            state: address(DbName::State)?,
        })
    }

    /// All three, in the order of [`DbName::ALL`].
    #[must_use]
    pub fn all(&self) -> [&DbAddress; 3] {
        [&self.appl, &self.config, &self.state]
    }
}

impl DbAddress {
    fn resolve(
        name: DbName,
        database: &Database,
        sonic: Option<&SonicDbConfig>,
    ) -> Result<Self, AddressError> {
        let (transport, number, separator) = if let Some(sonic) = sonic {
            let db = sonic.database(name.as_str())?;
            let (number, separator) = (db.number, db.separator);
            (transport_of(name, db, database)?, number, separator)
        } else {
            let number = match name {
                DbName::Appl => database.appl_db_number,
                DbName::Config => database.config_db_number,
                DbName::State => database.state_db_number,
            };
            let transport = match &database.redis_socket {
                Some(path) => Transport::Unix(path.clone()),
                None => tcp(database.redis_host.clone(), database.redis_port, database),
            };
            (transport, number, name.usual_separator())
        };
        Ok(Self {
            name,
            transport,
            number,
            separator,
            username: database.redis_username.clone(),
            password: database.redis_password.clone(),
        })
    }

    /// Which database it is.
    #[must_use]
    pub fn name(&self) -> DbName {
        self.name
    }

    /// How its Redis instance is reached.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Connecting, as errors call it. Who does not speak TLS is only silent.
    #[must_use]
    pub(super) fn connecting(&self) -> &'static str {
        match self.transport {
            Transport::Unix(_) | Transport::Tcp(..) => "connect",
            Transport::Tls(..) => "connect by TLS (to Redis' tls-port?)",
        }
    }

    /// Its number: what SELECT takes, and what keyspace channels (`__keyspace@<number>__:`) and
    /// producer channels (`…_CHANNEL@<number>`) carry.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// What stands between a table's name and a key, such as `:` in `PORT_TABLE:Ethernet0`.
    #[must_use]
    pub fn separator(&self) -> char {
        self.separator
    }

    /// The ACL user to authenticate as; `None` is Redis' `default` user.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// The password to authenticate with.
    #[must_use]
    pub fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    /// What [`redis::Client::open`] takes. With TLS it reads the PEM files now.
    ///
    /// # Errors
    /// Only with TLS: a PEM file cannot be read or does not hold what it should.
    pub fn connection_info(&self) -> Result<ConnectionInfo, AddressError> {
        let refused = |source| AddressError::Refused {
            database: self.name,
            source,
        };
        let (addr, tls) = match &self.transport {
            Transport::Unix(path) => (ConnectionAddr::Unix(path.clone()), None),
            Transport::Tcp(host, port) => (ConnectionAddr::Tcp(host.clone(), port.get()), None),
            Transport::Tls(host, port, files) => {
                let addr = ConnectionAddr::TcpTls {
                    host: host.clone(),
                    port: port.get(),
                    insecure: false,
                    tls_params: None,
                };
                (addr, Some(files))
            }
        };
        let info = addr
            .into_connection_info()
            .map_err(refused)?
            .set_tcp_settings(tcp_settings())
            .set_redis_settings(self.redis_settings());
        match tls {
            None => Ok(info),
            Some(files) => with_tls(info, files),
        }
    }

    fn redis_settings(&self) -> RedisConnectionInfo {
        let mut settings = RedisConnectionInfo::default()
            .set_db(i64::from(self.number))
            .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.expose());
        }
        settings
    }
}

impl fmt::Display for DbAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.transport {
            Transport::Unix(path) => write!(f, "unix:{}", path.display())?,
            Transport::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}")?,
            Transport::Tcp(host, port) => write!(f, "{host}:{port}")?,
            Transport::Tls(host, port, _) if host.contains(':') => {
                write!(f, "tls:[{host}]:{port}")?;
            }
            Transport::Tls(host, port, _) => write!(f, "tls:{host}:{port}")?,
        }
        write!(f, " db {}", self.number)
    }
}

/// How to reach the instance of a database of `database_config.json`.
fn transport_of(name: DbName, db: SonicDb, database: &Database) -> Result<Transport, AddressError> {
    match db.listens {
        Listens::Unix(path) if database.redis_tls.is_some() => Err(AddressError::TlsOverSocket {
            database: name,
            instance: db.instance,
            path,
        }),
        Listens::Unix(path) => Ok(Transport::Unix(path)),
        Listens::Tcp(host, port) => Ok(tcp(host, port, database)),
    }
}

fn tcp(host: String, port: NonZeroU16, database: &Database) -> Transport {
    match &database.redis_tls {
        Some(files) => Transport::Tls(host, port, files.clone()),
        None => Transport::Tcp(host, port),
    }
}

/// Without `TCP_NODELAY` a second small write waits for the acknowledgement of the first.
fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true).set_keepalive(
        TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES),
    )
}

fn with_tls(info: ConnectionInfo, files: &TlsFiles) -> Result<ConnectionInfo, AddressError> {
    // An error says that a provider is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root_cert = match &files.ca {
        Some(ca) => Some(read_ca(ca)?),
        None => None,
    };
    let client_tls = match &files.client {
        Some(client) => Some(ClientTlsConfig {
            client_cert: read_pem("database.redis_tls_cert", &client.cert)?,
            client_key: read_pem("database.redis_tls_key", &client.key)?,
        }),
        None => None,
    };
    let certificates = TlsCertificates {
        client_tls,
        root_cert,
    };
    let client = Client::build_with_tls(info, certificates).map_err(AddressError::TlsContents)?;
    Ok(client.get_connection_info().clone())
}

fn read_ca(file: &Path) -> Result<Vec<u8>, AddressError> {
    let pem = read_pem("database.redis_tls_ca", file)?;
    if CertificateDer::pem_slice_iter(&pem).next().is_none() {
        return Err(AddressError::NoCa {
            file: file.to_owned(),
        });
    }
    Ok(pem)
}

fn read_pem(key: &'static str, file: &Path) -> Result<Vec<u8>, AddressError> {
    fs::read(file).map_err(|source| AddressError::TlsFile {
        key,
        file: file.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
