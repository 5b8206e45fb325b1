//! How often the road writes and looks under load: sans-IO.
//!
//! An idle daemon does everything at once. In a storm that would be a wake-up, a
//! write and an answer for each link message, which costs more than all the rest.
//! So once writes come thick and fast, changes that can wait share them, and the
//! link source is looked at in ticks. What cannot wait, a changed oper or admin
//! state or a deletion, goes out at the next look.

use std::time::Duration;

use tokio::time::Instant;

/// Writes at once in each window before they are taken for a storm: 800 a second.
const WINDOW: Duration = Duration::from_millis(10);
const AT_ONCE: u32 = 8;
/// The shortest hold; it doubles while batches stay full.
const FIRST_HOLD: Duration = Duration::from_millis(1);
/// A batch with fewer changes says that the storm is over.
const CALM: usize = 4;
/// In a storm the link source is looked at this often. The ring and the socket
/// hold more than a hundred times what comes meanwhile.
const TICK: Duration = Duration::from_millis(1);

/// The pace of the road.
#[derive(Debug)]
pub(super) struct Pace {
    /// The longest hold: `performance.batch_timeout_ms`, and half of
    /// `performance.max_latency_us` where that is shorter.
    longest: Duration,
    window: Instant,
    written: u32,
    hold: Duration,
    next_write: Instant,
    next_look: Instant,
}

impl Pace {
    pub(super) fn new(longest: Duration, now: Instant) -> Self {
        Self {
            longest,
            window: now,
            written: 0,
            hold: Duration::ZERO,
            next_write: now,
            next_look: now,
        }
    }

    /// A new configuration.
    pub(super) fn set_longest(&mut self, longest: Duration) {
        self.longest = longest;
        self.hold = self.hold.min(longest);
    }

    /// From when on changes that can wait may be written.
    pub(super) fn next_write(&self) -> Instant {
        self.next_write
    }

    /// From when on the link source should be looked at.
    pub(super) fn next_look(&self) -> Instant {
        self.next_look
    }

    /// A batch was handed to the writer.
    pub(super) fn wrote(&mut self, changes: usize, now: Instant) {
        if now >= self.window + WINDOW {
            self.window = now;
            self.written = 0;
        }
        self.written += 1;
        self.hold = if self.hold.is_zero() {
            if self.written > AT_ONCE {
                FIRST_HOLD.min(self.longest)
            } else {
                Duration::ZERO
            }
        } else if changes < CALM {
            self.window = now;
            self.written = 0;
            Duration::ZERO
        } else {
            (self.hold * 2).min(self.longest)
        };
        self.next_write = now + self.hold;
    }

    /// The link source was looked at.
    pub(super) fn looked(&mut self, now: Instant) {
        self.next_look = if self.hold.is_zero() { now } else { now + TICK };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(5);

    #[test]
    fn an_idle_daemon_never_waits() {
        let mut now = Instant::now();
        let mut pace = Pace::new(LONGEST, now);
        for _ in 0..1000 {
            pace.wrote(1, now);
            pace.looked(now);
            assert!(pace.next_write() <= now && pace.next_look() <= now);
            now += Duration::from_millis(2);
        }
    }

    #[test]
    fn a_storm_is_held_ever_longer_up_to_the_bound_and_then_let_go() {
        let mut now = Instant::now();
        let mut pace = Pace::new(LONGEST, now);
        let mut holds = Vec::new();
        for _ in 0..20 {
            pace.wrote(100, now);
            holds.push(pace.next_write() - now);
            now = pace.next_write() + Duration::from_micros(10);
        }
        assert_eq!(holds[0], Duration::ZERO);
        assert!(holds.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(holds[19], LONGEST);
        pace.looked(now);
        assert!(pace.next_look() > now);
        pace.wrote(1, now);
        pace.looked(now);
        assert!(pace.next_write() <= now && pace.next_look() <= now);
    }
}
