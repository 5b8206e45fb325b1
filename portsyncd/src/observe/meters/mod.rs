//! The counters and histograms that the road writes and a scrape reads: relaxed atomics, so that
//! neither waits for the other.
//!
//! Every label set is created here, at 0. Handles are kept, so that the road never looks one up.
//! What belongs to single ports is not here: a port's series come from
//! [`Ports`](super::ports::Ports) and go with the port.

mod family;
mod link;
mod redis;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use prometheus::{IntGauge, IntGaugeVec, Registry, Result};

use crate::cli;
use family::{gauge, gauges};
use link::LinkMeters;
use redis::RedisMeters;

/// `portsyncd_bpf_attached`'s programs; the first is the link source's.
const PROGRAMS: [&str; 3] = ["link_messages", "netif_carrier_off", "netif_carrier_on"];

/// What the road counts. See the module's documentation.
#[derive(Debug)]
pub(crate) struct Meters {
    registry: Registry,
    pub(crate) link: LinkMeters,
    pub(crate) redis: RedisMeters,
    pub(crate) queue_depth: IntGauge,
    pub(crate) port_init_done: IntGauge,
    connected: IntGaugeVec,
    source_info: IntGaugeVec,
    bpf_attached: IntGaugeVec,
    pub(super) health_score: IntGauge,
    /// When the road last woke up, `CLOCK_MONOTONIC` in nanoseconds; 0 while it rests.
    awake_since_ns: AtomicU64,
    /// The follower has a session with CONFIG_DB and APPL_DB.
    pub(super) followed: Arc<AtomicBool>,
}

impl Meters {
    /// Everything at 0. `followed` is true while CONFIG_DB and APPL_DB answer.
    ///
    /// # Errors
    /// A metric's definition is bad; a test calls this.
    pub(crate) fn new(followed: Arc<AtomicBool>) -> Result<Self> {
        let registry = Registry::new();
        let r = &registry;
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
        let meters = Self {
            link: LinkMeters::new(r)?,
            redis: RedisMeters::new(r)?,
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
        };
        // A family without any sample would fail the whole scrape.
        meters.source("none", "off", "not open yet");
        Ok(meters)
    }

    /// Everything registered, for a scrape.
    pub(super) fn registry(&self) -> &Registry {
        let followed = i64::from(self.followed.load(Ordering::Relaxed));
        for db in ["CONFIG_DB", "APPL_DB"] {
            self.connected.with_label_values(&[db]).set(followed);
        }
        &self.registry
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_sound_and_has_a_sample_from_the_start() {
        let meters = Meters::new(Arc::default()).unwrap();
        let families = meters.registry().gather();
        assert!(families.len() > 15);
        for family in families {
            assert!(!family.get_metric().is_empty(), "{}", family.name());
            assert!(!family.help().is_empty());
        }
    }
}
