//! The daemon under test: the real binary, its configuration file, its log and
//! its end.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use toml::{Table, Value};

use crate::child::{Output, Running, status_field};
use crate::namespace::Namespace;
use crate::wait::PATIENCE;

/// The environment variable that names the binary under test.
pub const BINARY: &str = "PORTSYNCD_BIN";

/// `link.source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The daemon chooses.
    Auto,
    /// The eBPF program and its ring buffer.
    Ebpf,
    /// A plain rtnetlink socket.
    Netlink,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Ebpf => "ebpf",
            Self::Netlink => "netlink",
        })
    }
}

/// How a daemon is to be started. The metrics listener is off, and every file
/// goes into a directory of the daemon's own, unless a key says otherwise.
pub struct DaemonConfig {
    keys: Table,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    binary: Option<PathBuf>,
    wrapper: Vec<OsString>,
}

impl DaemonConfig {
    /// No keys at all.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            keys: Table::new(),
            arguments: vec![],
            environment: vec![],
            binary: None,
            wrapper: vec![],
        }
    }

    /// A daemon that uses the Redis at `socket`.
    #[must_use]
    pub fn new(source: Source, socket: &Path) -> Self {
        Self::empty()
            .set("link.source", source.to_string())
            .set("database.redis_socket", socket.display().to_string())
            .set("metrics.enabled", false)
    }

    /// Sets `section.key`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let (section, key) = key.split_once('.').unwrap_or(("", key));
        let section = self
            .keys
            .entry(section.to_owned())
            .or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(section) = section {
            section.insert(key.to_owned(), value.into());
        }
        self
    }

    /// Adds a command line argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs this binary instead of the one that [`binary`] finds.
    #[must_use]
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Runs the daemon through another program, such as setpriv(1), that replaces
    /// itself by it.
    #[must_use]
    pub fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(OsString::from).collect();
        self
    }

    /// The configuration file's text.
    pub fn text(&self) -> Result<String> {
        toml::to_string(&self.keys).context("the configuration does not fit TOML")
    }

    /// Starts the daemon inside `namespace`.
    pub fn start(mut self, namespace: &Namespace) -> Result<Daemon> {
        let directory = tempfile::Builder::new()
            .prefix("portsyncd-daemon-")
            .tempdir()
            .context("cannot make a directory for the daemon")?;
        for (key, folder) in [
            ("metrics.storage_path", "metrics"),
            ("warm_restart.state_path", "state"),
        ] {
            self = self.set_default(key, directory.path().join(folder).display().to_string());
        }
        let file = directory.path().join("portsyncd.conf");
        fs::write(&file, self.text()?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        let binary = match self.binary {
            Some(path) => path,
            None => binary()?,
        };
        let mut words = self.wrapper.into_iter().chain([binary.into_os_string()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .arg("--config")
            .arg(&file)
            .args(&self.arguments);
        // The log comes to us, not to a journal that started the tests.
        command
            .env_remove("JOURNAL_STREAM")
            .env_remove("NOTIFY_SOCKET");
        command
            .env_remove("PORTSYNCD_LOG_LEVEL")
            .env("NO_COLOR", "1")
            .envs(self.environment);
        let running = Running::start(namespace, "portsyncd", command)?;
        Ok(Daemon { running, directory })
    }

    fn set_default(self, key: &str, value: String) -> Self {
        let set = key.split_once('.').is_some_and(|(section, name)| {
            self.keys
                .get(section)
                .and_then(|section| section.get(name))
                .is_some()
        });
        if set { self } else { self.set(key, value) }
    }
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    // Dropped first: the daemon must be gone before its directory.
    running: Running,
    directory: TempDir,
}

impl Daemon {
    /// Its log, from standard output and error.
    #[must_use]
    pub fn log(&self) -> &Output {
        self.running.output()
    }

    /// Waits until a log line holds `part`, and returns that line.
    pub fn wait_for_log(&self, part: &str) -> Result<String> {
        self.log().wait_for(part, PATIENCE)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The directory of its configuration, state and metrics files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running.signal(signal)
    }

    /// Fails if it has ended.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.running.ended()? {
            None => Ok(()),
            Some(status) => bail!("portsyncd ended by itself: {status}"),
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        self.running.wait(timeout)
    }

    /// Stops it by `SIGTERM`, as systemd does, and expects exit status 0.
    pub fn stop(mut self) -> Result<()> {
        self.still_runs()?;
        self.signal(Signal::SIGTERM)?;
        let status = self.wait(PATIENCE)?;
        ensure!(
            status.code() == Some(0),
            "after SIGTERM portsyncd ended with {status}, not 0"
        );
        Ok(())
    }

    /// Ends it by `SIGKILL`, as a crash does.
    pub fn kill(mut self) -> Result<()> {
        self.running.kill()
    }

    /// CPU time used so far, user and system (`/proc/PID/stat`, proc(5)).
    pub fn cpu_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // The name, in parentheses, may hold spaces; utime is field 14 of stat.
        let (_, fields) = stat
            .rsplit_once(')')
            .context("/proc/PID/stat has no name")?;
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().context("/proc/PID/stat"))
            .sum::<Result<u64>>()?;
        // USER_HZ is 100 on every architecture that SONiC runs on.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory now, in KiB (`VmRSS` of `/proc/PID/status`).
    pub fn resident_kib(&self) -> Result<u64> {
        status_field(self.pid(), "VmRSS:").context("no VmRSS")
    }
}

/// The binary under test: `$PORTSYNCD_BIN`, else the newer of the release and
/// the debug build beside the running executable.
///
/// Another package's binary is not built by `cargo test`, so it may be missing;
/// the error then says how to build it.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os(BINARY) {
        let path = PathBuf::from(path);
        ensure!(
            path.is_file(),
            "{BINARY}={}: there is no such file",
            path.display()
        );
        return Ok(path);
    }
    let executable = env::current_exe().context("where am I?")?;
    let newest = executable
        .ancestors()
        .flat_map(|folder| {
            ["release", "debug"].map(|profile| folder.join(profile).join("portsyncd"))
        })
        .filter_map(|path| Some((modified(&path)?, path)))
        .max();
    match newest {
        Some((_, path)) => Ok(path),
        None => bail!(
            "there is no portsyncd beside {}: build it with `cargo build --release -p portsyncd`, \
             or name it in {BINARY}",
            executable.display()
        ),
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    let metadata = fs::metadata(path).ok()?;
    metadata.is_file().then(|| metadata.modified().ok())?
}
