//! Which names are ports: the table's side towards CONFIG_DB and APPL_DB.
//!
//! Membership decides, never the look of a name: `Ethernet0.10` has a port's
//! prefix and is intfmgrd's. It is joined with the kernel's netdevs by level,
//! so the order in which the two show up does not matter.

use portsyncd_common::IfName;
use rustc_hash::FxHashSet;

use super::port::{InitStep, Port};
use super::{Origin, PortTable};

/// A name is asked about at most once in this time.
const ASK_INTERVAL_NS: u64 = 1_000_000_000;

impl PortTable {
    /// CONFIG_DB was read whole: `names` are its ports, and no others.
    pub fn configured<'a>(&mut self, names: impl Iterator<Item = &'a IfName>, now_ns: u64) {
        let listed: FxHashSet<IfName> = names.copied().collect();
        let gone: Vec<IfName> = self
            .ports
            .iter()
            .filter(|(name, port)| port.listed.config_db && !listed.contains(*name))
            .map(|(name, _)| *name)
            .collect();
        for name in gone {
            self.config_del(name);
        }
        for name in listed {
            self.config_set(name, now_ns);
        }
        if !std::mem::replace(&mut self.config_known, true) {
            self.ask_about_the_rest(now_ns);
        }
    }

    /// Netdevs that showed up before CONFIG_DB was read: most were ports of it, and nothing had to
    /// be asked.
    fn ask_about_the_rest(&mut self, now_ns: u64) {
        let unknown = |port: &Port| port.netdev.is_some() && !port.is_member();
        let names: Vec<IfName> = (self.ports.iter())
            .filter(|(_, port)| unknown(port))
            .map(|(name, _)| *name)
            .collect();
        for name in names {
            self.ask(name, now_ns);
        }
    }

    /// CONFIG_DB has `PORT|<name>`.
    pub fn config_set(&mut self, name: IfName, now_ns: u64) {
        self.joined(name, now_ns, |port| port.listed.config_db = true);
    }

    /// APPL_DB has `PORT_TABLE:<name>`.
    pub fn appl_db_has(&mut self, name: IfName, now_ns: u64) {
        if self
            .ports
            .get(&name)
            .is_some_and(|port| port.netdev.is_some())
        {
            self.joined(name, now_ns, |port| port.listed.appl_db = true);
        }
    }

    /// CONFIG_DB has no `PORT|<name>` any more. The row stays until the netdev
    /// goes: breakout (DPB) waits for that deletion.
    pub fn config_del(&mut self, name: IfName) {
        if let Some(port) = self.ports.get_mut(&name) {
            port.listed.config_db = false;
            self.init_arrived(name);
            self.release(name);
        }
    }

    fn joined(&mut self, name: IfName, now_ns: u64, mark: impl FnOnce(&mut Port)) {
        let port = self.ports.entry(name).or_default();
        let was_member = port.is_member();
        mark(port);
        if !was_member && port.netdev.is_some() {
            self.owe_set(name, now_ns, Origin::Republish);
        }
    }

    /// Starts the way to PortInitDone: `awaited` are the ports it waits for,
    /// `push` says that PortConfigDone comes first (a cold start). The first call
    /// counts, later ones change nothing. Names that no netdev of a port can have
    /// are not awaited: they would hold PortInitDone back for ever.
    pub fn start_init<'a>(&mut self, awaited: impl Iterator<Item = &'a IfName>, push: bool) {
        if self.init.stage() != super::InitStage::AwaitsConfig {
            return;
        }
        let mut count = 0;
        for name in awaited {
            if !self.filter.accepts(name) {
                continue;
            }
            let Some(port) = self.ports.get_mut(name) else {
                continue;
            };
            let has_row = port.handed.is_some() && port.in_flight == 0 && port.owed.is_nothing();
            if port.init == InitStep::NotAwaited && !has_row {
                port.init = if port.netdev.is_some() {
                    InitStep::AwaitsRow
                } else {
                    InitStep::AwaitsNetdev
                };
                count += 1;
            }
        }
        self.init.configured(count, push);
    }

    /// The names that the databases should be asked about, to be answered by
    /// [`config_set`](Self::config_set) or [`appl_db_has`](Self::appl_db_has).
    pub fn take_questions(&mut self) -> Vec<IfName> {
        std::mem::take(&mut self.questions)
    }

    pub(super) fn ask(&mut self, name: IfName, now_ns: u64) {
        if !self.config_known {
            return;
        }
        if let Some(port) = self.ports.get_mut(&name) {
            let due = port
                .asked_ns
                .is_none_or(|asked| now_ns.saturating_sub(asked) >= ASK_INTERVAL_NS);
            if due {
                port.asked_ns = Some(now_ns);
                self.questions.push(name);
            }
        }
    }
}
