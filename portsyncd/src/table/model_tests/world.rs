//! The world around the table: what the daemon's other parts do to it.

mod settled;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use portsyncd_common::{IfName, LinkRecord, flag, msg};

use super::kernel::{Kernel, NAMES};
use crate::table::{Change, DumpEnd, NameFilter, PortState, PortTable};

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Create(usize),
    Delete(u8),
    Rename(u8, usize),
    Flags(u8, u8),
    Mtu(u8, u8),
    Enslave(u8),
    Release(u8),
    HeldBackCarrier(u8),
    /// The driver reports a carrier.
    Carrier(u8, bool),
    /// It does so between the filling in and the sending of a link message.
    Race(u8, bool),
    /// Linkwatch's second is over.
    Linkwatch,
    Configure(usize),
    Unconfigure(usize),
    /// Some link messages reach the table.
    Deliver(u8),
    DeliverConfig,
    ReadConfig,
    /// Every undelivered link message is lost, and the daemon knows it.
    Lose,
    /// The kernel fills in the next part of a dump, or begins one.
    DumpStep,
    /// The daemon takes the next part.
    DumpApply,
    Submit,
    Ack,
    /// The connection breaks; what was under way had taken effect, or not.
    Break(bool),
    /// STATE_DB is emptied and the connection breaks.
    FlushAll,
    /// More changes wait than may.
    Overflow,
    /// swss starts anew: APPL_DB and STATE_DB's rows are gone, the connection stays.
    Restart,
    /// Somebody deletes rows under our feet, and a look finds it.
    RowsGone(u8),
    /// A look at rows that nobody deleted.
    Look,
}

enum Part {
    Netdevs(Vec<LinkRecord>),
    End { interrupted: bool },
}

struct RunningDump {
    after: u32,
    not_before: u64,
    list_changes: u64,
    parts: VecDeque<Part>,
    filled: bool,
}

/// A batch, and in which life it was submitted.
struct Submitted {
    life: u32,
    changes: Vec<Change>,
}

pub(super) struct World {
    kernel: Kernel,
    table: PortTable,
    configured: BTreeSet<IfName>,
    config_events: VecDeque<(IfName, bool)>,
    dump: Option<RunningDump>,
    dump_wanted: bool,
    search_wanted: bool,
    republish_wanted: bool,
    rows: BTreeMap<IfName, PortState>,
    deletions: BTreeMap<IfName, usize>,
    in_flight: VecDeque<Submitted>,
    life: u32,
    init_done: usize,
    awaited: BTreeSet<IfName>,
    /// Awaited ports that came and went within one batch, or only went: whether
    /// the table saw them come depends on the interleaving.
    maybe_seen: BTreeSet<IfName>,
}

fn name(index: usize) -> IfName {
    NAMES[index].parse().unwrap()
}

impl World {
    pub(super) fn new(warm: bool, hook: bool) -> Self {
        let mut world = Self {
            kernel: Kernel::default(),
            table: PortTable::new(NameFilter::default()),
            configured: BTreeSet::from([name(0), name(1)]),
            config_events: VecDeque::new(),
            dump: None,
            dump_wanted: true,
            search_wanted: true,
            republish_wanted: false,
            rows: BTreeMap::new(),
            deletions: BTreeMap::new(),
            in_flight: VecDeque::new(),
            life: 0,
            init_done: 0,
            awaited: BTreeSet::from([name(0), name(1)]),
            maybe_seen: BTreeSet::new(),
        };
        world.kernel.hook = hook;
        // An earlier daemon left rows, one of them of a port that is gone.
        let row = PortState::new(0, 9100);
        world.rows.insert(name(0), row);
        world.rows.insert(name(2), row);
        world.kernel.create(name(0));
        world.kernel.messages.clear();
        world.read_config();
        let awaited: Vec<_> = world.awaited.iter().copied().collect();
        world.table.start_init(awaited.iter(), !warm);
        world.table.config_pushed();
        world
    }

