//! The table's side towards the database writer: debts, changes, answers.

use portsyncd_common::IfName;

use super::port::InitStep;
use super::{Change, Origin, PortState, PortTable};

impl PortTable {
    /// How many ports are owed a change.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether a port is owed something that must not wait to share a write.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// When the oldest debt arose: `CLOCK_MONOTONIC`, nanoseconds.
    #[must_use]
    pub fn waiting_since_ns(&self) -> Option<u64> {
        let port = self.ports.get(self.queue.front()?)?;
        Some(port.owed.since_ns)
    }

    /// Moves every debt into `changes`, oldest first. Each has to come back by
    /// [`acked`](Self::acked) or [`failed`](Self::failed).
    pub fn take_changes(&mut self, changes: &mut Vec<Change>) {
        self.urgent = false;
        while let Some(name) = self.queue.pop_front() {
            let Some(state) = self.ports.get(&name).map(|port| self.state_of(port)) else {
                continue;
            };
            let Some(port) = self.ports.get_mut(&name) else {
                continue;
            };
            let owed = std::mem::take(&mut port.owed);
            let set = if owed.set { state } else { None };
            if !owed.delete && set.is_none() {
                self.release(name);
                continue;
            }
            let was = std::mem::replace(&mut port.handed, set);
            port.ours = set.is_some();
            port.in_flight += 1;
            changes.push(Change {
                name,
                delete: owed.delete,
                set,
                was,
                origin: owed.origin.unwrap_or(Origin::Republish),
                since_ns: owed.since_ns,
            });
        }
    }

    /// STATE_DB acknowledged these changes.
    pub fn acked(&mut self, changes: &[Change]) {
        for change in changes {
            let Some(port) = self.ports.get_mut(&change.name) else {
                continue;
            };
            port.in_flight = port.in_flight.saturating_sub(1);
            let stale = port.stale_answers > 0;
            port.stale_answers = port.stale_answers.saturating_sub(1);
            if port.init == InitStep::AwaitsRow && !stale {
                self.init_arrived(change.name);
            }
            self.release(change.name);
        }
    }

    /// These changes may or may not have reached STATE_DB: they are owed again.
    pub fn failed(&mut self, changes: &[Change]) {
        for change in changes {
            let Some(port) = self.ports.get_mut(&change.name) else {
                continue;
            };
            port.in_flight = port.in_flight.saturating_sub(1);
            port.stale_answers = port.stale_answers.saturating_sub(1);
            let has_netdev = port.netdev.is_some();
            if change.delete || !has_netdev {
                self.owe_delete_again(change);
            }
            if change.set.is_some() && has_netdev {
                self.owe_set(change.name, change.since_ns, change.origin);
            }
            self.release(change.name);
        }
    }

    /// Owes every port that has a netdev its row again: STATE_DB may have
    /// forgotten it.
    pub fn republish_all(&mut self, now_ns: u64) {
        let names: Vec<IfName> = self
            .ports
            .iter()
            .filter(|(_, port)| port.is_member() && port.netdev.is_some())
            .map(|(name, _)| *name)
            .collect();
        for name in names {
            self.owe_set(name, now_ns, Origin::Republish);
        }
    }

    /// Drops every row that waits to be written; [`republish_all`](Self::republish_all)
    /// must follow once STATE_DB answers again. Deletions stay owed: nothing
    /// would bring them back.
    pub fn drop_changes(&mut self) {
        let Self { queue, ports, .. } = self;
        queue.retain(|name| {
            let Some(port) = ports.get_mut(name) else {
                return false;
            };
            port.owed.set = false;
            port.handed = None;
            port.owed.queued = port.owed.delete;
            port.owed.delete
        });
        self.ports.retain(|_, port| !port.is_idle());
    }

    /// STATE_DB was searched: `rows` are those that a portsyncd wrote (they have
    /// `netdev_oper_status`). Where no netdev backs one, it is stale and goes. To
    /// be called only while the table knows every netdev, after a complete dump.
    pub fn rows_found<'a>(&mut self, rows: impl Iterator<Item = &'a IfName>, now_ns: u64) {
        for port in self.ports.values_mut() {
            port.ours &= port.netdev.is_some() || port.in_flight > 0;
        }
        for name in rows {
            let port = self.ports.entry(*name).or_default();
            if port.netdev.is_some() {
                port.ours = true;
            } else if port.in_flight == 0 && !port.owed.delete {
                self.owe_delete(*name, now_ns, Origin::Republish);
            }
        }
        self.ports.retain(|_, port| !port.is_idle());
    }

    pub(super) fn owe_set(&mut self, name: IfName, now_ns: u64, origin: Origin) {
        let state = self.ports.get(&name).and_then(|port| self.state_of(port));
        if let Some(port) = self.ports.get_mut(&name) {
            let same = |was: PortState, is: PortState| {
                was.oper_up == is.oper_up && was.admin_up == is.admin_up
            };
            self.urgent |= !port
                .handed
                .zip(state)
                .is_some_and(|(was, is)| same(was, is));
            port.owed.set = true;
            if port.init == InitStep::AwaitsNetdev {
                port.init = InitStep::AwaitsRow;
            }
            self.enqueue(name, now_ns, origin);
        }
    }

    pub(super) fn owe_delete(&mut self, name: IfName, now_ns: u64, origin: Origin) {
        if let Some(port) = self.ports.get_mut(&name) {
            self.urgent = true;
            port.owed.delete = true;
            port.owed.set = false;
            self.enqueue(name, now_ns, origin);
        }
    }

    /// As [`owe_delete`](Self::owe_delete), before whatever is owed by now.
    fn owe_delete_again(&mut self, change: &Change) {
        if let Some(port) = self.ports.get_mut(&change.name) {
            port.owed.delete = true;
            self.enqueue(change.name, change.since_ns, change.origin);
        }
    }

    fn enqueue(&mut self, name: IfName, now_ns: u64, origin: Origin) {
        let Some(port) = self.ports.get_mut(&name) else {
            return;
        };
        if port.owed.queued {
            port.owed.since_ns = port.owed.since_ns.min(now_ns);
            return;
        }
        port.owed.queued = true;
        port.owed.since_ns = now_ns;
        port.owed.origin = Some(origin);
        self.queue.push_back(name);
    }
}
