//! What more ports cost: start-up, memory, a scrape, a resync, on 64 to 4096 ports.
//!
//! Each must grow at most linearly. A fixed part flatters that, so beside the exponent
//! stands how the cost of one more port at the upper end compares with that at the
//! lower end, which no fixed part changes.

mod growth;
mod size;

use anyhow::Result;

use super::chart::Chart;
use super::plan::Plan;
use super::report::{Cell, Report, Section};
use super::samples::as_f64;
use super::world::World;

use growth::Growth;
use size::Size;

/// How many ports there are; the last is more than any SKU's.
pub(super) const SIZES: [usize; 5] = [64, 256, 514, 1028, 4096];
/// Two more than a linear law gives to noise.
const MOST_EXPONENT: f64 = 1.1;
/// Of all ports of a chassis' largest line card.
const MOST_AT_4096: f64 = 10e6;

/// One line of the table.
struct Line {
    name: &'static str,
    cell: fn(f64) -> Cell,
    value: fn(&Size) -> f64,
    /// Whether it is ours to keep linear.
    ours: bool,
}

const LINES: [Line; 11] = [
    Line {
        name: "raw RTM_GETLINK dump, without statistics",
        cell: Cell::Seconds,
        value: |size| size.dump.median(),
        ours: false,
    },
    Line {
        name: "raw pipelined write of the STATE_DB rows",
        cell: Cell::Seconds,
        value: |size| size.rows.median(),
        ours: false,
    },
    Line {
        name: "cold start: exec → PortInitDone, auto",
        cell: Cell::Seconds,
        value: |size| size.start.median(),
        ours: true,
    },
    Line {
        name: "cold start: processor time until then",
        cell: Cell::Seconds,
        value: |size| size.start_cpu.median(),
        ours: true,
    },
    Line {
        name: "cold start / (raw dump + raw write)",
        cell: Cell::Times,
        value: Size::start_by_bare,
        ours: false,
    },
    Line {
        name: "resident memory after the start, auto",
        cell: Cell::Bytes,
        value: |size| size.resident,
        ours: true,
    },
    Line {
        name: "one scrape: the daemon's processor time",
        cell: Cell::Seconds,
        value: |size| size.scrape_cpu,
        ours: true,
    },
    Line {
        name: "one scrape: until the client has it",
        cell: Cell::Seconds,
        value: |size| size.scrape.median(),
        ours: false,
    },
    Line {
        name: "one scrape: its size",
        cell: Cell::Bytes,
        value: |size| size.scrape_bytes,
        ours: false,
    },
    Line {
        name: "one resync: the daemon's processor time",
        cell: Cell::Seconds,
        value: |size| size.resync_cpu,
        ours: true,
    },
    Line {
        name: "one resync: Redis' processor time",
        cell: Cell::Seconds,
        value: |size| size.resync_redis,
        ours: false,
    },
];

/// What was measured so far.
#[derive(Default)]
pub(super) struct Scale(Vec<Size>);

impl Scale {
    /// Measures with the ports of this world.
    pub(super) fn measure(&mut self, world: &World, plan: &Plan) -> Result<()> {
        self.0.push(Size::measure(world, plan)?);
        Ok(())
    }

    /// Adds the table, the chart and the figures.
    pub(super) fn report(&self, plan: &Plan, report: &mut Report) {
        if self.0.len() != SIZES.len() {
            return;
        }
        let mut section = Section::new(
            "Growth with the number of ports",
            &format!(
                "starts: median of {}; scrapes: mean of {}, 20 a second; resyncs: mean over {:?}, one a second",
                plan.scale_starts, plan.scrapes, plan.resyncs
            ),
            &[
                "64 ports",
                "256 ports",
                "514 ports",
                "1028 ports",
                "4096 ports",
                "exponent",
                "per port: 1028 to 4096 / 64 to 1028",
            ],
        );
        let mut chart = Chart::new(
            "growth",
            "Growth with the number of ports",
            ["ports", "times the value at 64 ports"],
        )
        .rising();
        let ports = SIZES.map(|ports| as_f64(ports as u64));
        chart.line(
            "linear",
            ports.map(|ports| (ports, ports / ports_of(&self.0[0]))),
        );
        for line in &LINES {
            let values: Vec<f64> = self.0.iter().map(line.value).collect();
            let growth = Growth::of(&ports, &values);
            let mut cells: Vec<Cell> = values.iter().copied().map(line.cell).collect();
            cells.extend([
                Cell::Number(growth.exponent),
                Cell::Times(growth.late_by_early),
            ]);
            section.row(line.name, &cells);
            if line.ours {
                let points = ports.iter().zip(&values);
                chart.line(line.name, points.map(|(p, v)| (*p, v / values[0])));
                report.target(
                    &format!("growth of {}, exponent from 514 to 4096 ports", line.name),
                    growth.exponent,
                    MOST_EXPONENT,
                );
            }
        }
        section.note("exponent: of the power law through 514, 1028 and 4096 ports; 1 is linear");
        section.note("a resync: a dump is compared, and CONFIG_DB is read again");
        report.add(section);
        report.chart(chart);
        self.figures(report);
    }

    fn figures(&self, report: &mut Report) {
        let of = |ports| self.0.iter().find(|size| size.ports == ports);
        if let Some(size) = of(1028) {
            report.target(
                "1028 ports: start → PortInitDone on auto, p50 / (raw dump + raw pipelined rows)",
                size.start_by_bare(),
                2.0,
            );
        }
        if let Some(size) = of(514) {
            report.target(
                "514 ports: the daemon's processor time for a scrape, ms",
                size.scrape_cpu * 1e3,
                2.0,
            );
        }
        if let Some(size) = of(4096) {
            report.target(
                "resident memory with 4096 ports after the start, MB",
                size.resident / 1e6,
                MOST_AT_4096 / 1e6,
            );
        }
    }
}

fn ports_of(size: &Size) -> f64 {
    as_f64(size.ports as u64)
}
