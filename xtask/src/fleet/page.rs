//! A daemon's `/metrics` as it was captured, and as it would be some scrapes later.

use std::fmt::Write;

use anyhow::{Result, ensure};

/// A captured page.
#[derive(Debug)]
pub(super) struct Page {
    lines: Vec<Line>,
    pub(super) series: usize,
    pub(super) bytes: usize,
}

#[derive(Debug)]
enum Line {
    /// A comment, or a sample that stays.
    Still(String),
    /// Name and labels; the value; what a scrape adds.
    Moves(String, f64, f64),
}

/// Metrics that move on a switch where something happens now and then, and by how much
/// with each scrape. What is not here stands still, as it does on a quiet switch.
const MOVING: [(&str, f64); 8] = [
    ("portsyncd_link_events_total{origin=\"link_message\"}", 7.0),
    (
        "portsyncd_publish_latency_seconds_bucket{origin=\"link_message\"",
        5.0,
    ),
    (
        "portsyncd_publish_latency_seconds_count{origin=\"link_message\"}",
        5.0,
    ),
    (
        "portsyncd_publish_latency_seconds_sum{origin=\"link_message\"}",
        0.000_731,
    ),
    ("portsyncd_redis_write_seconds_", 5.0),
    ("portsyncd_redis_write_batch_ports_", 5.0),
    ("process_cpu_seconds_total", 0.01),
    // One flapping port of each.
    ("portsyncd_port_flaps_total{device=\"Ethernet0\"}", 1.0),
];

impl Page {
    /// Takes the text of a scrape.
    pub(super) fn new(text: &str) -> Result<Self> {
        let lines: Vec<Line> = text.lines().map(Line::new).collect();
        let moving = lines.iter().filter(|line| matches!(line, Line::Moves(..)));
        ensure!(
            moving.count() >= MOVING.len(),
            "too little of the page would move:\n{text}"
        );
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        Ok(Self {
            lines,
            series,
            bytes: text.len(),
        })
    }

    /// The page of the daemon `number` at its scrape `scrape`.
    pub(super) fn render(&self, number: u32, scrape: u32) -> String {
        let mut text = String::with_capacity(self.bytes + 1024);
        // No two daemons have the same values.
        let times = f64::from(scrape) + f64::from(number % 97);
        for line in &self.lines {
            // Writing to a String cannot fail.
            let _ = match line {
                Line::Still(line) => writeln!(text, "{line}"),
                Line::Moves(name, value, step) => writeln!(text, "{name} {}", value + step * times),
            };
        }
        text
    }
}

impl Line {
    fn new(line: &str) -> Self {
        let step = MOVING.iter().find(|(name, _)| line.starts_with(name));
        if let Some((_, step)) = step
            && let Some((name, value)) = line.rsplit_once(' ')
            && let Ok(value) = value.parse()
        {
            return Self::Moves(name.to_owned(), value, *step);
        }
        Self::Still(line.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_moves_and_the_rest_stays() {
        let mut text = "# HELP portsyncd_ports x\nportsyncd_ports{state=\"up\"} 64\n".to_owned();
        for (name, _) in MOVING {
            let name = match name {
                "portsyncd_publish_latency_seconds_bucket{origin=\"link_message\"" => {
                    format!("{name},le=\"1\"}}")
                }
                name if name.ends_with('_') => format!("{name}sum"),
                name => name.to_owned(),
            };
            writeln!(text, "{name} 3").expect("a String");
        }
        let page = Page::new(&text).expect("a page");
        assert_eq!(page.series, 9);
        let (first, second) = (page.render(1, 0), page.render(1, 1));
        assert!(first.contains("portsyncd_ports{state=\"up\"} 64\n"));
        let flaps = "portsyncd_port_flaps_total{device=\"Ethernet0\"}";
        assert!(first.contains(&format!("{flaps} 4\n")), "{first}");
        assert!(second.contains(&format!("{flaps} 5\n")), "{second}");
        assert!(Page::new("portsyncd_ports 3\n").is_err());
    }
}
