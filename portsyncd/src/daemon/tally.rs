//! The road's counters: shared atomics that a scrape may read at any time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prometheus::local::LocalHistogram;
use tracing::info;

use super::latency::Latency;
use super::resync::Reason;
use crate::clock::monotonic_ns;
use crate::link::LossReason;
use crate::link::settle::Settled;
use crate::observe::Meters;
use crate::table::{Change, Origin};

/// What the road has done since it started.
#[derive(Debug)]
pub(super) struct Tally {
    /// What others may read.
    pub(super) meters: Arc<Meters>,
    /// When the batches that are under way were handed over, oldest first.
    under_way: VecDeque<u64>,
    message_latency: LocalHistogram,
    carrier_latency: LocalHistogram,
    dump_latency: LocalHistogram,
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
    /// From link message to acknowledged row.
    latency: Latency,
}

impl Tally {
    pub(super) fn new(meters: Arc<Meters>) -> Self {
        Self {
            under_way: VecDeque::new(),
            message_latency: meters.redis.message_latency.local(),
            carrier_latency: meters.redis.carrier_latency.local(),
            dump_latency: meters.redis.dump_latency.local(),
            warm_restarts: 0,
            cold_starts: 0,
            eoiu_detected: 0,
            eoiu_timeouts: 0,
            initial_sync_duration: None,
            latency: Latency::new(),
            meters,
        }
    }

    /// The road woke up.
    pub(super) fn awake(&self) {
        self.meters.awake(monotonic_ns());
    }

    /// The road waits; `waiting` ports are owed a change.
    pub(super) fn rests(&self, waiting: usize) {
        self.meters.queue_depth.set(waiting.cast_signed() as i64);
        self.meters.rests();
    }

    /// A batch was handed to the writer.
    pub(super) fn submitted(&mut self, changes: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a batch is no 2^53 ports")]
        self.meters.redis.batch_ports.observe(changes as f64);
        self.under_way.push_back(monotonic_ns());
    }

    /// STATE_DB acknowledged a batch at `now_ns`.
    pub(super) fn acked(&mut self, changes: &[Change], now_ns: u64) {
        if let Some(since_ns) = self.under_way.pop_front() {
            let seconds = seconds(now_ns.saturating_sub(since_ns));
            self.meters.redis.write_seconds.observe(seconds);
        }
        self.meters.redis.written.inc_by(changes.len() as u64);
        for change in changes {
            let took_ns = now_ns.saturating_sub(change.since_ns);
            let histogram = match change.origin {
                Origin::LinkMessage => &self.message_latency,
                Origin::Carrier => &self.carrier_latency,
                Origin::Dump => &self.dump_latency,
                Origin::Republish => continue,
            };
            histogram.observe(seconds(took_ns));
            if change.origin != Origin::Dump {
                self.latency.count(took_ns);
            }
        }
        self.message_latency.flush();
        self.carrier_latency.flush();
        self.dump_latency.flush();
    }

    /// The connection to STATE_DB broke with `changes` under way, or could not be made.
    pub(super) fn broken(&mut self, changes: usize) {
        self.under_way.clear();
        self.meters.redis.errors.inc();
        self.meters.redis.unwritten.inc_by(changes as u64);
    }

    /// STATE_DB refused rows that are no hashes.
    pub(super) fn refused(&mut self, changes: usize) {
        self.meters.redis.errors.inc();
        self.meters.redis.unwritten.inc_by(changes as u64);
    }

    pub(super) fn dump_started(&self, reason: Reason) {
        self.meters.link.dump_started(reason.as_str());
    }

    pub(super) fn dump_ended(&self, complete: bool) {
        let link = &self.meters.link;
        if complete {
            link.dumps_complete.inc();
        } else {
            link.dumps_partial.inc();
        }
    }

    pub(super) fn settled(&mut self, answer: Settled) {
        match answer {
            Settled::Agrees => self.meters.link.settled.inc(),
            Settled::Disagrees => self.meters.link.unsettled.inc(),
            Settled::Refused => self.meters.link.settling_refused.inc(),
        }
    }

    pub(super) fn lost(&mut self, reason: LossReason, count: u64) {
        match reason {
            LossReason::RingFull => self.meters.link.ring_lost.inc_by(count),
            LossReason::SocketOverrun => self.meters.link.overruns.inc_by(count),
            LossReason::HookMissed => self.meters.link.hook_missed.inc_by(count),
            LossReason::Malformed => {
                self.meters.link.malformed.inc_by(count);
                self.meters.link.decode_errors.inc_by(count);
            }
        }
    }

    /// Dumps that have ended, complete or not.
    pub(super) fn dumps_ended(&self) -> u64 {
        self.meters.link.dumps_complete.get() + self.meters.link.dumps_partial.get()
    }

    /// The account that the daemon leaves behind; `carrier_downs` are the kernel's
    /// counts of all ports there are.
    pub(super) fn log(&self, carrier_downs: u64) {
        let meters = &self.meters;
        info!(
            link_messages = meters.link.messages.get(),
            carrier_changes = meters.link.carrier_changes.get(),
            carrier_downs,
            dump_entries = meters.link.dump_entries.get(),
            malformed = meters.link.decode_errors.get(),
            ring_lost = meters.link.ring_lost.get(),
            overruns = meters.link.overruns.get(),
            hook_missed = meters.link.hook_missed.get(),
            resyncs = meters.link.dumps_complete.get(),
            partial_dumps = meters.link.dumps_partial.get(),
            batches = meters.redis.write_seconds.get_sample_count(),
            changes = meters.redis.written.get(),
            redis_failures = meters.redis.errors.get(),
            warm_restarts = self.warm_restarts,
            cold_starts = self.cold_starts,
            eoiu_detected = self.eoiu_detected,
            eoiu_timeouts = self.eoiu_timeouts,
            initial_sync_us = self.initial_sync_duration.map(|d| d.as_micros()),
            republications = meters.redis.republications.get(),
            rows_lost = meters.redis.rows_lost.get(),
            settled = meters.link.settled.get(),
            unsettled = meters.link.unsettled.get() + meters.link.settling_refused.get(),
            latency_p50_us = self.latency.quantile_us(500),
            latency_p99_us = self.latency.quantile_us(990),
            latency_max_us = self.latency.max_us(),
            "portsyncd stopped"
        );
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 ns are a hundred days, and a bucket is no nanosecond"
)]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
