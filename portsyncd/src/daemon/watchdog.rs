//! systemd's watchdog: a sign of life from the road itself.
//!
//! The ping is sent by the loop that moves the events, never by a timer of its
//! own: a road that is stuck sends none, and systemd restarts the daemon.

use std::time::Duration;

use tokio::time::Instant;

use super::notify;
use crate::config::Health;

/// When the next sign of life is due.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// `None` where systemd asks for none, or the configuration forbids it.
    interval: Option<Duration>,
    next: Instant,
}

impl Watchdog {
    /// At most half of systemd's `WatchdogSec` (`sd_watchdog_enabled(3)`), and
    /// `health.watchdog_interval_secs` where that is shorter.
    pub(super) fn new(health: &Health, now: Instant) -> Self {
        let asked = sd_notify::watchdog_enabled().filter(|_| health.enable_watchdog);
        Self {
            interval: asked.map(|period| (period / 2).min(health.watchdog_interval)),
            next: now,
        }
    }

    /// Sends a sign of life if one is due.
    pub(super) fn alive(&mut self, now: Instant) {
        if let Some(interval) = self.interval
            && now >= self.next
        {
            self.next = now + interval;
            notify::alive();
        }
    }

    /// When the next one is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.interval.map(|_| self.next)
    }
}
