//! What libFuzzer says of a run.

use std::fmt;

use anyhow::{Context, Result};

/// Above the rows.
pub(super) const HEADER: &str =
    "target             inputs run     /s   edges  features  corpus  slowest";

/// A run that found nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    target: String,
    executed: u64,
    per_second: u64,
    /// Edges of the control flow that were taken.
    edges: u64,
    /// Edges with their counts, and comparisons.
    features: u64,
    corpus: u64,
    slowest_seconds: u64,
}

impl Outcome {
    /// Reads the statistics and the last status line.
    pub(super) fn read(target: &str, said: &str) -> Result<Self> {
        let stat = |name: &str| -> Result<u64> {
            let prefix = format!("stat::{name}:");
            let value = said.lines().find_map(|line| line.strip_prefix(&prefix));
            let value = value.with_context(|| format!("libFuzzer says no {name}:\n{said}"))?;
            Ok(value.trim().parse()?)
        };
        let status = said.lines().rev().find(|line| line.contains(" cov: "));
        let status = status.with_context(|| {
            format!("libFuzzer saw no coverage: is the instrumentation there?\n{said}")
        })?;
        let mut words = status.split_whitespace();
        let mut number = |name: &str| -> Result<u64> {
            words.find(|word| *word == name);
            let word = words
                .next()
                .with_context(|| format!("no {name} {status}"))?;
            let digits = word.split('/').next().unwrap_or(word);
            Ok(digits.parse()?)
        };
        Ok(Self {
            target: target.to_owned(),
            executed: stat("number_of_executed_units")?,
            per_second: stat("average_exec_per_sec")?,
            slowest_seconds: stat("slowest_unit_time_sec")?,
            edges: number("cov:")?,
            features: number("ft:")?,
            corpus: number("corp:")?,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<16} {:>12} {:>6} {:>7} {:>9} {:>7} {:>6} s",
            self.target,
            self.executed,
            self.per_second,
            self.edges,
            self.features,
            self.corpus,
            self.slowest_seconds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read() {
        let said = "\
#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 39Mb
#4096\tDONE   cov: 104 ft: 230 corp: 31/4096b lim: 64 exec/s: 2048 rss: 40Mb
stat::number_of_executed_units: 4096
stat::average_exec_per_sec:     2048
stat::new_units_added:          31
stat::slowest_unit_time_sec:    0
";
        let outcome = Outcome::read("btf", said).expect("statistics");
        assert_eq!((outcome.executed, outcome.edges), (4096, 104));
        assert_eq!((outcome.features, outcome.corpus), (230, 31));
        assert!(Outcome::read("btf", "").is_err());
    }
}
