//! Ctrl-C: the show ends in order, so that the terminal is whole again and the
//! temporary files are gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

/// Whether somebody asked to stop.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches SIGINT, SIGTERM and SIGHUP from now on. Call it before any other
    /// thread is started: threads inherit the blocked signals.
    pub(super) fn catch() -> Result<Self> {
        let mut signals = SigSet::empty();
        signals.extend([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block().context("cannot block SIGINT")?;
        let came = Arc::new(AtomicBool::new(false));
        thread::spawn({
            let came = Arc::clone(&came);
            move || {
                while signals.wait().is_ok() {
                    // Asked a second time: the wish to leave goes before order.
                    if came.swap(true, Ordering::Relaxed) {
                        std::process::exit(130);
                    }
                }
            }
        });
        Ok(Self(came))
    }

    /// True once it came.
    pub(super) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until it comes.
    pub(super) fn wait(&self) {
        while !self.came() {
            thread::sleep(Duration::from_millis(100));
        }
    }
}
