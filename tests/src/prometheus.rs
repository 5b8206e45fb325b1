//! The real Prometheus, in a test's namespace, beside the daemon that it scrapes.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::child::Running;
use crate::http::{connect, read_answer};
use crate::namespace::Namespace;
use crate::wait::{PATIENCE, wait_until};

/// Where it listens: the daemon has its default port.
const LISTENER: &str = "127.0.0.1:9091";

/// A Prometheus server; killed, and its files removed, when dropped.
pub struct Prometheus {
    // Dropped first: the server must be gone before its directory.
    running: Running,
    namespace: Namespace,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts it with the monitoring kit's own configuration and rules, but with a second between
    /// two scrapes and evaluations, and waits until it is ready.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("portsyncd-prometheus-")
            .tempdir()
            .context("cannot make a directory for Prometheus")?;
        let path = |name: &str| directory.path().join(name);
        for name in ["prometheus.yml", "portsyncd.rules.yml"] {
            fs::write(path(name), hurried(&fs::read_to_string(kit().join(name))?))?;
        }
        let mut command = Command::new("prometheus");
        command
            .arg("--config.file")
            .arg(path("prometheus.yml"))
            .arg("--storage.tsdb.path")
            .arg(path("data"))
            .args(["--web.listen-address", LISTENER])
            .args(["--log.level", "warn"]);
        let running = Running::start(namespace, "prometheus", command)
            .context("Debian's package prometheus: cargo xtask setup")?;
        let mut server = Self {
            running,
            namespace: namespace.clone(),
            _directory: directory,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        wait_until("Prometheus is ready", PATIENCE, || {
            if let Some(status) = self.running.ended()? {
                let said = self.running.output().tail(20);
                anyhow::bail!("prometheus ended: {status}\n{said}");
            }
            Ok(match self.get("/-/ready") {
                Ok(_) => ControlFlow::Break(()),
                Err(error) => ControlFlow::Continue(format!("{error:#}")),
            })
        })
    }

    /// The series that an expression gives now.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let path = format!("/api/v1/query?query={}", escape(expression));
        let answer = self.get(&path).with_context(|| expression.to_owned())?;
        let result = answer["data"]["result"].as_array();
        result.cloned().context("no series in the answer")
    }

    /// Waits until an expression gives series that `holds` is content with.
    pub fn wait_for(
        &self,
        expression: &str,
        mut holds: impl FnMut(&[Value]) -> bool,
    ) -> Result<Vec<Value>> {
        wait_until(&format!("{expression} holds"), PATIENCE, || {
            let series = self.query(expression)?;
            Ok(if holds(&series) {
                ControlFlow::Break(series)
            } else {
                ControlFlow::Continue(format!("{series:?}"))
            })
        })
    }

    /// The alerting rules as Prometheus read them: `name` and `query`.
    pub fn rules(&self) -> Result<Vec<(String, String)>> {
        let answer = self.get("/api/v1/rules?type=alert")?;
        let groups = answer["data"]["groups"].as_array().context("no groups")?;
        let rules = groups.iter().filter_map(|group| group["rules"].as_array());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(rules
            .flatten()
            .map(|rule| (text(&rule["name"]), text(&rule["query"])))
            .collect())
    }

    fn get(&self, path: &str) -> Result<Value> {
        let mut stream = connect(&self.namespace, LISTENER)?;
        // To a client of 1.0 nothing comes in chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {LISTENER}\r\n\r\n")?;
        let answer = read_answer(stream)?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
        // Some answers are plain text.
        Ok(serde_json::from_str(&answer.body).unwrap_or(Value::Null))
    }
}

/// The directory of the monitoring kit.
#[must_use]
pub fn kit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitoring")
}

/// The kit's file with every period cut to a second.
fn hurried(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let period = [
            "scrape_interval:",
            "scrape_timeout:",
            "evaluation_interval:",
            "interval:",
        ]
        .into_iter()
        .find(|key| line.trim_start().starts_with(key));
        match period.and_then(|key| line.split_once(key)) {
            Some((indent, _)) => {
                out.push_str(indent);
                out.push_str(period.unwrap_or_default());
                out.push_str(" 1s");
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn escape(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
