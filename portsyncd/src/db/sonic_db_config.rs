//! Reading SONiC's `database_config.json`: which Redis instance holds which database, under which
//! number, with which separator.
//!
//! The file is sonic-swss-common's (`common/dbconnector.cpp`, `SonicDBConfig`): `INSTANCES`,
//! `DATABASES` and `VERSION`, to which platforms add keys of their own. So only the databases that
//! are asked for are looked at, and of those only the keys that are needed: an odd entry that does
//! not concern this daemon stops nothing.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Map, Value};

/// The longest path of a unix socket, without its NUL (`sun_path`, unix(7)).
const MAX_SOCKET_BYTES: usize = 107;

/// A `database_config.json` that has been read.
#[derive(Clone, Debug)]
pub struct SonicDbConfig {
    file: PathBuf,
    instances: Map<String, Value>,
    databases: Map<String, Value>,
}

/// What the file says of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SonicDb {
    /// Its number within its instance.
    pub number: u16,
    /// What stands between a table's name and a key.
    pub separator: char,
    /// The name of its Redis instance.
    pub instance: String,
    /// Where that instance listens.
    pub listens: Listens,
}

/// Where a Redis instance listens. A unix socket is preferred where the instance has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listens {
    /// `unix_socket_path`.
    Unix(PathBuf),
    /// `hostname` and `port`.
    Tcp(String, NonZeroU16),
}

/// Why a `database_config.json` does not say where a database is.
#[derive(Debug, thiserror::Error)]
pub enum SonicDbConfigError {
    /// The file cannot be read; on a switch the database container writes it when it starts.
    #[error("{}: cannot read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What open(2) or read(2) said.
        source: io::Error,
    },
    /// The file is not JSON.
    #[error("{}: not JSON: {source}", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// With line and column.
        source: serde_json::Error,
    },
    /// The file is JSON but not a `database_config.json`.
    #[error("{}: no object `{key}`, which a database_config.json has{hint}", file.display())]
    NotADatabaseConfig {
        /// The file.
        file: PathBuf,
        /// `INSTANCES` or `DATABASES`.
        key: &'static str,
        /// What the file may be instead.
        hint: &'static str,
    },
    /// `DATABASES` does not have the database.
    #[error("{}: no database `{database}` in DATABASES", file.display())]
    NoDatabase {
        /// The file.
        file: PathBuf,
        /// Such as `STATE_DB`.
        database: String,
    },
    /// `INSTANCES` does not have the instance that a database names.
    #[error("{}: database `{database}` is in instance `{instance}`, which INSTANCES does not have", file.display())]
    NoInstance {
        /// The file.
        file: PathBuf,
        /// Such as `STATE_DB`.
        database: String,
        /// The name that `DATABASES` gives.
        instance: String,
    },
    /// A key is missing or its value makes no sense.
    #[error("{}: {place}: `{key}` {}: {wanted}", file.display(), given.as_ref().map_or_else(|| "is missing".to_owned(), |given| format!("= {given}")))]
    BadValue {
        /// The file.
        file: PathBuf,
        /// Such as `DATABASES.STATE_DB`.
        place: String,
        /// Such as `id`.
        key: &'static str,
        /// The value, as JSON; none if there is none.
        given: Option<String>,
        /// What it must be.
        wanted: &'static str,
    },
}

