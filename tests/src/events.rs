//! Redis keyspace events as they come, each with its time of arrival.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::redis_server::RedisServer;

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it arrived here.
    pub at: Instant,
    /// The database's number.
    pub db: u32,
    /// The key; bytes that are not UTF-8 replaced.
    pub key: String,
    /// The command's name: "hset", "del", …
    pub command: String,
}

/// A subscriber to keyspace events, which all come over one connection: their
/// order is the order in which the server carried the commands out.
///
/// Its thread ends with the server.
pub struct Events(Arc<(Mutex<Vec<Event>>, Condvar)>);

impl Events {
    /// Subscribes to keys by database and glob; from the return on nothing is missed.
    pub fn subscribe(redis: &RedisServer, keys: &[(u32, &str)]) -> Result<Self> {
        let mut connection = redis.connect_patiently(0)?;
        let patterns: Vec<String> = keys
            .iter()
            .map(|(db, key)| format!("__keyspace@{db}__:{key}"))
            .collect();
        let seen = Arc::new((Mutex::default(), Condvar::new()));
        let (ready, is_ready) = std::sync::mpsc::channel();
        thread::spawn({
            let seen: Arc<(Mutex<Vec<Event>>, Condvar)> = Arc::clone(&seen);
            move || {
                let mut pubsub = connection.as_pubsub();
                let subscribed = patterns.iter().try_for_each(|p| pubsub.psubscribe(p));
                drop(ready.send(subscribed));
                while let Ok(message) = pubsub.get_message() {
                    let at = Instant::now();
                    let channel = String::from_utf8_lossy(
                        message
                            .get_channel::<Vec<u8>>()
                            .unwrap_or_default()
                            .as_slice(),
                    )
                    .into_owned();
                    let Some((db, key)) = channel
                        .strip_prefix("__keyspace@")
                        .and_then(|rest| rest.split_once("__:"))
                    else {
                        continue;
                    };
                    let command = message.get_payload::<String>().unwrap_or_default();
                    let event = Event {
                        at,
                        db: db.parse().unwrap_or(u32::MAX),
                        key: key.to_owned(),
                        command,
                    };
                    seen.0
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(event);
                    seen.1.notify_all();
                }
            }
        });
        is_ready
            .recv()
            .context("the subscriber's thread ended")?
            .context("PSUBSCRIBE")?;
        Ok(Self(seen))
    }

    /// Everything seen so far.
    #[must_use]
    pub fn all(&self) -> Vec<Event> {
        self.lock().clone()
    }

    /// How many were seen so far: a place to look on from, in [`wait_for`](Self::wait_for).
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Waits until `key` was changed by `command` at or after place `from`;
    /// returns the event and the place after it.
    pub fn wait_for(
        &self,
        from: usize,
        key: &str,
        command: &str,
        timeout: Duration,
    ) -> Result<(Event, usize)> {
        let deadline = Instant::now() + timeout;
        let mut seen = self.lock();
        let mut next = from;
        loop {
            while let Some(event) = seen.get(next) {
                next += 1;
                if event.key == key && event.command == command {
                    return Ok((event.clone(), next));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let since: Vec<String> = seen[from.min(seen.len())..]
                    .iter()
                    .map(|event| format!("{} {} (db {})", event.command, event.key, event.db))
                    .collect();
                bail!(
                    "waited {timeout:?} for {command} of {key}, in vain; since then: [{}]",
                    since.join(", ")
                );
            }
            seen = self
                .0
                .1
                .wait_timeout(seen, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
