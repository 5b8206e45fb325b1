//! The figures: collected, then shown as one table or as one JSON document.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::chart::Chart;
use super::host::{Host, load};
use super::section::line;
pub(super) use super::section::{Cell, Section};

/// A figure that has to be reached, or is only told.
#[derive(Clone, Debug)]
struct Target {
    name: String,
    value: f64,
    bound: Bound,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    None,
}

impl Target {
    fn reached(&self) -> Option<bool> {
        match self.bound {
            Bound::AtMost(bound) => Some(self.value <= bound),
            Bound::AtLeast(bound) => Some(self.value >= bound),
            Bound::None => None,
        }
    }

    fn wanted(&self) -> String {
        match self.bound {
            Bound::AtMost(bound) => format!("at most {bound}"),
            Bound::AtLeast(bound) => format!("at least {bound}"),
            Bound::None => String::new(),
        }
    }
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(super) struct Report {
    host: Host,
    load_after: f64,
    took: Duration,
    sections: Vec<Section>,
    targets: Vec<Target>,
    charts: Vec<Chart>,
}

impl Report {
    pub(super) fn new(host: Host) -> Self {
        Self {
            host,
            load_after: f64::NAN,
            took: Duration::ZERO,
            sections: Vec::new(),
            targets: Vec::new(),
            charts: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, section: Section) {
        self.sections.push(section);
    }

    pub(super) fn chart(&mut self, chart: Chart) {
        self.charts.push(chart);
    }

    /// Draws every chart into `directory`.
    pub(super) fn draw(&self, directory: &Path) -> Result<()> {
        for chart in &self.charts {
            eprintln!("bench: drawn {}", chart.draw(directory)?.display());
        }
        Ok(())
    }

    /// A figure that must not exceed `bound`.
    pub(super) fn target(&mut self, name: &str, value: f64, bound: f64) {
        self.aim(name, value, Bound::AtMost(bound));
    }

    /// A figure that must not be below `bound`.
    pub(super) fn target_at_least(&mut self, name: &str, value: f64, bound: f64) {
        self.aim(name, value, Bound::AtLeast(bound));
    }

    /// A figure of interest with no target.
    pub(super) fn remark(&mut self, name: &str, value: f64) {
        self.aim(name, value, Bound::None);
    }

    fn aim(&mut self, name: &str, value: f64, bound: Bound) {
        let name = name.to_owned();
        self.targets.push(Target { name, value, bound });
    }

    /// Notes how long it all took and how busy the machine was at the end.
    pub(super) fn ended(&mut self, took: Duration) {
        self.took = took;
        self.load_after = load().unwrap_or(f64::NAN);
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut out = self.host.text(self.load_after);
        line(
            &mut out,
            &format!("measured in {:.0} s\n", self.took.as_secs_f64()),
        );
        for section in &self.sections {
            section.table(&mut out);
        }
        line(&mut out, "Figures to reach");
        let width = self.targets.iter().map(|t| t.name.chars().count()).max();
        for target in &self.targets {
            let mark = match target.reached() {
                Some(true) => "  reached",
                Some(false) => "  MISSED",
                None => "",
            };
            line(
                &mut out,
                &format!(
                    "  {:<width$}  {:>6.2}  {:<11}{mark}",
                    target.name,
                    target.value,
                    target.wanted(),
                    width = width.unwrap_or(0)
                ),
            );
        }
        out
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let targets = self.targets.iter().map(|target| {
            let (at_most, at_least) = match target.bound {
                Bound::AtMost(bound) => (Some(bound), None),
                Bound::AtLeast(bound) => (None, Some(bound)),
                Bound::None => (None, None),
            };
            json!({
                "name": target.name,
                "value": target.value,
                "at_most": at_most,
                "at_least": at_least,
                "reached": target.reached(),
            })
        });
        json!({
            "host": self.host.json(self.load_after),
            "took_seconds": self.took.as_secs_f64(),
            "sections": self.sections.iter().map(Section::json).collect::<Vec<_>>(),
            "figures": targets.collect::<Vec<_>>(),
            "charts": self.charts.iter().map(Chart::json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_reached_or_missed() {
        let target = |value, bound| Target {
            name: "x".into(),
            value,
            bound,
        };
        assert_eq!(target(3.0, Bound::AtMost(3.0)).reached(), Some(true));
        assert_eq!(target(4.9, Bound::AtLeast(5.0)).reached(), Some(false));
        assert_eq!(target(f64::NAN, Bound::AtMost(3.0)).reached(), Some(false));
        assert_eq!(target(1.0, Bound::None).reached(), None);
    }
}
