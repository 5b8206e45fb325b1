//! Ports in the log: a line per change of the oper state, never a flood.

use std::time::Instant;

use tracing::info;

use crate::logging::budget::{Budget, per_second};
use crate::table::Change;

/// rsyslog on SONiC takes 20000 lines in 300 s from all of a container: a port
/// storm gets a third of it.
const LINES_PER_SECOND: u32 = 20;

/// Logs what the writer has answered, whichever way: a line is a system call, for which no change
/// waits.
#[derive(Debug)]
pub(super) struct PortLog {
    budget: Budget,
}

impl PortLog {
    pub(super) fn new() -> Self {
        Self {
            budget: Budget::new(per_second(LINES_PER_SECOND)),
        }
    }

    /// Logs the changes of oper state among `changes`.
    pub(super) fn answered(&mut self, changes: &[Change]) {
        for change in changes {
            let (was, is) = (change.was.map(|s| s.oper_up), change.set.map(|s| s.oper_up));
            if was == is {
                continue;
            }
            let verdict = self.budget.allow(Instant::now());
            report(verdict.suppressed);
            if verdict.log {
                info!("{}: oper {} -> {}", change.name, word(was), word(is));
            }
        }
    }

    /// Reports what a storm suppressed, when it is over.
    pub(super) fn quiet(&mut self) {
        report(self.budget.take_suppressed(Instant::now()));
    }
}

fn report(suppressed: u64) {
    if suppressed > 0 {
        info!("{suppressed} more port changes not logged one by one");
    }
}

fn word(up: Option<bool>) -> &'static str {
    match up {
        Some(true) => "up",
        Some(false) => "down",
        None => "absent",
    }
}
