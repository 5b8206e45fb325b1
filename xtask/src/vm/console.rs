//! A guest from the outside: QEMU, what it says on its serial port, its end.
//!
//! QEMU emulates the processor (TCG), so it needs no `/dev/kvm` and no root.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::guest::{Job, Mark};

/// From power on to the first job.
const BOOT_WITHIN: Duration = Duration::from_secs(180);
/// The machine, without its serial ports and disks.
pub(crate) const HARDWARE: [&str; 12] = [
    "-accel",
    "tcg",
    "-cpu",
    "max",
    "-smp",
    "2",
    "-m",
    "2048",
    "-display",
    "none",
    "-no-reboot",
    "-nodefaults",
];

/// How a job ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    /// What it printed, a line each.
    pub(crate) lines: Vec<String>,
    /// As `ExitStatus` says it, or why there is no status.
    pub(crate) end: String,
    /// The guest's own time for it.
    pub(crate) took: Duration,
}

impl Outcome {
    pub(crate) fn is_success(&self) -> bool {
        self.end == "exit status: 0"
    }
}

/// A running QEMU, whose standard output is the guest's serial port; killed when
/// dropped.
pub(crate) struct Guest {
    qemu: Child,
    console: mpsc::Receiver<String>,
    /// The last lines, for whoever has to find out why it failed.
    tail: Vec<String>,
}

impl Guest {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut qemu = command.spawn().context("cannot run QEMU")?;
        let stdout = qemu.stdout.take().context("QEMU without output")?;
        let (lines, console) = mpsc::channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            while reader
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                line.clear();
                if lines.send(text).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            qemu,
            console,
            tail: Vec::new(),
        })
    }

    /// Sees the guest's jobs through, one after the other, and waits for its end. `told`
    /// sees every finished job at once.
    pub(crate) fn run_jobs(
        mut self,
        jobs: &[Job],
        mut told: impl FnMut(&Outcome),
    ) -> Result<Vec<Outcome>> {
        self.wait_for(Mark::READY, Instant::now() + BOOT_WITHIN)?;
        let mut outcomes = Vec::new();
        for job in jobs {
            let begin = format!("{}{}", Mark::BEGIN, job.name);
            self.wait_for(&begin, Instant::now() + BOOT_WITHIN)?;
            let started = Instant::now();
            let end = format!("{}{} ", Mark::END, job.name);
            // The guest ends a job that takes too long; a guest that hangs does not.
            let (lines, last) = self.wait_for(&end, started + job.timeout * 2 + BOOT_WITHIN)?;
            let outcome = Outcome {
                name: job.name.clone(),
                lines,
                end: last.trim_start_matches(&end).to_owned(),
                took: started.elapsed(),
            };
            told(&outcome);
            outcomes.push(outcome);
        }
        self.wait(Instant::now() + BOOT_WITHIN)?;
        Ok(outcomes)
    }

    /// Waits for a line that begins with `start`; the lines before it, and it.
    fn wait_for(&mut self, start: &str, deadline: Instant) -> Result<(Vec<String>, String)> {
        let mut lines = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.console.recv_timeout(left) {
                // The kernel's own words may stand before it on the line.
                Ok(line) => {
                    if let Some(at) = line.find(start) {
                        return Ok((lines, line[at..].to_owned()));
                    }
                    if line.contains(Mark::FAILED) {
                        bail!("{line}");
                    }
                    if self.tail.len() == 40 {
                        self.tail.remove(0);
                    }
                    self.tail.push(line.clone());
                    lines.push(line);
                }
                Err(error) => bail!(
                    "{} while waiting for \"{start}\" from the guest; it said last:\n{}",
                    error,
                    self.tail.join("\n")
                ),
            }
        }
    }

    fn wait(mut self, deadline: Instant) -> Result<()> {
        loop {
            if let Some(status) = self.qemu.try_wait()? {
                ensure!(status.success(), "QEMU ended with {status}");
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("the guest does not turn itself off");
            }
            // Its console closes when it ends.
            let _ = self.console.recv_timeout(Duration::from_millis(100));
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
