//! How long to wait before the next attempt to reach Redis.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(25);

/// Exponential backoff with jitter: each pause is drawn from the upper half of a
/// span that doubles up to `longest`, so that many daemons do not come at once.
#[derive(Debug)]
pub(super) struct Backoff {
    span: Duration,
    longest: Duration,
}

impl Backoff {
    /// `longest` is `database.retry_interval_secs`.
    #[must_use]
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            span: FIRST.min(longest),
            longest,
        }
    }

    /// The next pause.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.span.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.span = (self.span * 2).min(self.longest);
        pause
    }

    /// Redis answered: the next pause is the shortest again.
    pub(super) fn reset(&mut self) {
        self.span = FIRST.min(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_never_beyond() {
        let longest = Duration::from_secs(2);
        let mut backoff = Backoff::new(longest);
        let pauses: Vec<_> = (0..20).map(|_| backoff.pause()).collect();
        assert!(pauses[0] <= FIRST);
        assert!(pauses.iter().all(|pause| *pause <= longest));
        assert!(pauses[19] >= longest / 2);
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }
}
