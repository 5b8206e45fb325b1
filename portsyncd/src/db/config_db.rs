//! Reading CONFIG_DB's `PORT` table.
//!
//! A row that is not as it should be stops nothing and spoils no other row: it
//! is named in the log and left out.

use portsyncd_common::IfName;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult, Value};
use tracing::warn;

use super::{DbError, keys};

/// As errors call it.
const READ_ROWS: &str = "HGETALL of CONFIG_DB's PORT";

/// One configured port as APPL_DB is to get it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ConfigRow {
    pub(super) name: IfName,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What kind of a switch this is; absent on most.
pub(super) async fn switch_type(
    config_db: &mut MultiplexedConnection,
    separator: char,
) -> Result<Option<Vec<u8>>, DbError> {
    let (table, key) = keys::METADATA_ROW;
    redis::cmd("HGET")
        .arg(keys::row(table, separator, key))
        .arg("switch_type")
        .query_async(config_db)
        .await
        .map_err(DbError::redis(
            "HGET of switch_type in DEVICE_METADATA|localhost",
        ))
}

/// The names of all configured ports.
pub(super) async fn read_names(
    config_db: &mut MultiplexedConnection,
    separator: char,
) -> Result<Vec<IfName>, DbError> {
    let prefix = keys::row(keys::CONFIG_PORT_TABLE, separator, "");
    let found: Vec<Vec<u8>> = redis::cmd("KEYS")
        .arg(format!("{prefix}*"))
        .query_async(config_db)
        .await
        .map_err(DbError::redis("KEYS of CONFIG_DB's PORT"))?;
    let mut names: Vec<IfName> = found
        .iter()
        .filter_map(|key| port_name(key, prefix.as_bytes()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// The port that `key` is a row of; refuses what cannot be one, aloud.
pub(super) fn port_name(key: &[u8], prefix: &[u8]) -> Option<IfName> {
    let name = key.strip_prefix(prefix)?;
    match IfName::new(name) {
        Ok(name) => Some(name),
        Err(why) => {
            let shown: String = name.escape_ascii().map(char::from).take(64).collect();
            warn!(
                row = shown,
                bytes = name.len(),
                "CONFIG_DB PORT row ignored: {why}; remove the row or give it a netdev's name"
            );
            None
        }
    }
}

/// The rows of `names`, without those that have no fields to push.
pub(super) async fn read_rows(
    config_db: &mut MultiplexedConnection,
    separator: char,
    names: &[IfName],
) -> Result<Vec<ConfigRow>, DbError> {
    // Redis has no empty pipeline.
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let prefix = keys::row(keys::CONFIG_PORT_TABLE, separator, "").into_bytes();
    let mut read = redis::Pipeline::with_capacity(names.len());
    read.ignore_errors();
    for name in names {
        read.cmd("HGETALL").arg([&prefix, name.as_bytes()].concat());
    }
    let answers: Vec<RedisResult<Value>> = read
        .query_async(config_db)
        .await
        .map_err(DbError::redis(READ_ROWS))?;
    let mut rows = Vec::with_capacity(names.len());
    for (name, answer) in names.iter().zip(answers) {
        match fields(DbError::unless_of_the_row(READ_ROWS, answer)?) {
            Ok(fields) if fields.is_empty() => {
                warn!(port = %name, "CONFIG_DB PORT row has no fields: not pushed to APPL_DB");
            }
            Ok(fields) => rows.push(ConfigRow {
                name: *name,
                fields,
            }),
            Err(error) => {
                warn!(port = %name, %error, "CONFIG_DB PORT row cannot be read: not pushed to APPL_DB");
            }
        }
    }
    Ok(rows)
}

/// The fields that an answer to HGETALL has to push.
pub(super) fn fields(answer: RedisResult<Value>) -> RedisResult<Vec<(Vec<u8>, Vec<u8>)>> {
    Ok(usable(Vec::from_redis_value(answer?)?))
}

/// Which of the keys exist.
pub(super) async fn exist(
    connection: &mut MultiplexedConnection,
    keys: &[Vec<u8>],
) -> Result<Vec<bool>, DbError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut ask = redis::Pipeline::with_capacity(keys.len());
    for key in keys {
        ask.cmd("EXISTS").arg(key);
    }
    ask.query_async(connection).await.map_err(DbError::redis(
        "EXISTS of rows of CONFIG_DB's PORT and APPL_DB's PORT_TABLE",
    ))
}

/// Drops SONiC's mark for "no fields" and cuts the list mark `@` off the names
/// (`portsyncd.cpp`, `handlePortConfigFromConfigDB`).
fn usable(fields: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields
        .into_iter()
        .filter(|(field, value)| !(field == b"NULL" && value == b"NULL"))
        .map(|(mut field, value)| {
            if let Some(at) = field.iter().position(|byte| *byte == b'@') {
                field.truncate(at);
            }
            (field, value)
        })
        .filter(|(field, _)| !field.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_netdevs_are_ports() {
        let name = |key: &[u8]| port_name(key, b"PORT|").map(|name| name.to_string());
        assert_eq!(name(b"PORT|Ethernet0").as_deref(), Some("Ethernet0"));
        assert_eq!(name(b"PORT|"), None);
        assert_eq!(name(b"PORT|Ethernet0|x y"), None);
        assert_eq!(name(&[b"PORT|".as_slice(), &[b'x'; 10_000]].concat()), None);
        assert_eq!(name(b"PORTCHANNEL|x"), None);
    }

    #[test]
    fn fields_are_cut_at_the_list_mark_and_null_is_nothing() {
        let field = |name: &str, value: &str| (name.into(), value.into());
        assert_eq!(
            usable(vec![
                field("lanes@", "1,2"),
                field("NULL", "NULL"),
                field("mtu", "9100")
            ]),
            vec![field("lanes", "1,2"), field("mtu", "9100")]
        );
    }
}
