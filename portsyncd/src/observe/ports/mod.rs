//! The ports as operators see them: what STATE_DB says of each, since when, how often it flapped,
//! and its journal.
//!
//! Acknowledged changes and CONFIG_DB's list flow in; transitions flow out, for the viewers. Memory
//! is bounded by the number of ports that have a row or are configured. It is the observer's own
//! and never the road's: what it shows is what was published.

mod journal;
mod outages;
mod port;

use portsyncd_common::IfName;
use rustc_hash::FxHashMap;

pub(super) use journal::{Entry, Journal};
pub(super) use outages::{Outage, Outages};
pub(super) use port::Port;

use super::told::{Published, Standing};
use crate::clock::{monotonic_to_wall_ns, wall_ns};
use crate::daemon::latency::Latency;
use crate::table::Origin;

/// The ports. See the module's documentation.
#[derive(Debug)]
pub(super) struct Ports {
    known: FxHashMap<IfName, Port>,
    /// CONFIG_DB has been read: what it does not list is not configured.
    config_known: bool,
    /// The longest outages that are over.
    pub(super) outages: Outages,
    /// From kernel to acknowledgement, of all ports.
    pub(super) latency: Latency,
    /// Changes published that have a latency, and those of them that took too long.
    pub(super) published: u64,
    pub(super) slow: u64,
    /// Something changed that the state file should have.
    pub(super) dirty: bool,
}

/// A published change that viewers hear of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transition {
    pub(super) name: IfName,
    pub(super) entry: Entry,
    pub(super) flaps: u64,
}

/// The ports by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) up: usize,
    pub(super) down: usize,
    pub(super) missing: usize,
}

impl Ports {
    pub(super) fn new() -> Self {
        Self {
            known: FxHashMap::default(),
            config_known: false,
            outages: Outages::default(),
            latency: Latency::new(),
            published: 0,
            slow: 0,
            dirty: false,
        }
    }

    /// What an earlier daemon left behind. It is history, and its states are hints.
    pub(super) fn restore(&mut self, ports: FxHashMap<IfName, Port>, outages: Outages) {
        self.known = ports;
        self.outages = outages;
    }

    /// Takes acknowledged changes; `slow_us` is `performance.max_latency_us`.
    pub(super) fn published(
        &mut self,
        changes: &[Published],
        slow_us: u32,
        mut tell: impl FnMut(Transition),
    ) {
        let wall = monotonic_to_wall_ns(0);
        for change in changes {
            let from_kernel = change.origin != Origin::Republish;
            let took_ns = change.acked_ns.saturating_sub(change.since_ns);
            let latency_us = from_kernel.then(|| u32::try_from(took_ns / 1000).unwrap_or(u32::MAX));
            if matches!(change.origin, Origin::LinkMessage | Origin::Carrier) {
                self.latency.count(took_ns);
                self.published += 1;
                self.slow += u64::from(latency_us.is_some_and(|us| us > slow_us));
            }
            let port = self.known.entry(change.name).or_default();
            let was = port.state.or(port.hint.take());
            if change.deleted {
                port.downs = None;
            }
            let entry = Entry {
                at_ns: wall.saturating_add(change.since_ns),
                latency_us,
                was,
                is: change.state,
                origin: change.origin,
                times: 1,
            };
            if let Some(transition) = self.moved(change.name, entry, change.downs) {
                tell(transition);
            }
        }
    }

    /// Takes everything that is published, after some changes were missed.
    pub(super) fn whole(&mut self, standing: &[Standing], mut tell: impl FnMut(Transition)) {
        let now_ns = wall_ns();
        let listed: FxHashMap<IfName, &Standing> = standing
            .iter()
            .map(|standing| (standing.name, standing))
            .collect();
        let gone: Vec<IfName> = self
            .known
            .keys()
            .filter(|name| !listed.contains_key(*name))
            .copied()
            .collect();
        for name in &gone {
            if let Some(port) = self.known.get_mut(name) {
                port.configured = false;
            }
        }
        for (name, state, downs) in standing
            .iter()
            .map(|standing| (standing.name, standing.state, standing.downs))
            .chain(gone.into_iter().map(|name| (name, None, 0)))
        {
            let port = self.known.entry(name).or_default();
            port.configured |= listed
                .get(&name)
                .is_some_and(|standing| standing.configured);
            let entry = Entry {
                at_ns: now_ns,
                latency_us: None,
                was: port.state.or(port.hint.take()),
                is: state,
                origin: Origin::Republish,
                times: 1,
            };
            if let Some(transition) = self.moved(name, entry, downs) {
                tell(transition);
            }
        }
    }

