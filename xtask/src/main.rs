//! `cargo xtask`: what a developer of portsyncd does, each as one command.
//!
//! Every subcommand is a module with a `run`; this file only names them.

use anyhow::Result;
use clap::{Parser, Subcommand};

mod apt;
mod bench;
mod btf;
mod build;
mod chaos;
mod command;
mod demo;
mod deny;
mod deploy;
mod digits;
mod dist;
mod ebpf;
mod fleet;
mod fuzz;
mod instructions;
mod interrupt;
mod lint;
mod sanitize;
mod setup;
mod soak;
mod stages;
mod test;
mod vm;

/// The chores of portsyncd's developers
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the build and the tests need and this machine lacks
    Setup(setup::Args),
    /// Build the eBPF object that is committed beside its sources
    BuildEbpf(ebpf::Args),
    /// Make the fixtures of the kernels' type information (BTF) anew
    BtfFixtures,
    /// Show the daemon at work on 32 tap ports
    Demo(demo::Args),
    /// Measure the release daemon beside baselines of the same run
    Bench(bench::Args),
    /// Make the Debian package and the tarball that a switch installs
    Dist(dist::Args),
    /// Let faults and storms loose on the release daemon, and judge it after each round
    Chaos(chaos::Args),
    /// Have a real Prometheus scrape a fleet of daemons
    FleetSim(fleet::Args),
    /// Give everything that the daemon reads to a coverage-guided fuzzer
    Fuzz(fuzz::Args),
    /// Count the instructions of the road's own work and compare them with the record
    Instructions(instructions::Args),
    /// Judge the dependencies: licences, sources, duplicates, known faults
    Deny,
    /// Check formatting and lints of both workspaces
    Lint,
    /// Run whatever has `unsafe` in it under a sanitizer of memory accesses
    Sanitize,
    /// Strain the release daemon for a long time and see that nothing grows
    Soak(soak::Args),
    /// Set up, lint, check the eBPF object, build the daemon, run every test
    Test,
    /// Run the tests that concern the kernel in virtual machines
    TestVm(vm::Args),
    /// Follow the deployment guide in a virtual machine with systemd, Redis and the package
    TestDeploy(deploy::Args),
    /// What that machine runs
    #[command(hide = true)]
    GuestJobs { file: std::path::PathBuf },
}

fn main() -> Result<()> {
    if vm::guest::is_init() {
        vm::guest::init();
    }
    match Cli::parse().command {
        Command::Setup(args) => setup::run(args),
        Command::BuildEbpf(args) => ebpf::run(args),
        Command::BtfFixtures => btf::run(),
        Command::Deny => deny::run(),
        Command::Demo(args) => demo::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Dist(args) => dist::run(&args),
        Command::Chaos(args) => chaos::run(&args),
        Command::FleetSim(args) => fleet::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Instructions(args) => instructions::run(args),
        Command::Lint => lint::run(),
        Command::Sanitize => sanitize::run(),
        Command::Soak(args) => soak::run(&args),
        Command::Test => test::run(),
        Command::TestVm(args) => vm::run(&args),
        Command::TestDeploy(args) => deploy::run(&args),
        Command::GuestJobs { file } => vm::guest::serve(&file),
    }
}
