//! What the road counts of Redis' side.

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, Registry, Result};

use super::family::{counter, counters, histogram, register};

/// From 10 µs to 2.5 s.
const LATENCY_BUCKETS: [f64; 17] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
    1.0, 2.5,
];
const BATCH_BUCKETS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 32.0, 128.0, 512.0, 2048.0];

/// Writes to STATE_DB and how long they take.
#[derive(Debug)]
pub(crate) struct RedisMeters {
    pub(crate) message_latency: Histogram,
    pub(crate) carrier_latency: Histogram,
    pub(crate) dump_latency: Histogram,
    pub(crate) write_seconds: Histogram,
    pub(crate) batch_ports: Histogram,
    pub(crate) written: IntCounter,
    pub(crate) unwritten: IntCounter,
    pub(crate) errors: IntCounter,
    pub(crate) reconnects: IntCounter,
    pub(crate) republications: IntCounter,
    pub(crate) rows_lost: IntCounter,
}

impl RedisMeters {
    pub(super) fn new(r: &Registry) -> Result<Self> {
        let options = HistogramOpts::new(
            "portsyncd_publish_latency_seconds",
            "From the kernel's timestamp of a link event to Redis' acknowledgement of the row, by \
             what made the change",
        );
        let options = options.buckets(LATENCY_BUCKETS.to_vec());
        let latency = register(r, HistogramVec::new(options, &["origin"])?)?;
        let writes = counters(
            r,
            ["portsyncd_redis_writes_total", "result"],
            "Rows of STATE_DB written or deleted, by result",
            &["ok", "failed"],
        )?;
        Ok(Self {
            message_latency: latency.with_label_values(&["link_message"]),
            carrier_latency: latency.with_label_values(&["carrier"]),
            dump_latency: latency.with_label_values(&["dump"]),
            write_seconds: histogram(
                r,
                "portsyncd_redis_write_seconds",
                "From handing a batch of rows over to Redis' acknowledgement of all of it",
                &LATENCY_BUCKETS,
            )?,
            batch_ports: histogram(
                r,
                "portsyncd_redis_write_batch_ports",
                "Ports that share one write",
                &BATCH_BUCKETS,
            )?,
            written: writes.with_label_values(&["ok"]),
            unwritten: writes.with_label_values(&["failed"]),
            errors: counter(
                r,
                "portsyncd_redis_errors_total",
                "Connections to STATE_DB that broke or could not be made, and writes that it \
                 refused",
            )?,
            reconnects: counter(
                r,
                "portsyncd_redis_reconnects_total",
                "Connections to STATE_DB after the first one",
            )?,
            republications: counter(
                r,
                "portsyncd_republications_total",
                "How often every row was written again: Redis came back or was emptied, or \
                 changes had been dropped",
            )?,
            rows_lost: counter(
                r,
                "portsyncd_rows_lost_total",
                "Rows of STATE_DB that somebody else deleted, as far as they were seen",
            )?,
        })
    }
}
