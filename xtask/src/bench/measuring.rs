//! A release build of this program measures the daemon; what it is told.

use anyhow::{Context, Result, bail};

use super::Args;
use crate::build::{daemon, release};
use crate::command::as_root;

/// Builds both and lets the release build measure, as root.
pub(super) fn build_and_measure(args: &Args) -> Result<()> {
    // Two invocations: in one, cargo would give the daemon the union of both
    // packages' features.
    let daemon = daemon(args.daemon.as_deref())?;
    let measuring = release("xtask")?;
    let measuring = measuring
        .to_str()
        .context("the target directory's path is not UTF-8")?;
    let mut command = as_root(measuring, "measuring in network namespaces")?;
    command.args(["bench", "--measure", "--daemon"]).arg(daemon);
    command.args(arguments(args));
    // The measuring process takes Ctrl-C and ends in order; this one waits for it.
    crate::interrupt::blocked([nix::sys::signal::Signal::SIGINT])?;
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !status.success() {
        bail!("the measurement ended with {status}");
    }
    Ok(())
}

/// What the measuring process is told of the figures that are wanted.
pub(super) fn arguments(args: &Args) -> Vec<String> {
    let switches = [
        ("--quick", args.quick),
        ("--json", args.json),
        ("--plot", args.plot),
    ];
    let switches = switches.iter().filter(|(_, on)| *on);
    let mut arguments: Vec<String> = switches.map(|(name, _)| (*name).to_owned()).collect();
    for figures in args
        .only
        .iter()
        .filter_map(clap::ValueEnum::to_possible_value)
    {
        arguments.extend(["--only".to_owned(), figures.get_name().to_owned()]);
    }
    if let Some(command) = &args.against {
        arguments.extend(["--against".to_owned(), command.clone()]);
    }
    arguments
}
