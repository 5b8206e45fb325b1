//! When to look whether Redis still has what was written: sans-IO.
//!
//! Somebody may empty a database under our feet: FLUSHALL, a restart of swss, a
//! failover. Redis tells of that at once where it can
//! ([`Sentry`](crate::db), `CLIENT TRACKING`); looking is for where it cannot,
//! and for the deletion of single rows. A look costs one round trip. After
//! something was found, or told, looks are close to each other for a while: swss
//! deletes STATE_DB's rows some moments after it has flushed APPL_DB.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause after an alarm; it doubles up to the longest.
const FIRST: Duration = Duration::from_millis(250);
/// The shortest pause: our own deletions alarm as well.
const SPACING: Duration = Duration::from_millis(50);
/// The longest pause where Redis tells of an emptied database and of deleted rows.
const TOLD: Duration = Duration::from_secs(10);
/// The longest pause where it does not.
const UNTOLD: Duration = Duration::from_millis(500);

/// How much of STATE_DB is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The next few rows in turn: an emptied table shows in any of them.
    Some,
    /// All rows.
    All,
}

/// The schedule of looks.
#[derive(Debug)]
pub(super) struct Vigil {
    next: Instant,
    pause: Duration,
    longest: Duration,
    last: Option<Instant>,
    all: bool,
}

impl Vigil {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: now + UNTOLD,
            pause: UNTOLD,
            longest: UNTOLD,
            last: None,
            all: false,
        }
    }

    /// Whether Redis tells of an emptied database, on the connection there is now.
    pub(super) fn told(&mut self, told: bool) {
        let at_rest = self.pause == self.longest;
        self.longest = if told { TOLD } else { UNTOLD };
        if at_rest || self.pause > self.longest {
            self.pause = self.longest;
        }
    }

    /// Something was emptied, or may have been: look at once, and soon again.
    pub(super) fn alarm(&mut self, now: Instant) {
        self.next = (self.last).map_or(now, |last| now.max(last + SPACING));
        self.pause = FIRST;
        self.all = true;
    }

    /// Rows were missing. They are written again; who deleted them may not be done.
    /// The pauses still grow, so that a fight over a row stays a slow one.
    pub(super) fn found(&mut self, now: Instant) {
        if self.pause == self.longest {
            self.pause = FIRST;
        }
        self.next = now + self.pause;
        self.all = true;
    }

    /// What has to be looked at now.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Look> {
        if now < self.next {
            return None;
        }
        self.last = Some(now);
        self.next = now + self.pause;
        self.pause = (self.pause * 2).min(self.longest);
        // While looks are close, each is a whole one.
        let all = std::mem::replace(&mut self.all, self.pause < self.longest);
        Some(if all { Look::All } else { Look::Some })
    }

    /// When [`take_due`](Self::take_due) is next worth a call.
    pub(super) fn deadline(&self) -> Instant {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_look(vigil: &mut Vigil) -> (Instant, Look) {
        let at = vigil.deadline();
        assert_eq!(vigil.take_due(at - Duration::from_nanos(1)), None);
        (at, vigil.take_due(at).expect("it is due"))
    }

    #[test]
    fn an_alarm_is_looked_into_at_once_and_for_a_while() {
        let now = Instant::now();
        let mut vigil = Vigil::new(now);
        vigil.told(true);
        vigil.alarm(now);
        let (first, look) = next_look(&mut vigil);
        assert_eq!((first, look), (now, Look::All));
        let mut last = first;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let (at, _) = next_look(&mut vigil);
            pauses.push(at - last);
            last = at;
        }
        assert_eq!(pauses[0], FIRST);
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(pauses[7], TOLD);
        assert_eq!(next_look(&mut vigil).1, Look::Some);
    }

    #[test]
    fn with_news_there_is_little_to_look_at() {
        let mut now = Instant::now();
        let mut vigil = Vigil::new(now);
        next_look(&mut vigil);
        vigil.told(true);
        let end = now + Duration::from_secs(100);
        let mut looks = 0;
        while now < end {
            now = next_look(&mut vigil).0;
            looks += 1;
        }
        assert!(looks <= 12, "{looks} looks in 100 s");
    }

    #[test]
    fn without_news_a_look_is_never_far_off() {
        let mut now = Instant::now();
        let mut vigil = Vigil::new(now);
        for _ in 0..20 {
            let (at, _) = next_look(&mut vigil);
            assert!(at - now <= UNTOLD);
            now = at;
        }
    }

    #[test]
    fn a_fight_over_a_row_gets_slower() {
        let mut now = Instant::now();
        let mut vigil = Vigil::new(now);
        vigil.told(true);
        vigil.alarm(now);
        let mut looks = 0;
        let end = now + Duration::from_secs(60);
        while now < end {
            now = next_look(&mut vigil).0;
            vigil.found(now);
            looks += 1;
        }
        assert!(looks < 40, "{looks} looks in a minute");
    }
}
