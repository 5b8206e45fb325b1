//! The line that `systemctl status` shows: where the road stands. Said when it changes,
//! at most once a second, and only where systemd listens.

use std::time::Duration;

use tokio::time::Instant;

use super::{Road, RoadParts};
use crate::daemon::notify;
use crate::table::InitStage;

/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// What was said last, and when to look again.
#[derive(Debug)]
pub(super) struct StatusLine {
    said: String,
    next_look: Instant,
    /// Something happened since the last look.
    stale: bool,
    listens: bool,
}

impl StatusLine {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            said: String::new(),
            next_look: now,
            stale: false,
            listens: notify::somebody_listens(),
        }
    }

    /// When there is next something to say.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.stale.then_some(self.next_look)
    }
}

impl Road {
    /// Says how the road stands, if that is due and has changed.
    pub(super) fn tell_status(&mut self, now: Instant) {
        if !self.status.listens {
            return;
        }
        self.status.stale = now < self.status.next_look;
        if self.status.stale {
            return;
        }
        self.status.next_look = now + PAUSE;
        let line = self.standing();
        if line != self.status.said {
            notify::status(&line);
            self.status.said = line;
        }
    }

    /// How the road stands, for people to read.
    pub(super) fn standing(&self) -> String {
        let RoadParts { table, writer, .. } = &self.parts;
        let (stage, awaited) = table.init_stage();
        if !writer.is_open() {
            return match table.waiting() {
                0 => "waiting for STATE_DB".to_owned(),
                waiting => format!("waiting for STATE_DB, {waiting} changes are kept"),
            };
        }
        if stage == InitStage::AwaitsConfig {
            return "waiting for CONFIG_DB".to_owned();
        }
        let given_up = self.watching && self.eoiu_until.is_none();
        if !self.eoiu && !given_up {
            return "waiting for the kernel's first dump".to_owned();
        }
        let totals = table.totals();
        let ports = format!("{} up, {} down", totals.up, totals.down);
        if !self.eoiu {
            return format!("{ports}, as far as the kernel has told; its first dump goes on");
        }
        match (stage, totals.missing) {
            (InitStage::AwaitsPush, _) => format!("{ports}; the configuration waits for APPL_DB"),
            (InitStage::AwaitsPorts, _) => format!("{ports}; PortInitDone waits for {awaited}"),
            (_, 0) => format!("in step: {ports}"),
            (_, missing) => format!("in step: {ports}, {missing} without a netdev"),
        }
    }
}
