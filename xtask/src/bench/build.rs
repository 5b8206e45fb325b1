//! Building: the release daemon exactly as it is deployed, and a release build
//! of this program to measure it with.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Args;
use crate::command::{as_root, cargo, workspace_root};

/// Builds both and lets the release build measure, as root.
pub(super) fn build_and_measure(args: &Args) -> Result<()> {
    // Two invocations: in one, cargo would give the daemon the union of both
    // packages' features.
    let daemon = match &args.daemon {
        Some(daemon) => daemon
            .canonicalize()
            .with_context(|| format!("there is no {}", daemon.display()))?,
        None => release("portsyncd")?,
    };
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

/// Builds one package; cargo says where its executable is.
pub(crate) fn release(package: &str) -> Result<PathBuf> {
    eprintln!("building {package}, release");
    let output: std::process::Output = build(package)?
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cargo build --release --package {package}: {}",
        output.status
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built no executable named {package}"))
}

fn build(package: &str) -> Result<Command> {
    let mut command = cargo(&workspace_root()?);
    command
        .args(["build", "--release", "--quiet", "--package", package])
        .args(["--message-format", "json-render-diagnostics"]);
    Ok(command)
}
