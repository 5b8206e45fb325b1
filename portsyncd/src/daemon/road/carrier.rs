//! Lost carriers that linkwatch holds back: found early, settled early.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{error, info};

use super::Road;
use crate::config::AutoOff;
use crate::daemon::settling::Settling;
use crate::link::LinkError;
use crate::link::settle::{Settled, Settler};

/// Requests that may wait for the settling thread.
const REQUESTS_AHEAD: usize = 64;

/// What the road does about lost carriers.
pub(super) struct CarrierCare {
    /// `None` until the first port needs it, or for good when it cannot be had.
    settler: Option<Settler>,
    settling: Settling,
    /// `link.linkwatch_sync`, and the settler has its socket.
    may_settle: bool,
    /// `link.carrier_sampling`.
    may_sample: bool,
}

impl CarrierCare {
    pub(super) fn new(link: &crate::config::Link, now: Instant) -> Self {
        Self {
            settler: None,
            settling: Settling::new(now),
            may_settle: link.linkwatch_sync == AutoOff::Auto,
            may_sample: link.carrier_sampling == AutoOff::Auto,
        }
    }

    /// Where the hook tells of each carrier, nothing has to be looked for.
    pub(super) fn hooked(&mut self, attached: bool) {
        self.may_sample &= !attached;
    }

    /// When there is next something to do; an answer comes first while the
    /// settling thread has all it can take.
    pub(super) fn deadline(&self, written: bool) -> Option<Instant> {
        let room = self.settler.as_ref().is_none_or(Settler::has_room);
        self.settling.deadline(written).filter(|_| room)
    }

    /// The settling thread's next answer; waits for ever while there is none.
    pub(super) async fn answer(&mut self) -> Result<Settled, LinkError> {
        match &mut self.settler {
            Some(settler) => settler.answer().await,
            None => std::future::pending().await,
        }
    }
}

impl Road {
    /// Follows up what the table has noticed of lost carriers.
    pub(super) fn care_for_carriers(&mut self, now: Instant) {
        let table = &mut self.parts.table;
        let (losses, held_back) = (table.take_losses(), table.take_held_back());
        if self.care.may_sample {
            if losses > 0 {
                self.resync.sample(now);
            } else if !held_back.is_empty() {
                self.resync.prolong_sampling(now);
            }
        }
        if self.care.may_settle {
            for ifindex in held_back {
                self.care.settling.held_back(ifindex, now);
            }
            self.ask_kernel(now);
        }
    }

    /// No row waits for STATE_DB or is on its way to it.
    pub(super) fn is_written(&self) -> bool {
        self.parts.table.waiting() == 0 && self.parts.writer.in_flight() == 0
    }

    fn ask_kernel(&mut self, now: Instant) {
        let written = self.is_written();
        let due = |care: &CarrierCare| care.settling.deadline(written).is_some_and(|at| at <= now);
        while due(&self.care) {
            let gate = &self.parts.gate;
            let settler = self
                .care
                .settler
                .get_or_insert_with(|| Settler::start(Arc::clone(gate), REQUESTS_AHEAD));
            if !settler.has_room() {
                return;
            }
            let Some(ifindex) = self.care.settling.next(written, now) else {
                return;
            };
            settler.ask(ifindex);
        }
    }

    /// The kernel answered a request to settle a port, or cannot be asked.
    pub(super) fn settled(&mut self, answer: Result<Settled, LinkError>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                error!(%error, "the kernel cannot be asked to settle lost carriers");
                self.care.may_settle = false;
                return;
            }
        };
        self.tally.settled(answer);
        if self.care.settling.answered(answer, Instant::now()) {
            info!(
                "this kernel does not settle a lost carrier on request: linkwatch's own time it is"
            );
        }
    }
}
