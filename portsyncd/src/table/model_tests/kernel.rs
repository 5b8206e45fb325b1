//! The kernel of the reference model: netdevs and what it says of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use portsyncd_common::{IfName, LinkRecord, flag, kind, msg, present};

use crate::table::PortState;

/// Names that netdevs of the model may have: ports, a sub-interface, a LAG's
/// and one that can be no port.
pub(super) const NAMES: [&str; 8] = [
    "Ethernet0",
    "Ethernet4",
    "Ethernet8",
    "Ethernet-BP0",
    "Ethernet0.10",
    "PortChannel1",
    "eth0",
    "tmp",
];
/// The name that only LAGs of teamd have.
const TEAM: &str = "PortChannel1";

const AF_BRIDGE: u8 = 7;
const BRIDGE: u32 = 9000;

#[derive(Clone, Debug)]
pub(super) struct Netdev {
    pub(super) name: IfName,
    pub(super) flags: u32,
    pub(super) mtu: u32,
    pub(super) master: bool,
    pub(super) ups: u32,
    pub(super) downs: u32,
}

impl Netdev {
    pub(super) fn is_team(&self) -> bool {
        self.name.as_bytes() == TEAM.as_bytes()
    }

    pub(super) fn state(&self) -> PortState {
        PortState::new(self.flags, self.mtu)
    }
}

#[derive(Debug, Default)]
pub(super) struct Kernel {
    pub(super) netdevs: BTreeMap<u32, Netdev>,
    next_ifindex: u32,
    clock_ns: u64,
    /// Sent and not yet delivered.
    pub(super) messages: VecDeque<LinkRecord>,
    /// The carrier hook is attached.
    pub(super) hook: bool,
    /// Carriers that linkwatch has not looked at yet.
    held_back: BTreeSet<u32>,
    /// Every state that a name has had.
    pub(super) history: BTreeSet<(IfName, bool, bool, u32)>,
    /// How often a name lost its netdev.
    pub(super) departures: BTreeMap<IfName, usize>,
    /// Netdevs came or went: a dump that sees it is interrupted.
    pub(super) list_changes: u64,
}

impl Kernel {
    pub(super) fn now(&mut self) -> u64 {
        self.clock_ns += 1;
        self.clock_ns
    }

    /// Does something to one of the netdevs, if there is any.
    pub(super) fn on(&mut self, which: u8, act: impl FnOnce(&mut Self, u32)) {
        let count = self.netdevs.len().max(1);
        if let Some(ifindex) = self.netdevs.keys().nth(usize::from(which) % count).copied() {
            act(self, ifindex);
        }
    }

    fn is_free(&self, name: IfName) -> bool {
        self.netdevs.values().all(|netdev| netdev.name != name)
    }

    pub(super) fn create(&mut self, name: IfName) {
        if !self.is_free(name) {
            return;
        }
        self.next_ifindex += 1;
        self.list_changes += 1;
        let ifindex = self.next_ifindex;
        let netdev = Netdev {
            name,
            flags: 0,
            mtu: 1500,
            master: false,
            ups: 0,
            downs: 0,
        };
        self.netdevs.insert(ifindex, netdev);
        self.send(ifindex, msg::NEWLINK, u32::MAX);
    }

    pub(super) fn delete(&mut self, ifindex: u32) {
        self.release(ifindex);
        self.send(ifindex, msg::DELLINK, u32::MAX);
        self.held_back.remove(&ifindex);
        self.list_changes += 1;
        if let Some(netdev) = self.netdevs.remove(&ifindex) {
            *self.departures.entry(netdev.name).or_default() += 1;
        }
    }

    pub(super) fn rename(&mut self, ifindex: u32, name: IfName) {
        // A LAG stays one under any name; the model tells them by their name.
        let lag = |name: IfName| name.as_bytes() == TEAM.as_bytes();
        if !self.is_free(name) || lag(name) || lag(self.netdevs[&ifindex].name) {
            return;
        }
        let former = self.netdevs[&ifindex].name;
        *self.departures.entry(former).or_default() += 1;
        self.change(ifindex, |netdev| netdev.name = name);
    }

    pub(super) fn change(&mut self, ifindex: u32, change: impl FnOnce(&mut Netdev)) {
        if let Some(netdev) = self.netdevs.get_mut(&ifindex) {
            change(netdev);
            self.send(ifindex, msg::NEWLINK, 0);
        }
    }

