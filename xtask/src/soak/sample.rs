//! What is looked at of the daemon, and what becomes of it.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use portsyncd_tests::Namespace;
use portsyncd_tests::http::get;

use super::slope::{Limit, Line};
use crate::bench::host::load;
use crate::bench::usage::Memory;

/// What is sampled. Each has its limit for the growth over the time that is judged.
const LIMITS: [Limit; 6] = [
    // A page here and there is the allocator's; a leak of one port's worth per new name
    // would be some hundred KiB in a minute. Without the program's code: what the start has
    // left behind is dropped and comes back as it is used, and no leak is there.
    Limit {
        name: "memory but code, KiB",
        share: 0.03,
        least: 128.0,
    },
    Limit {
        name: "of it heap, KiB",
        share: 0.05,
        least: 128.0,
    },
    Limit {
        name: "open files",
        share: 0.05,
        least: 2.0,
    },
    Limit {
        name: "threads",
        share: 0.0,
        least: 1.0,
    },
    Limit {
        name: "series",
        share: 0.03,
        least: 0.0,
    },
    // Judged beside the machine's load: whatever else it does is in it.
    Limit {
        name: "latency p99, us",
        share: 1.0,
        least: 5000.0,
    },
];

/// Where the latency stands among them.
const LATENCY: usize = 5;

/// A warm-up after which memory only moves by what is a leak.
const AT_REST: Duration = Duration::from_secs(60);

/// One look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    at: Duration,
    values: [f64; LIMITS.len()],
    /// How many tasks want a processor, over the last minute (`/proc/loadavg`, proc(5)).
    load: f64,
}

/// Takes samples.
pub(super) struct Sampler<'a> {
    namespace: &'a Namespace,
    pid: u32,
    begun: Instant,
    /// The latency histogram at the last look.
    buckets: Vec<(f64, f64)>,
    samples: Vec<Sample>,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(namespace: &'a Namespace, pid: u32) -> Self {
        Self {
            namespace,
            pid,
            begun: Instant::now(),
            buckets: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Looks. A latency that nothing was published for is the last one.
    pub(super) fn look(&mut self) -> Result<()> {
        let memory = Memory::of(self.pid)?;
        let count = |folder: &str| -> Result<f64> {
            let folder = format!("/proc/{}/{folder}", self.pid);
            let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?;
            Ok(f64::from(u32::try_from(entries.count())?))
        };
        let (files, threads) = (count("fd")?, count("task")?);
        let text = get(self.namespace, "/metrics")?.body;
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        let buckets = buckets(&text)?;
        let p99 = p99(&self.buckets, &buckets)
            .map(|seconds| seconds * 1e6)
            .or(self.samples.last().map(|sample| sample.values[LATENCY]));
        self.buckets = buckets;
        self.samples.push(Sample {
            at: self.begun.elapsed(),
            values: [
                f64::from(u32::try_from(memory.resident - memory.program)?),
                f64::from(u32::try_from(memory.anonymous)?),
                files,
                threads,
                f64::from(u32::try_from(series)?),
                p99.unwrap_or(0.0),
            ],
            load: load()?,
        });
        Ok(())
    }

    /// The table, and what grows: lines through all samples after `warm_up`.
    pub(super) fn verdict(&self, warm_up: Duration) -> Result<(String, Vec<String>)> {
        let mut table = String::from(
            "                      mean    per hour   growth   doubt  allowed   verdict\n",
        );
        let mut growing = Vec::new();
        // After a short warm-up the heap has not come to rest.
        let settling = if warm_up < AT_REST { 2.0 } else { 1.0 };
        for (number, mut limit) in LIMITS.into_iter().enumerate() {
            limit.least *= settling;
            let warm = || self.samples.iter().filter(|sample| sample.at >= warm_up);
            let judged: Vec<(f64, f64)> = warm()
                .map(|sample| (sample.at.as_secs_f64(), sample.values[number]))
                .collect();
            let line = if number == LATENCY {
                let loads: Vec<f64> = warm().map(|sample| sample.load).collect();
                Line::beside(&judged, &loads)
            } else {
                Line::through(&judged)
            };
            let Some(line) = line else {
                growing.push(format!("{}: too few samples", limit.name));
                continue;
            };
            let grows = line.grows(limit);
            writeln!(
                table,
                "{:<16} {:>9.1} {:>+11.1} {:>+8.1} {:>7.1} {:>8.1}   {}",
                limit.name,
                line.mean,
                line.slope * 3600.0,
                line.growth(),
                line.doubt(),
                line.allowed(limit),
                if grows { "GROWS" } else { "flat" }
            )?;
            if grows {
                growing.push(format!(
                    "{} grew by {:.1} ± {:.1} in {:.0} s, {:.1} are allowed",
                    limit.name,
                    line.growth(),
                    line.doubt(),
                    line.span,
                    line.allowed(limit)
                ));
            }
            if number == 0 {
                table = format!(
                    "{} samples in {:.0} s after {:.0} s of warm-up\n{table}",
                    line.samples,
                    line.span,
                    warm_up.as_secs_f64()
                );
            }
        }
        Ok((table, growing))
    }
}

/// The latency histogram of link messages: upper bound in seconds, how many up to it.
fn buckets(text: &str) -> Result<Vec<(f64, f64)>> {
    const NAME: &str = "portsyncd_publish_latency_seconds_bucket{origin=\"link_message\",le=\"";
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((bound, count)) = line
            .strip_prefix(NAME)
            .and_then(|rest| rest.split_once("\"} "))
        else {
            continue;
        };
        let bound = if bound == "+Inf" {
            f64::INFINITY
        } else {
            bound.parse()?
        };
        found.push((bound, count.parse()?));
    }
    anyhow::ensure!(!found.is_empty(), "no {NAME} in\n{text}");
    Ok(found)
}

