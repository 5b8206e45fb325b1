//! What the road tells the observer.

use std::time::Duration;

use portsyncd_common::IfName;

use crate::config::Performance;
use crate::db::StartKind;
use crate::table::{Origin, PortState};

/// One message of the road's. Those about ports are bounded by the [`Teller`](super::Teller); the
/// others are rare.
#[derive(Debug)]
pub(crate) enum Told {
    /// STATE_DB acknowledged these.
    Published(Vec<Published>),
    /// Everything that is published: some changes could not be told.
    Whole {
        /// Every port that has a row or is configured.
        ports: Vec<Standing>,
        /// How many changes were not told.
        missed: u64,
    },
    /// CONFIG_DB's ports, all of them.
    Configured(Vec<IfName>),
    /// CONFIG_DB has this port.
    Listed(IfName),
    /// CONFIG_DB has this port no longer.
    Unlisted(IfName),
    /// The databases said how this start is.
    Start(StartKind),
    /// The first dump ended complete.
    Eoiu,
    /// The first dump did not end within `warm_restart.eoiu_timeout_secs`.
    EoiuTimeout,
    /// The initial synchronisation is in Redis, this long after the start.
    InStep(Duration),
    /// APPL_DB took PortInitDone.
    PortInitDone,
    /// A dump ended complete; why it was made.
    Resynced(&'static str),
    /// Where link messages come from, and why.
    Source {
        /// "ebpf" or "netlink".
        source: &'static str,
        /// Why this one.
        reason: String,
    },
    /// How carriers are hooked, and why so.
    Hook {
        /// "fentry", "kprobe" or "off".
        hook: &'static str,
        /// Why there is none; empty where there is one.
        reason: String,
    },
    /// STATE_DB takes writes, or why it does not.
    StateDb(Result<(), String>),
    /// SIGHUP: the targets that health is judged by, and a reason to read certificates again.
    Reloaded(Performance),
}

/// One acknowledged change, compact: a storm has hundreds of thousands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    /// The port.
    pub(crate) name: IfName,
    /// When the kernel told: `CLOCK_MONOTONIC`, nanoseconds.
    pub(crate) since_ns: u64,
    /// When STATE_DB acknowledged it, on the same clock.
    pub(crate) acked_ns: u64,
    /// The row as it is now; `None`: there is none.
    pub(crate) state: Option<PortState>,
    /// Losses of the netdev's carrier as the kernel counts them; 0 where it does not.
    pub(crate) downs: u32,
    /// The row was deleted first: the netdev is another one.
    pub(crate) deleted: bool,
    /// What made the change.
    pub(crate) origin: Origin,
}

/// One port as the table has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The port.
    pub(crate) name: IfName,
    /// The row that was last handed to the writer.
    pub(crate) state: Option<PortState>,
    /// CONFIG_DB lists it.
    pub(crate) configured: bool,
    /// As [`Published::downs`].
    pub(crate) downs: u32,
}
