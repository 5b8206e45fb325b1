//! `cargo xtask test`: everything that must hold before a change is accepted.
//!
//! The integration tests make network namespaces and load eBPF programs, so the
//! test executables run as root: directly, or each through sudo, which leaves the
//! building, and every file that it writes, to the user.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{
    cargo, find_program, is_root, run as run_command, target_dir, workspace_root,
};
use crate::stages::Stages;
use crate::{chaos, deny, deploy, ebpf, fuzz, instructions, lint, setup, soak, vm};

/// Runs every stage up to the first that fails.
pub(crate) fn run() -> Result<()> {
    let root = workspace_root()?;
    let mut stages = Stages::default();
    let outcome = every_stage(&mut stages, &root);
    stages.finish(outcome)
}

fn every_stage(stages: &mut Stages, root: &Path) -> Result<()> {
    stages.run("setup", || setup::run(setup::Args { ebpf: true }))?;
    stages.run("lint", lint::run)?;
    stages.run("deny", deny::run)?;
    stages.run("build-ebpf --check", || {
        ebpf::run(ebpf::Args { check: true })
    })?;
    stages.run("build", || {
        run_command(cargo(root).args(["build", "--release", "--locked", "--package", "portsyncd"]))
    })?;
    stages.run("guide and package", deploy::without_a_guest)?;
    stages.run("test", || run_command(as_root(root)?.arg("--workspace")))?;
    stages.run("test-vm", || vm::run(&vm::Args::of_test()))?;
    let daemon = target_dir(root).join("release/portsyncd");
    stages.run("chaos", || chaos::run_short(&daemon))?;
    stages.run("soak", || soak::run_short(&daemon))?;
    stages.run("instructions", || {
        instructions::run(instructions::Args { record: false })
    })?;
    stages.run("fuzz", fuzz::run_short)
}

/// `cargo test` whose executables run as root.
pub(crate) fn as_root(root: &Path) -> Result<Command> {
    let mut test = cargo(root);
    // One run names everything that fails.
    test.args(["test", "--locked", "--no-fail-fast"]);
    if !is_root() {
        let sudo = find_program("sudo")
            .context("the integration tests need root, and there is no sudo: run this as root")?;
        // sudo sets a PATH of its own; the tests need the programs of the caller's.
        let path = env::var("PATH").context("PATH is not set, or not UTF-8")?;
        let runner = [
            sudo.display().to_string(),
            "--preserve-env".into(),
            "env".into(),
            format!("PATH={path}"),
        ];
        test.arg("--config")
            .arg(format!("target.'cfg(all())'.runner={runner:?}"));
    }
    Ok(test)
}
