//! One port changes, nothing else happens: how long until its row says so?
//!
//! Two stopwatches end at the arrival of Redis' keyspace event at a subscriber
//! that blocks in read(2), and by then could read the row. One starts just before
//! the system call that makes the change, the other when the kernel sends the link
//! message, by the kernel's own clock. So both hold the daemon's wake-up, its
//! write, Redis, and the delivery to the observer: nothing is subtracted.
//! Baselines are taken in turn with the changes, from the same rest.

mod observer;

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::Plan;
use super::relay::Relay;
use super::report::{Cell, Report, Section};
use super::samples::Samples;
use super::subject::Subject;
use super::world::{REST, World, hset};
use observer::{Change, Observer, Series};

/// After linkwatch has told of a carrier it holds the next loss back for a second.
const LINKWATCH: Duration = Duration::from_millis(1150);

/// Measures and reports.
pub(super) fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    let changes = plan.isolated_changes;
    world.say("isolated changes: the floor")?;
    let mut observer = Observer::new(world)?;
    let back_to_back = observer.back_to_back()?;
    let floor = floor(world, &mut observer, changes)?;

    let mut series = Vec::new();
    let mut accounts = Vec::new();
    for subject in Subject::ALL {
        world.say(&format!("isolated changes: {}", subject.as_str()))?;
        let live = subject.start(world)?;
        series.push((subject, observer.series(world, changes, true)?));
        accounts.push(live.stop()?);
    }
    let flaps = carrier(world, plan, &mut observer)?;
    let mut section = changes_section(changes, &back_to_back, &floor, &series);
    let raw = series[0].1.round_trip.median();
    section.row(
        "kernel's message → acknowledged, by ebpf's own account",
        &accounts[0].latency.map(Cell::Seconds),
    );
    report.add(section);
    report.add(carrier_section(&flaps, raw));
    let ebpf = &series[0].1;
    report.target(
        "isolated change: kernel's message → row readable, p50 / raw HSET round trip",
        from_kernel(&ebpf.changes).median() / raw,
        3.0,
    );
    report.remark(
        "isolated change: system call → row readable, p50 / raw HSET round trip",
        from_call(&ebpf.changes).median() / raw,
    );
    report.remark(
        "isolated change: kernel's message → row readable, p50 / floor",
        from_kernel(&ebpf.changes).median() / from_kernel(&floor.changes).median(),
    );
    Ok(())
}

fn floor(world: &World, observer: &mut Observer<'_>, changes: usize) -> Result<Series> {
    let mut request = Vec::new();
    let row = format!("PORT_TABLE|{}", observer.port_name());
    hset(&mut request, &row, &World::state_fields(0));
    let (namespace, socket) = (world.bed.namespace(), world.bed.redis().socket());
    let relay = Relay::start(namespace, socket, request)?;
    let series = observer.series(world, changes, false)?;
    relay.stop()?;
    Ok(series)
}

fn changes_section(
    changes: usize,
    back_to_back: &Samples,
    floor: &Series,
    series: &[(Subject, Series)],
) -> Section {
    let mut section = Section::new(
        "Isolated change",
        &format!("one tap's MTU, n = {changes} each, from rest"),
        &["p50", "p99", "max", "p50 / raw HSET", "p50 / floor"],
    );
    let own = &series[0].1;
    let raw = own.round_trip.median();
    section.row(
        "raw HSET round trip, back to back",
        &latencies(back_to_back, raw, None),
    );
    section.row(
        "raw HSET round trip",
        &latencies(&own.round_trip, raw, None),
    );
    section.row(
        "raw HSET → event at the observer",
        &latencies(&own.observed, raw, None),
    );
    let rows = [("floor: recv, HSET, no more", floor)].into_iter();
    let rows = rows.chain(series.iter().map(|(subject, s)| (subject.as_str(), s)));
    let (from_calls, from_kernels) = (
        from_call(&floor.changes).median(),
        from_kernel(&floor.changes).median(),
    );
    for (name, series) in rows {
        let raw = series.round_trip.median();
        let call = latencies(&from_call(&series.changes), raw, Some(from_calls));
        section.row(&format!("system call → event, {name}"), &call);
        let kernel = latencies(&from_kernel(&series.changes), raw, Some(from_kernels));
        section.row(&format!("kernel's message → event, {name}"), &kernel);
    }
    section.note("nothing is subtracted: the observer's own wake-up is in every event");
    section.note("the daemon's own account has four buckets per doubling: up to 19 % too high");
    section
}

fn carrier_section(flaps: &[(&str, Vec<Change>)], raw: f64) -> Section {
    let each = flaps.first().map_or(0, |(_, changes)| changes.len());
    let mut section = Section::new(
        "Isolated carrier change",
        &format!("portsyncd, ebpf, n = {each} each"),
        &["p50", "p99", "max", "p50 / raw HSET"],
    );
    for (name, changes) in flaps {
        let call = latencies(&from_call(changes), raw, None);
        section.row(&format!("carrier {name}: system call → event"), &call[..4]);
        let kernel = latencies(&from_kernel(changes), raw, None);
        section.row(
            &format!("carrier {name}: kernel's message → event"),
            &kernel[..4],
        );
    }
    section.note("between call and message stands linkwatch's work queue");
    section
}

fn from_call(changes: &[Change]) -> Samples {
    Samples::of(changes.iter().map(|change| change.from_call))
}

fn from_kernel(changes: &[Change]) -> Samples {
    Samples::of(changes.iter().map(|change| change.from_kernel))
}

/// p50, p99, max, p50 in raw round trips, p50 in floors.
fn latencies(samples: &Samples, raw: f64, floor: Option<f64>) -> [Cell; 5] {
    let p50 = samples.median();
    [
        Cell::Seconds(p50),
        Cell::Seconds(samples.quantile(99)),
        Cell::Seconds(samples.max()),
        Cell::Times(p50 / raw),
        floor.map_or(Cell::None, |floor| Cell::Times(p50 / floor)),
    ]
}

/// Carrier changes, which linkwatch tells of at once only when they are rare.
fn carrier(
    world: &World,
    plan: &Plan,
    observer: &mut Observer<'_>,
) -> Result<Vec<(&'static str, Vec<Change>)>> {
    world.say("isolated carrier flaps, a second apart")?;
    let live = Subject::Ebpf.start(world)?;
    let (mut lost, mut gained) = (Vec::new(), Vec::new());
    for _ in 0..plan.carrier_flaps {
        world.check()?;
        thread::sleep(LINKWATCH);
        let down = Some(("netdev_oper_status", "down"));
        lost.push(observer.change(down, |tap| tap.carrier(false))?);
        thread::sleep(REST);
        let up = Some(("netdev_oper_status", "up"));
        gained.push(observer.change(up, |tap| tap.carrier(true))?);
    }
    live.stop()?;
    Ok(vec![("lost", lost), ("gained", gained)])
}
