//! What the road counts of the kernel's side.

use prometheus::{IntCounter, IntCounterVec, Registry, Result};

use super::family::{counter, counters};

/// Reasons of full dumps, as `portsyncd_resyncs_total` has them.
const RESYNC_REASONS: [&str; 7] = [
    "start",
    "loss",
    "hook",
    "source",
    "reconnect",
    "interval",
    "partial",
];

/// Link events, dumps, requests to settle.
#[derive(Debug)]
pub(crate) struct LinkMeters {
    pub(crate) messages: IntCounter,
    pub(crate) carrier_changes: IntCounter,
    pub(crate) dump_entries: IntCounter,
    pub(crate) ring_lost: IntCounter,
    /// Carrier changes that the kernel did not run the hook for.
    pub(crate) hook_missed: IntCounter,
    pub(crate) overruns: IntCounter,
    pub(crate) malformed: IntCounter,
    /// Malformed messages and dump entries.
    pub(crate) decode_errors: IntCounter,
    resyncs: IntCounterVec,
    pub(crate) dumps_complete: IntCounter,
    pub(crate) dumps_partial: IntCounter,
    samples: IntCounter,
    pub(crate) settled: IntCounter,
    pub(crate) unsettled: IntCounter,
    pub(crate) settling_refused: IntCounter,
}

impl LinkMeters {
    pub(super) fn new(r: &Registry) -> Result<Self> {
        let events = counters(
            r,
            ["portsyncd_link_events_total", "origin"],
            "Link events taken, by where they come from",
            &["link_message", "carrier", "dump"],
        )?;
        let lost = counters(
            r,
            ["portsyncd_link_events_lost_total", "reason"],
            "Link messages lost, by reason; each loss is answered by a dump",
            &["ring_full", "socket_overrun", "malformed"],
        )?;
        let dumps = counters(
            r,
            ["portsyncd_dumps_total", "result"],
            "Dumps that ended, by how",
            &["complete", "partial"],
        )?;
        let syncs = counters(
            r,
            ["portsyncd_linkwatch_syncs_total", "result"],
            "Requests to the kernel to settle a lost carrier, by result",
            &["settled", "not_settled", "refused"],
        )?;
        Ok(Self {
            messages: events.with_label_values(&["link_message"]),
            carrier_changes: events.with_label_values(&["carrier"]),
            dump_entries: events.with_label_values(&["dump"]),
            ring_lost: lost.with_label_values(&["ring_full"]),
            hook_missed: lost.with_label_values(&["hook_missed"]),
            overruns: lost.with_label_values(&["socket_overrun"]),
            malformed: lost.with_label_values(&["malformed"]),
            decode_errors: counter(
                r,
                "portsyncd_link_decode_errors_total",
                "Link messages and dump entries that could not be read whole",
            )?,
            resyncs: counters(
                r,
                ["portsyncd_resyncs_total", "reason"],
                "Full dumps started to compare with the kernel, by reason",
                &RESYNC_REASONS,
            )?,
            dumps_complete: dumps.with_label_values(&["complete"]),
            dumps_partial: dumps.with_label_values(&["partial"]),
            samples: counter(
                r,
                "portsyncd_carrier_samples_total",
                "Dumps made to find carriers that linkwatch holds back",
            )?,
            settled: syncs.with_label_values(&["settled"]),
            unsettled: syncs.with_label_values(&["not_settled"]),
            settling_refused: syncs.with_label_values(&["refused"]),
        })
    }

    /// A dump for `reason` was started.
    pub(crate) fn dump_started(&self, reason: &str) {
        if reason == "sample" {
            self.samples.inc();
        } else {
            self.resyncs.with_label_values(&[reason]).inc();
        }
    }

    /// Messages lost, for whatever reason.
    pub(in crate::observe) fn lost(&self) -> u64 {
        self.ring_lost.get() + self.overruns.get() + self.malformed.get() + self.hook_missed.get()
    }
}
