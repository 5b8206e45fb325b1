//! `port_state.json`: what was last published of each port, and its history.
//!
//! Its link state is a hint and is never published: the first dump tells what is.

use std::collections::BTreeMap;

use portsyncd_common::IfName;
use rustc_hash::FxHashMap;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::sealed::{Broken, FORMAT_VERSION, open, seal};
use crate::clock::wall_ns;
use crate::observe::ports::{Entry, Journal, Outage, Outages, Port, Ports};
use crate::table::{Origin, PortState};

/// Oper up, admin up, MTU.
type State = Option<(bool, bool, u32)>;
/// Time, latency in microseconds, before, after, place in [`ORIGINS`], how many changes.
type Line = (u64, Option<u32>, State, State, u8, u32);

/// Their places are in the files: add behind, never move.
const ORIGINS: [Origin; 4] = [
    Origin::LinkMessage,
    Origin::Carrier,
    Origin::Dump,
    Origin::Republish,
];

#[derive(Serialize)]
struct Document<'a> {
    format_version: u64,
    saved_at_secs: u64,
    boot_id: &'a str,
    outages: Vec<(String, u64, u64)>,
    ports: PortsByName<'a>,
}

struct PortsByName<'a>(&'a Ports);
struct Lines<'a>(&'a Journal);

#[derive(Serialize)]
struct SavedPort<'a> {
    state: State,
    since_ns: u64,
    flaps: u64,
    carrier_downs: Option<u32>,
    down_since_ns: u64,
    journal: Lines<'a>,
}

#[derive(Deserialize)]
struct Version {
    format_version: u64,
}

#[derive(Deserialize)]
struct Read {
    boot_id: String,
    outages: Vec<(String, u64, u64)>,
    ports: BTreeMap<String, ReadPort>,
}

#[derive(Deserialize)]
struct ReadPort {
    state: State,
    since_ns: u64,
    flaps: u64,
    carrier_downs: Option<u32>,
    down_since_ns: u64,
    journal: Vec<Line>,
}

/// What the file says.
#[derive(Debug)]
pub(in crate::observe) struct Restored {
    pub(in crate::observe) ports: FxHashMap<IfName, Port>,
    pub(in crate::observe) outages: Outages,
}

/// The file's bytes. `boot_id` is the kernel's: counts of its own end with it.
pub(in crate::observe) fn write(ports: &Ports, boot_id: &str) -> Vec<u8> {
    let outage = |outage: &Outage| (outage.name.to_string(), outage.since_ns, outage.until_ns);
    let document = Document {
        format_version: FORMAT_VERSION,
        saved_at_secs: wall_ns() / 1_000_000_000,
        boot_id,
        outages: ports.outages.longest().iter().map(outage).collect(),
        ports: PortsByName(ports),
    };
    // Neither of serde's errors can be: the keys are strings, a vector takes every byte.
    seal(serde_json::to_vec(&document).unwrap_or_default())
}

/// Reads the file's bytes.
pub(in crate::observe) fn read(bytes: &[u8], boot_id: &str) -> Result<Restored, Broken> {
    let content = |error: serde_json::Error| Broken::Content(error.to_string());
    let json = open(bytes)?;
    let version: Version = serde_json::from_slice(&json).map_err(content)?;
    if version.format_version != FORMAT_VERSION {
        return Err(Broken::Version(version.format_version));
    }
    let read: Read = serde_json::from_slice(&json).map_err(content)?;
    let name = |name: &str| {
        name.parse::<IfName>()
            .map_err(|error| Broken::Content(format!("{name:?}: {error}")))
    };
    let mut outages = Outages::default();
    for (port, since_ns, until_ns) in &read.outages {
        outages.note(Outage {
            name: name(port)?,
            since_ns: *since_ns,
            until_ns: *until_ns,
        });
    }
    let same_boot = read.boot_id == boot_id;
    let ports = read.ports.into_iter().map(|(port, saved)| {
        let mut journal = Journal::default();
        for line in saved.journal {
            journal.note(entry(line));
        }
        let port_read = Port {
            hint: saved.state.map(state),
            since_ns: saved.since_ns,
            flaps: saved.flaps,
            downs: saved.carrier_downs.filter(|_| same_boot),
            down_since_ns: saved.down_since_ns,
            journal,
            ..Port::default()
        };
        Ok((name(&port)?, port_read))
    });
    Ok(Restored {
        ports: ports.collect::<Result<_, Broken>>()?,
        outages,
    })
}

/// The kernel's own name for the time since it booted; empty where it tells none.
pub(in crate::observe) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

impl Serialize for PortsByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // A name that is no UTF-8 could not be read back.
        let named = self
            .0
            .all()
            .filter_map(|(name, port)| Some((std::str::from_utf8(name.as_bytes()).ok()?, port)));
        for (name, port) in named {
            let saved = SavedPort {
                state: port.state.or(port.hint).map(plain),
                since_ns: port.since_ns,
                flaps: port.flaps,
                carrier_downs: port.downs,
                down_since_ns: port.down_since_ns,
                journal: Lines(&port.journal),
            };
            map.serialize_entry(name, &saved)?;
        }
        map.end()
    }
}

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.entries().map(line))
    }
}

fn plain(state: PortState) -> (bool, bool, u32) {
    (state.oper_up, state.admin_up, state.mtu)
}

fn state((oper_up, admin_up, mtu): (bool, bool, u32)) -> PortState {
    PortState {
        oper_up,
        admin_up,
        mtu,
    }
}

fn line(entry: &Entry) -> Line {
    let Entry {
        at_ns,
        latency_us,
        was,
        is,
        origin,
        times,
    } = *entry;
    let place = ORIGINS.iter().position(|known| *known == origin);
    let place = place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(u8::MAX);
    (
        at_ns,
        latency_us,
        was.map(plain),
        is.map(plain),
        place,
        times,
    )
}

fn entry((at_ns, latency_us, was, is, place, times): Line) -> Entry {
    Entry {
        at_ns,
        latency_us,
        was: was.map(state),
        is: is.map(state),
        origin: ORIGINS
            .get(usize::from(place))
            .copied()
            .unwrap_or(Origin::Republish),
        times,
    }
}
