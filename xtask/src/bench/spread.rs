//! Storms on one port, on some and on many: how the cost of a message depends on how
//! many ports it falls on.

use anyhow::Result;

use super::chart::Chart;
use super::plan::Plan;
use super::report::{Report, Section};
use super::samples::as_f64;
use super::sender::{Sender, Sent};
use super::storm::{COLUMNS, Round, cells, median, silence};
use super::subject::Subject;
use super::world::World;

/// All storms as fast as one thread can.
#[derive(Default)]
pub(super) struct Spread(Vec<Storm>);

/// On one number of ports.
struct Storm {
    ports: usize,
    alone: Sent,
    rounds: Vec<(Subject, Vec<Round>)>,
}

impl Spread {
    /// Takes what was measured with so many ports.
    pub(super) fn add(
        &mut self,
        ports: usize,
        alone: Sent,
        rounds: impl Iterator<Item = (Subject, Vec<Round>)>,
    ) {
        self.0.push(Storm {
            ports,
            alone,
            rounds: rounds.collect(),
        });
    }

    /// Measures with the ports of this world.
    pub(super) fn measure(&mut self, world: &World, plan: &Plan) -> Result<()> {
        let ports = world.names.len();
        let sender = Sender::new(world)?;
        sender.check_messages_per_change(world)?;
        let alone = sender.full_speed(plan.spread_storm / 2)?;
        let mut all = Vec::new();
        for subject in Subject::all(world) {
            world.say(&format!("storm on {ports} ports: {}", subject.as_str()))?;
            let mut rounds = Vec::new();
            for _ in 0..plan.spread_rounds {
                let storm = || sender.full_speed(plan.spread_storm);
                rounds.push(Round::run(world, subject, storm)?);
            }
            all.push((subject, rounds));
        }
        self.add(ports, alone, all.into_iter());
        Ok(())
    }

    /// Adds the table, the chart and what must never happen.
    pub(super) fn report(&self, plan: &Plan, report: &mut Report) {
        if self.0.is_empty() {
            return;
        }
        let mut section = Section::new(
            "Storms by the number of ports",
            &format!(
                "MTU and flags as fast as one thread can, {:?}, median of {}, 256 ports as above; processor time per message",
                plan.spread_storm, plan.spread_rounds
            ),
            &COLUMNS,
        );
        for storm in &self.0 {
            let ports = if storm.ports == 1 { "port" } else { "ports" };
            let name = |who: &str| format!("{} {ports}: {who}", storm.ports);
            section.row(&name("no listener"), &silence(&storm.alone));
            for (subject, rounds) in &storm.rounds {
                section.row(&name(subject.as_str()), &cells(rounds));
            }
        }
        report.add(section);
        let mut chart = Chart::new(
            "storm",
            "Storm: the daemon's processor time per message",
            ["ports", "µs"],
        );
        for subject in [Subject::Ebpf, Subject::Netlink, Subject::Blocking] {
            let points = self.0.iter().filter_map(|storm| {
                let (_, rounds) = storm.rounds.iter().find(|(of, _)| *of == subject)?;
                let cost = median(rounds, Round::daemon_cpu) * 1e6;
                Some((as_f64(storm.ports as u64), cost))
            });
            chart.line(subject.as_str(), points);
        }
        report.chart(chart);
        let sum = |of: &dyn Fn(&Round) -> u64, subjects: &[Subject]| {
            let storms = self.0.iter().flat_map(|storm| &storm.rounds);
            let of_subjects = storms.filter(|(subject, _)| subjects.contains(subject));
            let each = of_subjects.flat_map(|(_, rounds)| rounds.iter().map(of));
            as_f64(each.sum())
        };
        let ebpf = [Subject::Ebpf];
        report.target(
            "storms on all numbers of ports: messages lost on ebpf, default ring",
            sum(&Round::lost, &ebpf),
            0.0,
        );
        report.target(
            "storms on all numbers of ports: dumps on ebpf but for the one of the start",
            sum(&|round| round.account.dumps.saturating_sub(1), &ebpf),
            0.0,
        );
        report.target(
            "storms on all numbers of ports: ports left wrong by portsyncd",
            sum(
                &|round| round.wrong as u64,
                &[Subject::Ebpf, Subject::Netlink],
            ),
            0.0,
        );
    }
}
