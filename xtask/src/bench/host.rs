//! The machine that the figures come from.

use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::command::try_read;

/// What a reader needs to know to judge the figures.
#[derive(Clone, Debug)]
pub(super) struct Host {
    date: String,
    kernel: String,
    processor: String,
    processors: usize,
    system: String,
    redis: String,
    /// Runnable tasks, averaged over the last minute, before the run.
    load_before: f64,
}

impl Host {
    /// Looks at this machine.
    pub(super) fn look() -> Result<Self> {
        let name = rustix::system::uname();
        let cpuinfo = read("/proc/cpuinfo")?;
        let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let unknown = || "unknown".to_owned();
        Ok(Self {
            date: try_read(Command::new("date").args(["--utc", "+%F %H:%M UTC"]))
                .map_or_else(unknown, |date| date.trim().to_owned()),
            kernel: format!(
                "{} {}",
                name.release().to_string_lossy(),
                name.machine().to_string_lossy()
            ),
            processor: cpuinfo
                .lines()
                .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
                .map_or_else(unknown, |(_, model)| model.to_owned()),
            processors: thread::available_parallelism()
                .context("number of processors")?
                .get(),
            system: os
                .lines()
                .find_map(|line| line.strip_prefix("PRETTY_NAME="))
                .map_or_else(unknown, |name| name.trim_matches('"').to_owned()),
            redis: try_read(Command::new("redis-server").arg("--version"))
                .and_then(|text| Some(text.split_once("v=")?.1.split(' ').next()?.to_owned()))
                .unwrap_or_else(unknown),
            load_before: load()?,
        })
    }

    /// A line or two for people.
    pub(super) fn text(&self, load_after: f64) -> String {
        format!(
            "{}; {}; kernel {}; {} × {}; Redis {} on a unix socket\n\
             load average (1 min) {:.2} before, {load_after:.2} after\n",
            self.date,
            self.system,
            self.kernel,
            self.processors,
            self.processor,
            self.redis,
            self.load_before,
        )
    }

    /// The same for programs.
    pub(super) fn json(&self, load_after: f64) -> Value {
        json!({
            "date": self.date,
            "kernel": self.kernel,
            "processor": self.processor,
            "processors": self.processors,
            "system": self.system,
            "redis": self.redis,
            "load_before": self.load_before,
            "load_after": load_after,
        })
    }
}

/// The load average of the last minute (proc(5)).
pub(crate) fn load() -> Result<f64> {
    let text = read("/proc/loadavg")?;
    text.split(' ')
        .next()
        .and_then(|load| load.parse().ok())
        .with_context(|| format!("/proc/loadavg says {text:?}"))
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {file}"))
}
