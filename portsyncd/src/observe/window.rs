//! Rates over the last minutes, from counters that only grow: sans-IO.
//!
//! Nothing wakes up for it: a sample is taken when something is heard and when somebody asks.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What rates are over.
const WINDOW: Duration = Duration::from_mins(5);
/// The shortest time between two samples.
const SPACING: Duration = Duration::from_secs(5);

/// Counters at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    /// Rows written.
    pub(super) written: u64,
    /// Rows that could not be written.
    pub(super) unwritten: u64,
    /// Changes published.
    pub(super) published: u64,
    /// Of those, too slow.
    pub(super) slow: u64,
    /// Link messages lost.
    pub(super) lost: u64,
}

impl Sample {
    fn since(self, before: Self) -> Self {
        Self {
            written: self.written - before.written,
            unwritten: self.unwritten - before.unwritten,
            published: self.published - before.published,
            slow: self.slow - before.slow,
            lost: self.lost - before.lost,
        }
    }
}

/// The samples of the window. See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Window {
    samples: VecDeque<(Instant, Sample)>,
}

impl Window {
    /// Takes the counters as they are and gives what was added within the window.
    pub(super) fn take(&mut self, now: Instant, sample: Sample) -> Sample {
        // The last one that is older than the window stays: it is where the window begins.
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| *at + WINDOW <= now)
        {
            self.samples.pop_front();
        }
        if self
            .samples
            .back()
            .is_none_or(|(at, _)| *at + SPACING <= now)
        {
            self.samples.push_back((now, sample));
        }
        let begin = match self.samples.front() {
            Some((at, first)) if self.samples.len() > 1 || *at + WINDOW <= now => *first,
            _ => Sample::default(),
        };
        sample.since(begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_after_five_minutes_and_stays_small() {
        let start = Instant::now();
        let mut window = Window::default();
        let at = |secs| start + Duration::from_secs(secs);
        let sample = |written, unwritten| Sample {
            written,
            unwritten,
            ..Sample::default()
        };
        assert_eq!(window.take(at(0), sample(10, 3)), sample(10, 3));
        for secs in 1..1000 {
            window.take(at(secs), sample(10 + secs, 3));
        }
        assert!(window.samples.len() <= 62);
        let found = window.take(at(1000), sample(1010, 3));
        assert_eq!(found.unwritten, 0);
        assert!((300..=306).contains(&found.written), "{found:?}");
    }
}
