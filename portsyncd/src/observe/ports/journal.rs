//! The link journal: the last transitions of one port.
//!
//! Bounded, and without any memory until the first transition. Changes of the MTU alone that follow
//! each other are one entry: a storm of them must not push out what happened to the link.

use std::collections::VecDeque;

use crate::table::{Origin, PortState};

/// Transitions kept of each port.
pub(in crate::observe) const KEPT: usize = 64;

/// One transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::observe) struct Entry {
    /// When the kernel told, nanoseconds since 1970.
    pub(in crate::observe) at_ns: u64,
    /// From there to Redis' acknowledgement, in microseconds; `None` where no event of the kernel's
    /// stands behind it.
    pub(in crate::observe) latency_us: Option<u32>,
    /// Before; `None`: there was no row.
    pub(in crate::observe) was: Option<PortState>,
    /// After; `None`: the row is gone.
    pub(in crate::observe) is: Option<PortState>,
    /// What made the change.
    pub(in crate::observe) origin: Origin,
    /// How many changes this entry stands for.
    pub(in crate::observe) times: u32,
}

impl Entry {
    /// Only the MTU changed.
    pub(in crate::observe) fn is_mtu_only(&self) -> bool {
        let (Some(was), Some(is)) = (self.was, self.is) else {
            return false;
        };
        // A fold may end with the MTU that it began with.
        was.oper_up == is.oper_up && was.admin_up == is.admin_up
    }

    /// The link went down while it was meant to be up.
    pub(in crate::observe) fn is_loss(&self) -> bool {
        self.was.is_some_and(|was| was.oper_up)
            && self.is.is_none_or(|is| !is.oper_up && is.admin_up)
    }
}

/// The last transitions, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::observe) struct Journal {
    entries: VecDeque<Entry>,
}

impl Journal {
    /// Adds a transition; the oldest one goes when there are too many.
    pub(in crate::observe) fn note(&mut self, entry: Entry) {
        if entry.is_mtu_only()
            && let Some(last) = self.entries.back_mut()
            && last.is_mtu_only()
        {
            *last = Entry {
                was: last.was,
                times: last.times.saturating_add(entry.times),
                ..entry
            };
            return;
        }
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// Oldest first.
    pub(in crate::observe) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Link losses an hour over the last hour. A journal that is full tells of less than that, and
    /// its rate is that of the time it tells of.
    pub(in crate::observe) fn losses_per_hour(&self, now_ns: u64) -> f64 {
        const HOUR_NS: u64 = 3_600_000_000_000;
        let since = now_ns.saturating_sub(HOUR_NS);
        let recent = || self.entries.iter().filter(|entry| entry.at_ns >= since);
        let losses = recent().filter(|entry| entry.is_loss()).count();
        let told_ns = match recent().next() {
            Some(oldest) if self.entries.len() == KEPT && recent().count() == KEPT => {
                now_ns.saturating_sub(oldest.at_ns).max(1_000_000_000)
            }
            _ => HOUR_NS,
        };
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let rate = losses as f64 * HOUR_NS as f64 / told_ns as f64;
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "a row that is there")]
    fn state(oper_up: bool, mtu: u32) -> Option<PortState> {
        Some(PortState {
            oper_up,
            admin_up: true,
            mtu,
        })
    }

    fn entry(at_s: u64, was: Option<PortState>, is: Option<PortState>) -> Entry {
        Entry {
            at_ns: at_s * 1_000_000_000,
            latency_us: Some(50),
            was,
            is,
            origin: Origin::LinkMessage,
            times: 1,
        }
    }

    #[test]
    fn it_keeps_the_last_64_and_starts_without_memory() {
        let mut journal = Journal::default();
        assert_eq!(journal.entries.capacity(), 0);
        for at in 0..100 {
            let up = at % 2 == 0;
            journal.note(entry(at, state(!up, 9100), state(up, 9100)));
        }
        let at: Vec<_> = journal.entries().map(|e| e.at_ns / 1_000_000_000).collect();
        assert_eq!(at, (36..100).collect::<Vec<_>>());
    }

    #[test]
    fn an_mtu_storm_is_one_entry() {
        let mut journal = Journal::default();
        journal.note(entry(1, state(true, 1500), state(false, 1500)));
        for mtu in 1501..2000 {
            let at = u64::from(mtu);
            journal.note(entry(at, state(false, mtu - 1), state(false, mtu)));
        }
        journal.note(entry(3000, state(false, 1999), state(true, 1999)));
        let entries: Vec<_> = journal.entries().copied().collect();
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[1].times, 499);
        assert_eq!(entries[1].was, state(false, 1500));
        assert_eq!(entries[1].is, state(false, 1999));
    }

    #[test]
    fn the_rate_is_over_an_hour_or_what_a_full_journal_tells_of() {
        let mut journal = Journal::default();
        for at in 0..4 {
            journal.note(entry(at, state(true, 9100), state(false, 9100)));
        }
        let hour = 3600 * 1_000_000_000;
        assert!((journal.losses_per_hour(hour) - 4.0).abs() < 1e-9);
        assert!(journal.losses_per_hour(2 * hour) < 1e-9);
        for at in 0..64 {
            let up = at % 2 == 0;
            journal.note(entry(10 + at, state(!up, 9100), state(up, 9100)));
        }
        // 32 losses in 64 s.
        let rate = journal.losses_per_hour(74 * 1_000_000_000);
        assert!((rate - 1800.0).abs() < 1.0, "{rate}");
    }
}
