//! `cargo xtask sanitize`: everything under `AddressSanitizer` that has `unsafe` in it.
//!
//! What the daemon's unsafe edge does (`portsyncd-sys`) and what is parsed in the kernel as
//! well (`portsyncd-common`) is built with the sanitizer and run in the test's own process,
//! eBPF object, maps, ring and carrier hook included. Then the whole daemon is, and the
//! black-box tests run against it: a report ends it, and so fails the test.
//!
//! The runtime comes with the stable toolchain, the flag does not: `RUSTC_BOOTSTRAP=1`
//! opens it, here and nowhere else. The standard library is as it always is, so what it does
//! to memory is seen only through the allocator and the C library's functions.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, host, run as run_command, target_dir, workspace_root};
use crate::test::as_root;

/// Black-box tests in which every part of the daemon is at work: both link sources and the
/// change from one to the other, the hook, losses, outages, files, HTTP, TLS. None that bounds
/// the daemon's memory: the sanitizer keeps what is freed.
const BLACK_BOX: [&str; 10] = [
    "change_over",
    "chaos",
    "hook",
    "http",
    "lifecycle",
    "loss",
    "redis",
    "redis_tls",
    "state_file",
    "swss",
];

/// Builds with the sanitizer and runs.
pub(crate) fn run() -> Result<()> {
    let root = workspace_root()?;
    let host = host(&root)?;
    let directory = target_dir(&root).join("sanitize/address");
    let sanitized = |mut command: Command| {
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .env(
                "RUSTFLAGS",
                "-Zsanitizer=address -Cforce-frame-pointers=yes",
            )
            .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
            .args(["--target", &host, "--target-dir"])
            .arg(&directory);
        command
    };
    let mut units = reporting(sanitized(as_root(&root)?));
    run_command(units.args([
        "--package=portsyncd-common",
        "--package=portsyncd-sys",
        "--lib",
    ]))?;
    let mut edge = reporting(sanitized(as_root(&root)?));
    run_command(edge.args([
        "--package=portsyncd",
        "--test=carrier_hook",
        "--test=verifier",
    ]))?;
    let mut build = cargo(&root);
    build.args(["build", "--locked", "--package=portsyncd"]);
    run_command(&mut sanitized(build))?;
    let daemon = directory.join(&host).join("debug/portsyncd");
    black_box(&root, &daemon)
}

fn black_box(root: &Path, daemon: &Path) -> Result<()> {
    let mut tests = as_root(root)?;
    tests.args(["--package", "portsyncd-tests"]);
    for test in BLACK_BOX {
        tests.args(["--test", test]);
    }
    let daemon = daemon.to_str().context("its path is not UTF-8")?;
    run_command(reporting(tests).env("PORTSYNCD_BIN", daemon))
}

/// A report is the end. Leaks are for `soak` to find: looking for them takes ptrace(2),
/// which a daemon without capabilities does not have.
fn reporting(mut command: Command) -> Command {
    command.env("ASAN_OPTIONS", "abort_on_error=1:detect_leaks=0");
    command
}
