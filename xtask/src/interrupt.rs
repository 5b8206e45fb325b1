//! Ctrl-C ends what runs in order, so that its servers and files go and the terminal is
//! whole again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};

/// Whether somebody asked to stop.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches SIGINT, SIGTERM and SIGHUP from now on. Call it before any other
    /// thread is started: threads inherit the blocked signals.
    pub(crate) fn catch() -> Result<Self> {
        let signals = blocked([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])?;
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
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until it comes.
    pub(crate) fn wait(&self) {
        while !self.came() {
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Fails once it came: for every loop that takes long.
    pub(crate) fn check(&self) -> Result<()> {
        if self.came() {
            bail!("interrupted");
        }
        Ok(())
    }
}

/// Blocks these signals, for a thread that waits for them.
pub(crate) fn blocked<const N: usize>(signals: [Signal; N]) -> Result<SigSet> {
    let mut set = SigSet::empty();
    set.extend(signals);
    set.thread_block().context("cannot block signals")?;
    Ok(set)
}
