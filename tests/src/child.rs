//! A child process in a namespace, with what it prints.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::namespace::Namespace;
use crate::wait::wait_until;

/// A number of `/proc/PID/status` (proc(5)); sizes are in KiB.
pub(crate) fn status_field(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// What a child wrote to its standard output and error, so far.
#[derive(Clone, Default)]
pub struct Output(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Output {
    /// Everything so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock()).into_owned()
    }

    /// The last `lines` lines.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Waits until a line holds `part`, and returns that line.
    pub fn wait_for(&self, part: &str, timeout: Duration) -> Result<String> {
        let deadline = Instant::now() + timeout;
        let mut bytes = self.lock();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some(line) = text.lines().find(|line| line.contains(part)) {
                return Ok(line.to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("waited {timeout:?} for {part:?} in the output, in vain");
            }
            bytes = self
                .0
                .1
                .wait_timeout(bytes, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, mut pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let output = self.clone();
        // Ends with the pipe, that is with the child.
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length) = pipe.read(&mut chunk)
                && length > 0
            {
                output.lock().extend_from_slice(&chunk[..length]);
                output.0.1.notify_all();
            }
        })
    }
}

/// A running child; killed when dropped.
pub struct Running {
    child: Child,
    what: &'static str,
    output: Output,
    followers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts `command` inside `namespace`; `what` names it in errors.
    pub fn start(namespace: &Namespace, what: &'static str, mut command: Command) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Ctrl-C is for the parent, which then ends its children in order.
        command.process_group(0);
        let mut child = namespace.spawn(command)?;
        let output = Output::default();
        let followers = vec![
            output.follow(child.stdout.take().context("no standard output")?),
            output.follow(child.stderr.take().context("no standard error")?),
        ];
        Ok(Self {
            child,
            what,
            output,
            followers,
        })
    }

    /// What it printed.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).context("a process id")?;
        kill(Pid::from_raw(pid), signal)
            .with_context(|| format!("cannot send {signal} to {}", self.what))
    }

    /// Whether it has ended, and how. Its output is complete then.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self
            .child
            .try_wait()
            .with_context(|| format!("waitpid of {}", self.what))?;
        if status.is_some() {
            self.read_to_the_end();
        }
        Ok(status)
    }

    fn read_to_the_end(&mut self) {
        for follower in self.followers.drain(..) {
            // It only copies bytes; there is nothing to panic about.
            drop(follower.join());
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.what);
        wait_until(&what, timeout, || {
            Ok(match self.ended()? {
                Some(status) => std::ops::ControlFlow::Break(status),
                None => std::ops::ControlFlow::Continue("it is still running".into()),
            })
        })
    }

    /// Ends it by `SIGKILL` and reaps it.
    pub fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .with_context(|| format!("cannot kill {}", self.what))?;
        self.child
            .wait()
            .with_context(|| format!("waitpid of {}", self.what))?;
        self.read_to_the_end();
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only when it has already ended and been reaped.
        drop(self.kill());
    }
}
