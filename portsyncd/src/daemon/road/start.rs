//! The road's start: watching, the end of the initial dump, READY.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Road, RoadParts};
use crate::daemon::notify;
use crate::daemon::resync::Reason;
use crate::observe::Told;
use crate::table::InitStage;

/// READY is not held back for longer: a switch without Redis still boots.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(30);

/// What is expensive waits so long for PortInitDone, which a port without a netdev
/// may hold up for ever.
const INIT_WITHIN: Duration = Duration::from_secs(1);

/// The hook is in place, or refused: from then on it takes this long until everything that only
/// a start does is done, the first files included.
const TIDY_AFTER: Duration = Duration::from_secs(2);

impl Road {
    /// Nothing of the start is left to do soon.
    pub(super) fn started_up(&mut self) {
        self.tidy_at = Some(Instant::now() + TIDY_AFTER);
    }

    /// Gives back the memory that only the start needed: reading and pushing the configuration
    /// takes more than the daemon ever does again, and half of the code is never run again.
    pub(super) fn tidy_up(&mut self, now: Instant) {
        if self.tidy_at.is_some_and(|at| at <= now) {
            self.tidy_at = None;
            portsyncd_sys::trim_heap();
            portsyncd_sys::forget_start();
        }
    }

    /// Starts taking link events, and the first dump.
    pub(super) fn watch(&mut self) {
        self.watching = true;
        let now = Instant::now();
        let patience = self.parts.reloader.config().warm_restart.eoiu_timeout;
        self.eoiu_until = Some(now + patience);
        self.resync.request(Reason::Start, now);
    }

    /// A dump has ended complete: the table knows every netdev.
    pub(super) fn eoiu_detected(&mut self) {
        if std::mem::replace(&mut self.eoiu, true) {
            return;
        }
        self.eoiu_until = None;
        self.tally.eoiu_detected += 1;
        self.parts.teller.tell(Told::Eoiu);
        let totals = self.parts.table.totals();
        debug!(?totals, "initial dump complete");
    }

    /// Goes on with what is there when the initial dump does not end. Dumps go on,
    /// and only a complete one lets stale rows go.
    fn give_eoiu_up(&mut self, now: Instant) {
        if self.eoiu_until.is_some_and(|until| until <= now) {
            self.eoiu_until = None;
            self.tally.eoiu_timeouts += 1;
            self.parts.teller.tell(Told::EoiuTimeout);
            warn!(
                "no complete dump within warm_restart.eoiu_timeout_secs: going on with what is \
                 known, dumps go on"
            );
        }
    }

    pub(super) fn tell_ready(&mut self, now: Instant) {
        self.give_eoiu_up(now);
        if self.settle_at.is_some_and(|at| at <= now) {
            self.settle_at = None;
            self.settle_source();
        }
        if self.said.in_step {
            return;
        }
        let given_up = self.watching && self.eoiu_until.is_none();
        let RoadParts { table, writer, .. } = &self.parts;
        let synchronised = (self.eoiu || given_up)
            && table.init_stage().0 != InitStage::AwaitsConfig
            && writer.is_open()
            && writer.in_flight() == 0
            && table.waiting() == 0;
        if synchronised {
            self.said.in_step = true;
            let took = now - self.started;
            self.tally.initial_sync_duration = Some(took);
            self.parts.teller.tell(Told::InStep(took));
            if !std::mem::replace(&mut self.said.ready, true) {
                notify::ready(&self.standing());
                self.settle_at = Some(now + INIT_WITHIN);
            }
        } else if !self.said.ready && now >= self.started + READY_WITHIN {
            self.said.ready = true;
            notify::ready(&self.standing());
            self.settle_at = Some(now + INIT_WITHIN);
        }
    }
}
