//! `cargo xtask test-vm`: the tests that concern the kernel, in virtual machines
//! with the kernels that SONiC has.
//!
//! Debian has all three. The guest's file system is an initramfs with the test
//! executables, the daemon, Redis and the libraries that they are linked with; its
//! init is this executable ([`guest`]).

mod boot;
pub(crate) mod console;
pub(crate) mod guest;
pub(crate) mod image;
pub(crate) mod kernels;
mod suite;
mod tree;

use anyhow::{Result, ensure};

use crate::command::workspace_root;
use boot::boot;
use console::Outcome;
use kernels::{RELEASES, Release};
use suite::Suite;

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

/// Runs the tests on each kernel; fails if any test does on any of them.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = workspace_root()?;
    let releases: Vec<&Release> = if args.kernels.is_empty() {
        RELEASES.iter().collect()
    } else {
        let named = args.kernels.iter().map(|name| Release::named(name));
        named.collect::<Result<_>>()?
    };
    let suite = Suite::build(&root, &args.tests)?;
    let jobs = suite.jobs(args.filter.as_deref(), args.verbose);
    ensure!(!jobs.is_empty(), "there is no such test executable");
    let mut failures = Vec::new();
    for release in releases {
        let kernel = release.fetch(&root)?;
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
