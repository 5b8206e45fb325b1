//! Connections of the redis library, for everything but the hot path.

use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, ProtocolVersion, PushInfo};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::DbError;
use super::address::DbAddress;

/// Connects; `within` bounds that and every later answer.
pub(super) async fn multiplexed(
    address: &DbAddress,
    within: Duration,
) -> Result<MultiplexedConnection, DbError> {
    client(address)?
        .get_multiplexed_async_connection_with_config(&bounded(within))
        .await
        .map_err(DbError::redis(address.connecting()))
}

/// As [`multiplexed`], by RESP3, in which Redis also speaks unasked: to `news`.
pub(super) async fn told(
    address: &DbAddress,
    within: Duration,
    news: mpsc::UnboundedSender<PushInfo>,
) -> Result<MultiplexedConnection, DbError> {
    let info = address.connection_info()?;
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3);
    Client::open(info.set_redis_settings(settings))
        .map_err(DbError::redis("connect"))?
        .get_multiplexed_async_connection_with_config(&bounded(within).set_push_sender(news))
        .await
        .map_err(DbError::redis("connect by RESP3"))
}

fn bounded(within: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(within))
        .set_response_timeout(Some(within))
}

/// Connects for subscriptions.
pub(super) async fn subscriber(address: &DbAddress, within: Duration) -> Result<PubSub, DbError> {
    let client = client(address)?;
    match timeout(within, client.get_async_pubsub()).await {
        Ok(connected) => connected.map_err(DbError::redis("connect for subscriptions")),
        Err(_) => Err(DbError::Timeout {
            what: "connect for subscriptions",
            after_ms: within.as_millis(),
        }),
    }
}

fn client(address: &DbAddress) -> Result<Client, DbError> {
    Client::open(address.connection_info()?).map_err(DbError::redis("connect"))
}
