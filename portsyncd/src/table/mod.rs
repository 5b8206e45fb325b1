//! The port table: link events + known ports + time → changes to write.
//!
//! Owns what the kernel last said of every netdev that can be a port, which
//! names are ports, what STATE_DB is owed, and the way to PortInitDone. Link
//! records, dump entries, configuration and the writer's answers flow in;
//! [`Change`]s, questions to the databases and orders to the kernel flow out.
//!
//! It is sans-IO: it never reads a clock, a socket or a database, so it is
//! proven against a reference model with random interleavings (`model_tests`).
//! The newest state wins, a burst folds into one change per port, and memory is
//! bounded by the number of ports and netdevs, never by the number of events.
//!
//! The rules are those of sonic-swss `portsyncd/linksync.cpp`
//! (`LinkSync::onMsg`), in its order, with its faults mended:
//!
//! 1. a name without a port's prefix is dropped ([`NameFilter`]);
//! 2. links of kind `team` are dropped: teamsyncd publishes them;
//! 3. an `RTM_DELLINK` with a master is dropped: the netdev only left a bridge;
//! 4. netdevs that a cold start found with `existing_netdevs = "replace"` are
//!    dropped, by ifindex;
//! 5. an `RTM_DELLINK` deletes the row;
//! 6. an `RTM_NEWLINK` writes the row of a known port, even when nothing differs:
//!    teammgrd waits for any write.

mod carrier;
mod change;
mod filter;
mod init;
mod lost;
mod members;
#[cfg(test)]
mod model_tests;
mod netdev;
mod port;
mod reconcile;
mod standing;
mod writes;

use std::collections::VecDeque;

use portsyncd_common::{IfName, LinkRecord, malformed, msg, present};
use rustc_hash::FxHashMap;

pub use change::{Change, Origin, PortState};
pub use filter::NameFilter;
pub use init::InitStage;
pub use reconcile::DumpEnd;

use init::Init;
use netdev::Netdev;
use port::{InitStep, Port};
use reconcile::Dump;

/// What a link record did to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts: the table took it.
    Accepted,
    /// One of the filters dropped it.
    Filtered,
    /// It could not be read whole: a dump has to tell what it said.
    Malformed,
}

/// The port table. See the module's documentation.
#[derive(Debug, Default)]
pub struct PortTable {
    filter: NameFilter,
    /// `existing_netdevs = "replace"` in force.
    replace_existing: bool,
    netdevs: FxHashMap<u32, Netdev>,
    ports: FxHashMap<IfName, Port>,
    /// Names with a debt, oldest first.
    queue: VecDeque<IfName>,
    /// A debt arose that must not wait: a changed oper or admin state, a deletion.
    urgent: bool,
    /// CONFIG_DB was read; before, nothing is asked of single names.
    config_known: bool,
    /// Names that the databases should be asked about.
    questions: Vec<IfName>,
    /// Old netdevs that have to be set down.
    set_down: Vec<u32>,
    /// Netdevs whose carrier linkwatch has not looked at, as last seen.
    held_back: Vec<u32>,
    /// Ports that went down for want of a carrier, told by messages and dumps.
    losses: u64,
    dump: Dump,
    init: Init,
    /// Names whose rows are looked at next, from the end.
    looks: Vec<IfName>,
}

impl PortTable {
    /// An empty table.
    #[must_use]
    pub fn new(filter: NameFilter) -> Self {
        Self {
            filter,
            ..Self::default()
        }
    }

    /// Takes one record, in the order in which the kernel made them.
    pub fn link_message(&mut self, record: &LinkRecord) -> Verdict {
        if record.malformed != malformed::NOT {
            return Verdict::Malformed;
        }
        let Ok(name) = IfName::from_buffer(&record.name) else {
            return Verdict::Malformed;
        };
        match record.msg_type {
            msg::NEWLINK => self.newlink(name, record),
            msg::DELLINK => self.dellink(name, record),
            msg::CARRIER_OFF | msg::CARRIER_ON => self.carrier_changed(record),
            _ => Verdict::Malformed,
        }
    }

