//! When to dump: sans-IO, `now` is passed in.
//!
//! A dump that is asked for while one runs follows it: the running one may have
//! passed the netdev in question. Dumps are spaced, so that a storm of losses
//! costs the kernel's RTNL lock little, and an interrupted one is repeated with
//! growing pauses for as long as it takes.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time from one dump's start to the next one's.
const SPACING: Duration = Duration::from_millis(100);
/// The first pause after an interrupted dump; it doubles up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(10);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// Why a dump is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    /// The daemon started.
    Start,
    /// Link messages were lost.
    Loss,
    /// STATE_DB came back.
    Reconnect,
    /// `link.resync_interval_secs`.
    Interval,
    /// The last one was interrupted or failed.
    Partial,
}

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Loss => "loss",
            Self::Reconnect => "reconnect",
            Self::Interval => "interval",
            Self::Partial => "partial",
        }
    }
}

/// The schedule of dumps.
#[derive(Debug)]
pub(super) struct Resync {
    interval: Option<Duration>,
    due: Option<(Instant, Reason)>,
    running: bool,
    last_start: Option<Instant>,
    retry: Duration,
}

impl Resync {
    /// `interval` is `link.resync_interval_secs`; `None` is never.
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Self {
            interval,
            due: None,
            running: false,
            last_start: None,
            retry: FIRST_RETRY,
        }
    }

    pub(super) fn set_interval(&mut self, interval: Option<Duration>, now: Instant) {
        self.interval = interval;
        if matches!(self.due, Some((_, Reason::Interval)) | None) && !self.running {
            self.due = None;
            self.schedule_interval(now);
        }
    }

    /// Asks for a dump as soon as the spacing allows.
    pub(super) fn request(&mut self, reason: Reason, now: Instant) {
        let at = self
            .last_start
            .map_or(now, |last| (last + SPACING).max(now));
        if self.due.is_none_or(|(due, _)| at < due) {
            self.due = Some((at, reason));
        }
    }

    /// The reason, if a dump has to be started now.
    pub(super) fn start_due(&mut self, now: Instant) -> Option<Reason> {
        let (at, reason) = self.due?;
        if self.running || at > now {
            return None;
        }
        self.due = None;
        self.running = true;
        self.last_start = Some(now);
        Some(reason)
    }

    /// The dump that was started ended.
    pub(super) fn ended(&mut self, complete: bool, now: Instant) {
        self.running = false;
        if complete {
            self.retry = FIRST_RETRY;
            self.schedule_interval(now);
            return;
        }
        let at = now + self.retry;
        self.retry = (self.retry * 2).min(LONGEST_RETRY);
        if self.due.is_none_or(|(due, _)| at < due) {
            self.due = Some((at, Reason::Partial));
        }
    }

    /// When [`start_due`](Self::start_due) is next worth a call.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.filter(|_| !self.running).map(|(at, _)| at)
    }

    fn schedule_interval(&mut self, now: Instant) {
        if self.due.is_none()
            && let Some(interval) = self.interval
        {
            self.due = Some((now + interval, Reason::Interval));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_fold_and_are_spaced() {
        let start = Instant::now();
        let mut resync = Resync::new(None);
        resync.request(Reason::Start, start);
        assert_eq!(resync.start_due(start), Some(Reason::Start));
        for _ in 0..100 {
            resync.request(Reason::Loss, start);
        }
        assert_eq!(resync.start_due(start + SPACING), None, "one runs");
        resync.ended(true, start + SPACING / 2);
        assert_eq!(resync.start_due(start + SPACING / 2), None, "too early");
        assert_eq!(resync.deadline(), Some(start + SPACING));
        assert_eq!(resync.start_due(start + SPACING), Some(Reason::Loss));
        resync.ended(true, start + SPACING);
        assert_eq!(resync.deadline(), None, "a hundred losses are one dump");
    }

    #[test]
    fn a_partial_dump_is_repeated_with_growing_pauses() {
        let mut now = Instant::now();
        let mut resync = Resync::new(Some(Duration::from_secs(300)));
        resync.request(Reason::Start, now);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert!(resync.start_due(now).is_some());
            resync.ended(false, now);
            let at = resync.deadline().unwrap();
            pauses.push(at - now);
            now = at;
        }
        assert_eq!(pauses[0], FIRST_RETRY);
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(pauses[11], LONGEST_RETRY);
        assert!(resync.start_due(now).is_some());
        resync.ended(true, now);
        assert_eq!(resync.deadline(), Some(now + Duration::from_secs(300)));
    }

    #[test]
    fn the_interval_gives_way_to_a_loss() {
        let now = Instant::now();
        let mut resync = Resync::new(Some(Duration::from_secs(300)));
        resync.request(Reason::Start, now);
        resync.start_due(now);
        resync.ended(true, now);
        resync.request(Reason::Loss, now + Duration::from_secs(10));
        assert_eq!(
            resync.start_due(now + Duration::from_secs(10)),
            Some(Reason::Loss)
        );
    }
}
