//! One picture: lines of at most 80 columns.

use std::collections::BTreeMap;
use std::time::Duration;

use portsyncd_tests::oracle::Row;

use crate::demo::acts::ACTS;
use crate::demo::latency::{Kind, figures, text};
use crate::demo::stage::{PORTS, Stage};

/// Lines of a picture.
pub(super) const HEIGHT: usize = 23;

const WIDTH: usize = 80;
const COLUMNS: usize = 3;
const ROWS: usize = PORTS.div_ceil(COLUMNS);

/// How long a port that changed stands out.
const FRESH: Duration = Duration::from_millis(400);

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";
const CYAN: &str = "36";

/// Draws pictures.
pub(super) struct Frame {
    colour: bool,
    /// What the daemon said about its link source.
    pub(super) link_source: String,
}

impl Frame {
    pub(super) fn new(colour: bool) -> Self {
        Self {
            colour,
            link_source: "the daemon is not started yet".to_owned(),
        }
    }

    /// The whole picture.
    pub(super) fn lines(
        &self,
        stage: &Stage,
        progress: f64,
        act: usize,
        title: &str,
        elapsed: Duration,
    ) -> Vec<String> {
        let mut lines = vec![
            format!(
                " {}  {PORTS} tap ports in a private namespace, a private Redis",
                self.paint(BOLD, "portsyncd")
            ),
            format!(" {}", self.paint(CYAN, &cut(&self.link_source, WIDTH - 2))),
            self.rule(),
        ];
        let published = stage.published();
        let rows = published.as_ref();
        for line in 0..ROWS {
            let cells: Vec<String> = (0..COLUMNS)
                .filter_map(|column| stage.names().get(column * ROWS + line))
                .map(|name| self.cell(stage, name, Shown::of(rows, name)))
                .collect();
            lines.push(format!(" {}", cells.join(" ")));
        }
        lines.push(self.agreement(stage));
        lines.push(self.rule());
        lines.extend(self.latencies(stage));
        lines.push(self.progress(progress, act, title, elapsed));
        lines
    }

    /// One port: `Ethernet124 ● 9100 0.42ms`.
    fn cell(&self, stage: &Stage, name: &str, shown: Shown) -> String {
        let field = |row: &Row, field: &str| row.get(field).cloned().unwrap_or_default();
        let (sign, colour, mtu) = match shown {
            Shown::Unknown => ("?", YELLOW, String::new()),
            Shown::Gone => (" ", DIM, "gone".to_owned()),
            Shown::Row(row) => {
                let mtu = field(row, "mtu");
                match (
                    field(row, "netdev_oper_status").as_str(),
                    field(row, "admin_status").as_str(),
                ) {
                    ("up", _) => ("●", GREEN, mtu),
                    (_, "up") => ("○", RED, mtu),
                    _ => ("–", DIM, mtu),
                }
            }
        };
        let latest = stage.watch.latest(name);
        let fresh = latest.is_some_and(|(_, at)| at.elapsed() < FRESH);
        let latency =
            latest.map_or_else(String::new, |(latency, _)| text(latency).replace(' ', ""));
        format!(
            "{} {} {mtu:<4} {}",
            self.paint(if fresh { BOLD } else { "" }, &format!("{name:<11}")),
            self.paint(colour, sign),
            self.paint(if fresh { BOLD } else { DIM }, &format!("{latency:>6}")),
        )
    }

    fn agreement(&self, stage: &Stage) -> String {
        let legend = format!(
            " {} up  {} no carrier  {} admin down",
            self.paint(GREEN, "●"),
            self.paint(RED, "○"),
            self.paint(DIM, "–")
        );
        let verdict = match stage.differing() {
            None => self.paint(YELLOW, "Redis is away"),
            Some(0) => self.paint(
                GREEN,
                &format!("STATE_DB = kernel on {PORTS} of {PORTS} ports"),
            ),
            Some(differing) => self.paint(
                YELLOW,
                &format!("STATE_DB behind the kernel on {differing} ports"),
            ),
        };
        format!("{legend}      {verdict}")
    }

    /// The table of latencies, a line per kind of change.
    pub(super) fn latencies(&self, stage: &Stage) -> Vec<String> {
        let heading = format!(
            " {:<25}{:>4}{:>12}{:>12}{:>12}{:>12}",
            "from ioctl to Redis", "n", "median", "p99", "kernel", "daemon"
        );
        let mut lines = vec![self.paint(BOLD, &heading)];
        for kind in Kind::ALL {
            let figures = figures(stage.watch.samples(), kind);
            let line = figures.map_or_else(
                || format!(" {:<25}{:>4}", kind.title(), "–"),
                |f| {
                    format!(
                        " {:<25}{:>4}{:>12}{:>12}{:>12}{:>12}",
                        kind.title(),
                        f.count,
                        text(f.median),
                        text(f.p99),
                        f.kernel.map_or_else(|| "later".to_owned(), text),
                        f.daemon.map_or_else(String::new, text)
                    )
                },
            );
            lines.push(if figures.is_some() {
                line
            } else {
                self.paint(DIM, &line)
            });
        }
        lines
    }

    fn progress(&self, progress: f64, act: usize, title: &str, elapsed: Duration) -> String {
        const BAR: usize = 24;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a bar of 24 signs"
        )]
        let full = ((progress.clamp(0.0, 1.0) * BAR as f64) as usize).min(BAR);
        let number = (act + 1).min(ACTS.len());
        format!(
            " {}{} {number}/{} {title:<37}{:>5.1} s",
            self.paint(GREEN, &"█".repeat(full)),
            self.paint(DIM, &"░".repeat(BAR - full)),
            ACTS.len(),
            elapsed.as_secs_f64()
        )
    }

    fn rule(&self) -> String {
        self.paint(DIM, &format!(" {}", "─".repeat(WIDTH - 2)))
    }

    /// `text` in a colour of ECMA-48 (SGR); "" is none.
    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour && !colour.is_empty() {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// What `STATE_DB` says of a port.
#[derive(Clone, Copy)]
enum Shown<'a> {
    /// Redis is away.
    Unknown,
    /// No row: no netdev.
    Gone,
    Row(&'a Row),
}

impl<'a> Shown<'a> {
    fn of(published: Option<&'a BTreeMap<String, Row>>, name: &str) -> Self {
        match published {
            None => Self::Unknown,
            Some(rows) => rows.get(name).map_or(Self::Gone, Self::Row),
        }
    }
}

/// At most `width` characters of `text`.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_to_the_width() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "long…");
    }

    #[test]
    fn colour_is_only_used_where_wanted() {
        assert_eq!(Frame::new(false).paint(RED, "x"), "x");
        assert_eq!(Frame::new(true).paint(RED, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(Frame::new(true).paint("", "x"), "x");
    }
}