    fn newlink(&mut self, name: IfName, record: &LinkRecord) -> Verdict {
        if !self.filter.accepts(&name) {
            return self.renamed_away(record);
        }
        let first_met = !self.netdevs.contains_key(&record.ifindex);
        if first_met {
            let mut netdev = Netdev::new(record);
            netdev.old = self.replace_existing && self.is_old(&name, record);
            self.netdevs.insert(record.ifindex, netdev);
        }
        let Some(netdev) = self.netdevs.get_mut(&record.ifindex) else {
            return Verdict::Filtered;
        };
        let was_up = netdev.is_oper_up() && !first_met;
        netdev.update(record);
        if netdev.team || netdev.old {
            self.step_aside(record.ifindex, record.timestamp_ns);
            return Verdict::Filtered;
        }
        if netdev.name != Some(name) {
            self.take_name(record.ifindex, name, record.timestamp_ns);
        }
        self.accepted(name, record.timestamp_ns);
        self.note_carrier(name, was_up);
        Verdict::Accepted
    }

    /// A netdev turned out to be a LAG of teamd's after a bridge's message, which
    /// does not tell the kind, had made it look like a port.
    fn step_aside(&mut self, ifindex: u32, now_ns: u64) {
        let netdev = self.netdevs.get_mut(&ifindex);
        if let Some(name) = netdev.and_then(|netdev| netdev.name.take()) {
            self.vacate(name, now_ns, Origin::LinkMessage);
        }
    }

    /// A netdev has a name that cannot be a port's; it may have had one that can.
    fn renamed_away(&mut self, record: &LinkRecord) -> Verdict {
        if self.netdevs.contains_key(&record.ifindex) {
            self.remove_netdev(record.ifindex, record.timestamp_ns, Origin::LinkMessage);
            self.dump
                .note_departure(record.ifindex, record.timestamp_ns);
            return Verdict::Accepted;
        }
        self.dump
            .note_departure(record.ifindex, record.timestamp_ns);
        Verdict::Filtered
    }

    fn dellink(&mut self, name: IfName, record: &LinkRecord) -> Verdict {
        if record.present & present::MASTER != 0 && record.master != 0 {
            return Verdict::Filtered;
        }
        self.dump
            .note_departure(record.ifindex, record.timestamp_ns);
        let known = self.netdevs.get(&record.ifindex);
        if known.is_some_and(|netdev| netdev.team || netdev.old) {
            self.netdevs.remove(&record.ifindex);
            return Verdict::Filtered;
        }
        let known_name = known.and_then(|netdev| netdev.name);
        self.remove_netdev(record.ifindex, record.timestamp_ns, Origin::LinkMessage);
        if known_name != Some(name) {
            if !self.filter.accepts(&name) {
                return Verdict::Filtered;
            }
            // Its arrival was lost; whoever had the name before is gone as well.
            self.vacate(name, record.timestamp_ns, Origin::LinkMessage);
        }
        Verdict::Accepted
    }

    /// Moves `ifindex` to `name`: a new netdev, or a rename.
    fn take_name(&mut self, ifindex: u32, name: IfName, now_ns: u64) {
        let former = self
            .netdevs
            .get_mut(&ifindex)
            .and_then(|netdev| netdev.name.replace(name));
        if let Some(former) = former {
            self.vacate(former, now_ns, Origin::LinkMessage);
        }
        if self
            .ports
            .get(&name)
            .is_some_and(|port| port.netdev.is_some())
        {
            // The holder's own rename or end was lost: the name says it is over.
            self.vacate(name, now_ns, Origin::LinkMessage);
        }
        let extra = self.filter.is_extra(&name);
        let port = self.ports.entry(name).or_default();
        port.netdev = Some(ifindex);
        port.listed.extra |= extra;
    }

