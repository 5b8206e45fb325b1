//! What operators are shown of a running daemon: the JSON of `/status`, `/ports` and `/ports/NAME`,
//! which `portsyncd status` and `portsyncd ports` read again.
//!
//! Times are milliseconds since 1970. Fields may be added, never renamed.

use serde::{Deserialize, Serialize};

/// `/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// The revision it was built from.
    pub revision: String,
    /// When it started.
    pub started_ms: u64,
    /// Seconds since then.
    pub uptime_secs: u64,
    /// "cold" or "warm", once the databases have said which.
    pub start: Option<String>,
    /// Whether readers of STATE_DB can rely on it.
    pub ready: bool,
    /// Why not.
    pub not_ready: Option<String>,
    /// Seconds from start to the initial synchronisation's being in Redis.
    pub in_step_after_secs: Option<f64>,
    /// Whether APPL_DB took PortInitDone.
    pub port_init_done: bool,
    /// The health score and what it lacks.
    pub health: Health,
    /// Where link messages come from, and why.
    pub link_source: Choice,
    /// How carriers are hooked, and why so.
    pub carrier_hook: Choice,
    /// The databases.
    pub redis: Vec<Database>,
    /// The ports by state.
    pub ports: PortCounts,
    /// Ports whose change waits to be written.
    pub queue_depth: i64,
    /// Link events taken.
    pub events: Events,
    /// From the kernel's timestamp to Redis' acknowledgement, since the start.
    pub latency_us: LatencyReport,
    /// Rows written.
    pub writes: Writes,
    /// Full comparisons with the kernel.
    pub resync: ResyncReport,
    /// Files that are saved.
    pub files: Vec<SavedFile>,
    /// Addresses of `metrics.listen`.
    pub listeners: Vec<ListenerReport>,
    /// The longest outages, longest first.
    pub outages: Vec<OutageReport>,
    /// Published changes that these views missed in a storm and took in all at once.
    pub missed_changes: u64,
}

/// The health score and what it lacks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Health {
    /// 0 to 100.
    pub score: u32,
    /// Each lost point.
    pub lost: Vec<LostPoints>,
}

/// Points that were lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostPoints {
    /// How many.
    pub points: u32,
    /// Why.
    pub reason: String,
}

/// What was chosen, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// The configuration's word for it.
    pub is: String,
    /// Why; empty where that needs no words.
    pub reason: String,
}

/// One database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    /// SONiC's name of it.
    pub db: String,
    /// Whether it answers.
    pub connected: bool,
    /// Why not, where that is known.
    pub error: Option<String>,
}

/// The ports by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCounts {
    /// Operationally up.
    pub up: usize,
    /// Operationally down.
    pub down: usize,
    /// Configured, and without a row.
    pub missing: usize,
}

/// Link events since the start.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Events {
    /// Link messages.
    pub link_message: u64,
    /// Carrier records.
    pub carrier: u64,
    /// Dump entries.
    pub dump: u64,
    /// Lost because the ring was full.
    pub lost_ring_full: u64,
    /// Overruns of the plain socket.
    pub lost_socket_overrun: u64,
    /// Could not be read whole.
    pub decode_errors: u64,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LatencyReport {
    /// Half of all are at most this.
    pub p50: u64,
    /// 99 % of all are at most this.
    pub p99: u64,
    /// The longest.
    pub max: u64,
    /// How many.
    pub count: u64,
}

/// Rows of STATE_DB since the start.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Writes {
    /// Acknowledged.
    pub ok: u64,
    /// Not.
    pub failed: u64,
}

/// Full comparisons with the kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResyncReport {
    /// Dumps that ended complete.
    pub count: u64,
    /// When the last one did.
    pub last_ms: Option<u64>,
    /// Why it was made.
    pub reason: Option<String>,
}

/// A file that is saved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedFile {
    /// Where.
    pub path: String,
    /// When last; `None`: not yet.
    pub saved_ms: Option<u64>,
    /// Why it cannot be saved.
    pub trouble: Option<String>,
}

/// An address of `metrics.listen`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerReport {
    /// The address, with the port that was taken where 0 was asked for.
    pub address: String,
    /// Why it is not listened on.
    pub trouble: Option<String>,
}

/// A time in which a port was down though it was meant to be up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutageReport {
    /// The port.
    pub port: String,
    /// From when on.
    pub since_ms: u64,
    /// How long, in milliseconds.
    pub lasted_ms: u64,
    /// It is not over.
    pub open: bool,
}

/// `/ports`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortList {
    /// Every port that has a row or is configured, `Ethernet4` before `Ethernet100`.
    pub ports: Vec<PortReport>,
}

/// One port.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortReport {
    /// Its name.
    pub port: String,
    /// "up", "down" or "missing".
    pub oper: String,
    /// "up" or "down"; `None` where it has no row.
    pub admin: Option<String>,
    /// In bytes; `None` where it has no row.
    pub mtu: Option<u32>,
    /// Losses of its link.
    pub flaps: u64,
    /// Losses an hour, over the last hour.
    pub flaps_per_hour: f64,
    /// When its oper or admin state last changed.
    pub changed_ms: Option<u64>,
    /// CONFIG_DB lists it.
    pub configured: bool,
}

/// `/ports/NAME`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortDetail {
    /// As in `/ports`.
    #[serde(flatten)]
    pub port: PortReport,
    /// The last transitions, oldest first.
    pub journal: Vec<JournalLine>,
    /// Those of the longest outages that are this port's.
    pub outages: Vec<OutageReport>,
}

/// A port's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// "up" or "down".
    pub oper: String,
    /// "up" or "down".
    pub admin: String,
    /// In bytes.
    pub mtu: u32,
}

/// One transition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JournalLine {
    /// When the kernel told.
    pub at_ms: u64,
    /// From there to Redis' acknowledgement, where an event of the kernel's stands behind it.
    pub latency_us: Option<u32>,
    /// Before; `None`: there was no row.
    pub was: Option<Row>,
    /// After; `None`: the row is gone.
    pub is: Option<Row>,
    /// `link_message`, `carrier`, `dump` or `republish`.
    pub origin: String,
    /// How many changes this line stands for.
    pub times: u32,
}

/// The data of a `port` event of `/events`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortEvent {
    /// Counts the published changes.
    pub seq: u64,
    /// The port.
    pub port: String,
    /// The change; `times` counts those folded into it in a storm.
    #[serde(flatten)]
    pub change: JournalLine,
    /// Losses of the port's link by then.
    pub flaps: u64,
}
