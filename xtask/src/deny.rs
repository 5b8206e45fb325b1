//! `cargo xtask deny`: what the dependencies are: their licences, where they come from,
//! crates that are there twice, faults that are known of them.
//!
//! cargo-deny judges by `deny.toml`, for this workspace and for the eBPF program's. It is
//! built once, from crates.io, and kept in the target directory. The known faults are in
//! a repository of `RustSec`'s: where that is out of reach it is said, and the rest is
//! judged all the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, run as run_command, target_dir, try_read, workspace_root};

/// Newer ones may judge otherwise, and stop a change that is none of their business.
const VERSION: &str = "0.20.2";

/// The manifests of both workspaces.
const WORKSPACES: [&str; 2] = ["Cargo.toml", "portsyncd-ebpf/Cargo.toml"];

/// Judges the dependencies.
pub(crate) fn run() -> Result<()> {
    let root = workspace_root()?;
    let tool = tool(&root)?;
    let judge = |what: &[&str]| {
        WORKSPACES.iter().try_for_each(|manifest| {
            let mut command = Command::new(&tool);
            command.current_dir(&root);
            command.args(["--manifest-path", manifest]);
            command.args(["--locked", "--workspace", "--all-features"]);
            command.args(["--config", "deny.toml", "check", "--hide-inclusion-graph"]);
            // What is skipped of one workspace need not be in the other.
            command.args(["--allow", "unmatched-skip"]);
            run_command(command.args(what))
        })
    };
    judge(&["bans", "licenses", "sources"])?;
    let fetched = Command::new(&tool)
        .current_dir(&root)
        .args(["--config", "deny.toml", "fetch", "db"])
        .output()
        .with_context(|| format!("cannot run {}", tool.display()))?;
    if fetched.status.success() {
        return judge(&["advisories"]);
    }
    let said = String::from_utf8_lossy(&fetched.stderr);
    eprintln!(
        "NOT TESTED: advisories: the database of RustSec is not to be had: {}",
        said.lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or_default()
    );
    Ok(())
}

/// cargo-deny of our version; built if it is not there.
fn tool(root: &Path) -> Result<PathBuf> {
    let directory = target_dir(root).join("tools/cargo-deny");
    let tool = directory.join("bin/cargo-deny");
    let version = try_read(Command::new(&tool).arg("--version"));
    if version.is_some_and(|version| version.trim() == format!("cargo-deny {VERSION}")) {
        return Ok(tool);
    }
    eprintln!("deny: building cargo-deny {VERSION}, about a minute");
    run_command(
        cargo(root)
            // Optimizing it would take longer than all that it will ever do.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .args(["install", "cargo-deny", "--version", VERSION])
            .args(["--locked", "--force", "--debug", "--root"])
            .arg(&directory),
    )?;
    Ok(tool)
}
