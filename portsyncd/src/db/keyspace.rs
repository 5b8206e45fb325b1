//! CONFIG_DB followed live by keyspace events
//! (<https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/>).

use std::collections::BTreeSet;

use futures_util::{FutureExt, Stream, StreamExt};
use portsyncd_common::IfName;
use redis::Msg;
use redis::aio::{MultiplexedConnection, PubSub};

use super::address::DbAddresses;
use super::{DbError, config_db, keys};

/// The channels of the rows that are followed.
#[derive(Debug)]
pub(super) struct Channels {
    port_prefix: String,
    logger: String,
    /// Deletions in STATE_DB, where it is in the same Redis.
    deletions: Option<String>,
    rows_prefix: String,
}

/// What a burst of events was about. What it was that happened is asked of the
/// database, so that a burst folds and nothing depends on its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) ports: BTreeSet<IfName>,
    pub(super) logger: bool,
    /// Rows of STATE_DB were deleted, perhaps by ourselves.
    pub(super) rows: bool,
}

/// What Redis publishes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    /// All that following CONFIG_DB takes: keyspace channels (`K`) for hashes and
    /// deletions (`h` and `g`, or all, `A`).
    pub(super) rows: bool,
    /// Deletions by database: keyevent channels (`E`).
    pub(super) deletions: bool,
}

impl Channels {
    pub(super) fn new(addresses: &DbAddresses) -> Self {
        let (address, state) = (&addresses.config, &addresses.state);
        let channel = |table, key| {
            let row = keys::row(table, address.separator(), key);
            format!("__keyspace@{}__:{row}", address.number())
        };
        let (logger_table, logger_key) = keys::LOGGER_ROW;
        Self {
            port_prefix: channel(keys::CONFIG_PORT_TABLE, ""),
            logger: channel(logger_table, logger_key),
            deletions: (address.transport() == state.transport())
                .then(|| format!("__keyevent@{}__:del", state.number())),
            rows_prefix: keys::row(keys::PORT_TABLE, state.separator(), ""),
        }
    }

    /// Whether deletions in STATE_DB are heard of where Redis publishes them.
    pub(super) fn hear_deletions(&self) -> bool {
        self.deletions.is_some()
    }

    /// Subscribes; to be done before the tables are read.
    pub(super) async fn subscribe(&self, subscriber: &mut PubSub) -> Result<(), DbError> {
        let mut patterns = vec![format!("{}*", self.port_prefix), self.logger.clone()];
        patterns.extend(self.deletions.clone());
        subscriber
            .psubscribe(&patterns)
            .await
            .map_err(DbError::redis("PSUBSCRIBE of CONFIG_DB"))
    }

    /// Folds `first` and every event that is already there.
    pub(super) fn fold(
        &self,
        first: &Msg,
        events: &mut (impl Stream<Item = Msg> + Unpin),
    ) -> Touched {
        let mut touched = Touched::default();
        self.touch(&mut touched, first);
        while let Some(Some(event)) = events.next().now_or_never() {
            self.touch(&mut touched, &event);
        }
        touched
    }

    fn touch(&self, touched: &mut Touched, event: &Msg) {
        let Ok(channel) = event.get_channel::<Vec<u8>>() else {
            return;
        };
        if channel == self.logger.as_bytes() {
            touched.logger = true;
        } else if self
            .deletions
            .as_ref()
            .is_some_and(|c| channel == c.as_bytes())
        {
            let key: Vec<u8> = event.get_payload().unwrap_or_default();
            touched.rows |= key.starts_with(self.rows_prefix.as_bytes());
        } else if let Some(name) = config_db::port_name(&channel, self.port_prefix.as_bytes()) {
            touched.ports.insert(name);
        }
    }
}

/// Which of the events that [`Channels`] needs Redis publishes; `None` when it does
/// not tell.
pub(super) async fn events_enabled(config_db: &mut MultiplexedConnection) -> Option<Published> {
    const SETTING: &str = "notify-keyspace-events";
    let (_, value): (String, String) = redis::cmd("CONFIG")
        .arg("GET")
        .arg(SETTING)
        .query_async(config_db)
        .await
        .ok()?;
    let all = value.contains('A');
    Some(Published {
        rows: value.contains('K') && (all || (value.contains('g') && value.contains('h'))),
        deletions: value.contains('E') && (all || value.contains('g')),
    })
}
