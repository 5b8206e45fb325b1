//! A failure of many ports: how long until Redis, and the kernel's own listeners,
//! know of every lost carrier.
//!
//! Linkwatch tells the first loss of a failure at once and holds the others back
//! for seconds. What is measured is what the daemon does about that, each way by
//! itself: the carrier hook, the kernel asked to settle a port, the samples where
//! there is no hook; next to it what an ordinary listener gets from the kernel, and
//! what a bystander that also takes RTNL feels.

mod phase;
mod rtnl;
mod throughput;
mod way;

use anyhow::Result;

use super::Interrupt;
use super::isolated::observer::Observer;
use super::plan::Plan;
use super::report::{Cell, Report, Section};
use super::samples::{Samples, as_f64};
use super::world::World;

use phase::{Direction, Phase};
use way::{Started, Way};

/// How many ports fail at once.
const SIZES: [usize; 3] = [64, 256, 512];
/// Isolated changes for comparison; one takes 9 ms.
const ISOLATED: usize = 60;

/// Measures and reports.
pub(super) fn measure(
    daemon: &std::path::Path,
    against: Option<&str>,
    plan: &Plan,
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    for ports in SIZES {
        let world = World::new(ports, daemon, interrupt)?.against(against)?;
        let outcome = Outcome::measure(&world, plan)?;
        for direction in [Direction::Lost, Direction::Gained] {
            report.add(outcome.latencies(direction, plan));
        }
        report.add(outcome.costs());
        outcome.targets(report);
        if ports == SIZES[2] {
            report.add(rtnl::measure(&world)?);
        }
        if ports == SIZES[1] && outcome.of(Way::Hook).is_some() {
            throughput::measure(&world, plan, report)?;
        }
    }
    Ok(())
}

/// What was measured with so many ports.
struct Outcome {
    ports: usize,
    /// An isolated change of a port's MTU, system call to event, in seconds.
    isolated: f64,
    ways: Vec<(Way, Option<Rounds>)>,
}

/// All rounds of one way.
#[derive(Default)]
struct Rounds {
    lost: Vec<Phase>,
    gained: Vec<Phase>,
    /// Lost, malformed or overrun, by the daemon's own account.
    uncounted: u64,
    dumps: f64,
    settled: f64,
}

impl Outcome {
    fn measure(world: &World, plan: &Plan) -> Result<Self> {
        let ports = world.names.len();
        let mut ways = Vec::new();
        let mut isolated = f64::NAN;
        for way in Way::all(world) {
            world.say(&format!("{ports} ports fail: {}", way.as_str()))?;
            let Some(started) = way.start(world)? else {
                ways.push((way, None));
                continue;
            };
            if isolated.is_nan() && started.is_daemon() {
                let mut observer = Observer::new(world)?;
                let series = observer.series(world, ISOLATED, true)?;
                isolated = Samples::of(series.changes.iter().map(|c| c.from_call)).median();
            }
            ways.push((way, Some(Rounds::measure(world, plan, started)?)));
        }
        Ok(Self {
            ports,
            isolated,
            ways,
        })
    }

    fn of(&self, way: Way) -> Option<&Rounds> {
        let found = self.ways.iter().find(|(of, _)| *of == way);
        found.and_then(|(_, rounds)| rounds.as_ref())
    }

    fn latencies(&self, direction: Direction, plan: &Plan) -> Section {
        let mut section = Section::new(
            &format!("{} ports {} their carrier", self.ports, direction.as_str()),
            &format!(
                "one after the other in random order within {:?}, n = {}; from just before the ioctl",
                phase::WITHIN,
                self.ports * plan.failures
            ),
            &[
                "Redis p50",
                "p99",
                "max",
                "kernel sends p50",
                "p99",
                "listener p50",
                "p99",
                "held back",
                "of these late in Redis",
                "all in Redis",
                "all announced",
            ],
        );
        for (way, rounds) in &self.ways {
            let Some(rounds) = rounds else {
                section.row(&format!("{}: not here", way.as_str()), &[]);
                continue;
            };
            let phases = rounds.of(direction);
            let redis = samples(phases, |port| port.redis);
            let sent = samples(phases, |port| port.sent);
            let heard = samples(phases, |port| port.heard);
            section.row(
                way.as_str(),
                &[
                    Cell::seconds(redis.median()),
                    Cell::seconds(redis.quantile(99)),
                    Cell::seconds(redis.max()),
                    Cell::seconds(sent.median()),
                    Cell::seconds(sent.quantile(99)),
                    Cell::seconds(heard.median()),
                    Cell::seconds(heard.quantile(99)),
                    Cell::Count(as_f64(held_back(phases).0 as u64)),
                    if redis.max().is_nan() {
                        Cell::None
                    } else {
                        Cell::Count(as_f64(held_back(phases).1 as u64))
                    },
                    Cell::seconds(worst(phases, |phase| phase.after_last(|port| port.redis))),
                    Cell::seconds(worst(phases, |phase| phase.after_last(|port| port.sent))),
                ],
            );
        }
        section.note("held back: the kernel sent its message 100 ms or more after the change; late: the row came after it");
        section.note("all in Redis, all announced: after the last change, the worst round");
        section
    }

