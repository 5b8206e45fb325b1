//! What is measured: our daemon on either link source, or the baseline.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::child::Running;
use portsyncd_tests::{Daemon, DaemonConfig, Source};

use super::blocking::{READY, STOPPED};
use super::resp::Subscriber;
use super::samples::as_f64;
use super::usage::{CpuClock, wait_until_quiet};
use super::world::World;
use super::{PATIENCE, against};

/// A kind of daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// portsyncd, link messages through the eBPF program and its ring.
    Ebpf,
    /// portsyncd, link messages from a plain socket.
    Netlink,
    /// The blocking baseline.
    Blocking,
    /// The daemon of `--against`.
    Other,
}

impl Subject {
    /// The order in which they are measured.
    pub(super) fn all(world: &World) -> Vec<Self> {
        let other = world.against.as_ref().map(|_| Self::Other);
        [Self::Ebpf, Self::Netlink, Self::Blocking]
            .into_iter()
            .chain(other)
            .collect()
    }

    /// Its name in the table.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ebpf => "portsyncd, ebpf",
            Self::Netlink => "portsyncd, netlink",
            Self::Blocking => "blocking baseline",
            Self::Other => "the other daemon",
        }
    }

    /// The daemon's link source; none for the baseline.
    pub(super) fn source(self) -> Option<Source> {
        match self {
            Self::Ebpf => Some(Source::Ebpf),
            Self::Netlink => Some(Source::Netlink),
            Self::Blocking | Self::Other => None,
        }
    }

    /// Starts it on cleared databases and waits until every port is published.
    pub(super) fn start(self, world: &World) -> Result<Live> {
        world.clear()?;
        let live = if let Some(source) = self.source() {
            let mut events = world.done_events()?;
            let daemon = start_daemon(world, source)?;
            wait_for_init_done(&mut events)?;
            Live::Daemon(daemon)
        } else if self == Self::Other {
            let mut events = world.done_events()?;
            let running = against::start(world)?;
            let output = running.output().clone();
            wait_for_init_done(&mut events)
                .with_context(|| format!("it said:\n{}", output.tail(20)))?;
            Live::Other(running)
        } else {
            world.fill_appl_db()?;
            let running = start_blocking(world)?;
            running.output().wait_for(READY, PATIENCE)?;
            Live::Blocking(running)
        };
        world.bed.oracle()?.converge(PATIENCE)?;
        Ok(live)
    }
}

/// Our daemon as it is deployed: every key that is no path is the default.
pub(super) fn daemon_config(world: &World, source: Source) -> DaemonConfig {
    let socket = world.bed.redis().socket().display().to_string();
    DaemonConfig::empty()
        .set("link.source", source.to_string())
        .set("database.redis_socket", socket)
        .binary(&world.daemon)
}

/// Starts it so.
pub(super) fn start_daemon(world: &World, source: Source) -> Result<Daemon> {
    world.bed.start(daemon_config(world, source))
}

/// Starts it with the default source and waits until it has nothing left to do; its clock
/// and Redis'.
pub(super) fn start_at_rest(world: &World) -> Result<(Daemon, [CpuClock; 2])> {
    world.clear()?;
    let mut events = world.done_events()?;
    let daemon = start_daemon(world, Source::Auto)?;
    wait_for_init_done(&mut events)?;
    world.bed.oracle()?.converge(PATIENCE)?;
    wait_until_settled(&daemon)?;
    let clocks = [CpuClock::of(daemon.pid())?, world.redis_cpu()?];
    wait_until_quiet(&clocks)?;
    Ok((daemon, clocks))
}

/// Waits until the daemon has done what it puts off until it is in step: the better
/// source, the hook, the first look at Redis, the first saved files.
fn wait_until_settled(daemon: &Daemon) -> Result<()> {
    /// Longer than the pauses between any two of these.
    const PAUSE: std::time::Duration = std::time::Duration::from_secs(4);
    daemon.log().wait_for("carrier_hook=", PATIENCE)?;
    thread::sleep(PAUSE);
    Ok(())
}

/// Waits until PortInitDone is visible in Redis.
pub(super) fn wait_for_init_done(events: &mut Subscriber) -> Result<()> {
    loop {
        let (channel, _) = events.next().context("waiting for PortInitDone")?;
        if channel.ends_with("PortInitDone") {
            return Ok(());
        }
    }
}

