//! The picture as operators are shown it: see [`crate::report`].

use std::sync::atomic::Ordering;

use portsyncd_common::IfName;

use super::picture::Picture;
use super::ports::{Entry, Outage, Port, Transition};
use crate::cli;
use crate::clock::wall_ns;
use crate::report::{
    Choice, Database, Events, Health, JournalLine, LatencyReport, ListenerReport, LostPoints,
    OutageReport, PortCounts, PortDetail, PortEvent, PortList, PortReport, ResyncReport, Row,
    SavedFile, Status, Writes,
};
use crate::table::{Origin, PortState};

const MS: u64 = 1_000_000;

/// `/status`.
pub(super) fn status(picture: &mut Picture) -> Status {
    let (score, lost) = picture.judge();
    let lost = lost.into_iter().map(|lost| LostPoints {
        points: lost.points,
        reason: lost.reason,
    });
    let now_ns = wall_ns();
    let Picture {
        meters,
        ports,
        facts,
        ..
    } = &*picture;
    let not_ready = picture.ready().err();
    let totals = ports.totals();
    let choice = |is: &str, reason: &str| Choice {
        is: is.to_owned(),
        reason: reason.to_owned(),
    };
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: cli::REVISION.to_owned(),
        started_ms: facts.started_ns / MS,
        uptime_secs: now_ns.saturating_sub(facts.started_ns) / (1000 * MS),
        start: facts.start.map(|start| start.as_str().to_owned()),
        ready: not_ready.is_none(),
        not_ready,
        in_step_after_secs: facts.in_step_after.map(|after| after.as_secs_f64()),
        port_init_done: facts.port_init_done,
        health: Health {
            score,
            lost: lost.collect(),
        },
        link_source: choice(facts.source, &facts.source_reason),
        carrier_hook: choice(facts.hook, &facts.hook_reason),
        redis: databases(picture),
        ports: PortCounts {
            up: totals.up,
            down: totals.down,
            missing: totals.missing,
        },
        queue_depth: meters.queue_depth.get(),
        events: Events {
            link_message: meters.link.messages.get(),
            carrier: meters.link.carrier_changes.get(),
            dump: meters.link.dump_entries.get(),
            lost_ring_full: meters.link.ring_lost.get(),
            lost_socket_overrun: meters.link.overruns.get(),
            decode_errors: meters.link.decode_errors.get(),
        },
        latency_us: LatencyReport {
            p50: ports.latency.quantile_us(500),
            p99: ports.latency.quantile_us(990),
            max: ports.latency.max_us(),
            count: ports.published,
        },
        writes: Writes {
            ok: meters.redis.written.get(),
            failed: meters.redis.unwritten.get(),
        },
        resync: ResyncReport {
            count: meters.link.dumps_complete.get(),
            last_ms: facts.resynced.map(|(at_ns, _)| at_ns / MS),
            reason: facts.resynced.map(|(_, reason)| reason.to_owned()),
        },
        files: files(picture),
        listeners: picture
            .listeners
            .iter()
            .map(|listener| ListenerReport {
                address: listener.address.clone(),
                trouble: listener.trouble.clone(),
            })
            .collect(),
        outages: outages(picture, None),
        missed_changes: facts.missed,
    }
}

fn databases(picture: &Picture) -> Vec<Database> {
    let state_db = &picture.facts.state_db;
    let followed = picture.meters.followed.load(Ordering::Relaxed);
    let other = |db: &str| Database {
        db: db.to_owned(),
        connected: followed,
        error: None,
    };
    let state = Database {
        db: "STATE_DB".to_owned(),
        connected: state_db.is_none(),
        error: state_db.clone().filter(|error| !error.is_empty()),
    };
    vec![state, other("CONFIG_DB"), other("APPL_DB")]
}

fn files(picture: &Picture) -> Vec<SavedFile> {
    let file = |file: &super::picture::FileStatus| SavedFile {
        path: file.path.clone(),
        saved_ms: (file.saved_ns > 0).then_some(file.saved_ns / MS),
        trouble: file.trouble.clone(),
    };
    picture.files.values().map(file).collect()
}

/// The longest outages, of `only` one port or of all, those that last among them.
fn outages(picture: &Picture, only: Option<&IfName>) -> Vec<OutageReport> {
    const SHOWN: usize = 16;
    let now_ns = wall_ns();
    let ports = &picture.ports;
    let lasting = ports
        .all()
        .filter(|(_, port)| port.is_there() && port.down_since_ns > 0)
        .map(|(name, port)| {
            let outage = Outage {
                name: *name,
                since_ns: port.down_since_ns,
                until_ns: now_ns,
            };
            (outage, true)
        });
    let mut all: Vec<_> = ports
        .outages
        .longest()
        .iter()
        .map(|outage| (*outage, false))
        .chain(lasting)
        .filter(|(outage, _)| only.is_none_or(|only| outage.name == *only))
        .collect();
    all.sort_by_key(|(outage, _)| std::cmp::Reverse(outage.ns()));
    let shown = all.iter().take(SHOWN).map(|(outage, open)| OutageReport {
        port: outage.name.to_string(),
        since_ms: outage.since_ns / MS,
        lasted_ms: outage.ns() / MS,
        open: *open,
    });
    shown.collect()
}

/// `/ports`.
pub(super) fn ports(picture: &Picture) -> PortList {
    let now_ns = wall_ns();
    let ports = picture.ports.sorted().into_iter();
    PortList {
        ports: ports
            .map(|(name, port)| report(name, port, now_ns))
            .collect(),
    }
}

/// `/ports/NAME`; `None`: there is no such port.
pub(super) fn port(picture: &Picture, name: &IfName) -> Option<PortDetail> {
    let port = picture.ports.get(name)?;
    Some(PortDetail {
        port: report(name, port, wall_ns()),
        journal: port.journal.entries().map(line).collect(),
        outages: outages(picture, Some(name)),
    })
}

fn report(name: &IfName, port: &Port, now_ns: u64) -> PortReport {
    PortReport {
        port: name.to_string(),
        oper: port.oper().to_owned(),
        admin: port.state.map(|state| word(state.admin_up).to_owned()),
        mtu: port.state.map(|state| state.mtu),
        flaps: port.flaps,
        flaps_per_hour: port.journal.losses_per_hour(now_ns),
        changed_ms: (port.since_ns > 0).then_some(port.since_ns / MS),
        configured: port.configured,
    }
}

/// The data of a `port` event.
pub(super) fn event(seq: u64, transition: &Transition) -> PortEvent {
    PortEvent {
        seq,
        port: transition.name.to_string(),
        change: line(&transition.entry),
        flaps: transition.flaps,
    }
}

fn line(entry: &Entry) -> JournalLine {
    JournalLine {
        at_ms: entry.at_ns / MS,
        latency_us: entry.latency_us,
        was: entry.was.map(row),
        is: entry.is.map(row),
        origin: match entry.origin {
            Origin::LinkMessage => "link_message",
            Origin::Carrier => "carrier",
            Origin::Dump => "dump",
            Origin::Republish => "republish",
        }
        .to_owned(),
        times: entry.times,
    }
}

fn row(state: PortState) -> Row {
    Row {
        oper: word(state.oper_up).to_owned(),
        admin: word(state.admin_up).to_owned(),
        mtu: state.mtu,
    }
}

fn word(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}
