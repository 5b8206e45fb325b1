//! `cargo xtask lint`: rustfmt and clippy for both workspaces. Changes no file.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, run as run_command, target_dir, workspace_root};
use crate::stages::Stages;

/// Lints everything; fails on the first warning.
pub(crate) fn run() -> Result<()> {
    let root = workspace_root()?;
    let mut stages = Stages::default();
    let outcome = every_lint(&mut stages, &root);
    stages.finish(outcome)
}

fn every_lint(stages: &mut Stages, root: &Path) -> Result<()> {
    stages.run("rustfmt", || {
        run_command(cargo(root).args(["fmt", "--all", "--check"]))
    })?;
    stages.run("rustfmt, eBPF", || {
        run_command(in_ebpf(&mut cargo(root), "fmt").arg("--check"))
    })?;
    stages.run("clippy", || {
        // clippy 1.95 can break on incremental state that an earlier version of
        // the sources left behind; without it a check costs little more.
        run_command(cargo(root).env("CARGO_INCREMENTAL", "0").args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            "portsyncd-fuzz/libfuzzer",
            "--locked",
            "--",
            "--deny=warnings",
        ]))
    })?;
    // For the host, so that it needs no BPF toolchain: from the root of the tree
    // cargo does not see the eBPF workspace's own default target.
    stages.run("clippy, eBPF", || {
        let mut clippy = cargo(root);
        in_ebpf(&mut clippy, "clippy")
            .arg("--target-dir")
            .arg(target_dir(root).join("ebpf"));
        run_command(clippy.args(["--all-targets", "--locked", "--", "--deny=warnings"]))
    })
}

fn in_ebpf<'a>(cargo: &'a mut Command, subcommand: &str) -> &'a mut Command {
    cargo.args([subcommand, "--manifest-path", "portsyncd-ebpf/Cargo.toml"])
}
