//! What Prometheus says of itself, and what `/proc` says of it.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use portsyncd_tests::Namespace;
use portsyncd_tests::http::ask;
use portsyncd_tests::wait::wait_for;
use serde_json::Value;

use crate::bench::usage::{CpuClock, Memory};

/// Where Prometheus listens, inside the namespace.
pub(super) const ADDRESS: &str = "127.0.0.1:9091";
/// Reading its log of the last run takes a moment, but there is none.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Asks one Prometheus.
pub(super) struct Watcher<'a> {
    namespace: &'a Namespace,
    pid: u32,
    data: PathBuf,
}

/// What was used until a moment.
pub(super) struct Usage {
    at: Instant,
    cpu: Duration,
    samples: f64,
    bytes: u64,
}

/// The figures.
#[derive(Debug)]
pub(super) struct Figures {
    up: f64,
    series: f64,
    samples_per_second: f64,
    scrape: [f64; 3],
    rules: f64,
    rule_share: f64,
    queries: Vec<(&'static str, f64)>,
    resident_mib: f64,
    peak_mib: f64,
    cores: f64,
    disk_per_sample: f64,
}

/// What dashboards ask, as the guide has it.
const QUERIES: [(&str, &str); 3] = [
    (
        "p99 of all daemons, kernel to Redis",
        "histogram_quantile(0.99, sum by (le) (rate(portsyncd_publish_latency_seconds_bucket[1m])))",
    ),
    (
        "ten most flapping ports of all",
        "topk(10, increase(portsyncd_port_flaps_total[1m]))",
    ),
    (
        "ports down, by pod",
        "sum by (pod) (portsyncd_ports{state=\"down\"})",
    ),
];

impl<'a> Watcher<'a> {
    pub(super) fn new(namespace: &'a Namespace, pid: u32, data: PathBuf) -> Self {
        Self {
            namespace,
            pid,
            data,
        }
    }

    pub(super) fn wait_until_ready(&self) -> Result<()> {
        wait_for("prometheus is ready", READY_WITHIN, || {
            Ok(self.get("/-/ready").is_ok_and(|(status, _)| status == 200))
        })
    }

    fn get(&self, path: &str) -> Result<(u16, String)> {
        let answer = ask(self.namespace, ADDRESS, &format!("GET {path}"))?;
        Ok((answer.status, answer.body))
    }

    /// An instant query: all values of its result.
    fn query(&self, query: &str) -> Result<Vec<f64>> {
        let mut encoded = String::new();
        for byte in query.bytes() {
            write!(encoded, "%{byte:02x}")?;
        }
        let (status, body) = self.get(&format!("/api/v1/query?query={encoded}"))?;
        ensure!(status == 200, "{query}: {status} {body}");
        // A long answer comes in chunks; ours are short but for their frame.
        let (begin, end) = (body.find('{'), body.rfind('}'));
        let json = begin
            .zip(end)
            .and_then(|(begin, end)| body.get(begin..=end));
        let json: Value = serde_json::from_str(json.context("no JSON")?)
            .with_context(|| format!("{query}: {body}"))?;
        let results = json["data"]["result"].as_array().context("no result")?;
        let values = results
            .iter()
            .map(|result| Ok(result["value"][1].as_str().context("no value")?.parse()?));
        values.collect()
    }

    fn one(&self, query: &str) -> Result<f64> {
        let values = self.query(query)?;
        values
            .first()
            .copied()
            .with_context(|| format!("{query} has no value"))
    }

    /// Why the first target that is not up is not.
    pub(super) fn complaint(&self) -> Result<String> {
        let (_, body) = self.get("/api/v1/targets?state=active")?;
        let errors = body.split("\"lastError\":\"").skip(1);
        let first = errors.filter_map(|rest| rest.split('"').next());
        let first = first.into_iter().find(|error| !error.is_empty());
        Ok(first.unwrap_or("no target says why").to_owned())
    }

