//! `LOGGER|portsyncd` in CONFIG_DB: the log level that operators set by
//! `swssloglevel` (sonic-swss-common `logger.cpp`).

use redis::aio::MultiplexedConnection;

use super::{DbError, keys};

/// Creates the row where it is absent, as every swss daemon does, and returns
/// its level.
pub(super) async fn ensure(
    config_db: &mut MultiplexedConnection,
    separator: char,
) -> Result<Option<String>, DbError> {
    let row = row(separator);
    let (_, _, level): (i64, i64, Option<Vec<u8>>) = redis::pipe()
        .cmd("HSETNX")
        .arg(&row)
        .arg("LOGLEVEL")
        .arg("NOTICE")
        .cmd("HSETNX")
        .arg(&row)
        .arg("LOGOUTPUT")
        .arg("SYSLOG")
        .cmd("HGET")
        .arg(&row)
        .arg("LOGLEVEL")
        .query_async(config_db)
        .await
        .map_err(DbError::redis("HSETNX of LOGGER|portsyncd"))?;
    Ok(level.map(|level| String::from_utf8_lossy(&level).into_owned()))
}

/// Reads the level; `None` where the row or the field is gone.
pub(super) async fn read(
    config_db: &mut MultiplexedConnection,
    separator: char,
) -> Result<Option<String>, DbError> {
    let level: Option<Vec<u8>> = redis::cmd("HGET")
        .arg(row(separator))
        .arg("LOGLEVEL")
        .query_async(config_db)
        .await
        .map_err(DbError::redis("HGET of LOGGER|portsyncd"))?;
    Ok(level.map(|level| String::from_utf8_lossy(&level).into_owned()))
}

fn row(separator: char) -> String {
    let (table, key) = keys::LOGGER_ROW;
    keys::row(table, separator, key)
}
