//! `cargo xtask soak`: the release daemon under strain for a long time. What it holds
//! and how fast it is must stay as they were.
//!
//! Everything happens in a namespace with taps and a Redis of its own. Whether
//! something grows is no matter of looking: a line is laid through the samples by least
//! squares ([`slope`]), and it fails when that gains more than its limit, beyond doubt; the
//! latency's beside the load that the machine has.
//! A fault that is drawn at random is `cargo xtask chaos`'s; here all kinds of strain
//! come at once, evenly, for as long as is asked.

mod sample;
pub(crate) mod slope;
mod strain;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use portsyncd_tests::http::get;
use portsyncd_tests::{Bed, PATIENCE, Source, port_names};

use crate::build;
use crate::command::{is_root, this_as_root};
use crate::interrupt::Interrupt;
use sample::Sampler;
use strain::{Strain, named};

/// `cargo xtask soak`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,

    /// A daemon that is already built, instead of this checkout's
    #[arg(long, value_name = "FILE")]
    daemon: Option<PathBuf>,
}

/// Ports that stay.
const PORTS: usize = 64;

/// Strains the daemon and judges it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let daemon = build::daemon(args.daemon.as_deref())?;
    if is_root() {
        return soak(args.minutes, &daemon);
    }
    run_elsewhere(args.minutes, &daemon)
}

/// The short form of `cargo xtask test`.
pub(crate) fn run_short(daemon: &Path) -> Result<()> {
    run_elsewhere(1, daemon)
}

/// In a process of its own, as root.
fn run_elsewhere(minutes: u64, daemon: &Path) -> Result<()> {
    let mut command = this_as_root("a soak in a network namespace")?;
    command.args(["soak", "--minutes", &minutes.to_string(), "--daemon"]);
    crate::command::run(command.arg(daemon))
}

fn soak(minutes: u64, binary: &Path) -> Result<()> {
    let interrupt = Interrupt::catch()?;
    let bed = Bed::new(Source::Auto)?;
    let names = port_names(PORTS);
    bed.configure(&names)?;
    let taps = bed.taps(&names)?;
    let config = bed
        .config()
        .binary(binary)
        .set("metrics.enabled", true)
        .set("database.retry_interval_secs", 1)
        .set("performance.batch_timeout_ms", 100);
    let mut daemon = bed.ready(config)?;
    bed.converge()?;

    let lasts = Duration::from_secs(60 * minutes);
    // The allocator, the rings and the tables reach their sizes in the first bursts.
    let warm_up = (lasts / 4).min(Duration::from_secs(300));
    let between = (lasts / 240).clamp(Duration::from_millis(250), Duration::from_secs(10));
    let mut sampler = Sampler::new(bed.namespace(), daemon.pid());
    let strain = Strain::new(&bed, &daemon, &taps, &names);
    eprintln!("soak: {minutes} min, a sample every {between:?}");
    thread::scope(|scope| -> Result<()> {
        let strains = Strain::kinds().map(|kind| {
            let strain = &strain;
            scope.spawn(move || named(strain, kind))
        });
        let watched = sample(&mut sampler, &strain, lasts, between, &interrupt);
        strain.over.store(true, Ordering::Relaxed);
        // Whoever waits for an event gets one.
        taps.iter().try_for_each(|tap| tap.set_mtu(1499))?;
        for strained in strains {
            let joined = strained.join().map_err(|_| anyhow!("a thread panicked"))?;
            joined.with_context(|| format!("log:\n{}", daemon.log().tail(30)))?;
        }
        watched
    })?;
    let summary = strain.done.summary()?;
    daemon.still_runs()?;
    bed.converge()?;
    nothing_is_left(&bed)?;
    daemon.stop()?;

    let (table, growing) = sampler.verdict(warm_up)?;
    println!("soak: {summary}\n{table}");
    if !growing.is_empty() {
        bail!("{}", growing.join("\n"));
    }
    println!("soak: nothing grows; STATE_DB equals the kernel; stopped in order");
    Ok(())
}

fn sample(
    sampler: &mut Sampler<'_>,
    strain: &Strain<'_>,
    lasts: Duration,
    between: Duration,
    interrupt: &Interrupt,
) -> Result<()> {
    let end = Instant::now() + lasts;
    while Instant::now() < end && !strain.over.load(Ordering::Relaxed) {
        interrupt.check()?;
        thread::sleep(between);
        sampler.look()?;
    }
    Ok(())
}

/// Ports that went have left nothing behind at the listener.
fn nothing_is_left(bed: &Bed) -> Result<()> {
    let what = format!("/ports lists {PORTS} ports");
    portsyncd_tests::wait::wait_for(&what, PATIENCE, || {
        let metrics = get(bed.namespace(), "/metrics")?.body;
        let prefix = "portsyncd_port_oper_up{";
        let series = metrics.lines().filter(|line| line.starts_with(prefix));
        Ok(series.count() == PORTS)
    })
}
