//! Whether Redis is there, for whoever asks before the daemon runs.

use std::time::Duration;

use redis::InfoDict;

use super::address::{DbAddress, DbAddresses};
use super::{DbError, connect, keyspace};

/// What Redis answered.
#[derive(Debug)]
pub struct Examined {
    /// SONiC's name, the address, and Redis' version or why there is no answer.
    pub databases: Vec<(&'static str, String, Result<String, DbError>)>,
    /// Whether changes of CONFIG_DB and deleted rows of STATE_DB are told; `None`: Redis
    /// does not say.
    pub keyspace_events: Option<bool>,
}

/// Connects to each database; `within` bounds each step.
pub async fn examine(addresses: &DbAddresses, within: Duration) -> Examined {
    let mut databases = Vec::new();
    for (name, address) in [
        ("STATE_DB", &addresses.state),
        ("CONFIG_DB", &addresses.config),
        ("APPL_DB", &addresses.appl),
    ] {
        databases.push((name, address.to_string(), version(address, within).await));
    }
    let published = match connect::multiplexed(&addresses.config, within).await {
        Ok(mut config_db) => keyspace::events_enabled(&mut config_db).await,
        Err(_) => None,
    };
    let keyspace_events = published.map(|published| published.rows && published.deletions);
    Examined {
        databases,
        keyspace_events,
    }
}

async fn version(address: &DbAddress, within: Duration) -> Result<String, DbError> {
    let mut connection = tokio::time::timeout(within, connect::multiplexed(address, within))
        .await
        .map_err(|_| DbError::Timeout {
            what: "connect",
            after_ms: within.as_millis(),
        })??;
    let info: InfoDict = redis::cmd("INFO")
        .arg("server")
        .query_async(&mut connection)
        .await
        .map_err(DbError::redis("INFO"))?;
    Ok(info
        .get("redis_version")
        .unwrap_or_else(|| "of an unknown version".into()))
}
