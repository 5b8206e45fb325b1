//! The stopwatch: hears Redis announce new rows and the kernel announce new link
//! states, and matches both with the changes that the show makes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use portsyncd_tests::oracle::Row;
use portsyncd_tests::redis_server::{RedisServer, STATE_DB};
use portsyncd_tests::{Monitor, Namespace, Netdev};
use redis::Commands;

use super::latency::{Kind, Sample};

/// How often a listener looks whether it is still wanted.
const TURN: Duration = Duration::from_millis(100);

/// How long after the row the kernel's message may come, before it counts as later:
/// two listeners do not run at the same instant.
const GRACE: Duration = Duration::from_millis(5);

/// What a change leads to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// `admin_status`.
    Admin(bool),
    /// `netdev_oper_status`.
    Oper(bool),
    /// `mtu`.
    Mtu(u16),
}

impl Expected {
    fn in_row(self, row: &Row) -> bool {
        let (field, value) = match self {
            Self::Admin(up) => ("admin_status", up_or_down(up).to_owned()),
            Self::Oper(up) => ("netdev_oper_status", up_or_down(up).to_owned()),
            Self::Mtu(mtu) => ("mtu", mtu.to_string()),
        };
        row.get(field) == Some(&value)
    }

    fn in_netdev(self, netdev: &Netdev) -> bool {
        match self {
            Self::Admin(up) => netdev.admin_up() == up,
            Self::Oper(up) => netdev.oper_up() == up,
            Self::Mtu(mtu) => netdev.mtu == u32::from(mtu),
        }
    }
}

fn up_or_down(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

struct Pending {
    kind: Kind,
    expected: Expected,
    begun: Instant,
    netlink: Option<Instant>,
    redis: Option<Instant>,
}

impl Pending {
    /// The sample, once the row is there. The kernel's message may still be missing:
    /// a daemon that hooks the carrier is ahead of it.
    fn sample(&self) -> Option<Sample> {
        if self.netlink.is_none() && self.redis?.elapsed() < GRACE {
            return None;
        }
        Some(Sample {
            kind: self.kind,
            to_redis: self.redis?.duration_since(self.begun),
            to_netlink: self.netlink.map(|at| at.duration_since(self.begun)),
        })
    }
}

#[derive(Default)]
struct Shared {
    pending: Mutex<HashMap<String, Pending>>,
    latest: Mutex<HashMap<String, (Duration, Instant)>>,
    writes: AtomicU64,
}

/// Times changes. Its listeners end when it is dropped or when Redis goes.
pub(super) struct Watch {
    shared: Arc<Shared>,
    samples: Vec<Sample>,
    listening: Option<Arc<AtomicBool>>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            shared: Arc::default(),
            samples: Vec::new(),
            listening: None,
        }
    }

    /// Hears the rows of a (new) Redis server.
    pub(super) fn hear_redis(&self, redis: &RedisServer) -> Result<()> {
        let mut subscription = redis.connect(STATE_DB)?;
        subscription.set_read_timeout(None)?;
        let mut rows = redis.connect(STATE_DB)?;
        let shared = Arc::clone(&self.shared);
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || {
            let prefix = format!("__keyspace@{STATE_DB}__:PORT_TABLE|");
            let mut pubsub = subscription.as_pubsub();
            drop(ready.send(pubsub.psubscribe(format!("{prefix}*"))));
            // Ends by an error when the server goes.
            while let Ok(message) = pubsub.get_message() {
                let at = Instant::now();
                let port = message
                    .get_channel_name()
                    .strip_prefix(&prefix)
                    .unwrap_or_default();
                if message
                    .get_payload::<String>()
                    .is_ok_and(|command| command == "hset")
                {
                    shared.writes.fetch_add(1, Ordering::Relaxed);
                    shared.row_written(port, at, || rows.hgetall(format!("PORT_TABLE|{port}")));
                }
            }
        });
        is_ready
            .recv()
            .context("the subscriber ended")?
            .context("PSUBSCRIBE")
    }

    /// Hears the kernel's own messages, as any rtnetlink listener does.
    pub(super) fn hear_kernel(&mut self, namespace: &Namespace) -> Result<()> {
        let mut monitor = namespace.run(Monitor::open)??;
        let shared = Arc::clone(&self.shared);
        let wanted = Arc::new(AtomicBool::new(true));
        self.listening = Some(Arc::clone(&wanted));
        thread::spawn(move || {
            while wanted.load(Ordering::Relaxed)
                && let Ok(messages) = monitor.next(TURN)
            {
                for message in messages {
                    shared.link_told(&message.netdev, message.at);
                }
            }
        });
        Ok(())
    }

    /// Stops listening to the kernel, which would cost the daemon its share of the
    /// processors in a storm.
    pub(super) fn ignore_kernel(&mut self) {
        if let Some(wanted) = self.listening.take() {
            wanted.store(false, Ordering::Relaxed);
        }
    }

    /// Makes a change and starts its time.
    pub(super) fn begin(
        &self,
        port: &str,
        kind: Kind,
        expected: Expected,
        change: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let mut pending = self.shared.pending();
        pending.insert(
            port.to_owned(),
            Pending {
                kind,
                expected,
                begun: Instant::now(),
                netlink: None,
                redis: None,
            },
        );
        // The listeners wait for the lock, but have taken their time before.
        change()
    }

    /// Takes the samples that are complete; true when no change is under way.
    pub(super) fn collect(&mut self) -> bool {
        let mut pending = self.shared.pending();
        pending.retain(|_, change| {
            let done = change.sample();
            self.samples.extend(done);
            done.is_none()
        });
        pending.is_empty()
    }

    /// Fails with the changes that did not arrive.
    pub(super) fn missed(&self) -> Result<()> {
        let pending = self.shared.pending();
        match pending.iter().next() {
            None => Ok(()),
            Some((port, change)) => bail!(
                "{} changes did not arrive in Redis, among them {:?} of {port} after {:?}",
                pending.len(),
                change.expected,
                change.begun.elapsed()
            ),
        }
    }

    /// Every sample so far.
    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The last latency of a port, and when it was taken.
    pub(super) fn latest(&self, port: &str) -> Option<(Duration, Instant)> {
        self.shared
            .latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(port)
            .copied()
    }

    /// How many rows were written so far.
    pub(super) fn writes(&self) -> u64 {
        self.shared.writes.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ignore_kernel();
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row_written(&self, port: &str, at: Instant, row: impl FnOnce() -> redis::RedisResult<Row>) {
        let mut pending = self.pending();
        let Some(change) = pending.get_mut(port) else {
            return;
        };
        if change.redis.is_none()
            && at >= change.begun
            && row().is_ok_and(|row| change.expected.in_row(&row))
        {
            change.redis = Some(at);
            let latency = at.duration_since(change.begun);
            self.latest
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(port.to_owned(), (latency, at));
        }
    }

    fn link_told(&self, netdev: &Netdev, at: Instant) {
        if let Some(change) = self.pending().get_mut(&netdev.name)
            && change.netlink.is_none()
            && at >= change.begun
            && change.expected.in_netdev(netdev)
        {
            change.netlink = Some(at);
        }
    }
}