    /// A lost carrier in linkwatch's hold-off that no hook sees: the flag is gone,
    /// nobody is told.
    pub(super) fn lose_carrier_silently(&mut self, ifindex: u32) {
        let hook = std::mem::take(&mut self.hook);
        self.carrier(ifindex, false);
        self.hook = hook;
    }

    /// `netif_carrier_on` and `netif_carrier_off`: nothing where it does not change.
    pub(super) fn carrier(&mut self, ifindex: u32, on: bool) {
        let timestamp_ns = self.now();
        let Some(netdev) = self.netdevs.get_mut(&ifindex) else {
            return;
        };
        if (netdev.flags & flag::LOWER_UP != 0) == on {
            return;
        }
        netdev.flags ^= flag::LOWER_UP;
        netdev.ups += u32::from(on);
        netdev.downs += u32::from(!on);
        self.held_back.insert(ifindex);
        self.remember(ifindex);
        if self.hook {
            let record = self.record(
                ifindex,
                if on {
                    msg::CARRIER_ON
                } else {
                    msg::CARRIER_OFF
                },
            );
            self.messages.push_back(LinkRecord {
                timestamp_ns,
                present: present::NAME | present::MTU | present::CARRIER,
                kind: kind::OTHER,
                ..record
            });
        }
    }

    /// A link message is filled in, the carrier changes, the message is sent.
    pub(super) fn race(&mut self, ifindex: u32, on: bool) {
        let record = self.record(ifindex, msg::NEWLINK);
        self.carrier(ifindex, on);
        let timestamp_ns = self.now();
        self.messages.push_back(LinkRecord {
            timestamp_ns,
            ..record
        });
    }

    /// Linkwatch's second is over: `IFF_RUNNING` follows the carrier.
    pub(super) fn linkwatch(&mut self) {
        for ifindex in std::mem::take(&mut self.held_back) {
            self.change(ifindex, |netdev| {
                let carrier = netdev.flags & flag::LOWER_UP != 0;
                netdev.flags =
                    netdev.flags & !flag::RUNNING | if carrier { flag::RUNNING } else { 0 };
            });
        }
    }

    pub(super) fn enslave(&mut self, ifindex: u32) {
        self.change(ifindex, |netdev| netdev.master = true);
        self.send_as_bridge(ifindex, msg::NEWLINK);
    }

    pub(super) fn release(&mut self, ifindex: u32) {
        if self
            .netdevs
            .get(&ifindex)
            .is_some_and(|netdev| netdev.master)
        {
            self.send_as_bridge(ifindex, msg::DELLINK);
            self.change(ifindex, |netdev| netdev.master = false);
        }
    }

    /// A bridge's message names no kind.
    fn send_as_bridge(&mut self, ifindex: u32, msg_type: u16) {
        let mut record = self.record(ifindex, msg_type);
        record.family = AF_BRIDGE;
        record.kind = kind::OTHER;
        record.master = BRIDGE;
        record.present |= present::MASTER;
        self.messages.push_back(record);
    }

    fn send(&mut self, ifindex: u32, msg_type: u16, change: u32) {
        if self.netdevs.contains_key(&ifindex) {
            let mut record = self.record(ifindex, msg_type);
            record.change = change;
            self.messages.push_back(record);
            self.remember(ifindex);
        }
    }

    fn remember(&mut self, ifindex: u32) {
        let netdev = &self.netdevs[&ifindex];
        let state = netdev.state();
        let entry = (netdev.name, state.oper_up, state.admin_up, state.mtu);
        self.history.insert(entry);
    }

    /// A link message about a netdev as it is now.
    pub(super) fn record(&mut self, ifindex: u32, msg_type: u16) -> LinkRecord {
        let timestamp_ns = self.now();
        let netdev = &self.netdevs[&ifindex];
        let mut name = [0; 16];
        name[..netdev.name.as_bytes().len()].copy_from_slice(netdev.name.as_bytes());
        LinkRecord {
            timestamp_ns,
            ifindex,
            flags: netdev.flags,
            mtu: netdev.mtu,
            master: if netdev.master { BRIDGE } else { 0 },
            carrier_up_count: netdev.ups,
            carrier_down_count: netdev.downs,
            present: present::NAME
                | present::CARRIER_UP_COUNT
                | present::CARRIER_DOWN_COUNT
                | present::MTU
                | if netdev.master { present::MASTER } else { 0 },
            msg_type,
            kind: if netdev.is_team() {
                kind::TEAM
            } else {
                kind::OTHER
            },
            name,
            ..LinkRecord::default()
        }
    }
}