fn start_blocking(world: &World) -> Result<Running> {
    let log = world.directory.path().join("log");
    // A socket's file of the last round; it may not be there.
    drop(std::fs::remove_file(&log));
    let lines = UnixDatagram::bind(&log).context("cannot bind the log socket")?;
    // In the place of rsyslogd, but it only takes the lines away. It ends when
    // there is nobody left to send, by the timeout.
    lines.set_read_timeout(Some(PATIENCE))?;
    thread::spawn(move || {
        let mut line = [0; 2048];
        while lines.recv(&mut line).is_ok() {}
    });
    let mut command = Command::new(std::env::current_exe().context("cannot find this executable")?);
    command
        .args(["bench", "--blocking"])
        .arg(world.bed.redis().socket())
        .arg(&log);
    Running::start(world.bed.namespace(), "the blocking baseline", command)
}

/// What runs.
pub(super) enum Live {
    Daemon(Daemon),
    Blocking(Running),
    Other(Running),
}

/// What a daemon says it did, when it stops.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    /// Link messages that it worked on.
    pub(super) messages: u64,
    /// Messages that the ring had no room for.
    pub(super) ring_lost: u64,
    /// Overruns of its socket; each costs an unknown number of messages.
    pub(super) overruns: u64,
    /// Dumps, the one of the start included.
    pub(super) dumps: u64,
    /// From link message to acknowledged row, in seconds: p50, p99, max; NaN where
    /// a daemon does not account for it.
    pub(super) latency: [f64; 3],
}

impl Live {
    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Daemon(daemon) => daemon.pid(),
            Self::Blocking(running) | Self::Other(running) => running.pid(),
        }
    }

    /// Waits until our daemon has done what it puts off until it is in step.
    pub(super) fn wait_until_settled(&self) -> Result<()> {
        match self {
            Self::Daemon(daemon) => wait_until_settled(daemon),
            Self::Blocking(_) | Self::Other(_) => Ok(()),
        }
    }

    /// Its processor time.
    pub(super) fn cpu(&self) -> Result<CpuClock> {
        CpuClock::of(self.pid())
    }

    /// Stops it by SIGTERM and reads its last line.
    pub(super) fn stop(self) -> Result<Account> {
        let (output, said) = match self {
            Self::Daemon(daemon) => {
                let output = daemon.log().clone();
                daemon.stop()?;
                (output, "portsyncd stopped")
            }
            Self::Blocking(mut running) => {
                running.signal(Signal::SIGTERM)?;
                let status = running.wait(PATIENCE)?;
                ensure!(
                    status.success(),
                    "the baseline ended with {status}:\n{}",
                    running.output().tail(20)
                );
                (running.output().clone(), STOPPED)
            }
            Self::Other(mut running) => {
                running.signal(Signal::SIGTERM)?;
                // How it ends is its own matter.
                running.wait(PATIENCE)?;
                return Ok(Account::NONE);
            }
        };
        Account::from_line(&output.wait_for(said, PATIENCE)?)
    }
}

impl Account {
    /// Of a daemon that says nothing of itself.
    const NONE: Self = Self {
        messages: 0,
        ring_lost: 0,
        overruns: 0,
        dumps: 0,
        latency: [f64::NAN; 3],
    };

    /// Reads `name=number` pairs; what a daemon does not count is 0.
    fn from_line(line: &str) -> Result<Self> {
        let number = |name: &str| -> Option<u64> {
            line.split(' ')
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        };
        let count = |name| number(name).unwrap_or_default();
        let seconds = |name| number(name).map_or(f64::NAN, |micros| as_f64(micros) / 1e6);
        Ok(Self {
            messages: number("link_messages")
                .with_context(|| format!("no link_messages=NUMBER in {line:?}"))?,
            ring_lost: count("ring_lost"),
            overruns: count("overruns"),
            dumps: count("resyncs") + count("partial_dumps"),
            latency: ["latency_p50_us", "latency_p99_us", "latency_max_us"].map(seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_the_last_line() {
        let line = "2026-01-31T12:00:00Z NOTICE portsyncd stopped link_messages=77 malformed=0 \
                    ring_lost=5 overruns=1 resyncs=2 partial_dumps=1 batches=9 latency_p50_us=48 \
                    latency_p99_us=160 latency_max_us=2113";
        let account = Account::from_line(line).expect("an account");
        assert_eq!((account.messages, account.ring_lost), (77, 5));
        assert_eq!((account.overruns, account.dumps), (1, 3));
        let latency = account.latency.map(|seconds| format!("{seconds:.6}"));
        assert_eq!(latency, ["0.000048", "0.000160", "0.002113"]);
        assert!(Account::from_line("portsyncd stopped").is_err());
    }
}
