//! The road's counters.

use tracing::info;

use crate::link::LossReason;

/// What the road has done since it started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Link messages taken.
    pub(super) link_messages: u64,
    /// Dump entries taken.
    pub(super) dump_entries: u64,
    /// Messages and entries that could not be read whole.
    pub(super) malformed: u64,
    /// Messages lost because the ring was full.
    pub(super) ring_lost: u64,
    /// Overruns of the plain socket.
    pub(super) overruns: u64,
    /// Dumps that ended complete.
    pub(super) resyncs: u64,
    /// Dumps that were interrupted or failed.
    pub(super) partial_dumps: u64,
    /// Batches acknowledged by STATE_DB.
    pub(super) batches: u64,
    /// Changes acknowledged by STATE_DB.
    pub(super) changes: u64,
    /// Connections to STATE_DB that broke or could not be made.
    pub(super) redis_failures: u64,
}

impl Tally {
    pub(super) fn lost(&mut self, reason: LossReason, count: u64) {
        match reason {
            LossReason::RingFull => self.ring_lost += count,
            LossReason::SocketOverrun => self.overruns += count,
            LossReason::Malformed => self.malformed += count,
        }
    }

    /// The account that the daemon leaves behind.
    pub(super) fn log(&self) {
        info!(
            link_messages = self.link_messages,
            dump_entries = self.dump_entries,
            malformed = self.malformed,
            ring_lost = self.ring_lost,
            overruns = self.overruns,
            resyncs = self.resyncs,
            partial_dumps = self.partial_dumps,
            batches = self.batches,
            changes = self.changes,
            redis_failures = self.redis_failures,
            "portsyncd stopped"
        );
    }
}
