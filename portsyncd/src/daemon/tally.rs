//! The road's counters.

use std::time::Duration;

use tracing::info;

use super::latency::Latency;
use crate::link::LossReason;
use crate::link::settle::Settled;
use crate::table::{Change, Origin};

/// What the road has done since it started.
#[derive(Debug)]
pub(super) struct Tally {
    /// Link messages taken.
    pub(super) link_messages: u64,
    /// Carrier records taken.
    pub(super) carrier_changes: u64,
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
    /// 1 if the process started warm.
    pub(super) warm_restarts: u64,
    /// 1 if it started cold, and 1 for each time that APPL_DB was emptied since.
    pub(super) cold_starts: u64,
    /// 1 once the initial dump has ended complete (SONiC: end of initial update).
    pub(super) eoiu_detected: u64,
    /// 1 if it had not within `warm_restart.eoiu_timeout_secs`.
    pub(super) eoiu_timeouts: u64,
    /// From the start until the kernel's state was in STATE_DB.
    pub(super) initial_sync_duration: Option<Duration>,
    /// How often every row was written again.
    pub(super) republications: u64,
    /// Rows that somebody else deleted, as far as they were seen.
    pub(super) rows_lost: u64,
    /// Requests to settle a carrier that were answered as hoped.
    settled: u64,
    /// Those that were not.
    unsettled: u64,
    /// From link message to acknowledged row.
    latency: Latency,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            link_messages: 0,
            carrier_changes: 0,
            dump_entries: 0,
            malformed: 0,
            ring_lost: 0,
            overruns: 0,
            resyncs: 0,
            partial_dumps: 0,
            batches: 0,
            changes: 0,
            redis_failures: 0,
            warm_restarts: 0,
            cold_starts: 0,
            eoiu_detected: 0,
            eoiu_timeouts: 0,
            initial_sync_duration: None,
            republications: 0,
            rows_lost: 0,
            settled: 0,
            unsettled: 0,
            latency: Latency::new(),
        }
    }

    /// STATE_DB acknowledged a batch at `now_ns`.
    pub(super) fn acked(&mut self, changes: &[Change], now_ns: u64) {
        self.batches += 1;
        self.changes += changes.len() as u64;
        for change in changes {
            if matches!(change.origin, Origin::LinkMessage | Origin::Carrier) {
                self.latency.count(now_ns.saturating_sub(change.since_ns));
            }
        }
    }

    pub(super) fn settled(&mut self, answer: Settled) {
        match answer {
            Settled::Agrees => self.settled += 1,
            Settled::Disagrees | Settled::Refused => self.unsettled += 1,
        }
    }

    pub(super) fn lost(&mut self, reason: LossReason, count: u64) {
        match reason {
            LossReason::RingFull => self.ring_lost += count,
            LossReason::SocketOverrun => self.overruns += count,
            LossReason::Malformed => self.malformed += count,
        }
    }

    /// The account that the daemon leaves behind; `carrier_downs` are the kernel's
    /// counts of all ports there are.
    pub(super) fn log(&self, carrier_downs: u64) {
        info!(
            link_messages = self.link_messages,
            carrier_changes = self.carrier_changes,
            carrier_downs,
            dump_entries = self.dump_entries,
            malformed = self.malformed,
            ring_lost = self.ring_lost,
            overruns = self.overruns,
            resyncs = self.resyncs,
            partial_dumps = self.partial_dumps,
            batches = self.batches,
            changes = self.changes,
            redis_failures = self.redis_failures,
            warm_restarts = self.warm_restarts,
            cold_starts = self.cold_starts,
            eoiu_detected = self.eoiu_detected,
            eoiu_timeouts = self.eoiu_timeouts,
            initial_sync_us = self.initial_sync_duration.map(|d| d.as_micros()),
            republications = self.republications,
            rows_lost = self.rows_lost,
            settled = self.settled,
            unsettled = self.unsettled,
            latency_p50_us = self.latency.quantile_us(500),
            latency_p99_us = self.latency.quantile_us(990),
            latency_max_us = self.latency.max_us(),
            "portsyncd stopped"
        );
    }
}
