//! A figure for each of the last seconds.

use std::collections::VecDeque;

/// As many seconds as the widest terminal shows.
const SECONDS: usize = 256;

/// The last seconds' figures, oldest first, and this second's.
#[derive(Debug, Default)]
pub(super) struct Trace {
    past: VecDeque<u64>,
    now: u64,
}

impl Trace {
    /// Adds to this second.
    pub(super) fn add(&mut self, times: u64) {
        self.now += times;
    }

    /// This second's figure is the largest that was told.
    pub(super) fn largest(&mut self, figure: u64) {
        self.now = self.now.max(figure);
    }

    /// The next second begins.
    pub(super) fn tick(&mut self) {
        if self.past.len() == SECONDS {
            self.past.pop_front();
        }
        self.past.push_back(std::mem::take(&mut self.now));
    }

    /// The last `width` whole seconds, oldest first.
    pub(super) fn last(&self, width: usize) -> Vec<u64> {
        let skip = self.past.len().saturating_sub(width);
        self.past.iter().skip(skip).copied().collect()
    }

    /// The last whole second's figure.
    pub(super) fn latest(&self) -> u64 {
        self.past.back().copied().unwrap_or(0)
    }

    /// The largest figure that is kept.
    pub(super) fn peak(&self) -> u64 {
        self.past.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_kept_and_bounded() {
        let mut trace = Trace::default();
        for second in 0..1000 {
            trace.add(second);
            trace.add(1);
            trace.tick();
        }
        trace.largest(7);
        assert_eq!(trace.last(2), [999, 1000]);
        assert_eq!((trace.latest(), trace.peak()), (1000, 1000));
        assert_eq!(trace.last(10_000).len(), SECONDS);
    }
}
