//! Writing APPL_DB: the producer's side of a ProducerStateTable.
//!
//! The protocol is that of sonic-swss-common `producerstatetable.cpp`: fields go
//! into the temporary hash `_PORT_TABLE:<key>`, the key into
//! `PORT_TABLE_KEY_SET`, and the channel is told once if a key was new there.
//! The real key is orchagent's to make.

use portsyncd_common::IfName;
use redis::aio::MultiplexedConnection;
use tracing::debug;

use super::address::DbAddress;
use super::config_db::ConfigRow;
use super::{DbError, keys};

/// As errors call it.
const ADMINISTERED: &str = "HEXISTS of admin_status in APPL_DB's PORT_TABLE";

/// Keys per script. A consumer takes at most 128 keys per notification
/// (`TableConsumable::DEFAULT_POP_BATCH_SIZE`), so one notification must never
/// stand for more.
pub(super) const KEYS_PER_SCRIPT: usize = 32;

/// Sets several keys as `ProducerStateTable::set` sets one: atomically, with one
/// notification if any of them was new to the key set.
///
/// KEYS: channel, key set, then each temporary hash. ARGV: "G", then for each
/// hash its key, its number of fields, and field, value, …
const SET: &str = "\
local at, added = 2, 0
for i = 3, #KEYS do
  added = added + redis.call('SADD', KEYS[2], ARGV[at])
  local first = at + 2
  local last = at + 1 + 2 * tonumber(ARGV[at + 1])
  for from = first, last, 500 do
    redis.call('HSET', KEYS[i], unpack(ARGV, from, math.min(from + 499, last)))
  end
  at = last + 1
end
if added > 0 then redis.call('PUBLISH', KEYS[1], ARGV[1]) end";

/// The names of the producer's keys.
#[derive(Debug)]
pub(super) struct Producer {
    channel: String,
    key_set: String,
    hash_prefix: String,
    row_prefix: String,
}

impl Producer {
    pub(super) fn new(address: &DbAddress) -> Self {
        let (table, separator) = (keys::PORT_TABLE, address.separator());
        Self {
            channel: format!("{table}_CHANNEL@{}", address.number()),
            key_set: format!("{table}_KEY_SET"),
            hash_prefix: format!("_{table}{separator}"),
            row_prefix: keys::row(table, separator, ""),
        }
    }

    /// Pushes rows, of which there may be none.
    pub(super) async fn push(
        &self,
        appl_db: &mut MultiplexedConnection,
        rows: &[ConfigRow],
    ) -> Result<(), DbError> {
        // Redis has no empty pipeline.
        if rows.is_empty() {
            return Ok(());
        }
        let mut push = redis::Pipeline::with_capacity(rows.len() / KEYS_PER_SCRIPT + 1);
        for rows in rows.chunks(KEYS_PER_SCRIPT) {
            let rows = rows
                .iter()
                .map(|row| (row.name.as_bytes(), &row.fields[..]));
            push.add_command(self.set(rows));
        }
        push.exec_async(appl_db).await.map_err(DbError::redis(
            "EVAL on PORT_TABLE_KEY_SET and _PORT_TABLE of APPL_DB",
        ))
    }

    /// Sends PortConfigDone: so many ports were pushed.
    pub(super) async fn send_port_config_done(
        &self,
        appl_db: &mut MultiplexedConnection,
        ports: usize,
    ) -> Result<(), DbError> {
        debug!(ports, "configuration pushed");
        self.send_done(appl_db, keys::PORT_CONFIG_DONE, "count", ports)
            .await
    }

    /// Sends PortInitDone.
    pub(super) async fn send_port_init_done(
        &self,
        appl_db: &mut MultiplexedConnection,
    ) -> Result<(), DbError> {
        self.send_done(appl_db, keys::PORT_INIT_DONE, "lanes", 0)
            .await
    }

    async fn send_done(
        &self,
        appl_db: &mut MultiplexedConnection,
        key: &'static str,
        field: &str,
        value: usize,
    ) -> Result<(), DbError> {
        let fields = [(field.as_bytes().to_vec(), value.to_string().into_bytes())];
        self.set(std::iter::once((key.as_bytes(), &fields[..])))
            .exec_async(appl_db)
            .await
            .map_err(DbError::redis(key))
    }

    fn set<'a>(
        &self,
        rows: impl Iterator<Item = (&'a [u8], &'a [(Vec<u8>, Vec<u8>)])> + Clone,
    ) -> redis::Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(SET).arg(2 + rows.clone().count());
        command.arg(&self.channel).arg(&self.key_set);
        for (key, _) in rows.clone() {
            command.arg([self.hash_prefix.as_bytes(), key].concat());
        }
        command.arg("G");
        for (key, fields) in rows {
            command.arg(key).arg(fields.len());
            for (field, value) in fields {
                command.arg(field).arg(value);
            }
        }
        command
    }

    /// Those of `names` that APPL_DB has as ports that are already administered: a
    /// cold start does not await them (`linksync.cpp`, the constructor).
    pub(super) async fn administered(
        &self,
        appl_db: &mut MultiplexedConnection,
        names: &[IfName],
    ) -> Result<Vec<IfName>, DbError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = redis::Pipeline::with_capacity(names.len());
        read.ignore_errors();
        for name in names {
            read.cmd("HEXISTS")
                .arg(self.row(*name))
                .arg(keys::ADMIN_STATUS);
        }
        let answers: Vec<redis::RedisResult<bool>> = read
            .query_async(appl_db)
            .await
            .map_err(DbError::redis(ADMINISTERED))?;
        let mut administered = Vec::new();
        for (name, answer) in names.iter().zip(answers) {
            if let Ok(true) = DbError::unless_of_the_row(ADMINISTERED, answer)? {
                administered.push(*name);
            }
        }
        Ok(administered)
    }

    /// Whether APPL_DB has each of these signals still: in the temporary hash, where
    /// nobody has taken it yet, or in the row that orchagent made of it. Both are
    /// asked in one command, and the consumer's script moves it in one, so that a
    /// signal that is just being taken is never missed.
    pub(super) async fn has_signals(
        &self,
        appl_db: &mut MultiplexedConnection,
        signals: &[&str],
    ) -> Result<bool, DbError> {
        let mut ask = redis::Pipeline::with_capacity(signals.len());
        for signal in signals {
            ask.cmd("EXISTS")
                .arg([&self.hash_prefix, *signal].concat())
                .arg([&self.row_prefix, *signal].concat());
        }
        let found: Vec<u64> = ask.query_async(appl_db).await.map_err(DbError::redis(
            "EXISTS of the signals in APPL_DB's _PORT_TABLE and PORT_TABLE",
        ))?;
        Ok(found.iter().all(|found| *found > 0))
    }

    /// The key of a port's real row, which orchagent writes.
    pub(super) fn row(&self, name: IfName) -> Vec<u8> {
        [self.row_prefix.as_bytes(), name.as_bytes()].concat()
    }
}
