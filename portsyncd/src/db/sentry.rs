//! News that a database was emptied, without asking for it.
//!
//! FLUSHALL and FLUSHDB publish no keyspace event. But a client that tracks keys
//! (`CLIENT TRACKING`, Redis 6 and later, by RESP3) is told of both, of whichever
//! database, and of any change of a key that it has read
//! (<https://redis.io/docs/latest/develop/reference/client-side-caching/>). So
//! APPL_DB's signals are read over a connection that tracks, and nothing has to be
//! polled. Where Redis cannot do it, the road's looks are close to each other.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind};
use tokio::sync::mpsc;
use tracing::debug;

use super::address::{DbAddress, DbAddresses};
use super::{DbError, connect};

/// Connections that are told. See the module's documentation.
#[derive(Debug)]
pub(super) struct Sentry {
    appl_db: MultiplexedConnection,
    /// Open where STATE_DB is in a Redis of its own.
    _state_db: Option<MultiplexedConnection>,
    news: mpsc::UnboundedReceiver<PushInfo>,
}

impl Sentry {
    /// `None` where Redis cannot track keys, or does not let us.
    pub(super) async fn post(addresses: &DbAddresses, within: Duration) -> Option<Self> {
        // As much comes in as keys were read and databases flushed.
        let (sender, news) = mpsc::unbounded_channel();
        let appl_db = tracking(&addresses.appl, within, sender.clone()).await?;
        let elsewhere = addresses.state.transport() != addresses.appl.transport();
        let state_db = if elsewhere {
            Some(tracking(&addresses.state, within, sender).await?)
        } else {
            None
        };
        Some(Self {
            appl_db,
            _state_db: state_db,
            news,
        })
    }

    /// A connection to APPL_DB: whatever is read over it is watched from then on.
    pub(super) fn appl_db(&mut self) -> &mut MultiplexedConnection {
        &mut self.appl_db
    }

    /// Waits until something was emptied or changed. Cancel-safe.
    ///
    /// # Errors
    /// When a connection is gone.
    pub(super) async fn news(&mut self) -> Result<(), DbError> {
        let first = self.news.recv().await;
        let mut next = first.ok_or(DbError::Closed)?;
        let mut changed = false;
        loop {
            match next.kind {
                PushKind::Disconnection => return Err(DbError::Closed),
                PushKind::Invalidate => changed = true,
                _ => {}
            }
            next = match self.news.try_recv() {
                Ok(next) => next,
                Err(_) if changed => return Ok(()),
                Err(_) => self.news.recv().await.ok_or(DbError::Closed)?,
            };
        }
    }
}

async fn tracking(
    address: &DbAddress,
    within: Duration,
    news: mpsc::UnboundedSender<PushInfo>,
) -> Option<MultiplexedConnection> {
    let tracked = async {
        let mut connection = connect::told(address, within, news).await?;
        redis::cmd("CLIENT")
            .arg("TRACKING")
            .arg("ON")
            .exec_async(&mut connection)
            .await
            .map_err(DbError::redis("CLIENT TRACKING"))?;
        Ok::<_, DbError>(connection)
    };
    match tracked.await {
        Ok(connection) => Some(connection),
        Err(error) => {
            debug!(%error, "Redis does not tell of emptied databases: looking twice a second");
            None
        }
    }
}
