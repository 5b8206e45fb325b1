//! Reconciliation: a dump of all netdevs against what the table believes.
//!
//! A dump and the link messages come over two sockets, so which of two
//! statements about a netdev is newer has to be decided. The kernel fills a
//! dump's next part while it hands out the one before (`netlink_dump`,
//! `net/netlink/af_netlink.c`): an entry is not older than the read before it.
//! That time is the entry's `timestamp_ns` here, and the caller drains the link
//! source after each part is read and before it is given in. Then a link message
//! with a later time is at least as new, and everything else is older.

use portsyncd_common::{IfName, LinkRecord, malformed};
use rustc_hash::FxHashMap;

use super::{Origin, PortTable, Verdict};

/// How a dump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpEnd {
    /// `NLMSG_DONE`, and no part carried `NLM_F_DUMP_INTR`: what it does not list
    /// does not exist.
    Complete,
    /// Something changed meanwhile, or it failed: what it lists is true, what
    /// it does not list proves nothing.
    Partial,
}

/// The dump under way, and what it must not bring back.
#[derive(Debug, Default)]
pub(super) struct Dump {
    /// Number of the current or last dump; 0 before the first.
    number: u64,
    running: bool,
    started_ns: u64,
    /// Netdevs that went while the dump runs, and when.
    departed: FxHashMap<u32, u64>,
}

impl Dump {
    pub(super) fn note_departure(&mut self, ifindex: u32, now_ns: u64) {
        if self.running {
            self.departed.insert(ifindex, now_ns);
        }
    }
}

impl PortTable {
    /// A cold start with `existing_netdevs = "replace"`: the netdevs that the
    /// first dump lists are about to be destroyed, and are ignored.
    pub fn replace_existing(&mut self) {
        self.replace_existing = true;
    }

    /// As [`replace_existing`](Self::replace_existing), when swss starts anew while
    /// we run: the netdevs known now are the old ones. orchagent makes no new ones
    /// before PortConfigDone, which is still to come.
    pub fn replace_known(&mut self, now_ns: u64) {
        let known: Vec<u32> = (self.netdevs.iter())
            .filter(|(_, netdev)| !netdev.team && !netdev.old)
            .filter(|(_, netdev)| {
                (netdev.name).is_some_and(|name| name.as_bytes().starts_with(b"Ethernet"))
            })
            .map(|(ifindex, _)| *ifindex)
            .collect();
        for ifindex in known {
            if let Some(netdev) = self.netdevs.get_mut(&ifindex) {
                netdev.old = true;
                if netdev.flags & portsyncd_common::flag::UP != 0 {
                    self.set_down.push(ifindex);
                }
            }
            self.step_aside(ifindex, now_ns);
        }
    }

    /// The ifindexes of old netdevs that have to be set down, each once.
    pub fn take_set_down(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.set_down)
    }

    /// A dump starts at `now_ns`, before its request is sent.
    pub fn dump_begin(&mut self, now_ns: u64) {
        self.dump.number += 1;
        self.dump.running = true;
        self.dump.started_ns = now_ns;
        self.dump.departed.clear();
    }

    /// One entry of the running dump; its `timestamp_ns` is the time before
    /// which it cannot have been made.
    pub fn dump_entry(&mut self, record: &LinkRecord) -> Verdict {
        let name = match IfName::from_buffer(&record.name) {
            Ok(name) if record.malformed == malformed::NOT => name,
            _ => {
                // It is there, whatever the rest of the entry was to say.
                if let Some(netdev) = self.netdevs.get_mut(&record.ifindex) {
                    netdev.dump = self.dump.number;
                }
                return Verdict::Malformed;
            }
        };
        let not_before = record.timestamp_ns;
        let departed = self.dump.departed.get(&record.ifindex);
        if departed.is_some_and(|at| *at >= not_before) {
            return Verdict::Filtered;
        }
        if let Some(netdev) = self.netdevs.get_mut(&record.ifindex) {
            netdev.dump = self.dump.number;
            if netdev.as_of_ns >= not_before {
                return Verdict::Filtered;
            }
        }
        if !self.filter.accepts(&name) {
            if self.netdevs.contains_key(&record.ifindex) {
                self.remove_netdev(record.ifindex, not_before, Origin::Dump);
            }
            return Verdict::Filtered;
        }
        self.dumped(name, record)
    }

    fn dumped(&mut self, name: IfName, record: &LinkRecord) -> Verdict {
        let old = self.replace_existing && self.is_old(&name, record);
        let netdev = self.netdevs.entry(record.ifindex).or_insert_with(|| {
            let mut netdev = super::Netdev::new(record);
            netdev.old = old;
            netdev
        });
        let was_up = netdev.is_oper_up();
        netdev.update(record);
        netdev.dump = self.dump.number;
        if netdev.team || netdev.old {
            self.step_aside(record.ifindex, record.timestamp_ns);
            return Verdict::Filtered;
        }
        if netdev.name != Some(name) {
            self.take_name(record.ifindex, name, record.timestamp_ns);
        }
        let Some(port) = self.ports.get(&name) else {
            return Verdict::Filtered;
        };
        let stands = !port.owed.delete && port.handed == self.state_of(port);
        if !port.is_member() {
            self.ask(name, record.timestamp_ns);
        } else if !port.owed.set && !stands {
            self.owe_set(name, record.timestamp_ns, Origin::Dump);
        }
        self.note_carrier(name, was_up);
        Verdict::Accepted
    }

    /// The dump ended.
    pub fn dump_end(&mut self, end: DumpEnd) {
        if !std::mem::take(&mut self.dump.running) {
            return;
        }
        self.dump.departed.clear();
        if end == DumpEnd::Partial {
            return;
        }
        let (number, started) = (self.dump.number, self.dump.started_ns);
        let gone: Vec<u32> = self
            .netdevs
            .iter()
            .filter(|(_, netdev)| netdev.dump != number && netdev.as_of_ns < started)
            .map(|(ifindex, _)| *ifindex)
            .collect();
        for ifindex in gone {
            self.remove_netdev(ifindex, started, Origin::Dump);
        }
    }

    /// Whether a netdev met for the first time is one that the cold start found.
    ///
    /// Those in the first dump are, and those whose first message came before or
    /// during it and was not that of a registration (`ifi_change` all ones).
    pub(super) fn is_old(&mut self, name: &IfName, record: &LinkRecord) -> bool {
        let first_dump = self.dump.number == 0 || (self.dump.number == 1 && self.dump.running);
        let old =
            first_dump && record.change != u32::MAX && name.as_bytes().starts_with(b"Ethernet");
        if old && record.flags & portsyncd_common::flag::UP != 0 {
            self.set_down.push(record.ifindex);
        }
        old
    }
}
