//! Where the time of an isolated change goes: from the kernel's message to the
//! acknowledgement, stage by stage.
//!
//! The stamps are the daemon's own, taken on its one road: at the log level DEBUG it
//! tells of each acknowledged batch when it woke up, had the record in its table, had
//! handed the change to its writer, had written it to Redis' socket, and had the answer.
//! The line is written after the answer. Five clock readings are all that is added.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use portsyncd_tests::{Source, wait::wait_for};

use super::observer::{Observer, Series};
use crate::bench::PATIENCE;
use crate::bench::plan::Plan;
use crate::bench::report::{Cell, Report, Section};
use crate::bench::samples::Samples;
use crate::bench::subject::{daemon_config, wait_for_init_done};
use crate::bench::world::World;

/// Medians of so many parts of the series are what is compared with the targets.
const PARTS: usize = 5;

/// Each stage: what it is called, and the stamps between which it lies.
const STAGES: [(&str, [&str; 2]); 6] = [
    ("kernel's message → awake", ["kernel_ns", "woken_ns"]),
    ("awake → in the table", ["woken_ns", "taken_ns"]),
    ("in the table → encoded", ["taken_ns", "encoded_ns"]),
    ("encoded → write(2) returned", ["encoded_ns", "written_ns"]),
    (
        "write(2) returned → acknowledged",
        ["written_ns", "acked_ns"],
    ),
    (
        "all: kernel's message → acknowledged",
        ["kernel_ns", "acked_ns"],
    ),
];

/// What was measured: parts of one series.
pub(super) struct Stages(Vec<Part>);

struct Part {
    series: Series,
    /// Of each of [`STAGES`].
    stages: Vec<Samples>,
}

/// Measures the daemon on ebpf.
pub(super) fn measure(world: &World, plan: &Plan, observer: &mut Observer<'_>) -> Result<Stages> {
    world.say("isolated changes: stage by stage")?;
    world.clear()?;
    let mut events = world.done_events()?;
    let config = daemon_config(world, Source::Ebpf)
        .arg("--log-level")
        .arg("debug");
    let daemon = world.bed.start(config)?;
    wait_for_init_done(&mut events)?;
    world.bed.oracle()?.converge(PATIENCE)?;
    let changes = plan.changes(false) / PARTS;
    let mut parts = Vec::new();
    for _ in 0..PARTS {
        let before = daemon.log().text().len();
        let series = observer.series(world, changes, true)?;
        // The MTU is set back at the end, which is a change, too.
        let mut lines = Vec::new();
        wait_for("every batch's line is there", PATIENCE, || {
            let text = daemon.log().text();
            let port = format!(" port={} ", observer.port_name());
            lines = text[before..]
                .lines()
                .filter(|line| line.contains("acknowledged") && line.contains(&port))
                .map(str::to_owned)
                .collect();
            Ok(lines.len() > changes)
        })?;
        let stages = STAGES.map(|(_, between)| of_stage(&lines, between));
        parts.push(Part {
            series,
            stages: stages.into_iter().collect::<Result<_>>()?,
        });
    }
    daemon.stop()?;
    Ok(Stages(parts))
}

fn of_stage(lines: &[String], [from, to]: [&str; 2]) -> Result<Samples> {
    let times: Result<Vec<Duration>> = lines
        .iter()
        .map(|line| {
            let (from, to) = (stamp(line, from)?, stamp(line, to)?);
            ensure!(
                0 < from && from <= to,
                "stamps that are not in their order: {line}"
            );
            Ok(Duration::from_nanos(to - from))
        })
        .collect();
    Ok(Samples::of(times?))
}

fn stamp(line: &str, name: &str) -> Result<u64> {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        .with_context(|| format!("no {name}=NUMBER in {line:?}"))
}

impl Stages {
    /// Adds the split and the figures that have a target.
    pub(super) fn report(&self, report: &mut Report) {
        let number = self
            .0
            .iter()
            .map(|part| part.stages[0].count())
            .sum::<usize>();
        let mut section = Section::new(
            "Isolated change on ebpf, stage by stage",
            &format!(
                "one tap's MTU, n = {number}, by the daemon's own stamps at the log level DEBUG"
            ),
            &["mean", "p50", "p99", "p99.9", "max", "p50 / raw HSET"],
        );
        let all = |of: &dyn Fn(&Part) -> &Samples| {
            let parts = self.0.iter().map(|part| of(part).clone());
            parts.fold(Samples::default(), Samples::and)
        };
        let raw = all(&|part| &part.series.round_trip);
        let mut row = |name: &str, samples: &Samples| {
            section.row(
                name,
                &[
                    Cell::Seconds(samples.mean()),
                    Cell::Seconds(samples.median()),
                    Cell::Seconds(samples.quantile(99)),
                    Cell::Seconds(samples.per_mille(999)),
                    Cell::Seconds(samples.max()),
                    Cell::Times(samples.median() / raw.median()),
                ],
            );
        };
        for (index, (name, _)) in STAGES.iter().enumerate() {
            row(name, &all(&|part| &part.stages[index]));
        }
        row("raw HSET round trip", &raw);
        let events: Vec<_> = self
            .0
            .iter()
            .flat_map(|part| part.series.changes.iter().copied())
            .collect();
        row(
            "kernel's message → event, in the same changes",
            &super::from_kernel(&events),
        );
        section.note("means add up, quantiles do not");
        report.add(section);
        let in_parts = |value: &dyn Fn(&Samples, &Samples) -> f64| {
            let values = self
                .0
                .iter()
                .map(|part| value(&part.stages[STAGES.len() - 1], &part.series.round_trip));
            Samples::of_values(values).median()
        };
        report.target(
            "isolated change: kernel's message → acknowledged, p50 / p50 of a raw HSET",
            in_parts(&|way, raw| way.median() / raw.median()),
            2.0,
        );
        report.target(
            "isolated change: kernel's message → acknowledged, p99 / p50 of a raw HSET",
            in_parts(&|way, raw| way.quantile(99) / raw.median()),
            5.0,
        );
        report.remark(
            "isolated change: kernel's message → acknowledged, p99 / p99 of a raw HSET",
            in_parts(&|way, raw| way.quantile(99) / raw.quantile(99)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_and_must_be_in_their_order() {
        let line = "2026-01-31T12:00:00.1Z DEBUG  acknowledged port=Ethernet0 changes=1 \
                    kernel_ns=1000 woken_ns=31000 taken_ns=31500"
            .to_owned();
        let lines = [line];
        let wake = of_stage(&lines, ["kernel_ns", "woken_ns"]).expect("in order");
        assert_eq!(wake.median().to_string(), "0.00003");
        assert!(of_stage(&lines, ["taken_ns", "woken_ns"]).is_err());
        assert!(of_stage(&lines, ["taken_ns", "acked_ns"]).is_err());
    }
}
