//! What orchagent is due: the signals of each life, as the protocol has them.
//!
//! A life begins when the daemon starts, and when APPL_DB is emptied while it runs.
//! Its beginning is marked in the stream of keyspace events itself, by a message
//! that looks like one, so that what belongs to which life is never a guess.

use anyhow::{Result, ensure};
use portsyncd_tests::events::Event;

/// The key of a life's mark; the "command" is its number.
pub(crate) const MARK: &str = "chaos:life";

/// What a life owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// It owes nothing: its signals came before the round.
    Nothing,
    /// PortConfigDone, then PortInitDone.
    Cold,
    /// PortInitDone alone.
    Warm,
}

/// The lives of a round, and whether their signals may come twice.
#[derive(Debug)]
pub(crate) struct Lives {
    dues: Vec<Due>,
    /// A connection broke: an answer may have been lost, so a signal may have been
    /// sent again.
    pub(crate) may_repeat: bool,
}

impl Lives {
    /// The life that was there when the round began.
    pub(crate) fn new() -> Self {
        Self {
            dues: vec![Due::Nothing],
            may_repeat: false,
        }
    }

    /// A new life; returns its number, for the mark.
    pub(crate) fn begin(&mut self, due: Due) -> usize {
        self.dues.push(due);
        self.dues.len() - 1
    }

    /// A new life that could not be marked: what came before it was nothing.
    pub(crate) fn begin_unmarked(&mut self, due: Due) {
        if let Some(last) = self.dues.last_mut() {
            *last = due;
        }
        self.may_repeat = true;
    }

    /// Whether the last life has had what it is due.
    pub(crate) fn are_served(&self, events: &[Event]) -> bool {
        let (config, init) = self.segments(events).last().map_or((0, 0), |s| count(s));
        match self.dues.last() {
            Some(Due::Cold) => config >= 1 && init >= 1,
            Some(Due::Warm) => init >= 1,
            _ => true,
        }
    }

    /// Fails unless every life had what the protocol allows, and the last one
    /// exactly what it is due.
    pub(crate) fn judge(&self, events: &[Event]) -> Result<()> {
        let segments = self.segments(events);
        for (number, (due, signals)) in self.dues.iter().zip(&segments).enumerate() {
            let last = number + 1 == self.dues.len();
            let (config, init) = count(signals);
            let most = if self.may_repeat { 3 } else { 1 };
            let (least_config, least_init) = match due {
                Due::Nothing => (0, 0),
                Due::Warm => (0, 1),
                Due::Cold => (1, 1),
            };
            let told = format!("life {number} ({due:?}) of {:?}: {signals:?}", self.dues);
            ensure!(
                config <= most * least_config,
                "PortConfigDone not due: {told}"
            );
            ensure!(init <= most * least_init, "PortInitDone not due: {told}");
            if last {
                ensure!(config >= least_config, "no PortConfigDone: {told}");
                ensure!(init >= least_init, "no PortInitDone: {told}");
            }
            let first = |name: &str| signals.iter().position(|signal| signal.contains(name));
            if let (Due::Cold, Some(init)) = (due, first("InitDone")) {
                let config = first("ConfigDone");
                ensure!(
                    config.is_some_and(|config| config < init),
                    "PortInitDone before PortConfigDone: {told}"
                );
            }
        }
        Ok(())
    }

    /// The signals of each life.
    fn segments<'a>(&self, events: &'a [Event]) -> Vec<Vec<&'a str>> {
        let mut segments = vec![Vec::new(); self.dues.len()];
        let mut life = 0;
        for event in events.iter().filter(|event| event.db == 0) {
            if event.key == MARK {
                life = event.command.parse().unwrap_or(life);
            } else if event.command == "hset"
                && let Some(signals) = segments.get_mut(life)
            {
                signals.push(event.key.as_str());
            }
        }
        segments
    }
}

fn count(signals: &[&str]) -> (usize, usize) {
    let of = |name: &str| {
        signals
            .iter()
            .filter(|signal| signal.contains(name))
            .count()
    };
    (of("PortConfigDone"), of("PortInitDone"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn events(list: &[(&str, &str)]) -> Vec<Event> {
        list.iter()
            .map(|(key, command)| Event {
                at: Instant::now(),
                db: 0,
                key: (*key).to_owned(),
                command: (*command).to_owned(),
            })
            .collect()
    }

    const CONFIG: (&str, &str) = ("_PORT_TABLE:PortConfigDone", "hset");
    const INIT: (&str, &str) = ("_PORT_TABLE:PortInitDone", "hset");

    #[test]
    fn what_is_due_and_no_more() {
        let mut lives = Lives::new();
        let mark = lives.begin(Due::Cold).to_string();
        let mark = (MARK, mark.as_str());
        let judge = |list: &[(&str, &str)]| lives.judge(&events(list)).is_ok();
        assert!(judge(&[mark, CONFIG, INIT]));
        assert!(!judge(&[mark, INIT, CONFIG]), "the wrong order");
        assert!(!judge(&[mark, CONFIG]), "incomplete");
        assert!(!judge(&[mark, CONFIG, INIT, INIT]), "twice");
        assert!(
            !judge(&[INIT, mark, CONFIG, INIT]),
            "nothing was due before"
        );
    }

    #[test]
    fn a_warm_life_pushes_nothing() {
        let mut lives = Lives::new();
        let mark = lives.begin(Due::Warm).to_string();
        let mark = (MARK, mark.as_str());
        assert!(lives.judge(&events(&[mark, INIT])).is_ok());
        assert!(lives.judge(&events(&[mark, CONFIG, INIT])).is_err());
        assert!(!lives.are_served(&events(&[mark])));
    }
}
