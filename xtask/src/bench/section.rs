//! Figures of one kind: lines of values with their units, for people and for programs.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::samples::Samples;
use crate::digits::grouped;

/// One value with its unit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell {
    /// A time, in seconds.
    Seconds(f64),
    /// How many times something.
    Times(f64),
    /// A rate.
    PerSecond(f64),
    /// A size.
    Bytes(f64),
    /// A whole number.
    Count(f64),
    /// Any other number.
    Number(f64),
    /// Not measured here.
    None,
}

impl Cell {
    /// A time, in seconds; nothing where there is none (NaN).
    pub(super) fn seconds(value: f64) -> Self {
        if value.is_nan() {
            Self::None
        } else {
            Self::Seconds(value)
        }
    }

    fn text(self) -> String {
        match self {
            Self::Seconds(value) if value < 1e-6 => format!("{:.0} ns", value * 1e9),
            Self::Seconds(value) if value < 1e-3 => format!("{:.1} µs", value * 1e6),
            Self::Seconds(value) if value < 1.0 => format!("{:.2} ms", value * 1e3),
            Self::Seconds(value) => format!("{value:.2} s"),
            Self::Times(value) => format!("{value:.2} ×"),
            Self::PerSecond(value) | Self::Count(value) => grouped(&format!("{value:.0}")),
            Self::Bytes(value) => format!("{:.2} MB", value / 1e6),
            Self::Number(value) => format!("{value:.3}"),
            Self::None => String::new(),
        }
    }

    fn json(self) -> Option<(&'static str, f64)> {
        match self {
            Self::Seconds(value) => Some(("seconds", value)),
            Self::Times(value) => Some(("times", value)),
            Self::PerSecond(value) => Some(("per_second", value)),
            Self::Bytes(value) => Some(("bytes", value)),
            Self::Count(value) | Self::Number(value) => Some(("number", value)),
            Self::None => None,
        }
    }
}

/// Figures of one kind, with the same columns.
#[derive(Clone, Debug)]
pub(super) struct Section {
    title: String,
    how: String,
    columns: Vec<&'static str>,
    rows: Vec<(String, Vec<Cell>)>,
    notes: Vec<&'static str>,
}

impl Section {
    pub(super) fn new(title: &str, how: &str, columns: &[&'static str]) -> Self {
        Self {
            title: title.to_owned(),
            how: how.to_owned(),
            columns: columns.to_vec(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a line of figures, one for each column.
    pub(super) fn row(&mut self, name: &str, cells: &[Cell]) {
        self.rows.push((name.to_owned(), cells.to_vec()));
    }

    /// Adds a line of `p50`, `min`, `max` and, where there is one, the median in `bare`s.
    pub(super) fn spread(&mut self, name: &str, samples: &Samples, bare: f64) {
        self.row(
            name,
            &[
                Cell::Seconds(samples.median()),
                Cell::Seconds(samples.min()),
                Cell::Seconds(samples.max()),
                Cell::Times(samples.median() / bare),
            ],
        );
    }

    /// Adds what a reader must know of the figures.
    pub(super) fn note(&mut self, note: &'static str) {
        self.notes.push(note);
    }

    pub(super) fn table(&self, out: &mut String) {
        let width = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0);
        let name_width = width(&mut self.rows.iter().map(|(name, _)| name.chars().count()));
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(column, title)| {
                let texts = self.rows.iter().filter_map(|(_, cells)| cells.get(column));
                let widest = width(&mut texts.map(|cell| cell.text().chars().count()));
                widest.max(title.chars().count())
            })
            .collect();
        line(out, &format!("{} ({})", self.title, self.how));
        let header = self.columns.iter().map(|title| (*title).to_owned());
        row(out, "", name_width, &widths, header);
        for (name, cells) in &self.rows {
            row(
                out,
                name,
                name_width,
                &widths,
                cells.iter().map(|c| c.text()),
            );
        }
        for note in &self.notes {
            line(out, &format!("  ({note})"));
        }
        out.push('\n');
    }

    pub(super) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(name, cells)| {
            let mut object = Map::new();
            object.insert("name".into(), json!(name));
            for (title, cell) in self.columns.iter().zip(cells) {
                if let Some((unit, value)) = cell.json() {
                    object.insert((*title).into(), json!({ "value": value, "unit": unit }));
                }
            }
            Value::Object(object)
        });
        json!({
            "title": self.title,
            "how": self.how,
            "rows": rows.collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// Appends a line, without blanks at its end.
pub(super) fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end_matches(' '));
    out.push('\n');
}

fn row(
    out: &mut String,
    name: &str,
    name_width: usize,
    widths: &[usize],
    cells: impl Iterator<Item = String>,
) {
    let mut text = format!("  {name:<name_width$}");
    for (cell, width) in cells.zip(widths) {
        // Writing to a String cannot fail.
        let _ = write!(text, "  {cell:>width$}");
    }
    line(out, &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_carry_their_unit() {
        for (cell, text) in [
            (Cell::Seconds(4.2e-8), "42 ns"),
            (Cell::Seconds(1.234e-4), "123.4 µs"),
            (Cell::Seconds(0.0567), "56.70 ms"),
            (Cell::Seconds(2.5), "2.50 s"),
            (Cell::Times(1.234), "1.23 ×"),
            (Cell::PerSecond(94_312.4), "94 312"),
            (Cell::Count(0.0), "0"),
            (Cell::Bytes(7_340_032.0), "7.34 MB"),
        ] {
            assert_eq!(cell.text(), text);
        }
    }

    #[test]
    fn columns_line_up_and_stay_with_their_names() {
        let mut section = Section::new("Title", "how", &["p50", "a long column"]);
        section.row("short", &[Cell::Seconds(1e-4), Cell::Count(1.0)]);
        section.row("a longer name", &[Cell::None, Cell::Count(1_000_000.0)]);
        let mut out = String::new();
        section.table(&mut out);
        assert_eq!(
            out,
            "Title (how)\n                      p50  a long column\n  short          100.0 µs              \
             1\n  a longer name                1 000 000\n\n"
        );
        let json = section.json();
        assert_eq!(json["rows"][0]["p50"]["value"], 1e-4);
        assert_eq!(json["rows"][1].get("p50"), None);
    }
}