impl SonicDbConfig {
    /// Reads `file`.
    ///
    /// # Errors
    /// The file cannot be read, is not JSON or has not the shape of a `database_config.json`.
    pub fn load(file: &Path) -> Result<Self, SonicDbConfigError> {
        let json = fs::read(file).map_err(|source| SonicDbConfigError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        Self::parse(&json, file)
    }

    /// Reads the contents of a `database_config.json`; `file` only names it in errors.
    ///
    /// # Errors
    /// It is not JSON or has not the shape of a `database_config.json`.
    pub fn parse(json: &[u8], file: &Path) -> Result<Self, SonicDbConfigError> {
        let root: Value =
            serde_json::from_slice(json).map_err(|source| SonicDbConfigError::Json {
                file: file.to_owned(),
                source,
            })?;
        let object = |key| match root.get(key) {
            Some(Value::Object(object)) => Ok(object.clone()),
            _ => Err(SonicDbConfigError::NotADatabaseConfig {
                file: file.to_owned(),
                key,
                hint: if root.get("INCLUDES").is_some() {
                    ": this is a database_global.json, name one of the files it includes"
                } else {
                    ""
                },
            }),
        };
        Ok(Self {
            file: file.to_owned(),
            instances: object("INSTANCES")?,
            databases: object("DATABASES")?,
        })
    }

    /// Where the database of that name is, such as `STATE_DB`.
    ///
    /// # Errors
    /// The file does not have it or its instance, or says something that makes no sense of them.
    pub fn database(&self, name: &str) -> Result<SonicDb, SonicDbConfigError> {
        let database = self
            .databases
            .get(name)
            .ok_or_else(|| SonicDbConfigError::NoDatabase {
                file: self.file.clone(),
                database: name.to_owned(),
            })?;
        let entry = Entry {
            file: &self.file,
            place: format!("DATABASES.{name}"),
            value: database,
        };
        let instance = entry.text("instance")?;
        let listens = self.listens(name, instance)?;
        Ok(SonicDb {
            number: entry.number("id", "must be a whole number from 0 to 65535", Some)?,
            separator: entry.separator()?,
            instance: instance.to_owned(),
            listens,
        })
    }

    fn listens(&self, database: &str, instance: &str) -> Result<Listens, SonicDbConfigError> {
        let value = self
            .instances
            .get(instance)
            .ok_or_else(|| SonicDbConfigError::NoInstance {
                file: self.file.clone(),
                database: database.to_owned(),
                instance: instance.to_owned(),
            })?;
        let entry = Entry {
            file: &self.file,
            place: format!("INSTANCES.{instance}"),
            value,
        };
        if let Some(socket) = entry.socket()? {
            return Ok(Listens::Unix(socket));
        }
        Ok(Listens::Tcp(
            entry.text("hostname")?.to_owned(),
            entry.number(
                "port",
                "must be a whole number from 1 to 65535",
                NonZeroU16::new,
            )?,
        ))
    }
}

/// One entry of `INSTANCES` or `DATABASES`.
struct Entry<'a> {
    file: &'a Path,
    place: String,
    value: &'a Value,
}

impl<'a> Entry<'a> {
    fn bad(&self, key: &'static str, wanted: &'static str) -> SonicDbConfigError {
        SonicDbConfigError::BadValue {
            file: self.file.to_owned(),
            place: self.place.clone(),
            key,
            given: self.value.get(key).map(Value::to_string),
            wanted,
        }
    }

    fn text(&self, key: &'static str) -> Result<&'a str, SonicDbConfigError> {
        self.value
            .get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.bad(key, "must be a string that is not empty"))
    }

    fn number<T>(
        &self,
        key: &'static str,
        wanted: &'static str,
        accept: impl FnOnce(u16) -> Option<T>,
    ) -> Result<T, SonicDbConfigError> {
        self.value
            .get(key)
            .and_then(Value::as_u64)
            .and_then(|number| u16::try_from(number).ok())
            .and_then(accept)
            .ok_or_else(|| self.bad(key, wanted))
    }

    fn separator(&self) -> Result<char, SonicDbConfigError> {
        let mut chars = self.text("separator")?.chars();
        match (chars.next(), chars.next()) {
            (Some(separator), None) if separator.is_ascii() => Ok(separator),
            _ => Err(self.bad("separator", "must be one ASCII character")),
        }
    }

