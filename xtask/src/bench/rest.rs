//! What the daemon does when nothing happens: processor time, wake-ups, system calls.
//!
//! Tracing disturbs, so system calls are counted afterwards, in a time of their own, by
//! strace(1) where the machine has it.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::child::Running;

use super::PATIENCE;
use super::plan::Plan;
use super::report::{Cell, Report, Section};
use super::samples::as_f64;
use super::subject::start_at_rest;
use super::usage::{CpuClock, WakeUps};
use super::world::World;
use crate::command::find_program;

/// Of one core.
const MOST_CPU: f64 = 0.0005;
const MOST_WAKE_UPS: f64 = 2.0;

/// Measures and reports.
pub(super) fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    let ports = world.names.len();
    world.say("at rest: waiting for it")?;
    let (daemon, [cpu, redis]) = start_at_rest(world)?;
    world.say(&format!("at rest for {:?}", plan.rest))?;
    let (own, server) = (Rest::begin(cpu)?, Rest::begin(redis)?);
    let mut wake_ups = WakeUps::begin(daemon.pid())?;
    nap(world, plan.rest, || wake_ups.look().map(drop))?;
    let (seconds, busy) = own.end()?;
    let (_, redis_busy) = server.end()?;
    let switches = as_f64(wake_ups.look()?) / seconds;

    let calls = match find_program("strace") {
        Some(_) => count_calls(world, plan, daemon.pid())?,
        None => None,
    };
    daemon.stop()?;

    let mut section = Section::new(
        &format!("At rest with {ports} ports"),
        &format!(
            "default configuration, nobody asks; over {:?}, system calls by strace over another {:?}",
            plan.rest, plan.traced_rest
        ),
        &["processor time/s", "wake-ups/s", "system calls/s"],
    );
    section.row(
        "portsyncd, auto",
        &[
            Cell::Seconds(busy),
            Cell::Number(switches),
            calls.map_or(Cell::None, Cell::Number),
        ],
    );
    section.row("Redis", &[Cell::Seconds(redis_busy)]);
    section.note("wake-ups: wanted context switches of all threads");
    report.add(section);
    report.target("at rest: wake-ups per second", switches, MOST_WAKE_UPS);
    report.target(
        "at rest: processor time, % of a core",
        busy * 100.0,
        MOST_CPU * 100.0,
    );
    Ok(())
}

/// A process' processor time over some real time.
struct Rest {
    clock: CpuClock,
    begun: Instant,
    before: Duration,
}

impl Rest {
    fn begin(clock: CpuClock) -> Result<Self> {
        Ok(Self {
            clock,
            begun: Instant::now(),
            before: clock.read()?,
        })
    }

    /// Seconds, and the share of them that it was busy.
    fn end(self) -> Result<(f64, f64)> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let busy = self.clock.since(self.before)?.as_secs_f64();
        Ok((seconds, busy / seconds))
    }
}

/// Does nothing, but for a look each second, and whether somebody asked to stop.
fn nap(world: &World, time: Duration, mut look: impl FnMut() -> Result<()>) -> Result<()> {
    const LOOK: Duration = Duration::from_secs(1);
    let until = Instant::now() + time;
    while Instant::now() < until {
        world.check()?;
        thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        look()?;
    }
    Ok(())
}

/// System calls of all threads, per second; none where nobody may trace.
fn count_calls(world: &World, plan: &Plan, pid: u32) -> Result<Option<f64>> {
    let file = world.directory.path().join("calls");
    let mut command = Command::new("strace");
    command
        .args(["--follow-forks", "--summary-only", "--output"])
        .arg(&file)
        .arg(format!("--attach={pid}"))
        .stdout(Stdio::null());
    let mut strace = Running::start(world.bed.namespace(), "strace", command)?;
    let attached = strace.output().wait_for("attached", PATIENCE);
    if let Err(error) = attached {
        // Some containers forbid ptrace(2), to root as well.
        eprintln!(
            "bench: no system calls counted: {error:#}: {}",
            strace.output().tail(3)
        );
        return Ok(None);
    }
    let begun = Instant::now();
    nap(world, plan.traced_rest, || Ok(()))?;
    let seconds = begun.elapsed().as_secs_f64();
    // It lets the daemon go and writes its table.
    strace.signal(Signal::SIGINT)?;
    strace.wait(PATIENCE)?;
    let table = fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
    Ok(Some(as_f64(calls_of(&table)?) / seconds))
}

/// Adds up the column `calls` of strace's table, which is empty where there were none.
fn calls_of(table: &str) -> Result<u64> {
    let mut sum = 0;
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // "% time, seconds, usecs/call, calls, [errors,] syscall"
        if words.len() < 5 || words[0].parse::<f64>().is_err() || words.last() == Some(&"total") {
            continue;
        }
        let calls: u64 = words[3]
            .parse()
            .with_context(|| format!("strace's line {line:?}"))?;
        ensure!(calls > 0, "strace's line {line:?}");
        sum += calls;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straces_table_is_added_up() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 98.00    0.000980          49        20         2 epoll_wait
  2.00    0.000020          10         2           write
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000          45        22         2 total
";
        assert_eq!(calls_of(table).expect("a table"), 22);
        assert_eq!(calls_of("").expect("nothing happened"), 0);
    }
}
