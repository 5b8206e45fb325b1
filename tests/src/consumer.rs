//! A consumer of `PORT_TABLE` in orchagent's place, written from the protocol of
//! swss-common's `ProducerStateTable` (`producerstatetable.cpp`,
//! `consumer_state_table_pops.lua`): a producer adds the key to a set of changed
//! keys, keeps the fields in a temporary hash and publishes; the consumer takes
//! keys from the set, moves their fields into the table and passes them on.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use redis::{Connection, RedisResult, Script};

use crate::redis_server::{APPL_DB, RedisServer};
use crate::wait::PATIENCE;

/// How many keys orchagent takes at once (`DEFAULT_POP_BATCH_SIZE`).
const BATCH: u32 = 128;

const CHANNEL: &str = "PORT_TABLE_CHANNEL@0";

const POP: &str = r"
local popped = {}
for _, key in ipairs(redis.call('SPOP', KEYS[1], ARGV[1])) do
    local deleted = redis.call('SREM', KEYS[2], key)
    if deleted == 1 then
        redis.call('DEL', 'PORT_TABLE:' .. key)
    end
    local fields = redis.call('HGETALL', '_PORT_TABLE:' .. key)
    for i = 1, #fields, 2 do
        redis.call('HSET', 'PORT_TABLE:' .. key, fields[i], fields[i + 1])
    end
    redis.call('DEL', '_PORT_TABLE:' .. key)
    popped[#popped + 1] = {key, deleted, fields}
end
return popped
";

/// One key as it was popped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Popped {
    /// The key within `PORT_TABLE`: a port, `PortConfigDone` or `PortInitDone`.
    pub key: String,
    /// True when the key had been deleted since it was last popped.
    pub deleted: bool,
    /// Its new fields; none means a DEL to orchagent.
    pub fields: BTreeMap<String, String>,
}

/// A consumer that pops for as long as its Redis lives.
pub struct Consumer(Arc<(Mutex<Vec<Popped>>, Condvar)>);

impl Consumer {
    /// Subscribes, takes what is already there, and goes on.
    pub fn start(redis: &RedisServer) -> Result<Self> {
        let mut subscription = redis.connect_patiently(APPL_DB)?;
        let mut table = redis.connect_patiently(APPL_DB)?;
        let popped = Arc::new((Mutex::default(), Condvar::new()));
        let (ready, is_ready) = std::sync::mpsc::channel();
        thread::spawn({
            let popped: Arc<(Mutex<Vec<Popped>>, Condvar)> = Arc::clone(&popped);
            move || {
                let pop = Script::new(POP);
                let mut pubsub = subscription.as_pubsub();
                drop(ready.send(pubsub.subscribe(CHANNEL)));
                // Ends by an error when the server goes.
                while pop_all(&pop, &mut table, &popped).is_ok() && pubsub.get_message().is_ok() {}
            }
        });
        is_ready
            .recv()
            .context("the consumer's thread ended")?
            .context("SUBSCRIBE")?;
        Ok(Self(popped))
    }

    /// Everything popped so far, in order.
    #[must_use]
    pub fn all(&self) -> Vec<Popped> {
        self.lock().clone()
    }

    /// How often `key` was popped so far.
    #[must_use]
    pub fn times(&self, key: &str) -> usize {
        self.lock()
            .iter()
            .filter(|popped| popped.key == key)
            .count()
    }

    /// Waits until `key` was popped, and returns its first pop.
    pub fn wait_for(&self, key: &str) -> Result<Popped> {
        self.wait_for_within(key, PATIENCE)
    }

    /// [`wait_for`](Self::wait_for) with another deadline.
    pub fn wait_for_within(&self, key: &str, timeout: Duration) -> Result<Popped> {
        let deadline = Instant::now() + timeout;
        let mut popped = self.lock();
        loop {
            if let Some(found) = popped.iter().find(|popped| popped.key == key) {
                return Ok(found.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let keys: Vec<&str> = popped.iter().map(|popped| popped.key.as_str()).collect();
                bail!("waited {timeout:?} to pop {key}, in vain; popped so far: {keys:?}");
            }
            popped = self
                .0
                .1
                .wait_timeout(popped, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Popped>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pop_all(
    pop: &Script,
    table: &mut Connection,
    popped: &(Mutex<Vec<Popped>>, Condvar),
) -> RedisResult<()> {
    loop {
        let batch: Vec<(Vec<u8>, u8, Vec<Vec<u8>>)> = pop
            .key("PORT_TABLE_KEY_SET")
            .key("PORT_TABLE_DEL_SET")
            .arg(BATCH)
            .invoke(table)?;
        if batch.is_empty() {
            return Ok(());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        popped
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(batch.into_iter().map(|(key, deleted, fields)| {
                Popped {
                    key: text(&key),
                    deleted: deleted == 1,
                    fields: fields
                        .chunks_exact(2)
                        .map(|pair| (text(&pair[0]), text(&pair[1])))
                        .collect(),
                }
            }));
        popped.1.notify_all();
    }
}