    /// Notes what became of a port; a transition comes of it only if something differs.
    fn moved(&mut self, name: IfName, entry: Entry, downs: u32) -> Option<Transition> {
        let port = self.known.get_mut(&name)?;
        port.state = entry.is;
        let differs = entry.was != entry.is;
        port.count_flaps(downs, differs.then_some(&entry));
        if differs {
            let up =
                |state: Option<crate::table::PortState>| state.map(|s| (s.oper_up, s.admin_up));
            if up(entry.was) != up(entry.is) {
                port.since_ns = entry.at_ns;
            }
            if entry.is_loss() {
                port.down_since_ns = entry.at_ns;
            } else if port.down_since_ns > 0 && entry.is.is_some_and(|is| is.oper_up) {
                self.outages.note(Outage {
                    name,
                    since_ns: std::mem::take(&mut port.down_since_ns),
                    until_ns: entry.at_ns,
                });
            } else if entry.is.is_some_and(|is| !is.admin_up) {
                port.down_since_ns = 0;
            }
            port.journal.note(entry);
            self.dirty = true;
        } else if port.since_ns == 0 && entry.is.is_some() {
            port.since_ns = entry.at_ns;
            self.dirty = true;
        }
        let flaps = port.flaps;
        self.release(name);
        differs.then_some(Transition { name, entry, flaps })
    }

    /// CONFIG_DB's ports are these.
    pub(super) fn configured(&mut self, names: &[IfName]) {
        for port in self.known.values_mut() {
            port.configured = false;
        }
        for name in names {
            self.known.entry(*name).or_default().configured = true;
        }
        self.config_known = true;
    }

    /// CONFIG_DB has this port now, or no longer.
    pub(super) fn listed(&mut self, name: IfName, configured: bool) {
        if configured {
            self.known.entry(name).or_default().configured = true;
        } else if let Some(port) = self.known.get_mut(&name) {
            port.configured = false;
            self.release(name);
        }
    }

    /// The initial synchronisation is over: what an earlier daemon knew and nobody has named is gone.
    pub(super) fn forget_unseen(&mut self) {
        if self.config_known {
            self.known.retain(|_, port| port.is_there());
        }
    }

    fn release(&mut self, name: IfName) {
        if self.config_known && self.known.get(&name).is_some_and(|port| !port.is_there()) {
            self.known.remove(&name);
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for port in self.known.values().filter(|port| port.is_there()) {
            match port.state {
                None => totals.missing += 1,
                Some(state) if state.oper_up => totals.up += 1,
                Some(_) => totals.down += 1,
            }
        }
        totals
    }

    /// One port that is there.
    pub(super) fn get(&self, name: &IfName) -> Option<&Port> {
        self.known.get(name).filter(|port| port.is_there())
    }

    /// The ports that are there, `Ethernet4` before `Ethernet100`.
    pub(super) fn sorted(&self) -> Vec<(&IfName, &Port)> {
        let mut ports: Vec<_> = self
            .known
            .iter()
            .filter(|(_, port)| port.is_there())
            .collect();
        ports.sort_unstable_by_key(|(name, _)| natural(name));
        ports
    }

    /// Every port, also those that are only history, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&IfName, &Port)> {
        self.known.iter()
    }
}

/// A name's place in a list for people: by its text, then by the number behind it.
fn natural(name: &IfName) -> (&[u8], u64, &[u8]) {
    let bytes = name.as_bytes();
    let text = bytes
        .iter()
        .take_while(|byte| !byte.is_ascii_digit())
        .count();
    let (text, rest) = bytes.split_at(text);
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(digits);
    // At most 15 digits.
    let number = digits.iter().fold(0, |number: u64, digit| {
        number * 10 + u64::from(digit - b'0')
    });
    (text, number, rest)
}

#[cfg(test)]
mod tests;
