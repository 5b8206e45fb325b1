//! One netdev as the kernel last described it.

use portsyncd_common::{IfName, LinkRecord, flag, kind, present};

use super::carrier::Carrier;
use super::change::PortState;

/// What the table keeps of one netdev whose name can be a port's.
#[derive(Debug)]
pub(super) struct Netdev {
    /// `None` after another netdev was seen with the name: this one's new name,
    /// or its end, was lost and the next dump tells.
    pub(super) name: Option<IfName>,
    pub(super) flags: u32,
    pub(super) mtu: u32,
    pub(super) carrier: Carrier,
    /// A LAG of teamd's. Bridges send `AF_BRIDGE` messages without
    /// `IFLA_LINKINFO`, so it is remembered.
    pub(super) team: bool,
    /// Existed before a cold start in `existing_netdevs = "replace"`: ignored.
    pub(super) old: bool,
    /// The kernel's time of the last link message, or the time before which a
    /// dump entry cannot have been made.
    pub(super) as_of_ns: u64,
    /// The dump that last listed it.
    pub(super) dump: u64,
}

impl Netdev {
    pub(super) fn new(record: &LinkRecord) -> Self {
        let mut netdev = Self {
            name: None,
            flags: 0,
            mtu: 0,
            carrier: Carrier::default(),
            team: false,
            old: false,
            as_of_ns: 0,
            dump: 0,
        };
        netdev.update(record);
        netdev
    }

    /// Whether the netdev is operationally up, as ports are published.
    pub(super) fn is_oper_up(&self) -> bool {
        PortState::new(self.flags, self.mtu).oper_up
    }

    /// Linkwatch has not looked at the carrier that was lost: `IFF_RUNNING`
    /// without `IFF_LOWER_UP`.
    pub(super) fn is_held_back(&self) -> bool {
        self.flags & (flag::RUNNING | flag::LOWER_UP) == flag::RUNNING
    }

    /// Takes everything but the name, which the table moves from port to port.
    pub(super) fn update(&mut self, record: &LinkRecord) {
        self.flags = self.carrier.correct(record);
        if record.present & present::MTU != 0 {
            self.mtu = record.mtu;
        }
        self.team |= record.kind == kind::TEAM;
        self.as_of_ns = self.as_of_ns.max(record.timestamp_ns);
    }
}
