//! One port: who says it exists, what backs it, and what Redis is owed.

use super::change::{Origin, PortState};

/// What the table knows of one name.
///
/// An entry lives as long as something holds it ([`Port::is_idle`] is false):
/// a database lists the name, a netdev has it, a row of ours stands, or Redis
/// is owed a change.
#[derive(Debug, Default)]
pub(super) struct Port {
    pub(super) listed: Listed,
    /// The ifindex of the netdev that has the name now.
    pub(super) netdev: Option<u32>,
    /// STATE_DB has, or is about to have, a row written by this daemon or by an
    /// earlier one.
    pub(super) ours: bool,
    /// The last state handed to the writer since the row was last deleted.
    pub(super) handed: Option<PortState>,
    /// Changes handed to the writer and not yet answered.
    pub(super) in_flight: u32,
    /// What Redis is owed.
    pub(super) owed: Owed,
    /// How far this port is on the way to PortInitDone.
    pub(super) init: InitStep,
    /// Answers that are still to come to changes of before that way began anew.
    pub(super) stale_answers: u32,
    /// When the databases were last asked about the name, nanoseconds.
    pub(super) asked_ns: Option<u64>,
}

/// Who says that the name is a port.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listed {
    /// CONFIG_DB: it has `PORT|<name>`.
    pub(super) config_db: bool,
    /// APPL_DB: it has `PORT_TABLE:<name>`. Forgotten when the netdev goes.
    pub(super) appl_db: bool,
    /// `link.extra_ports`. Forgotten when the netdev goes.
    pub(super) extra: bool,
}

/// What Redis is owed for one port. Folding two debts keeps the newest state and
/// every deletion.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owed {
    pub(super) delete: bool,
    pub(super) set: bool,
    /// Already in the table's queue.
    pub(super) queued: bool,
    /// Of the first debt folded in.
    pub(super) since_ns: u64,
    pub(super) origin: Option<Origin>,
}

impl Owed {
    pub(super) fn is_nothing(self) -> bool {
        !self.delete && !self.set
    }
}

/// A port's way to PortInitDone (`portsyncd.cpp`, `g_portSet`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum InitStep {
    /// PortInitDone does not wait for this port.
    #[default]
    NotAwaited,
    /// Its first link message has not come.
    AwaitsNetdev,
    /// It came; its row is not yet acknowledged.
    AwaitsRow,
}

impl Port {
    /// Whether a database, or the configuration, says that the name is a port.
    pub(super) fn is_member(&self) -> bool {
        self.listed.config_db || self.listed.appl_db || self.listed.extra
    }

    /// Whether nothing holds the entry any more.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_member()
            && self.netdev.is_none()
            && !self.ours
            && self.in_flight == 0
            && self.owed.is_nothing()
            && self.init == InitStep::NotAwaited
    }
}
