//! `cargo xtask chaos`: faults at random, against the release daemon, a real Redis
//! and real taps, judged after every round.
//!
//! A round is a schedule of link storms and faults, drawn from the seed and the
//! round's number alone: `--seed S --round N` plays it again. Once the last fault
//! has ended the clock runs until STATE_DB equals the kernel and the signals are
//! there; then everything that was seen meanwhile is judged ([`judge`]).
//!
//! A new kind of fault is a variant of [`schedule::Fault`] with its beginning and
//! its end in [`faults`].

mod faults;
mod files;
mod judge;
mod lives;
mod panel;
mod schedule;
mod summary;
mod world;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::command::{is_root, this_as_root};
use crate::interrupt::Interrupt;
use schedule::Schedule;
use summary::Summary;
use world::World;

/// `cargo xtask chaos`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// What everything is drawn from; without it a new one, which is printed
    #[arg(long)]
    seed: Option<u64>,

    /// How many rounds
    #[arg(long, default_value_t = 100)]
    rounds: u32,

    /// Only this round, or from this one on: to play a failure again
    #[arg(long, default_value_t = 0, value_name = "N")]
    round: u32,

    /// A daemon that is already built, instead of this checkout's
    #[arg(long, value_name = "FILE")]
    daemon: Option<PathBuf>,
}

/// Rounds that share a namespace, a Redis and a link source.
const ROUNDS_PER_WORLD: u32 = 25;

/// Plays the rounds; the first that fails ends it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let daemon = build::daemon(args.daemon.as_deref())?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    if !is_root() {
        return run_elsewhere(args, seed, &daemon);
    }
    play(seed, args.round, args.rounds, &daemon)
}

/// The short runs of `cargo xtask test`: a seed that is always the same, and a new
/// one, which is printed.
pub(crate) fn run_short(daemon: &Path) -> Result<()> {
    const ROUNDS: u32 = 60;
    let args = |seed| Args {
        seed: Some(seed),
        rounds: ROUNDS,
        round: 0,
        daemon: Some(daemon.to_owned()),
    };
    for seed in [1, fastrand::u64(..1 << 32)] {
        run_elsewhere(&args(seed), seed, daemon)?;
    }
    Ok(())
}

/// In a process of its own, as root.
fn run_elsewhere(args: &Args, seed: u64, daemon: &Path) -> Result<()> {
    let mut command = this_as_root("chaos in network namespaces")?;
    command.arg("chaos").arg("--daemon").arg(daemon);
    for (name, value) in [
        ("--seed", seed),
        ("--rounds", args.rounds.into()),
        ("--round", args.round.into()),
    ] {
        command.arg(name).arg(value.to_string());
    }
    crate::command::run(&mut command)
}

/// Plays `rounds` rounds of `seed` from number `first` on.
pub(crate) fn play(seed: u64, first: u32, rounds: u32, daemon: &Path) -> Result<()> {
    let interrupt = Interrupt::catch()?;
    let begun = Instant::now();
    let mut summary = Summary::new(seed);
    let mut world: Option<World> = None;
    for round in first..first.saturating_add(rounds) {
        interrupt.check()?;
        if round % ROUNDS_PER_WORLD == 0 || world.is_none() {
            if let Some(old) = world.take() {
                summary.world_ended(old.stop()?);
            }
            world = Some(World::new(seed, round / ROUNDS_PER_WORLD, daemon)?);
        }
        let Some(now) = &mut world else { continue };
        let schedule = Schedule::draw(seed, round);
        let played = play_round(now, round, &schedule, &mut summary);
        if let Err(error) = played {
            println!("{summary}");
            println!(
                "round {round} failed; again: cargo xtask chaos --seed {seed} --round {round} --rounds 1"
            );
            println!("schedule: {schedule}");
            println!("world: {}", now.what());
            println!("--- the daemon's log (its end)\n{}\n---", now.log_tail());
            return Err(error.context(format!("round {round} of seed {seed}")));
        }
        if (round + 1) % 100 == 0 {
            println!("chaos: {} rounds", round + 1 - first);
        }
    }
    if let Some(world) = world {
        summary.world_ended(world.stop()?);
    }
    summary.took(begun.elapsed());
    println!("{summary}");
    if !summary.is_fast_enough() {
        bail!("the 99th percentile of the convergence is above the bound");
    }
    Ok(())
}

fn play_round(
    world: &mut World,
    round: u32,
    schedule: &Schedule,
    summary: &mut Summary,
) -> Result<()> {
    world.begin_round(schedule, round)?;
    for step in &schedule.steps {
        world
            .play(step)
            .with_context(|| format!("while playing {step:?}"))?;
    }
    let verdict = world.judge()?;
    summary.count(schedule, &verdict);
    verdict.into_result()
}
