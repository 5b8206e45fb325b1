//! How many log lines a second something that repeats may have.
//!
//! Sans-IO: the caller passes the time in and does the logging, including the one line that says
//! how many were left out.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Counts the lines of the current second, which begins with its first line.
#[derive(Clone, Debug)]
pub struct Budget {
    lines_per_second: NonZeroU32,
    begun: Option<Instant>,
    logged: u32,
    suppressed: u64,
}

/// What to do about one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether to log it.
    pub log: bool,
    /// Lines suppressed in an earlier second and not reported yet: say so if it is not 0.
    pub suppressed: u64,
}

/// A number of lines for [`Budget::new`]; 0 is taken as 1.
#[must_use]
pub const fn per_second(lines: u32) -> NonZeroU32 {
    match NonZeroU32::new(lines) {
        Some(lines) => lines,
        None => NonZeroU32::MIN,
    }
}

impl Budget {
    /// Allows that many lines in each second.
    #[must_use]
    pub const fn new(lines_per_second: NonZeroU32) -> Self {
        Self {
            lines_per_second,
            begun: None,
            logged: 0,
            suppressed: 0,
        }
    }

    /// Asks for one line at `now`.
    pub fn allow(&mut self, now: Instant) -> Verdict {
        let suppressed = self.take_suppressed(now);
        if self.begun.is_none() {
            self.begun = Some(now);
        }
        let log = self.logged < self.lines_per_second.get();
        if log {
            self.logged += 1;
        } else {
            self.suppressed = self.suppressed.saturating_add(1);
        }
        Verdict { log, suppressed }
    }

    /// Lines suppressed in a second that is over at `now` and not reported yet. For a timer: after
    /// a storm no further line may come to report them.
    pub fn take_suppressed(&mut self, now: Instant) -> u64 {
        let over = self
            .begun
            .is_some_and(|begun| now.saturating_duration_since(begun) >= SECOND);
        if !over {
            return 0;
        }
        self.begun = None;
        self.logged = 0;
        std::mem::take(&mut self.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const YES: Verdict = Verdict {
        log: true,
        suppressed: 0,
    };
    const NO: Verdict = Verdict {
        log: false,
        suppressed: 0,
    };

    #[test]
    fn a_second_has_its_lines_and_the_next_tells_of_the_rest() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut budget = Budget::new(per_second(2));
        assert_eq!(budget.allow(at(0)), YES);
        assert_eq!(budget.allow(at(999)), YES);
        assert_eq!(budget.allow(at(999)), NO);
        assert_eq!(budget.allow(at(999)), NO);
        let next = budget.allow(at(1000));
        assert_eq!(
            next,
            Verdict {
                log: true,
                suppressed: 2
            }
        );
        assert_eq!(budget.allow(at(1500)), YES);
        assert_eq!(budget.allow(at(1999)), NO);
        assert_eq!(budget.take_suppressed(at(1999)), 0);
        assert_eq!(budget.take_suppressed(at(5000)), 1);
        assert_eq!(budget.take_suppressed(at(9000)), 0);
        assert_eq!(budget.allow(at(9000)), YES);
    }

    #[test]
    fn time_that_steps_back_gives_no_new_second() {
        let start = Instant::now();
        let mut budget = Budget::new(per_second(0));
        assert_eq!(budget.allow(start + SECOND), YES);
        assert_eq!(budget.allow(start), NO);
    }

    proptest! {
        /// Whatever the times: no line is lost unreported, and no second has too many.
        #[test]
        fn every_line_is_logged_or_reported(
            lines in 1u32..5,
            steps in prop::collection::vec(0u64..700, 0..200),
        ) {
            let mut now = Instant::now();
            let mut budget = Budget::new(per_second(lines));
            let (mut logged, mut reported) = (Vec::new(), 0);
            for step in &steps {
                now += Duration::from_millis(*step);
                let verdict = budget.allow(now);
                reported += verdict.suppressed;
                if verdict.log {
                    logged.push(now);
                }
            }
            reported += budget.take_suppressed(now + SECOND);
            prop_assert_eq!(logged.len() as u64 + reported, steps.len() as u64);
            let most = 2 * lines as usize;
            for first in &logged {
                let within = logged
                    .iter()
                    .filter(|at| at.checked_duration_since(*first).is_some_and(|d| d < SECOND));
                prop_assert!(within.count() <= most);
            }
        }
    }
}
