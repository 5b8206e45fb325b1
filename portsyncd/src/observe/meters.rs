//! The counters and histograms that the road writes and a scrape reads: relaxed atomics, so that
//! neither waits for the other.
//!
//! Every label set is created here, at 0. Handles are kept, so that the road never looks one up.
//! What belongs to single ports is not here: a port's series come from
//! [`Ports`](super::ports::Ports) and go with the port.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use crate::cli;

/// From 10 µs to 2.5 s.
const LATENCY_BUCKETS: [f64; 17] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
    1.0, 2.5,
];
const BATCH_BUCKETS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 32.0, 128.0, 512.0, 2048.0];

/// Reasons of full dumps, as `portsyncd_resyncs_total` has them.
const RESYNC_REASONS: [&str; 5] = ["start", "loss", "reconnect", "interval", "partial"];

/// What the road counts. See the module's documentation.
#[derive(Debug)]
pub(crate) struct Meters {
    registry: Registry,
    pub(crate) link_messages: IntCounter,
    pub(crate) carrier_changes: IntCounter,
    pub(crate) dump_entries: IntCounter,
    pub(crate) ring_lost: IntCounter,
    pub(crate) overruns: IntCounter,
    pub(crate) malformed: IntCounter,
    pub(crate) decode_errors: IntCounter,
    pub(crate) resyncs: IntCounterVec,
    pub(crate) dumps_ended: IntCounterVec,
    pub(crate) samples: IntCounter,
    pub(crate) settled: IntCounter,
    pub(crate) unsettled: IntCounter,
    pub(crate) settling_refused: IntCounter,
    pub(crate) message_latency: Histogram,
    pub(crate) carrier_latency: Histogram,
    pub(crate) dump_latency: Histogram,
    pub(crate) write_seconds: Histogram,
    pub(crate) batch_ports: Histogram,
    pub(crate) written: IntCounter,
    pub(crate) unwritten: IntCounter,
    pub(crate) redis_errors: IntCounter,
    pub(crate) reconnects: IntCounter,
    pub(crate) republications: IntCounter,
    pub(crate) rows_lost: IntCounter,
    pub(crate) queue_depth: IntGauge,
    pub(crate) port_init_done: IntGauge,
    connected: IntGaugeVec,
    source_info: IntGaugeVec,
    bpf_attached: IntGaugeVec,
    pub(super) health_score: IntGauge,
    /// When the road last woke up, `CLOCK_MONOTONIC` in nanoseconds; 0 while it rests.
    awake_since_ns: AtomicU64,
    /// The follower has a session with CONFIG_DB and APPL_DB.
    pub(super) followed: std::sync::Arc<AtomicBool>,
}

