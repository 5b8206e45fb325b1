//! `cargo xtask demo`: the release daemon at work, on real parts, in one minute.
//!
//! Owns a stage (a private network namespace with 32 tap ports, a private Redis
//! with SONiC's settings and the daemon), plays a fixed sequence of acts on it
//! and shows the port table as `STATE_DB` has it, with latencies from the system
//! call that changes a port to Redis' own announcement of the new row. Succeeds
//! only if `STATE_DB` equals the kernel at the end of every act and of the show.
//!
//! Leaves nothing behind, touches no netdev and no Redis of the host.

mod acts;
mod latency;
mod privilege;
mod screen;
mod stage;
mod watch;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::command::{cargo, is_root, workspace_root};
use crate::interrupt::Interrupt;
use crate::setup;
use screen::Screen;
use stage::Stage;

/// `cargo xtask demo`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Stay up after the show, for looking around, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,

    /// One line per act instead of the live table
    #[arg(long)]
    pub(crate) plain: bool,

    /// A daemon that is already built; set-up and build are skipped
    #[arg(long, hide = true)]
    pub(crate) daemon: Option<PathBuf>,
}

/// Sets the machine up, builds the release daemon and plays the show.
///
/// # Errors
/// When a step fails, or when `STATE_DB` does not equal the kernel.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(daemon) = &args.daemon {
        return play(daemon, args);
    }
    setup::run(setup::Args { ebpf: false })?;
    let daemon = build()?;
    if is_root() {
        play(&daemon, args)
    } else {
        privilege::play_elsewhere(&daemon, args)
    }
}

/// Builds the release daemon; cargo says where it is.
fn build() -> Result<PathBuf> {
    println!("Building the release daemon (the first time takes a minute or two) …");
    let output = cargo(&workspace_root()?)
        .args(["build", "--release", "--quiet", "--package", "portsyncd"])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cargo build --release: {}",
        output.status
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    let daemon = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "portsyncd")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    daemon.context("cargo built no executable named portsyncd")
}

fn play(daemon: &Path, args: &Args) -> Result<()> {
    let interrupt = Interrupt::catch()?;
    let mut stage = Stage::set(daemon)?;
    let mut screen = Screen::open(args.plain);
    let played = acts::play(&mut stage, &mut screen, &interrupt);
    screen.close();
    if interrupt.came() {
        bail!("interrupted");
    }
    if let Err(error) = played {
        eprintln!("{}", stage.report());
        return Err(error);
    }
    let ports = stage.verify()?;
    for finding in stage.findings() {
        println!("{finding}");
    }
    println!(
        "{}",
        stage::line(
            "Checked",
            &format!("STATE_DB equals the kernel on {ports} of {ports} ports")
        )
    );
    if args.keep && !interrupt.came() {
        println!("{}", stage.how_to_look());
        interrupt.wait();
        println!();
    }
    stage.strike()?;
    println!(
        "{}",
        stage::line("Stopped", "exit status 0; nothing is left behind")
    );
    Ok(())
}

/// How long a change may take to arrive before the show counts as failed.
const PATIENCE: Duration = Duration::from_secs(20);
