//! What happens inside a guest: this executable is its init (`/init`, process 1).
//!
//! It mounts what programs expect, loads modules, runs the jobs one after the other
//! and turns the machine off. The console is its only way out: what a job prints
//! stands between two lines of [`Mark`]s.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, kill_process_group, setrlimit, wait,
};
use rustix::system::{RebootCommand, init_module, reboot};
use serde_json::Value;

/// Where the jobs are written down in the guest.
pub(super) const JOBS: &str = "/jobs.json";

/// As many as systemd allows a service.
const OPEN_FILES: u64 = 524_288;

/// How the lines begin that are for the host to understand.
pub(super) struct Mark;

impl Mark {
    pub(super) const BEGIN: &str = "@@@ begin ";
    pub(super) const END: &str = "@@@ end ";
    pub(super) const READY: &str = "@@@ ready ";
    pub(super) const FAILED: &str = "@@@ init failed: ";
}

/// Something to run in a guest.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// What reports call it.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
}

impl Job {
    fn to_json(&self) -> Value {
        serde_json::json!({
            "name": self.name,
            "program": self.program,
            "arguments": self.arguments,
            "environment": self.environment,
            "timeout_ms": u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn from_json(json: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            name: text(&json["name"])?,
            program: PathBuf::from(text(&json["program"])?),
            arguments: json["arguments"]
                .as_array()?
                .iter()
                .map(text)
                .collect::<Option<_>>()?,
            environment: json["environment"]
                .as_object()?
                .iter()
                .map(|(name, value)| Some((name.clone(), text(value)?)))
                .collect::<Option<_>>()?,
            timeout: Duration::from_millis(json["timeout_ms"].as_u64()?),
        })
    }
}

/// True in a guest, where this executable is the first process.
pub(crate) fn is_init() -> bool {
    std::process::id() == 1
}

/// The life of a guest. Never returns.
pub(crate) fn init() -> ! {
    if let Err(error) = live() {
        println!("{}{error:#}", Mark::FAILED);
    }
    // The serial port's queue empties while the machine goes down.
    let refused = reboot(RebootCommand::PowerOff);
    println!("{}power off: {refused:?}", Mark::FAILED);
    loop {
        thread::park();
    }
}

fn live() -> Result<()> {
    for (kind, place) in [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/tmp"),
        ("tmpfs", "/run"),
    ] {
        mount(kind, place, kind, MountFlags::empty(), None)
            .with_context(|| format!("mount {kind} on {place}"))?;
    }
    let jobs = read(Path::new(JOBS))?;
    for module in jobs["modules"].as_array().into_iter().flatten() {
        let file = module.as_str().context("a module's path")?;
        load(Path::new(file)).with_context(|| format!("module {file}"))?;
    }
    // Each tap is a descriptor of its test's, and tests run side by side.
    let files = Rlimit {
        current: Some(OPEN_FILES),
        maximum: Some(OPEN_FILES),
    };
    setrlimit(Resource::Nofile, files).context("RLIMIT_NOFILE")?;
    run_all(&jobs)
}

/// The jobs of a guest that has an init of its own: run by one of its services, whose
/// standard output is the serial port.
pub(crate) fn serve(jobs: &Path) -> Result<()> {
    run_all(&read(jobs)?)
}

/// What [`serve`] and a guest's init read.
pub(crate) fn jobs_file(modules: &[String], jobs: &[Job]) -> String {
    let jobs: Vec<_> = jobs.iter().map(Job::to_json).collect();
    serde_json::json!({ "modules": modules, "jobs": jobs }).to_string()
}

fn read(file: &Path) -> Result<Value> {
    let jobs = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(serde_json::from_slice(&jobs)?)
}

fn run_all(jobs: &Value) -> Result<()> {
    let version = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("{}{}", Mark::READY, version.trim());
    for job in jobs["jobs"].as_array().into_iter().flatten() {
        let job = Job::from_json(job).context("a job that is none")?;
        println!("{}{}", Mark::BEGIN, job.name);
        let end = match run(&job) {
            Ok(status) => status.to_string(),
            Err(error) => format!("{error:#}"),
        };
        println!("{}{} {end}", Mark::END, job.name);
    }
    Ok(())
}

fn load(module: &Path) -> Result<()> {
    let image = fs::read(module)?;
    Ok(init_module(&image, CString::default().as_c_str())?)
}

/// Runs a job to its end, reaping whoever is left to process 1 meanwhile.
fn run(job: &Job) -> Result<ExitStatus> {
    use std::os::unix::process::CommandExt as _;
    let child = Command::new(&job.program)
        .args(&job.arguments)
        .env_clear()
        .envs(&job.environment)
        .current_dir("/tmp")
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {}", job.program.display()))?;
    let child = Pid::from_child(&child);
    let deadline = Instant::now() + job.timeout;
    loop {
        match wait(WaitOptions::NOHANG)? {
            Some((pid, status)) if pid == child => {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
            Some(_) => {}
            None if Instant::now() >= deadline => {
                kill_process_group(child, Signal::KILL)?;
                bail!("killed after {:?}", job.timeout);
            }
            // Nobody has ended: there is no other way to wait with a deadline here.
            None => thread::sleep(Duration::from_millis(10)),
        }
    }
}
