//! The end of a run of the model: everything arrives, and what must hold then.

use std::collections::BTreeMap;

use portsyncd_common::IfName;

use super::World;
use crate::table::model_tests::kernel::NAMES;
use crate::table::{InitStage, NameFilter, PortState};

impl World {
    fn run_dump_to_its_end(&mut self) {
        while self.dump.is_some() || self.dump_wanted || self.search_wanted {
            self.dump_step();
            self.dump_apply();
        }
    }

    fn settle_writes(&mut self) {
        self.submit();
        while !self.in_flight.is_empty() {
            self.ack();
            self.submit();
        }
    }

    /// Lets everything happen that is on its way.
    pub(in crate::table::model_tests) fn settle(&mut self) {
        self.kernel.linkwatch();
        while !self.config_events.is_empty() {
            self.deliver_config();
        }
        self.deliver(usize::MAX);
        self.settle_writes();
        self.run_dump_to_its_end();
        self.settle_writes();
        self.check_init();
    }

    /// As [`settle`](Self::settle), but only the dump that runs already ends.
    pub(in crate::table::model_tests) fn settle_without_dump(&mut self) {
        self.kernel.linkwatch();
        while !self.config_events.is_empty() {
            self.deliver_config();
        }
        self.run_dump_to_its_end();
        self.deliver(usize::MAX);
        self.settle_writes();
        self.check_init();
    }

    pub(in crate::table::model_tests) fn check(&self) {
        let netdevs: BTreeMap<IfName, PortState> = (self.kernel.netdevs.values())
            .filter(|netdev| !netdev.is_team())
            .map(|netdev| (netdev.name, netdev.state()))
            .collect();
        for name in self
            .configured
            .iter()
            .filter(|name| NameFilter::default().accepts(name))
        {
            assert_eq!(self.rows.get(name), netdevs.get(name), "row of {name}");
        }
        for netdev in self.kernel.netdevs.values().filter(|n| !n.is_team()) {
            if NameFilter::default().accepts(&netdev.name) {
                let counted = self.table.carrier_downs(&netdev.name);
                assert_eq!(counted, Some(netdev.downs), "losses of {}", netdev.name);
            }
        }
        for name in self.rows.keys() {
            assert!(netdevs.contains_key(name), "{name} has a row and no netdev");
        }
        assert_eq!(self.table.waiting(), 0);
        let names = NAMES.len();
        assert!(self.table.ports.len() <= names && self.table.netdevs.len() <= names);
        let (stage, awaited) = self.table.init_stage();
        assert_eq!(
            stage == InitStage::Sent,
            awaited == 0,
            "{stage:?}, {awaited} awaited"
        );
        if self.awaited.is_empty() {
            assert_eq!(self.init_done, 1, "nothing is awaited");
        }
    }

    /// No row was deleted more often than its netdev went; the two that an
    /// earlier daemon left may go once more.
    pub(in crate::table::model_tests) fn check_deletions(&self) {
        for (name, count) in &self.deletions {
            let departures = self.kernel.departures.get(name).copied().unwrap_or(0);
            assert!(
                *count <= departures + 1,
                "{name}: {count} deletions, {departures} departures"
            );
        }
    }
}
