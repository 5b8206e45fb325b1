//! SONiC's `database_config.json`.

use std::path::Path;

use portsyncd::db::sonic_db_config::{Listens, SonicDbConfig};
use serde_json::Value;

pub(crate) fn run(bytes: &[u8]) {
    let file = Path::new("/database_config.json");
    let config = match SonicDbConfig::parse(bytes, file) {
        Ok(config) => config,
        Err(error) => return assert!(error.to_string().starts_with("/database_config.json: ")),
    };
    let root: Value = serde_json::from_slice(bytes).expect("it was read");
    for name in ["APPL_DB", "CONFIG_DB", "STATE_DB"] {
        let database = match config.database(name) {
            Ok(database) => database,
            Err(error) => {
                assert!(error.to_string().starts_with("/database_config.json: "));
                continue;
            }
        };
        let row = &root["DATABASES"][name];
        assert_eq!(row["id"].as_u64(), Some(database.number.into()));
        assert_eq!(row["separator"], database.separator.to_string());
        assert!(database.separator.is_ascii());
        let instance = &root["INSTANCES"][&database.instance];
        match database.listens {
            Listens::Unix(path) => {
                assert!(path.is_absolute() && path.as_os_str().len() <= 107);
                assert_eq!(instance["unix_socket_path"].as_str(), path.to_str());
            }
            Listens::Tcp(host, port) => {
                assert_eq!(instance["hostname"], host);
                assert_eq!(instance["port"].as_u64(), Some(port.get().into()));
            }
        }
    }
}
