//! The stage: namespace, netdevs, Redis and the daemon, and what was found out
//! on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use portsyncd_tests::child::Output;
use portsyncd_tests::oracle::{Row, rows};
use portsyncd_tests::{Bed, Consumer, Daemon, Source, Tap, port_names};

use super::PATIENCE;
use super::watch::Watch;
use crate::command::is_root;

/// How many ports the show has.
pub(super) const PORTS: usize = 32;

/// Everything that is on the stage.
pub(super) struct Stage {
    // The daemon ends before its Redis and its netdevs go.
    daemon: Option<Daemon>,
    binary: PathBuf,
    /// The netdevs; one is missing while it is broken out.
    pub(super) taps: Vec<Tap>,
    /// The stopwatch.
    pub(super) watch: Watch,
    /// The namespace and Redis.
    pub(super) bed: Bed,
    names: Vec<String>,
    link_source: String,
    findings: Vec<String>,
}

impl Stage {
    /// Everything but the daemon.
    pub(super) fn set(binary: &Path) -> Result<Self> {
        let bed = Bed::new(Source::Auto)?;
        let names = port_names(PORTS);
        bed.configure(&names)?;
        let taps = bed.taps(&names)?;
        taps.iter().try_for_each(|tap| tap.set_mtu(9100))?;
        let watch = Watch::new();
        watch.hear_redis(bed.redis())?;
        Ok(Self {
            daemon: None,
            binary: binary.to_owned(),
            taps,
            watch,
            bed,
            names,
            link_source: "not started yet".to_owned(),
            findings: Vec::new(),
        })
    }

    /// Starts the daemon and waits for `PortInitDone` as orchagent would; returns how
    /// long that took.
    pub(super) fn start_daemon(&mut self) -> Result<Duration> {
        let consumer = Consumer::start(self.bed.redis())?;
        let begun = Instant::now();
        let daemon = self.bed.start(self.bed.config().binary(&self.binary))?;
        let daemon = self.daemon.insert(daemon);
        consumer.wait_for_within("PortInitDone", PATIENCE)?;
        let took = begun.elapsed();
        consumer.wait_for_within("PortConfigDone", PATIENCE)?;
        // `auto` takes its source once it is in step.
        daemon.log().wait_for("link source ", PATIENCE)?;
        self.link_source = link_source(&daemon.log().text());
        Ok(took)
    }

    /// The port names in their order on a front panel.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The link source that the daemon chose, and why, in its own words.
    pub(super) fn link_source(&self) -> &str {
        &self.link_source
    }

    /// The port table as `STATE_DB` has it; none while Redis is away.
    pub(super) fn published(&self) -> Option<BTreeMap<String, Row>> {
        rows(&mut self.bed.state_db().ok()?, "PORT_TABLE").ok()
    }

    /// How many ports differ from the kernel; none while Redis is away.
    pub(super) fn differing(&self) -> Option<usize> {
        Some(self.bed.oracle().ok()?.differences().ok()?.len())
    }

    /// Waits until `STATE_DB` equals the kernel; returns how long that took.
    pub(super) fn converge(&self) -> Result<Duration> {
        let begun = Instant::now();
        self.bed.oracle()?.converge(PATIENCE)?;
        Ok(begun.elapsed())
    }

    /// Checks every port once more; returns how many there are.
    pub(super) fn verify(&self) -> Result<usize> {
        self.converge()?;
        let rows = self.published().context("Redis does not answer")?;
        Ok(self
            .names
            .iter()
            .filter(|name| rows.contains_key(*name))
            .count())
    }

    /// Notes something for the summary.
    pub(super) fn found(&mut self, what: &str, finding: &str) {
        self.findings.push(line(what, finding));
    }

    /// What was noted, and what the daemon used.
    pub(super) fn findings(&self) -> Vec<String> {
        let mut lines = self.findings.clone();
        if let Some(daemon) = &self.daemon
            && let (Ok(cpu), Ok(kib)) = (daemon.cpu_time(), daemon.resident_kib())
        {
            let seconds = cpu.as_secs_f64();
            let (mib, tenth) = (kib / 1024, kib % 1024 * 10 / 1024);
            let cost = format!("{seconds:.2} s of CPU in all, {mib}.{tenth} MiB resident");
            lines.push(line("Cost", &cost));
        }
        lines
    }

    /// What helps to understand a failure.
    pub(super) fn report(&self) -> String {
        match &self.daemon {
            Some(daemon) => end_of(daemon.log()),
            None => "The daemon was not started.".to_owned(),
        }
    }

    /// How to look around while the stage stays up.
    pub(super) fn how_to_look(&self) -> String {
        let socket = self.bed.redis().socket().display().to_string();
        let netns = self.bed.namespace().path().display().to_string();
        format!(
            "\n Still up; Ctrl-C ends it. In another terminal{}:\n   \
             redis-cli -s {socket} -n 6 HGETALL 'PORT_TABLE|Ethernet0'\n   \
             redis-cli -s {socket} PSUBSCRIBE '__keyspace@6__:PORT_TABLE|*'\n   \
             nsenter --net={netns} ip link set Ethernet0 down",
            if is_root() { ", as root" } else { "" },
        )
    }

    /// Stops the daemon as systemd would and takes the rest down.
    pub(super) fn strike(mut self) -> Result<()> {
        let Some(daemon) = self.daemon.take() else {
            return Ok(());
        };
        let log = daemon.log().clone();
        daemon.stop().with_context(|| end_of(&log))
    }
}

fn end_of(log: &Output) -> String {
    format!("The end of the daemon's log:\n{}\n", log.tail(40))
}

/// A line of the summary.
pub(super) fn line(what: &str, finding: &str) -> String {
    format!(" {what:<10} {finding}")
}

/// What the daemon's log says of the link source that it took, and why.
fn link_source(log: &str) -> String {
    let quoted = |line: &str, key: &str| {
        let (_, rest) = line.split_once(&format!(" {key}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    log.lines()
        .find_map(|line| Some((quoted(line, "source")?, quoted(line, "reason")?)))
        .map_or_else(
            || "link source: not told".to_owned(),
            |(source, reason)| format!("link source: {source} ({reason})"),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_source_is_taken_from_the_log() {
        let log = "x NOTICE starting\nx NOTICE portsyncd started version=\"0.1.0\" state_db=…\n\
                   x NOTICE link source source=\"ebpf\" reason=\"auto: the host allows it\"";
        assert_eq!(
            link_source(log),
            "link source: ebpf (auto: the host allows it)"
        );
        assert_eq!(link_source(""), "link source: not told");
    }
}
