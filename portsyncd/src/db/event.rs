//! What the databases tell the road, and what the road asks of them.

use portsyncd_common::IfName;

use super::warm_restart::StartKind;

/// From the databases to the road.
#[derive(Debug)]
pub enum DbEvent {
    /// Once: what the databases say of this start.
    Boot(Boot),
    /// CONFIG_DB was read whole.
    Configured(Vec<IfName>),
    /// Once, after the first [`Configured`](Self::Configured).
    Awaited {
        /// These have to show up before PortInitDone.
        ports: Vec<IfName>,
        /// [`ConfigPushed`](Self::ConfigPushed) comes first: a cold start.
        push: bool,
    },
    /// CONFIG_DB has this port now.
    Set(IfName),
    /// CONFIG_DB has this port no longer.
    Deleted(IfName),
    /// APPL_DB has this port.
    InApplDb(IfName),
    /// Once, on a cold start: APPL_DB took every row and PortConfigDone.
    ConfigPushed {
        /// PortConfigDone's `count`.
        count: usize,
    },
    /// Once: APPL_DB took PortInitDone.
    PortInitDone,
    /// The rows of STATE_DB that a portsyncd wrote.
    StateRows(Vec<IfName>),
    /// A connection was made: whether [`Alarm`](Self::Alarm) is to be expected on it.
    Told(bool),
    /// Some database was emptied, or one of APPL_DB's signals changed.
    Alarm,
    /// APPL_DB lost our signals: swss starts anew, and so does everything that is
    /// said once above, but for [`Boot`](Self::Boot).
    Again {
        /// How often this has happened.
        life: u32,
        /// `switch_type` is "dpu".
        dpu: bool,
    },
}

/// What decides how the daemon starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Cold or warm.
    pub start: StartKind,
    /// `switch_type` is "dpu": a cold start keeps existing netdevs.
    pub dpu: bool,
}

/// From the road to the databases.
#[derive(Clone, Copy, Debug)]
pub enum DbRequest {
    /// Is this name a port? Answered by [`DbEvent::Set`] or
    /// [`DbEvent::InApplDb`], or not at all.
    IsPort(IfName),
    /// Read CONFIG_DB whole again.
    Reread,
    /// Send PortInitDone, of this life: how often [`DbEvent::Again`] has come.
    PortInitDone(u32),
    /// The netdevs of before this start are known: with `existing_netdevs =
    /// "replace"` orchagent may make new ones.
    MayPush,
    /// Look whether APPL_DB still has our signals.
    CheckSignals,
    /// Search STATE_DB for rows of an earlier daemon's.
    SearchRows,
}