/// The 99th percentile of what came between two looks, within its bucket by proportion.
fn p99(before: &[(f64, f64)], now: &[(f64, f64)]) -> Option<f64> {
    let came: Vec<(f64, f64)> = now
        .iter()
        .enumerate()
        .map(|(number, (bound, count))| {
            let earlier = before.get(number).map_or(0.0, |(_, count)| *count);
            (*bound, count - earlier)
        })
        .collect();
    let (_, all) = came.last()?;
    if *all <= 0.0 {
        return None;
    }
    let rank = all * 0.99;
    let (mut below, mut under) = (0.0, 0.0);
    for (bound, count) in came {
        if count >= rank {
            if bound.is_infinite() {
                return Some(below);
            }
            return Some(below + (bound - below) * (rank - under) / (count - under));
        }
        (below, under) = (bound, count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_that_of_what_came_in_between() {
        let before = [(0.001, 100.0), (0.01, 100.0), (f64::INFINITY, 100.0)];
        let now = [(0.001, 150.0), (0.01, 200.0), (f64::INFINITY, 200.0)];
        let p99 = p99(&before, &now).expect("something came");
        assert!((p99 - 0.00982).abs() < 1e-9, "{p99}");
        assert_eq!(super::p99(&now, &now), None);
    }

    #[test]
    fn buckets_are_read_from_the_exposition() {
        let text = "portsyncd_publish_latency_seconds_bucket{origin=\"link_message\",le=\"0.00001\"} 3\n\
                    portsyncd_publish_latency_seconds_bucket{origin=\"link_message\",le=\"+Inf\"} 4\n\
                    portsyncd_publish_latency_seconds_bucket{origin=\"dump\",le=\"+Inf\"} 9\n";
        let read = buckets(text).expect("buckets");
        assert_eq!(read, [(0.00001, 3.0), (f64::INFINITY, 4.0)]);
        assert!(buckets("").is_err());
    }
}