    /// Takes an `RTM_NEWLINK` for the netdev that has `name`.
    fn accepted(&mut self, name: IfName, now_ns: u64) {
        let Some(port) = self.ports.get_mut(&name) else {
            return;
        };
        if port.is_member() {
            self.owe_set(name, now_ns, Origin::LinkMessage);
        } else {
            self.ask(name, now_ns);
        }
    }

    fn remove_netdev(&mut self, ifindex: u32, now_ns: u64, origin: Origin) {
        if let Some(Netdev {
            name: Some(name), ..
        }) = self.netdevs.remove(&ifindex)
        {
            self.vacate(name, now_ns, origin);
        }
    }

    /// `name` has no netdev any more: its row goes.
    fn vacate(&mut self, name: IfName, now_ns: u64, origin: Origin) {
        let Some(port) = self.ports.get_mut(&name) else {
            return;
        };
        if let Some(holder) = port.netdev.take()
            && let Some(netdev) = self.netdevs.get_mut(&holder)
            && netdev.name == Some(name)
        {
            netdev.name = None;
        }
        let row_may_stand = port.is_member() || port.ours;
        port.listed.appl_db = false;
        port.listed.extra = false;
        // What is owed is a state of the netdev that is gone.
        port.owed.set = false;
        if row_may_stand {
            self.owe_delete(name, now_ns, origin);
        }
        self.release(name);
    }

    /// Forgets the entry of `name` if nothing holds it.
    fn release(&mut self, name: IfName) {
        if self.ports.get(&name).is_some_and(Port::is_idle) {
            self.ports.remove(&name);
        }
    }

    /// The state that the netdev behind `port` has now.
    fn state_of(&self, port: &Port) -> Option<PortState> {
        let netdev = self.netdevs.get(&port.netdev?)?;
        Some(PortState::new(netdev.flags, netdev.mtu))
    }

    /// How many ports have a netdev, and how many are operationally up.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for port in self.ports.values().filter(|port| port.is_member()) {
            match self.state_of(port) {
                None => totals.missing += 1,
                Some(state) if state.oper_up => totals.up += 1,
                Some(_) => totals.down += 1,
            }
        }
        totals
    }

    /// How often the netdev of `name` has lost its carrier, by the kernel's count
    /// and by carrier records that are newer than it.
    #[must_use]
    pub fn carrier_downs(&self, name: &IfName) -> Option<u32> {
        let ifindex = self.ports.get(name)?.netdev?;
        Some(self.netdevs.get(&ifindex)?.carrier.downs())
    }

    /// The sum of [`carrier_downs`](Self::carrier_downs) of all ports.
    #[must_use]
    pub fn carrier_downs_of_all(&self) -> u64 {
        (self.ports.values().filter(|port| port.is_member()))
            .filter_map(|port| self.netdevs.get(&port.netdev?))
            .map(|netdev| u64::from(netdev.carrier.downs()))
            .sum()
    }

    /// Where the way to PortInitDone stands, and how many ports are awaited.
    #[must_use]
    pub fn init_stage(&self) -> (InitStage, usize) {
        (self.init.stage(), self.init.awaited())
    }

    /// True once, when PortInitDone has to be sent.
    pub fn take_port_init_due(&mut self) -> bool {
        self.init.take_due()
    }

    /// APPL_DB acknowledged every configured row and PortConfigDone.
    pub fn config_pushed(&mut self) {
        self.init.pushed();
    }

    fn init_arrived(&mut self, name: IfName) {
        if let Some(port) = self.ports.get_mut(&name)
            && port.init != InitStep::NotAwaited
        {
            port.init = InitStep::NotAwaited;
            self.init.arrived();
        }
    }
}

/// The ports by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Operationally up.
    pub up: usize,
    /// Operationally down.
    pub down: usize,
    /// Without a netdev.
    pub missing: usize,
}
