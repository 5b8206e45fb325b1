//! One port changes, nothing else happens: how long until its row says so?
//!
//! Two stopwatches end at the arrival of Redis' keyspace event at a subscriber
//! that blocks in read(2), and by then could read the row. One starts just before
//! the system call that makes the change, the other when the kernel sends the link
//! message, by the kernel's own clock. So both hold the daemon's wake-up, its
//! write, Redis, and the delivery to the observer: nothing is subtracted.
//! Baselines are taken in turn with the changes, from the same rest.

pub(super) mod observer;
mod stages;

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::chart::Chart;
use super::plan::Plan;
use super::processor::OneProcessor;
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
    let mut observer = Observer::new(world)?;
    let free = Isolated::measure(world, plan, &mut observer, None)?;
    let one = OneProcessor::enter()?;
    one.take(world.redis_pid()?)?;
    let bound = Isolated::measure(world, plan, &mut observer, Some(&one))?;
    one.release(world.redis_pid()?)?;
    drop(one);
    let stages = stages::measure(world, plan, &mut observer)?;
    let flaps = carrier(world, plan, &mut observer)?;

    report.add(free.section("Isolated change", plan.changes(false)));
    stages.report(report);
    report.chart(free.chart());
    report.add(bound.section("Isolated change, all on one processor", plan.changes(true)));
    report.add(carrier_section(&flaps, free.raw()));
    report.remark(
        "isolated change: kernel's message → row readable, p50 / raw HSET round trip",
        free.kernel_to_row() / free.raw(),
    );
    report.remark(
        "isolated change, all on one processor: the same / raw HSET round trip",
        bound.kernel_to_row() / bound.raw(),
    );
    report.remark(
        "isolated change: kernel's message → row readable, p50 / floor",
        free.kernel_to_row() / from_kernel(&free.floor.changes).median(),
    );
    report.remark(
        "isolated change, all on one processor: the same / floor",
        bound.kernel_to_row() / from_kernel(&bound.floor.changes).median(),
    );
    Ok(())
}

/// Everybody's isolated changes, the daemon on ebpf first.
struct Isolated {
    back_to_back: Samples,
    floor: Series,
    series: Vec<(Subject, Series)>,
    /// What the daemon on ebpf says of itself: p50, p99, max.
    account: [f64; 3],
}

impl Isolated {
    fn measure(
        world: &World,
        plan: &Plan,
        observer: &mut Observer<'_>,
        one: Option<&OneProcessor>,
    ) -> Result<Self> {
        // p99.9 wants many; on one processor the median is what is compared.
        let changes = plan.changes(one.is_some());
        let place = if one.is_some() {
            ", all on one processor"
        } else {
            ""
        };
        world.say(&format!("isolated changes{place}: the floor"))?;
        let back_to_back = observer.back_to_back()?;
        let floor = floor(world, observer, changes)?;
        let mut series = Vec::new();
        let mut account = [f64::NAN; 3];
        for subject in Subject::all(world) {
            world.say(&format!("isolated changes{place}: {}", subject.as_str()))?;
            let live = subject.start(world)?;
            one.map_or(Ok(()), |one| one.take(live.pid()))?;
            series.push((subject, observer.series(world, changes, true)?));
            let stopped = live.stop()?;
            if subject == Subject::Ebpf {
                account = stopped.latency;
            }
        }
        Ok(Self {
            back_to_back,
            floor,
            series,
            account,
        })
    }

    fn section(&self, title: &str, changes: usize) -> Section {
        let mut section = Section::new(
            title,
            &format!("one tap's MTU, n = {changes} each, from rest"),
            &[
                "p50",
                "p99",
                "p99.9",
                "max",
                "p50 / raw HSET",
                "p50 / floor",
            ],
        );
        let (own, raw) = (self.ebpf(), self.raw());
        for (name, samples) in [
            ("raw HSET round trip, back to back", &self.back_to_back),
            ("raw HSET round trip", &own.round_trip),
            ("raw HSET → event at the observer", &own.observed),
        ] {
            section.row(name, &latencies(samples, raw, None));
        }
        let floor = &self.floor.changes;
        let floors = [from_call(floor).median(), from_kernel(floor).median()];
        let subjects = self.series.iter().map(|(s, series)| (s.as_str(), series));
        for (name, series) in [("floor: recv, HSET, no more", &self.floor)]
            .into_iter()
            .chain(subjects)
        {
            let raw = series.round_trip.median();
            let call = latencies(&from_call(&series.changes), raw, Some(floors[0]));
            section.row(&format!("system call → event, {name}"), &call);
            let kernel = latencies(&from_kernel(&series.changes), raw, Some(floors[1]));
            section.row(&format!("kernel's message → event, {name}"), &kernel);
        }
        let [p50, p99, max] = self.account.map(Cell::Seconds);
        section.row(
            "kernel's message → acknowledged, by ebpf's own account",
            &[p50, p99, Cell::None, max],
        );
        section.note("nothing is subtracted: the observer's own wake-up is in every event");
        section.note("the daemon's own account has four buckets per doubling: up to 19 % too high");
        section
    }

    fn ebpf(&self) -> &Series {
        &self.series[0].1
    }

    fn raw(&self) -> f64 {
        self.ebpf().round_trip.median()
    }

    fn kernel_to_row(&self) -> f64 {
        from_kernel(&self.ebpf().changes).median()
    }

    fn chart(&self) -> Chart {
        let mut chart = Chart::new(
            "isolated",
            "Isolated change: kernel's message → event",
            ["µs", "of all changes, % took longer"],
        );
        chart.distribution("raw HSET round trip", &self.ebpf().round_trip);
        chart.distribution("floor", &from_kernel(&self.floor.changes));
        for (subject, series) in &self.series {
            chart.distribution(subject.as_str(), &from_kernel(&series.changes));
        }
        chart
    }
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

fn carrier_section(flaps: &[(&str, Vec<Change>)], raw: f64) -> Section {
    let each = flaps.first().map_or(0, |(_, changes)| changes.len());
    let mut section = Section::new(
        "Isolated carrier change",
        &format!("portsyncd, ebpf, n = {each} each"),
        &["p50", "p99", "p99.9", "max", "p50 / raw HSET"],
    );
    for (name, changes) in flaps {
        let call = latencies(&from_call(changes), raw, None);
        section.row(&format!("carrier {name}: system call → event"), &call[..5]);
        let kernel = latencies(&from_kernel(changes), raw, None);
        section.row(
            &format!("carrier {name}: kernel's message → event"),
            &kernel[..5],
        );
    }
    section.note("between call and message stands linkwatch's work queue");
    section
}

pub(super) fn from_call(changes: &[Change]) -> Samples {
    Samples::of(changes.iter().map(|change| change.from_call))
}

pub(super) fn from_kernel(changes: &[Change]) -> Samples {
    Samples::of(changes.iter().map(|change| change.from_kernel))
}

/// p50, p99, p99.9, max, p50 in raw round trips, p50 in floors.
fn latencies(samples: &Samples, raw: f64, floor: Option<f64>) -> [Cell; 6] {
    let p50 = samples.median();
    [
        Cell::Seconds(p50),
        Cell::Seconds(samples.quantile(99)),
        Cell::Seconds(samples.per_mille(999)),
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
