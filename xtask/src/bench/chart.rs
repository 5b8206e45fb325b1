//! Figures as pictures: lines on two logarithmic axes, drawn as SVG.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use serde_json::{Value, json};

use super::samples::{Samples, as_f64};

/// Lines that belong together.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    file: &'static str,
    title: String,
    axes: [&'static str; 2],
    lines: Vec<(String, Vec<(f64, f64)>)>,
    legend: SeriesLabelPosition,
}

impl Chart {
    /// `file` is its name without `.svg`; the axes are x and y.
    pub(super) fn new(file: &'static str, title: &str, axes: [&'static str; 2]) -> Self {
        Self {
            file,
            title: title.to_owned(),
            axes,
            lines: Vec::new(),
            legend: SeriesLabelPosition::UpperRight,
        }
    }

    /// For lines that rise: their names stand to the left.
    pub(super) fn rising(mut self) -> Self {
        self.legend = SeriesLabelPosition::UpperLeft;
        self
    }

    /// Adds a line. What is not above 0 has no place on these axes.
    pub(super) fn line(&mut self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let points = points.into_iter().filter(|(x, y)| *x > 0.0 && *y > 0.0);
        self.lines.push((name.to_owned(), points.collect()));
    }

    /// Adds a distribution: for each value in microseconds the share that is larger, in percent.
    pub(super) fn distribution(&mut self, name: &str, samples: &Samples) {
        let count = samples.count();
        let points = (0..=200).map(|step| {
            // Ever closer to the largest one: 1 - 10^(-step/50).
            let share = 10_f64.powf(-f64::from(step) / 50.0);
            let value = samples.above(share);
            (value * 1e6, share * 100.0)
        });
        // A share of less than one value is nobody's.
        let least = 100.0 / as_f64(count.max(1) as u64);
        self.line(name, points.filter(|(_, share)| *share >= least));
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.file,
            "title": self.title,
            "axes": self.axes,
            "lines": self.lines.iter().map(|(name, points)| json!({
                "name": name,
                "points": points,
            })).collect::<Vec<_>>(),
        })
    }

    /// Draws it into `directory`; where it went.
    pub(super) fn draw(&self, directory: &Path) -> Result<PathBuf> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let file = directory.join(self.file).with_extension("svg");
        self.draw_to(&file)
            .map_err(|error| anyhow!("cannot draw {}: {error}", file.display()))?;
        Ok(file)
    }

    fn draw_to(&self, file: &Path) -> Result<(), Box<dyn std::error::Error + '_>> {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let xs = range(points().map(|(x, _)| *x));
        let ys = range(points().map(|(_, y)| *y));
        let (Some(xs), Some(ys)) = (xs, ys) else {
            return Err("it has no points".into());
        };
        let area = SVGBackend::new(file, (900, 560)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(76)
            .build_cartesian_2d(xs.log_scale(), ys.log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc(self.axes[0])
            .y_desc(self.axes[1])
            .x_label_formatter(&|value| format!("{value}"))
            .y_label_formatter(&|value| format!("{value}"))
            .draw()?;
        for (number, (name, points)) in self.lines.iter().enumerate() {
            let style = Palette99::pick(number).stroke_width(2);
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        chart
            .configure_series_labels()
            .position(self.legend.clone())
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
        Ok(())
    }
}

/// All values and a little more; none where there are no values.
fn range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let ends = values.fold(None, |ends: Option<(f64, f64)>, value| {
        Some(ends.map_or((value, value), |(low, high)| {
            (low.min(value), high.max(value))
        }))
    });
    ends.map(|(low, high)| low / 1.2..high * 1.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_drawn_with_its_lines() {
        let mut chart = Chart::new("growth", "A title", ["ports", "ms"]);
        chart.line("one", [(64.0, 1.0), (4096.0, 50.0), (0.0, 7.0)]);
        chart.distribution("other", &Samples::of_values((1..=1000).map(f64::from)));
        assert_eq!(chart.lines[0].1.len(), 2, "0 has no place");
        let last = chart.lines[1].1.last().copied().expect("points");
        assert!(last.0 > 990.0 * 1e6 && last.1 >= 0.1, "{last:?}");
        let directory = tempfile::tempdir().expect("a directory");
        let file = chart.draw(directory.path()).expect("drawn");
        let svg = fs::read_to_string(file).expect("written");
        for text in ["<svg", "A title", "one", "other", "ports"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(
            Chart::new("none", "", ["", ""])
                .draw(directory.path())
                .is_err()
        );
    }
}
