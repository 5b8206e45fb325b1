//! Which ports the kernel is asked to settle, and how often: sans-IO.
//!
//! Linkwatch's own pause of a second protects the switch from a flapping port.
//! So a port is asked for at once the first time, then with pauses that grow to
//! linkwatch's second while it keeps flapping, and all ports together within a
//! bound. Whether this kernel settles on request is learnt from its first
//! answers, never from its version.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::link::settle::Settled;

/// The shortest pause between two requests for one port.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Linkwatch's own (`net/core/link_watch.c`, `HZ`).
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A port that was quiet for this long has the shortest pause again.
const QUIET: Duration = Duration::from_secs(5);
/// A request waits this long at most for rows that are on their way to Redis: the
/// switch's own databases learn of a loss first, then the kernel's other listeners.
const ROWS_FIRST: Duration = Duration::from_millis(50);
/// Requests in any second, over all ports: each takes RTNL.
const MOST_PER_SECOND: u32 = 2048;
/// Answers in a row that disagree before the kernel is taken not to settle. One
/// that agrees proves little: linkwatch itself may have come first.
const PROBES: u32 = 3;

#[derive(Clone, Copy, Debug)]
struct Pace {
    last: Instant,
    pause: Duration,
    queued: bool,
}

/// The schedule of requests.
#[derive(Debug)]
pub(super) struct Settling {
    /// This kernel does not settle on request.
    absent: bool,
    /// Answers in a row that disagreed.
    disagreed: u32,
    ports: FxHashMap<u32, Pace>,
    queue: VecDeque<(Instant, u32)>,
    second: Instant,
    asked_in_second: u32,
}

impl Settling {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            absent: false,
            disagreed: 0,
            ports: FxHashMap::default(),
            queue: VecDeque::new(),
            second: now,
            asked_in_second: 0,
        }
    }

    /// A port's lost carrier is held back by linkwatch.
    pub(super) fn held_back(&mut self, ifindex: u32, now: Instant) {
        if self.absent {
            return;
        }
        let known = self.ports.get_mut(&ifindex);
        let at = match known {
            Some(pace) if pace.queued => return,
            Some(pace) if now - pace.last >= QUIET => {
                pace.pause = FIRST_PAUSE;
                now
            }
            Some(pace) => now.max(pace.last + pace.pause),
            None => now,
        };
        let pause = self
            .ports
            .get(&ifindex)
            .map_or(FIRST_PAUSE, |pace| pace.pause);
        let pace = Pace {
            last: now,
            pause,
            queued: true,
        };
        self.ports.insert(ifindex, pace);
        let behind = self.queue.partition_point(|(due, _)| *due <= at);
        self.queue.insert(behind, (at, ifindex));
    }

    /// The next port to ask for, if one is due; `written` says that no row is on its
    /// way to Redis.
    pub(super) fn next(&mut self, written: bool, now: Instant) -> Option<u32> {
        let (at, ifindex) = *self.queue.front()?;
        let at = at + rows_first(written);
        if now >= self.second + Duration::from_secs(1) {
            self.second = now;
            self.asked_in_second = 0;
        }
        if at > now || self.asked_in_second >= MOST_PER_SECOND {
            return None;
        }
        self.queue.pop_front();
        self.asked_in_second += 1;
        if let Some(pace) = self.ports.get_mut(&ifindex) {
            pace.queued = false;
            pace.last = now;
            pace.pause = (pace.pause * 2).min(LONGEST_PAUSE);
        }
        Some(ifindex)
    }

    /// When [`next`](Self::next) is next worth a call.
    pub(super) fn deadline(&self, written: bool) -> Option<Instant> {
        let at = self.queue.front()?.0 + rows_first(written);
        Some(if self.asked_in_second >= MOST_PER_SECOND {
            at.max(self.second + Duration::from_secs(1))
        } else {
            at
        })
    }

    /// The kernel answered a request. True when that settled that it does not
    /// settle at all.
    pub(super) fn answered(&mut self, answer: Settled, now: Instant) -> bool {
        self.ports
            .retain(|_, pace| pace.queued || now - pace.last < QUIET);
        match answer {
            Settled::Agrees => self.disagreed = 0,
            Settled::Disagrees => self.disagreed += 1,
            Settled::Refused => {}
        }
        let learnt = !self.absent && self.disagreed >= PROBES;
        if learnt {
            self.absent = true;
            self.queue.clear();
            self.ports.clear();
        }
        learnt
    }
}

fn rows_first(written: bool) -> Duration {
    if written { Duration::ZERO } else { ROWS_FIRST }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_on_its_way_goes_first_but_not_for_ever() {
        let now = Instant::now();
        let mut settling = Settling::new(now);
        settling.held_back(7, now);
        assert_eq!(settling.next(false, now), None);
        assert_eq!(settling.deadline(false), Some(now + ROWS_FIRST));
        assert_eq!(settling.next(false, now + ROWS_FIRST), Some(7));
        settling.held_back(8, now);
        assert_eq!(settling.next(true, now), Some(8));
    }

    #[test]
    fn a_first_loss_is_asked_for_at_once_and_a_flapping_port_ever_later() {
        let mut now = Instant::now();
        let mut settling = Settling::new(now);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            settling.held_back(7, now);
            settling.held_back(7, now);
            let at = settling.deadline(true).unwrap();
            pauses.push(at - now);
            now = at;
            assert_eq!(settling.next(true, now), Some(7));
            assert_eq!(settling.next(true, now), None, "one request for two losses");
        }
        assert_eq!(pauses[0], Duration::ZERO);
        assert_eq!(pauses[1], FIRST_PAUSE * 2);
        assert_eq!(pauses[6], LONGEST_PAUSE);
        now += QUIET;
        settling.held_back(7, now);
        assert_eq!(settling.deadline(true), Some(now));
    }

    #[test]
    fn all_ports_together_have_a_bound() {
        let now = Instant::now();
        let mut settling = Settling::new(now);
        for ifindex in 0..5000 {
            settling.held_back(ifindex, now);
        }
        let asked = std::iter::from_fn(|| settling.next(true, now)).count();
        assert_eq!(asked, 2048);
        assert_eq!(settling.deadline(true), Some(now + Duration::from_secs(1)));
    }

    #[test]
    fn a_kernel_that_never_settles_is_left_alone() {
        let now = Instant::now();
        let mut settling = Settling::new(now);
        settling.held_back(1, now);
        assert!(!settling.answered(Settled::Disagrees, now));
        assert!(!settling.answered(Settled::Refused, now));
        assert!(!settling.answered(Settled::Disagrees, now));
        assert!(settling.answered(Settled::Disagrees, now));
        settling.held_back(2, now);
        assert_eq!(settling.deadline(true), None);
    }

    #[test]
    fn one_that_settles_now_and_then_is_asked_on() {
        let now = Instant::now();
        let mut settling = Settling::new(now);
        for _ in 0..10 {
            assert!(!settling.answered(Settled::Disagrees, now));
            assert!(!settling.answered(Settled::Agrees, now));
        }
        settling.held_back(1, now);
        assert_eq!(settling.next(true, now), Some(1));
    }
}
