//! A guest from the outside: QEMU, its console, its end.
//!
//! QEMU emulates the processor (TCG), so it needs no `/dev/kvm` and no root.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::guest::{JOBS, Job, Mark};
use super::image::unpack;
use super::kernels::Kernel;
use super::qemu::Qemu;
use super::tree::Tree;
use crate::command::workspace_root;

/// From power on to the first job.
const BOOT_WITHIN: Duration = Duration::from_secs(120);
/// The tap driver, and a bridge with what it needs, in the order of loading.
const MODULES: [&str; 4] = ["tun", "llc", "stp", "bridge"];

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

/// Boots `kernel` with what is in `tree`, runs `jobs` in it one after the other and
/// waits for its end. `told` sees every finished job at once.
pub(crate) fn boot(
    kernel: &Kernel,
    mut tree: Tree,
    jobs: &[Job],
    mut told: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    let qemu = Qemu::find(&workspace_root()?)?;
    let modules = add_modules(kernel, &mut tree)?;
    tree.program(Path::new("/init"), &std::env::current_exe()?)?;
    let jobs_file = serde_json::json!({
        "modules": modules,
        "jobs": jobs.iter().map(Job::to_json).collect::<Vec<_>>(),
    });
    tree.file(Path::new(JOBS), jobs_file.to_string().as_bytes())?;
    let scratch = tempfile::tempdir()?;
    let initramfs = scratch.path().join("initramfs");
    fs::write(&initramfs, tree.finish()?)?;

    let mut command = qemu.command();
    command.args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "2048"]);
    command.args([
        "-nographic",
        "-no-reboot",
        "-nodefaults",
        "-serial",
        "stdio",
    ]);
    command.args(["-append", "console=ttyS0 panic=-1 quiet"]);
    command.arg("-kernel").arg(&kernel.image);
    command.arg("-initrd").arg(&initramfs);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut guest = Guest::start(&mut command)?;

    guest.wait_for(Mark::READY, Instant::now() + BOOT_WITHIN)?;
    let mut outcomes = Vec::new();
    for job in jobs {
        let begin = format!("{}{}", Mark::BEGIN, job.name);
        guest.wait_for(&begin, Instant::now() + BOOT_WITHIN)?;
        let started = Instant::now();
        let end = format!("{}{} ", Mark::END, job.name);
        // The guest ends a job that takes too long; a guest that hangs does not.
        let (lines, last) = guest.wait_for(&end, started + job.timeout * 2 + BOOT_WITHIN)?;
        let outcome = Outcome {
            name: job.name.clone(),
            lines,
            end: last.trim_start_matches(&end).to_owned(),
            took: started.elapsed(),
        };
        told(&outcome);
        outcomes.push(outcome);
    }
    guest.wait(Instant::now() + BOOT_WITHIN)?;
    Ok(outcomes)
}

/// Puts the modules that the kernel does not have built in into `tree`; where.
fn add_modules(kernel: &Kernel, tree: &mut Tree) -> Result<Vec<String>> {
    let builtin = fs::read_to_string(kernel.modules.join("modules.builtin"))
        .context("the kernel's modules.builtin")?;
    let mut places = Vec::new();
    for module in MODULES {
        let file = format!("{module}.ko");
        if builtin
            .lines()
            .any(|line| line.ends_with(&format!("/{file}")))
        {
            continue;
        }
        let found = find(&kernel.modules, &file)?;
        let found = found.with_context(|| format!("{} has no {file}", kernel.version))?;
        let mut bytes = fs::read(&found)?;
        if found.extension().is_some_and(|end| end == "xz") {
            bytes = unpack("xz", &bytes)?;
        }
        let place = format!("/modules/{file}");
        tree.file(Path::new(&place), &bytes)?;
        places.push(place);
    }
    Ok(places)
}

/// The module `name`, packed or not, below `directory`.
fn find(directory: &Path, name: &str) -> Result<Option<std::path::PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&entry.path(), name)? {
                return Ok(Some(found));
            }
        } else {
            let file = entry.file_name().to_string_lossy().into_owned();
            if file.strip_suffix(".xz").unwrap_or(&file) == name {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}

/// A running QEMU; killed when dropped.
struct Guest {
    qemu: Child,
    console: mpsc::Receiver<String>,
    /// The last lines, for whoever has to find out why it failed.
    tail: Vec<String>,
}

impl Guest {
    fn start(command: &mut Command) -> Result<Self> {
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