    /// What it has used so far.
    pub(super) fn usage(&self) -> Result<Usage> {
        Ok(Usage {
            at: Instant::now(),
            cpu: CpuClock::of(self.pid)?.read()?,
            samples: self.one("sum(prometheus_tsdb_head_samples_appended_total)")?,
            bytes: bytes_below(&self.data)?,
        })
    }

    /// The figures, with rates since `before`.
    pub(super) fn figures(&self, before: &Usage) -> Result<Figures> {
        let now = self.usage()?;
        let seconds = (now.at - before.at).as_secs_f64();
        let samples = now.samples - before.samples;
        let written = u32::try_from((now.bytes.saturating_sub(before.bytes)) >> 10)?;
        let scrape = |quantile: f64| {
            self.one(&format!(
                "quantile({quantile}, scrape_duration_seconds{{job=\"portsyncd\"}})"
            ))
        };
        let rules = self.one("sum(prometheus_rule_group_last_duration_seconds)")?;
        let mut queries = Vec::new();
        for (what, query) in QUERIES {
            let begun = Instant::now();
            ensure!(!self.query(query)?.is_empty(), "{query} has no result");
            queries.push((what, begun.elapsed().as_secs_f64()));
        }
        let memory = Memory::of(self.pid)?;
        let mib = |kib: u64| -> Result<f64> { Ok(f64::from(u32::try_from(kib)?) / 1024.0) };
        Ok(Figures {
            up: self.one("sum(up{job=\"portsyncd\"})")?,
            series: self.one("prometheus_tsdb_head_series")?,
            samples_per_second: samples / seconds,
            scrape: [scrape(0.5)?, scrape(0.99)?, scrape(1.0)?],
            rules,
            rule_share: rules / self.one("max(prometheus_rule_group_interval_seconds)")?,
            queries,
            resident_mib: mib(memory.resident)?,
            peak_mib: mib(memory.peak)?,
            cores: now.cpu.saturating_sub(before.cpu).as_secs_f64() / seconds,
            disk_per_sample: f64::from(written) * 1024.0 / samples,
        })
    }
}

fn bytes_below(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        // A segment may be cut meanwhile.
        let Ok(metadata) = entry
            .as_ref()
            .map_err(|_| ())
            .and_then(|e| e.metadata().map_err(|_| ()))
        else {
            continue;
        };
        sum += if metadata.is_dir() {
            bytes_below(&entry?.path())?
        } else {
            metadata.len()
        };
    }
    Ok(sum)
}

impl Figures {
    /// Fails unless every daemon was scraped with success.
    pub(super) fn check(&self, daemons: u32) -> Result<()> {
        let missing = f64::from(daemons) - self.up;
        ensure!(missing.abs() < 0.5, "{missing} daemons are not up");
        Ok(())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = self.scrape.map(|seconds| seconds * 1e3);
        writeln!(f, "daemons up                       {:>10.0}", self.up)?;
        writeln!(f, "series in memory                 {:>10.0}", self.series)?;
        writeln!(
            f,
            "samples/s                        {:>10.0}",
            self.samples_per_second
        )?;
        writeln!(
            f,
            "scrape p50, p99, max             {p50:>10.1} ms, {p99:.1} ms, {max:.1} ms"
        )?;
        writeln!(
            f,
            "rules, one evaluation            {:>10.1} ms, {:.2} % of their interval",
            self.rules * 1e3,
            self.rule_share * 100.0
        )?;
        for (what, seconds) in &self.queries {
            writeln!(f, "query: {what:<36} {:>6.1} ms", seconds * 1e3)?;
        }
        writeln!(
            f,
            "memory, resident and peak        {:>10.0} MiB, {:.0} MiB",
            self.resident_mib, self.peak_mib
        )?;
        writeln!(
            f,
            "processor                        {:>10.3} cores",
            self.cores
        )?;
        write!(
            f,
            "written to its log               {:>10.2} bytes a sample",
            self.disk_per_sample
        )
    }
}