impl Meters {
    /// Everything at 0. `followed` is true while CONFIG_DB and APPL_DB answer.
    ///
    /// # Errors
    /// A metric's definition is bad; a test calls this.
    pub(crate) fn new(followed: std::sync::Arc<AtomicBool>) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        let events = counters(
            r,
            "portsyncd_link_events_total",
            "Link events taken, by where they come from",
            "origin",
            &["link_message", "carrier", "dump"],
        )?;
        let lost = counters(
            r,
            "portsyncd_link_events_lost_total",
            "Link messages lost, by reason; each loss is answered by a dump",
            "reason",
            &["ring_full", "socket_overrun", "malformed"],
        )?;
        let resyncs = counters(
            r,
            "portsyncd_resyncs_total",
            "Full dumps started to compare with the kernel, by reason",
            "reason",
            &RESYNC_REASONS,
        )?;
        let dumps_ended = counters(
            r,
            "portsyncd_dumps_total",
            "Dumps that ended, by how",
            "result",
            &["complete", "partial"],
        )?;
        let syncs = counters(
            r,
            "portsyncd_linkwatch_syncs_total",
            "Requests to the kernel to settle a lost carrier, by result",
            "result",
            &["settled", "not_settled", "refused"],
        )?;
        let latency = register(r, HistogramVec::new(
            HistogramOpts::new("portsyncd_publish_latency_seconds", "From the kernel's timestamp of a link event to Redis' acknowledgement of the row, by what made the change").buckets(LATENCY_BUCKETS.to_vec()),
            &["origin"],
        )?)?;
        let writes = counters(
            r,
            "portsyncd_redis_writes_total",
            "Rows of STATE_DB written or deleted, by result",
            "result",
            &["ok", "failed"],
        )?;
        let connected = gauges(
            r,
            "portsyncd_redis_connected",
            "Whether the database answers",
            &["db"],
        )?;
        for db in ["STATE_DB", "CONFIG_DB", "APPL_DB"] {
            connected.with_label_values(&[db]).set(0);
        }
        let bpf_attached = gauges(
            r,
            "portsyncd_bpf_attached",
            "Whether the eBPF program is in place",
            &["program"],
        )?;
        for program in PROGRAMS {
            bpf_attached.with_label_values(&[program]).set(0);
        }
        let build = gauges(
            r,
            "portsyncd_build_info",
            "The daemon's version and the revision it was built from",
            &["version", "revision"],
        )?;
        build
            .with_label_values(&[env!("CARGO_PKG_VERSION"), cli::REVISION])
            .set(1);
        Ok(Self {
            link_messages: events.with_label_values(&["link_message"]),
            carrier_changes: events.with_label_values(&["carrier"]),
            dump_entries: events.with_label_values(&["dump"]),
            ring_lost: lost.with_label_values(&["ring_full"]),
            overruns: lost.with_label_values(&["socket_overrun"]),
            malformed: lost.with_label_values(&["malformed"]),
            decode_errors: counter(
                r,
                "portsyncd_link_decode_errors_total",
                "Link messages and dump entries that could not be read whole",
            )?,
            resyncs,
            dumps_ended,
            samples: counter(
                r,
                "portsyncd_carrier_samples_total",
                "Dumps made to find carriers that linkwatch holds back",
            )?,
            settled: syncs.with_label_values(&["settled"]),
            unsettled: syncs.with_label_values(&["not_settled"]),
            settling_refused: syncs.with_label_values(&["refused"]),
            message_latency: latency.with_label_values(&["link_message"]),
            carrier_latency: latency.with_label_values(&["carrier"]),
            dump_latency: latency.with_label_values(&["dump"]),
            write_seconds: register(
                r,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "portsyncd_redis_write_seconds",
                        "From handing a batch of rows over to Redis' acknowledgement of all of it",
                    )
                    .buckets(LATENCY_BUCKETS.to_vec()),
                )?,
            )?,
            batch_ports: register(
                r,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "portsyncd_redis_write_batch_ports",
                        "Ports that share one write",
                    )
                    .buckets(BATCH_BUCKETS.to_vec()),
                )?,
            )?,
            written: writes.with_label_values(&["ok"]),
            unwritten: writes.with_label_values(&["failed"]),
            redis_errors: counter(
                r,
                "portsyncd_redis_errors_total",
                "Connections to STATE_DB that broke or could not be made, and writes that it refused",
            )?,
            reconnects: counter(
                r,
                "portsyncd_redis_reconnects_total",
                "Connections to STATE_DB after the first one",
            )?,
            republications: counter(
                r,
                "portsyncd_republications_total",
                "How often every row was written again: Redis came back, was emptied, or changes had been dropped",
            )?,
            rows_lost: counter(
                r,
                "portsyncd_rows_lost_total",
                "Rows of STATE_DB that somebody else deleted, as far as they were seen",
            )?,
            queue_depth: gauge(
                r,
                "portsyncd_queue_depth",
                "Ports whose change waits to be written",
            )?,
            port_init_done: gauge(
                r,
                "portsyncd_port_init_done",
                "Whether APPL_DB took PortInitDone",
            )?,
            connected,
            source_info: gauges(
                r,
                "portsyncd_link_source_info",
                "Where link events come from, how carriers are hooked, and why",
                &["source", "carrier_hook", "reason"],
            )?,
            bpf_attached,
            health_score: gauge(
                r,
                "portsyncd_health_score",
                "Health from 0 to 100; /status explains each lost point",
            )?,
            awake_since_ns: AtomicU64::new(0),
            followed,
            registry,
        })
    }

    /// Everything registered, for a scrape.
    pub(super) fn registry(&self) -> &Registry {
        let followed = i64::from(self.followed.load(Ordering::Relaxed));
        for db in ["CONFIG_DB", "APPL_DB"] {
            self.connected.with_label_values(&[db]).set(followed);
        }
        &self.registry
    }

    /// A dump for `reason` was started.
    pub(crate) fn dump_started(&self, reason: &str) {
        if RESYNC_REASONS.contains(&reason) {
            self.resyncs.with_label_values(&[reason]).inc();
        } else {
            self.samples.inc();
        }
    }

    pub(super) fn state_db_connected(&self, connected: bool) {
        let gauge = self.connected.with_label_values(&["STATE_DB"]);
        gauge.set(i64::from(connected));
    }

    /// Says where link events come from; `hook` is "off" where there is none.
    pub(super) fn source(&self, source: &str, hook: &str, reason: &str) {
        self.source_info.reset();
        self.source_info
            .with_label_values(&[source, hook, reason])
            .set(1);
        for program in PROGRAMS {
            let attached = if program == PROGRAMS[0] {
                source == "ebpf"
            } else {
                hook != "off"
            };
            let gauge = self.bpf_attached.with_label_values(&[program]);
            gauge.set(i64::from(attached));
        }
    }

    /// The road woke up at `now_ns`.
    pub(crate) fn awake(&self, now_ns: u64) {
        self.awake_since_ns.store(now_ns, Ordering::Relaxed);
    }

    /// The road waits for whatever comes next.
    pub(crate) fn rests(&self) {
        self.awake_since_ns.store(0, Ordering::Relaxed);
    }

    /// For how long the road has been at one turn, in nanoseconds.
    pub(super) fn stalled_ns(&self, now_ns: u64) -> u64 {
        match self.awake_since_ns.load(Ordering::Relaxed) {
            0 => 0,
            since => now_ns.saturating_sub(since),
        }
    }
}

/// `portsyncd_bpf_attached`'s programs; the first is the link source's.
const PROGRAMS: [&str; 3] = ["link_messages", "netif_carrier_off", "netif_carrier_on"];

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    register(registry, IntCounter::new(name, help)?)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
    values: &[&str],
) -> prometheus::Result<IntCounterVec> {
    let family = register(
        registry,
        IntCounterVec::new(Opts::new(name, help), &[label])?,
    )?;
    for value in values {
        family.with_label_values(&[value]);
    }
    Ok(family)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    register(registry, IntGauge::new(name, help)?)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntGaugeVec> {
    register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}