    /// `unix_socket_path`, which instances in other hosts' containers leave out or empty.
    fn socket(&self) -> Result<Option<PathBuf>, SonicDbConfigError> {
        match self.value.get("unix_socket_path") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(path)) if path.is_empty() => Ok(None),
            Some(Value::String(path))
                if path.starts_with('/')
                    && path.len() <= MAX_SOCKET_BYTES
                    && !path.contains('\0') =>
            {
                Ok(Some(PathBuf::from(path)))
            }
            Some(_) => Err(self.bad(
                "unix_socket_path",
                "must be an absolute path of at most 107 bytes",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/var/run/redis/sonic-db/database_config.json";

    /// Two instances, as `database_config.json` of a chassis' line card has them, with the keys
    /// that sonic-buildimage's template adds.
    const CHASSIS: &str = r#"{
        "INSTANCES": {
            "redis": {
                "hostname": "127.0.0.1", "port": 6379,
                "unix_socket_path": "/var/run/redis/redis.sock",
                "persistence_for_warm_boot": "yes", "database_type": ""
            },
            "redis_bmp": {
                "hostname": "10.0.0.1", "port": 6400, "unix_socket_path": ""
            },
            "odd": 7
        },
        "DATABASES": {
            "APPL_DB": { "id": 0, "separator": ":", "instance": "redis" },
            "CONFIG_DB": { "id": 4, "separator": "|", "instance": "redis" },
            "STATE_DB": { "id": 6, "separator": "|", "instance": "redis_bmp" },
            "LOST_DB": { "id": 7, "separator": "|", "instance": "gone" },
            "ODD_DB": { "id": 8, "separator": "|", "instance": "odd" },
            "LONG_DB": { "id": 9, "separator": "||", "instance": "redis" },
            "BIG_DB": { "id": 70000, "separator": "|", "instance": "redis" },
            "EMPTY_DB": {}
        },
        "VERSION": "1.0"
    }"#;

    fn parsed(json: &str) -> Result<SonicDbConfig, SonicDbConfigError> {
        SonicDbConfig::parse(json.as_bytes(), Path::new(FILE))
    }

    fn refusal(database: &str) -> String {
        let config = parsed(CHASSIS).expect("good shape");
        config.database(database).expect_err("refused").to_string()
    }

    #[test]
    fn each_database_is_resolved_through_its_instance() {
        let config = parsed(CHASSIS).expect("good");
        let appl = config.database("APPL_DB").expect("there");
        assert_eq!((appl.number, appl.separator), (0, ':'));
        assert_eq!(
            appl.listens,
            Listens::Unix(PathBuf::from("/var/run/redis/redis.sock"))
        );
        let state = config.database("STATE_DB").expect("there");
        assert_eq!((state.number, state.separator), (6, '|'));
        assert_eq!(
            state.listens,
            Listens::Tcp("10.0.0.1".to_owned(), NonZeroU16::new(6400).expect("not 0"))
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        for (database, words) in [
            ("COUNTERS_DB", vec![FILE, "`COUNTERS_DB`", "DATABASES"]),
            ("LOST_DB", vec![FILE, "`LOST_DB`", "`gone`", "INSTANCES"]),
            (
                "ODD_DB",
                vec![FILE, "INSTANCES.odd", "`hostname`", "missing"],
            ),
            (
                "LONG_DB",
                vec![FILE, "DATABASES.LONG_DB", "`separator`", "\"||\""],
            ),
            (
                "BIG_DB",
                vec![FILE, "DATABASES.BIG_DB", "`id`", "70000", "65535"],
            ),
            (
                "EMPTY_DB",
                vec![FILE, "DATABASES.EMPTY_DB", "`instance`", "missing"],
            ),
        ] {
            let refusal = refusal(database);
            for word in words {
                assert!(refusal.contains(word), "{refusal}: no {word}");
            }
        }
    }

    #[test]
    fn other_files_are_told_apart() {
        let text = |json| parsed(json).expect_err("refused").to_string();
        assert!(text("{").contains("not JSON"));
        assert!(text("[]").contains("INSTANCES"));
        assert!(text(r#"{"INSTANCES": {}}"#).contains("DATABASES"));
        assert!(text(r#"{"INCLUDES": []}"#).contains("database_global.json"));
        let absent = SonicDbConfig::load(Path::new("/nonexistent/database_config.json"));
        assert!(matches!(
            absent,
            Err(SonicDbConfigError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound
        ));
    }
}
