//! When to dump: sans-IO, `now` is passed in.
//!
//! A dump that is asked for while one runs follows it: the running one may have
//! passed the netdev in question. Dumps are spaced, so that a storm of losses
//! costs the kernel's RTNL lock little, and an interrupted one is repeated with
//! growing pauses for as long as it takes.
//!
//! Sampling is for where no carrier hook can attach: linkwatch tells the first
//! loss of a failure at once and holds the others back, for a second and more. So
//! after a loss the netdevs are looked at again, in dumps close to each other at
//! first, for as long as linkwatch's second lasts or they still find something.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time from one dump's start to the next one's.
const SPACING: Duration = Duration::from_millis(100);
/// The first pause after an interrupted dump; it doubles up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(10);
const LONGEST_RETRY: Duration = Duration::from_millis(500);

/// The shortest time from one sample to the next; it doubles up to the longest
/// while samples find nothing new.
const FIRST_SAMPLE: Duration = Duration::from_millis(20);
const LONGEST_SAMPLE: Duration = Duration::from_millis(160);
/// The shortest time from a loss to the first sample.
const AFTER_LOSS: Duration = Duration::from_millis(5);
/// Linkwatch's second, and some more.
const SAMPLING: Duration = Duration::from_millis(1100);

/// Why a dump is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    /// The daemon started.
    Start,
    /// Link messages were lost.
    Loss,
    /// The carrier hook is in place, or has missed changes.
    Hook,
    /// The link source was changed for a better one.
    Source,
    /// STATE_DB came back, or was emptied.
    Reconnect,
    /// `link.resync_interval_secs`.
    Interval,
    /// The last one was interrupted or failed.
    Partial,
    /// Carriers may have been lost that linkwatch holds back.
    Sample,
}

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Loss => "loss",
            Self::Hook => "hook",
            Self::Source => "source",
            Self::Reconnect => "reconnect",
            Self::Interval => "interval",
            Self::Partial => "partial",
            Self::Sample => "sample",
        }
    }
}

/// The schedule of dumps.
#[derive(Debug)]
pub(super) struct Resync {
    interval: Option<Duration>,
    due: Option<(Instant, Reason)>,
    reason: Reason,
    running: bool,
    last_start: Option<Instant>,
    retry: Duration,
    sampling: Option<Sampling>,
}

/// Sampling under way.
#[derive(Clone, Copy, Debug)]
struct Sampling {
    until: Instant,
    pause: Duration,
}

impl Resync {
    /// `interval` is `link.resync_interval_secs`; `None` is never.
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Self {
            interval,
            due: None,
            reason: Reason::Start,
            running: false,
            last_start: None,
            retry: FIRST_RETRY,
            sampling: None,
        }
    }

    /// A port lost its carrier, or one is still held back: others may have too.
    pub(super) fn sample(&mut self, now: Instant) {
        self.sampling = Some(Sampling {
            until: now + SAMPLING,
            pause: FIRST_SAMPLE,
        });
        self.schedule_sample(now);
    }

    /// Linkwatch still holds carriers back: the samples go on, ever more seldom.
    pub(super) fn prolong_sampling(&mut self, now: Instant) {
        if let Some(sampling) = &mut self.sampling {
            sampling.until = now + SAMPLING;
        }
    }

    fn schedule_sample(&mut self, now: Instant) {
        let Some(sampling) = self.sampling else {
            return;
        };
        let last = self.last_start.map_or(now, |last| last + sampling.pause);
        // The loss that was told goes to Redis first, undisturbed by a dump.
        let at = last.max(now + AFTER_LOSS);
        if at >= sampling.until {
            self.sampling = None;
            return;
        }
        if self.due.is_none_or(|(due, _)| at < due) {
            self.due = Some((at, Reason::Sample));
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
        self.reason = reason;
        self.last_start = Some(now);
        Some(reason)
    }

    /// Why the last dump was started.
    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    /// The dump that was started ended.
    pub(super) fn ended(&mut self, complete: bool, now: Instant) {
        self.running = false;
        if complete {
            self.retry = FIRST_RETRY;
            if let Some(sampling) = &mut self.sampling {
                sampling.pause = (sampling.pause * 2).min(LONGEST_SAMPLE);
            }
            self.schedule_sample(now);
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

    #[test]
    fn samples_are_close_at_first_and_end_with_linkwatchs_second() {
        let mut now = Instant::now();
        let mut resync = Resync::new(None);
        resync.request(Reason::Start, now);
        resync.start_due(now);
        resync.ended(true, now);
        now += Duration::from_secs(10);
        let lost = now;
        resync.sample(now);
        let mut at = Vec::new();
        while let Some(due) = resync.deadline() {
            now = due;
            assert_eq!(resync.start_due(now), Some(Reason::Sample));
            at.push(now - lost);
            resync.ended(true, now);
        }
        assert_eq!(at[0], AFTER_LOSS, "the told loss goes first");
        assert!(at[1] <= AFTER_LOSS + FIRST_SAMPLE * 2);
        assert!(at.len() < 12, "{at:?}");
        assert!(*at.last().unwrap() < SAMPLING);
    }

    #[test]
    fn a_sample_that_finds_something_keeps_them_close() {
        let mut now = Instant::now();
        let mut resync = Resync::new(None);
        resync.sample(now);
        for _ in 0..100 {
            now = resync.deadline().unwrap();
            resync.start_due(now);
            resync.ended(true, now);
            resync.sample(now);
            assert!(resync.deadline().unwrap() - now <= FIRST_SAMPLE * 2);
        }
    }
}
