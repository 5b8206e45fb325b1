//! `cargo xtask test-vm`: the tests that concern the kernel, in virtual machines
//! with the kernels that SONiC has.
//!
//! Debian has all three. The guest's file system is an initramfs with the test
//! executables, the daemon, Redis and the libraries that they are linked with; its
//! init is this executable ([`guest`]).

pub(crate) mod boot;
pub(crate) mod console;
pub(crate) mod guest;
pub(crate) mod image;
pub(crate) mod kernels;
pub(crate) mod qemu;
pub(crate) mod suite;
mod tree;

use anyhow::{Result, ensure};

use crate::command::workspace_root;
use boot::boot;
use console::Outcome;
use kernels::Release;
use suite::Suite;

/// The test executables that concern the kernel. The storms of `loss` take an emulated
/// processor too long; a ring that is full is in `carrier_hook` as well.
const KERNEL_TESTS: [&str; 7] = [
    "boot",
    "carrier",
    "carrier_hook",
    "hook",
    "lifecycle",
    "service",
    "verifier",
];

/// `cargo xtask test-vm`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this kernel: 5.10, 6.1 or 6.12; may be repeated
    #[arg(long = "kernel", value_name = "VERSION")]
    kernels: Vec<String>,
    /// Only this test executable ("carrier", "lifecycle"); may be repeated
    #[arg(long = "test", value_name = "NAME")]
    tests: Vec<String>,
    /// Print what the tests print, passed ones included
    #[arg(long)]
    verbose: bool,
    /// Only tests whose name has this in it
    filter: Option<String>,
}

impl Args {
    /// What is part of `cargo xtask test`: everything that concerns the kernel.
    pub(crate) fn of_test() -> Self {
        Self {
            kernels: vec![],
            tests: KERNEL_TESTS.map(str::to_owned).to_vec(),
            verbose: false,
            filter: None,
        }
    }
}

/// Runs the tests on each kernel; fails if any test does on any of them. A kernel
/// that was not asked for by name may be missing, which is said.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = workspace_root()?;
    let releases = Release::chosen(&args.kernels)?;
    let suite = Suite::build(&root, &args.tests)?;
    let jobs = suite.jobs(args.filter.as_deref(), args.verbose);
    ensure!(!jobs.is_empty(), "there is no such test executable");
    let mut failures = Vec::new();
    for release in releases {
        let kernel = match release.fetch(&root) {
            Ok(kernel) => kernel,
            Err(error) if args.kernels.is_empty() => {
                eprintln!(
                    "NOT TESTED: Linux {} is not to be had: {error:#}",
                    release.name
                );
                continue;
            }
            Err(error) => return Err(error),
        };
        eprintln!("==> Linux {}", kernel.version);
        let outcomes = boot(&kernel, suite.tree()?, &jobs, |outcome| {
            report(outcome, args.verbose);
        })?;
        for outcome in outcomes.iter().filter(|outcome| !outcome.is_success()) {
            failures.push(format!("{} on Linux {}", outcome.name, kernel.version));
        }
    }
    ensure!(failures.is_empty(), "failed: {}", failures.join(", "));
    Ok(())
}

/// A line per test, and everything that was said where one failed.
fn report(outcome: &Outcome, verbose: bool) {
    let passed = outcome.is_success();
    eprintln!(
        "{} {:>7.1} s  {}{}",
        if passed { "ok    " } else { "FAILED" },
        outcome.took.as_secs_f64(),
        outcome.name,
        if passed {
            String::new()
        } else {
            format!(": {}", outcome.end)
        }
    );
    for line in &outcome.lines {
        if verbose || !passed || line.starts_with("test ") {
            eprintln!("    {line}");
        }
    }
}