    pub(super) fn apply(&mut self, op: Op) {
        let kernel = &mut self.kernel;
        match op {
            Op::Create(index) => kernel.create(name(index)),
            Op::Delete(which) => kernel.on(which, Kernel::delete),
            Op::Rename(which, to) => kernel.on(which, |kernel, i| kernel.rename(i, name(to))),
            Op::Flags(which, bits) => {
                let bit = |at: u8, flag| if bits >> at & 1 == 1 { flag } else { 0 };
                let flags = bit(0, flag::UP) | bit(1, flag::RUNNING);
                kernel.on(which, |kernel, i| {
                    kernel.carrier(i, bits >> 2 & 1 == 1);
                    kernel.change(i, |n| n.flags = n.flags & flag::LOWER_UP | flags);
                });
            }
            Op::Mtu(which, step) => {
                let mtu = 1500 + u32::from(step);
                kernel.on(which, |kernel, i| kernel.change(i, |n| n.mtu = mtu));
            }
            Op::Enslave(which) => kernel.on(which, Kernel::enslave),
            Op::Release(which) => kernel.on(which, Kernel::release),
            Op::HeldBackCarrier(which) => kernel.on(which, Kernel::lose_carrier_silently),
            Op::Carrier(which, on) => kernel.on(which, |kernel, i| kernel.carrier(i, on)),
            Op::Race(which, on) => kernel.on(which, |kernel, i| kernel.race(i, on)),
            Op::Linkwatch => kernel.linkwatch(),
            Op::Configure(index) => self.configure(name(index), true),
            Op::Unconfigure(index) => self.configure(name(index), false),
            Op::Deliver(count) => self.deliver(usize::from(count) % 8),
            Op::DeliverConfig => self.deliver_config(),
            Op::ReadConfig => self.read_config(),
            Op::Lose => {
                self.kernel.messages.clear();
                self.dump_wanted = true;
            }
            Op::DumpStep => self.dump_step(),
            Op::DumpApply => self.dump_apply(),
            Op::Submit => self.submit(),
            Op::Ack => self.ack(),
            Op::Break(took_effect) => self.break_connection(took_effect),
            Op::FlushAll => {
                self.rows.clear();
                self.break_connection(false);
            }
            Op::Overflow => {
                self.table.drop_changes();
                self.republish_wanted = true;
                self.search_wanted = true;
            }
            Op::Restart => self.restart(),
            Op::RowsGone(which) => {
                let mut number = 0;
                self.rows.retain(|_, _| {
                    number += 1;
                    which >> (number % 8) & 1 == 0
                });
                self.republish_wanted = true;
                self.search_wanted = true;
                self.dump_wanted = true;
            }
            Op::Look => self.look(),
        }
        self.check_init();
    }

    fn restart(&mut self) {
        self.life += 1;
        self.rows.clear();
        self.table.begin_again();
        let now = self.kernel.now();
        self.table.republish_all(now);
        self.search_wanted = true;
        self.dump_wanted = true;
        self.init_done = 0;
        self.maybe_seen.clear();
        self.awaited = (self.configured.iter().copied())
            .filter(|name| NameFilter::default().accepts(name))
            .collect();
        self.read_config();
        let awaited: Vec<_> = self.configured.iter().copied().collect();
        self.table.start_init(awaited.iter(), true);
        self.table.config_pushed();
    }

    /// What is said to stand does: else every look would be a false alarm.
    fn look(&mut self) {
        if self.republish_wanted || !self.in_flight.is_empty() {
            return;
        }
        for name in self.table.rows_that_stand() {
            assert!(self.rows.contains_key(&name), "{name} has no row");
        }
        let some = self.table.rows_to_look_at(2);
        assert!(some.iter().all(|name| self.rows.contains_key(name)));
    }

    fn configure(&mut self, name: IfName, there: bool) {
        let changed = if there {
            self.configured.insert(name)
        } else {
            self.configured.remove(&name)
        };
        if changed {
            self.config_events.push_back((name, there));
        }
    }

    fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let Some(record) = self.kernel.messages.pop_front() else {
                return;
            };
            self.table.link_message(&record);
        }
    }

    fn deliver_config(&mut self) {
        let now = self.kernel.now();
        // As the daemon does: the event names a row, the database says whether it is there.
        if let Some((name, _)) = self.config_events.pop_front() {
            if self.configured.contains(&name) {
                self.table.config_set(name, now);
            } else {
                self.table.config_del(name);
                self.awaited.remove(&name);
            }
        }
    }

    fn read_config(&mut self) {
        let now = self.kernel.now();
        self.table.configured(self.configured.iter(), now);
        let configured = &self.configured;
        self.awaited.retain(|name| configured.contains(name));
    }

    fn dump_step(&mut self) {
        let Some(dump) = &mut self.dump else {
            let not_before = self.kernel.now();
            self.table.dump_begin(not_before);
            self.dump_wanted = false;
            self.dump = Some(RunningDump {
                after: 0,
                not_before,
                list_changes: self.kernel.list_changes,
                parts: VecDeque::new(),
                filled: false,
            });
            return;
        };
        if dump.filled {
            return;
        }
        let part: Vec<u32> = self
            .kernel
            .netdevs
            .range(dump.after + 1..)
            .map(|(i, _)| *i)
            .take(2)
            .collect();
        let Some(last) = part.last() else {
            let interrupted = dump.list_changes != self.kernel.list_changes;
            dump.parts.push_back(Part::End { interrupted });
            dump.filled = true;
            return;
        };
        dump.after = *last;
        let not_before = dump.not_before;
        let records = part
            .iter()
            .map(|ifindex| LinkRecord {
                timestamp_ns: not_before,
                ..self.kernel.record(*ifindex, msg::NEWLINK)
            })
            .collect();
        dump.parts.push_back(Part::Netdevs(records));
        dump.not_before = self.kernel.now();
    }

    fn dump_apply(&mut self) {
        let Some(part) = self.dump.as_mut().and_then(|dump| dump.parts.pop_front()) else {
            return;
        };
        self.deliver(usize::MAX);
        match part {
            Part::Netdevs(records) => {
                for record in records {
                    self.table.dump_entry(&record);
                }
            }
            Part::End { interrupted } => {
                self.dump = None;
                if interrupted {
                    self.table.dump_end(DumpEnd::Partial);
                    self.dump_wanted = true;
                } else {
                    self.table.dump_end(DumpEnd::Complete);
                    // A loss during the dump may have hidden anything.
                    if !self.dump_wanted && std::mem::take(&mut self.search_wanted) {
                        let rows: Vec<_> = self.rows.keys().copied().collect();
                        let now = self.kernel.now();
                        self.table.rows_found(rows.iter(), now);
                    }
                }
            }
        }
    }

    fn submit(&mut self) {
        if std::mem::take(&mut self.republish_wanted) {
            let now = self.kernel.now();
            self.table.republish_all(now);
        }
        let mut changes = Vec::new();
        self.table.take_changes(&mut changes);
        let mut named = BTreeSet::new();
        for change in &changes {
            assert!(named.insert(change.name), "one change per port and batch");
        }
        if !changes.is_empty() {
            let life = self.life;
            self.in_flight.push_back(Submitted { life, changes });
        }
    }

    fn ack(&mut self) {
        if let Some(batch) = self.in_flight.pop_front() {
            self.take_effect(&batch);
            self.table.acked(&batch.changes);
        }
    }

    fn break_connection(&mut self, took_effect: bool) {
        for batch in std::mem::take(&mut self.in_flight) {
            if took_effect {
                self.take_effect(&batch);
            }
            self.table.failed(&batch.changes);
        }
        self.republish_wanted = true;
        self.search_wanted = true;
        self.dump_wanted = true;
    }

    fn take_effect(&mut self, batch: &Submitted) {
        for change in &batch.changes {
            if change.delete {
                *self.deletions.entry(change.name).or_default() += 1;
                self.rows.remove(&change.name);
            }
            if let Some(state) = change.set {
                let seen = (change.name, state.oper_up, state.admin_up, state.mtu);
                assert!(
                    self.kernel.history.contains(&seen),
                    "{change:?} was never so in the kernel"
                );
                self.rows.insert(change.name, state);
                // What was handed over before swss went is no answer to swss now.
                if batch.life == self.life {
                    self.awaited.remove(&change.name);
                }
            } else {
                self.maybe_seen.insert(change.name);
            }
        }
    }

    fn check_init(&mut self) {
        if self.table.take_port_init_due() {
            self.init_done += 1;
            let unseen: Vec<_> = self.awaited.difference(&self.maybe_seen).collect();
            assert!(unseen.is_empty(), "PortInitDone before {unseen:?}");
        }
        assert!(self.init_done <= 1, "PortInitDone twice");
    }
}
