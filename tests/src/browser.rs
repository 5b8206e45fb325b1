//! A real browser in a test's namespace, Chromium without a window: what a page shows and holds.
//!
//! It is spoken to by the `DevTools` protocol, JSON ended by a zero byte, over its descriptors 3 and 4
//! (`--remote-debugging-pipe`).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child::status_field;
use crate::namespace::Namespace;
use crate::wait::{PATIENCE, wait_for};

/// A browser with one page; gone when dropped.
pub struct Browser {
    chromium: Child,
    link: BufReader<UnixStream>,
    calls: u64,
    session: Option<String>,
    _profile: TempDir,
}

impl Browser {
    /// Opens `url`; returns once the page has loaded.
    pub fn open(namespace: &Namespace, url: &str) -> Result<Self> {
        let profile = tempfile::Builder::new()
            .prefix("portsyncd-browser-")
            .tempdir()
            .context("cannot make a directory for the browser")?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        let mut command = Command::new("sh");
        command.args(["-c", "exec chromium \"$@\" 3<&0 4>&1", "sh"]);
        command.args(["--headless", "--no-sandbox", "--disable-gpu"]);
        command.args(["--no-first-run", "--disable-dev-shm-usage"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.args(["--remote-debugging-pipe", "about:blank"]);
        command.stdin(OwnedFd::from(theirs.try_clone()?));
        command.stdout(OwnedFd::from(theirs)).stderr(Stdio::null());
        let mut browser = Self {
            chromium: namespace.spawn(command)?,
            link: BufReader::new(ours),
            calls: 0,
            session: None,
            _profile: profile,
        };
        let made = browser
            .call("Target.createTarget", &json!({ "url": url }))
            .context("is Debian's package chromium installed?")?;
        let attach = json!({ "targetId": made["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", &attach)?;
        let session = attached["sessionId"].as_str().context("no session")?;
        browser.session = Some(session.to_owned());
        wait_for("the page has loaded", PATIENCE, || {
            let loaded = format!("document.readyState === 'complete' && location.href === '{url}'");
            Ok(browser.evaluate(&loaded)? == true)
        })?;
        Ok(browser)
    }

    /// The value of a JavaScript expression in the page.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let said = self.call("Runtime.evaluate", &asked)?;
        let thrown = &said["exceptionDetails"];
        ensure!(thrown.is_null(), "{expression}: {thrown}");
        Ok(said["result"]["value"].clone())
    }

    /// What the page's scripts hold, once what they let go is collected, in bytes; and its nodes.
    pub fn held(&mut self) -> Result<(u64, u64)> {
        self.call("HeapProfiler.collectGarbage", &json!({}))?;
        let heap = self.call("Runtime.getHeapUsage", &json!({}))?;
        let counts = self.call("Memory.getDOMCounters", &json!({}))?;
        let number = |value: &Value| value.as_f64().context("no number");
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sizes: the protocol has no other numbers"
        )]
        let whole = |value| Ok::<_, anyhow::Error>(number(value)? as u64);
        Ok((whole(&heap["usedSize"])?, whole(&counts["nodes"])?))
    }

    /// Resident memory of the processes that draw pages, in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let mut sum = 0;
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let words = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            if words.contains("--type=renderer") && self.is_over(pid) {
                sum += status_field(pid, "VmRSS:").unwrap_or(0);
            }
        }
        ensure!(sum > 0, "Chromium draws in no process of its own");
        Ok(sum)
    }

    /// Whether this process descends from this browser.
    fn is_over(&self, pid: u32) -> bool {
        let parent = |pid| u32::try_from(status_field(pid, "PPid:")?).ok();
        std::iter::successors(Some(pid), |pid| parent(*pid))
            .skip(1)
            .any(|pid| pid == self.chromium.id())
    }

    fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        write!(self.link.get_mut(), "{call}\0").context(method.to_owned())?;
        loop {
            let mut said = Vec::new();
            let read = self.link.read_until(0, &mut said);
            if read.with_context(|| format!("no answer to {method}"))? == 0 {
                bail!("Chromium has ended");
            }
            let mut said: Value =
                serde_json::from_slice(said.strip_suffix(b"\0").unwrap_or(&said))?;
            if said["id"] == self.calls {
                ensure!(said["error"].is_null(), "{method}: {}", said["error"]);
                return Ok(said["result"].take());
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to, it takes its own processes along.
        self.session = None;
        let asked = self.call("Browser.close", &json!({}));
        let ended = asked.and_then(|_| {
            wait_for("Chromium has ended", PATIENCE, || {
                Ok(self.chromium.try_wait()?.is_some())
            })
        });
        if ended.is_err() {
            let _ = self.chromium.kill();
            let _ = self.chromium.wait();
        }
    }
}
