//! The floor of an isolated change's latency: a thread that blocks for a link
//! message and then does one HSET of four fixed fields, and nothing else. No
//! daemon that listens to the kernel and writes to Redis can be faster than its
//! wake-up and its round trip.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use portsyncd_tests::Namespace;
use portsyncd_tests::redis_server::STATE_DB;

use super::netlink::{Received, Route};
use super::resp::Redis;

/// The running thread.
pub(super) struct Relay {
    thread: JoinHandle<Result<()>>,
    wanted: Arc<AtomicBool>,
}

impl Relay {
    /// Sends `request` to `STATE_DB` at every link message in `namespace`.
    pub(super) fn start(namespace: &Namespace, socket: &Path, request: Vec<u8>) -> Result<Self> {
        let mut route = namespace.run(|| Route::listen(1 << 20))??;
        // Only to see the end coming.
        route.set_timeout(Duration::from_millis(200))?;
        let mut redis = Redis::connect(socket, STATE_DB)?;
        let wanted = Arc::new(AtomicBool::new(true));
        let thread = thread::Builder::new().name("relay".into()).spawn({
            let wanted = Arc::clone(&wanted);
            move || {
                while wanted.load(Ordering::Relaxed) {
                    if let Received::Bytes(_) = route.receive()? {
                        redis.send(&request)?;
                        redis.reply()?;
                    }
                }
                Ok(())
            }
        });
        Ok(Self {
            thread: thread.context("cannot start a thread")?,
            wanted,
        })
    }

    /// Ends it.
    pub(super) fn stop(self) -> Result<()> {
        self.wanted.store(false, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow!("the relay's thread panicked"))?
    }
}
