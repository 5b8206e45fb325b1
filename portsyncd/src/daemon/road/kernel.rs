//! The road's first half: link events and dumps into the port table.

use tokio::time::Instant;
use tracing::warn;

use super::{Road, RoadParts};
use crate::daemon::resync::Reason;
use crate::link::dump::DumpPart;
use crate::link::{self, LinkError, LossReason};
use crate::observe::Told;
use crate::table::{DumpEnd, Verdict};

/// Before a dump's part is taken, at most this many drains: a storm that never
/// ends must not keep the dump waiting.
const DRAINS_BEFORE_DUMP_PART: u32 = 8;

impl Road {
    /// Takes what the link source has.
    pub(super) fn drain(&mut self) -> Result<(), LinkError> {
        self.tally.awake();
        let told_until_ns = self.told_until_ns;
        let RoadParts { source, table, .. } = &mut self.parts;
        let drained = match source.drain(|record| {
            if record.timestamp_ns >= told_until_ns {
                table.link_message(record);
            }
        }) {
            Ok(drained) => drained,
            Err(error) => return self.reopen(&error),
        };
        self.more = drained.more;
        let meters = &self.tally.meters;
        meters
            .link
            .messages
            .inc_by(drained.records - drained.carrier);
        if drained.carrier > 0 {
            meters.link.carrier_changes.inc_by(drained.carrier);
        }
        if let Some((reason, count)) = drained.lost {
            self.lost(reason, count);
        }
        Ok(())
    }

    /// The source broke: a new one takes its place, a dump tells what was missed.
    fn reopen(&mut self, error: &LinkError) -> Result<(), LinkError> {
        warn!(%error, "link source broke, opening a new one");
        let parts = &mut self.parts;
        let link = parts.reloader.config().link.clone();
        let choice = parts.gate.run(move || link::choose(&link))?;
        parts.teller.tell(Told::Source {
            source: choice.source.as_str(),
            reason: choice.reason,
        });
        parts.source = choice.source;
        if self.said.ready {
            self.hook_carrier();
        }
        self.resync.request(Reason::Loss, Instant::now());
        Ok(())
    }

    fn lost(&mut self, reason: LossReason, count: u64) {
        self.tally.lost(reason, count);
        self.resync.request(Reason::Loss, Instant::now());
        let verdict = self.loss_log.allow(std::time::Instant::now());
        if verdict.log {
            warn!(
                reason = reason.as_str(),
                count, "link messages lost: a dump reconciles"
            );
        }
    }

    pub(super) fn dumped(&mut self, part: Option<DumpPart>) -> Result<(), LinkError> {
        match part {
            Some(DumpPart::Netdevs(netdevs)) => {
                // What happened before this part was filled in is older than it.
                for _ in 0..DRAINS_BEFORE_DUMP_PART {
                    self.drain()?;
                    if !self.more {
                        break;
                    }
                }
                for netdev in &netdevs {
                    let verdict = self.parts.table.dump_entry(netdev);
                    let malformed = u64::from(verdict == Verdict::Malformed);
                    self.tally.meters.link.decode_errors.inc_by(malformed);
                }
                self.tally
                    .meters
                    .link
                    .dump_entries
                    .inc_by(netdevs.len() as u64);
            }
            Some(DumpPart::End { interrupted }) => {
                self.drain()?;
                self.dump_ended(!interrupted);
            }
            Some(DumpPart::Failed(error)) => {
                warn!(%error, "dump failed, repeating");
                self.dump_ended(false);
            }
            None => self.dump_ended(false),
        }
        Ok(())
    }

    fn dump_ended(&mut self, complete: bool) {
        self.dump = None;
        self.resync.ended(complete, Instant::now());
        self.tally.dump_ended(complete);
        if !complete {
            self.parts.table.dump_end(DumpEnd::Partial);
            return;
        }
        self.parts.table.dump_end(DumpEnd::Complete);
        let missed = self.hook.take_missed();
        if missed > 0 {
            self.lost(LossReason::HookMissed, missed);
        }
        self.parts
            .teller
            .tell(Told::Resynced(self.resync.reason().as_str()));
        self.port_log.quiet();
        self.eoiu_detected();
        self.search.dump_ended(Instant::now());
    }
}