    fn costs(&self) -> Section {
        let mut section = Section::new(
            &format!("What a failure of {} ports costs", self.ports),
            "per failure and recovery; the bystander takes RTNL every 4 ms, for nothing",
            &["daemon", "dumps", "settled", "bystander p50", "p99", "max"],
        );
        for (way, rounds) in &self.ways {
            let Some(rounds) = rounds else { continue };
            let count = as_f64(rounds.lost.len() as u64);
            let phases = || rounds.lost.iter().chain(&rounds.gained);
            let cpu: f64 = phases().map(|phase| phase.daemon.as_secs_f64()).sum();
            let waits = Samples::of(phases().flat_map(|phase| phase.bystander.iter().copied()));
            let ours = |cell| {
                if *way == Way::Nobody {
                    Cell::None
                } else {
                    cell
                }
            };
            let said = |number| match *way {
                Way::Other => Cell::None,
                _ => ours(Cell::Number(number)),
            };
            section.row(
                way.as_str(),
                &[
                    ours(Cell::Seconds(cpu / count)),
                    said(rounds.dumps / count),
                    said(rounds.settled / count),
                    Cell::seconds(waits.median()),
                    Cell::seconds(waits.quantile(99)),
                    Cell::seconds(waits.max()),
                ],
            );
        }
        section
    }

    fn targets(&self, report: &mut Report) {
        let ports = self.ports;
        let p99 = |way| {
            let rounds: &Rounds = self.of(way)?;
            Some(samples(&rounds.lost, |port| port.redis).quantile(99))
        };
        let off = p99(Way::Off).unwrap_or(f64::NAN);
        if let (Some(hook), Some(rounds)) = (p99(Way::Hook), self.of(Way::Hook)) {
            report.target(
                &format!("{ports} lost, hook: held back and not in Redis before the kernel's word"),
                as_f64(held_back(&rounds.lost).1 as u64),
                0.0,
            );
            let name = format!("{ports} lost: p99 → Redis, hook off / on");
            match ports {
                64 => report.target_at_least(&name, off / hook, 50.0),
                512 => report.target_at_least(&name, off / hook, 200.0),
                _ => report.remark(&name, off / hook),
            }
            report.target(
                &format!("{ports} lost, hook: p99 → Redis / p50 of an isolated change"),
                hook / self.isolated,
                5.0,
            );
        }
        if let Some(sampled) = p99(Way::Sampling) {
            let name = format!("{ports} lost: p99 → Redis, sampling off / on");
            match ports {
                64 => report.target_at_least(&name, off / sampled, 5.0),
                512 => report.target_at_least(&name, off / sampled, 20.0),
                _ => report.remark(&name, off / sampled),
            }
        }
        if let Some(both) = self.of(Way::SamplingAndSync) {
            for (what, value) in [
                (
                    "in Redis",
                    worst(&both.lost, |p| p.after_last(|port| port.redis)),
                ),
                (
                    "announced",
                    worst(&both.lost, |p| p.after_last(|port| port.sent)),
                ),
            ] {
                let name = format!("{ports} lost, sampling + sync: all {what} after the last, ms");
                // An emulated processor does not get through so many in that time.
                if ports == SIZES[2] && self.of(Way::Hook).is_none() {
                    report.target(&name, value * 1e3, 100.0);
                } else {
                    report.remark(&name, value * 1e3);
                }
            }
        }
        let uncounted: u64 = self
            .ways
            .iter()
            .filter_map(|(_, r)| Some(r.as_ref()?.uncounted))
            .sum();
        report.target(
            &format!("{ports} ports: messages lost, overrun or unreadable, all ways"),
            as_f64(uncounted),
            0.0,
        );
    }
}

impl Rounds {
    fn measure(world: &World, plan: &Plan, started: Started) -> Result<Self> {
        let mut rounds = Self::default();
        let mut stage = phase::Stage::new(world, started.pid())?;
        stage.warm_up()?;
        for _ in 0..plan.failures {
            rounds.lost.push(stage.run(Direction::Lost)?);
            rounds.gained.push(stage.run(Direction::Gained)?);
        }
        let account = started.stop()?;
        rounds.uncounted = account.uncounted;
        rounds.dumps = account.dumps;
        rounds.settled = account.settled;
        Ok(rounds)
    }

    fn of(&self, direction: Direction) -> &[Phase] {
        match direction {
            Direction::Lost => &self.lost,
            Direction::Gained => &self.gained,
        }
    }
}

/// The times of all ports of all rounds; NaN where nobody wrote or told.
fn samples(phases: &[Phase], time: impl Fn(&phase::Port) -> Option<u64>) -> Samples {
    let ports = phases.iter().flat_map(|phase| &phase.ports);
    Samples::of_values(ports.filter_map(|port| {
        let at = time(port)?;
        Some(phase::seconds(at.saturating_sub(port.changed)))
    }))
}

fn held_back(phases: &[Phase]) -> (usize, usize) {
    let each = phases.iter().map(Phase::held_back);
    each.fold((0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1))
}

fn worst(phases: &[Phase], of: impl Fn(&Phase) -> Option<f64>) -> f64 {
    phases.iter().filter_map(of).fold(f64::NAN, f64::max)
}
