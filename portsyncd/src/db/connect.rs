//! Connections of the redis library, for everything but the hot path.

use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client};
use tokio::time::timeout;

use super::DbError;
use super::address::DbAddress;

/// Connects; `within` bounds that and every later answer.
pub(super) async fn multiplexed(
    address: &DbAddress,
    within: Duration,
) -> Result<MultiplexedConnection, DbError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(within))
        .set_response_timeout(Some(within));
    client(address)?
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .map_err(DbError::redis("connect"))
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
