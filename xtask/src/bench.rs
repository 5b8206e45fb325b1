//! `cargo xtask bench`: what the release daemon costs and how fast it is, each
//! figure beside a baseline of the same run.
//!
//! Everything happens in private network namespaces with tap ports and a private
//! Redis on a unix socket. The measuring process is a release build of this very
//! program, because the stopwatch, the storm and the blocking baseline must not
//! be slow by themselves. Figures that miss their target are marked as such; only
//! a measurement that fails makes the command fail.
//!
//! BENCHMARKS.md says what each figure means.

mod against;
mod blocking;
pub(crate) mod build;
mod cold_start;
mod failure;
mod footprint;
mod host;
pub(crate) mod interrupt;
mod isolated;
mod kernel_clock;
mod netlink;
mod processor;
mod relay;
mod report;
mod resp;
mod samples;
mod storm;
mod subject;
pub(crate) mod usage;
mod vm;
mod warm_restart;
mod world;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use host::Host;
use interrupt::Interrupt;
use report::Report;
use world::World;

/// `cargo xtask bench`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Fewer repetitions: under 40 s, and noisier
    #[arg(long)]
    quick: bool,

    /// Print a JSON document on standard output, the table on standard error
    #[arg(long)]
    json: bool,

    /// Only these figures; may be repeated
    #[arg(long, value_enum, value_name = "FIGURES")]
    only: Vec<Figures>,

    /// Measure `failure` in a virtual machine with this kernel: 5.10, 6.1, 6.12 or all
    #[arg(long = "kernel", value_name = "VERSION")]
    kernels: Vec<String>,

    /// Measure this daemon, too: a shell command that starts it in the foreground;
    /// `{redis_socket}` and `{database_config}` in it are replaced by paths
    #[arg(long, value_name = "COMMAND", conflicts_with = "kernels")]
    against: Option<String>,

    /// A daemon that is already built, instead of this checkout's
    #[arg(long, value_name = "FILE")]
    daemon: Option<PathBuf>,

    /// Be the process that measures: a release build, as root
    #[arg(long, hide = true, requires = "daemon")]
    measure: bool,

    /// Be the blocking baseline: Redis' socket, and the one that takes log lines
    #[arg(long, hide = true, num_args = 2, value_names = ["REDIS", "LOG"])]
    blocking: Option<Vec<PathBuf>>,
}

/// Figures that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Figures {
    /// One change at a time
    Isolated,
    /// Link messages as fast as one thread can make them
    Storm,
    /// Many ports lose their carrier at once
    Failure,
    /// From exec to PortInitDone
    Start,
    /// Memory, and the cost of doing nothing
    Footprint,
}

impl Figures {
    /// Whether another daemon can be measured so.
    fn is_comparable(self) -> bool {
        matches!(self, Self::Isolated | Self::Storm | Self::Failure)
    }
}

/// How often and how long each scenario is run.
#[derive(Clone, Copy, Debug)]
struct Plan {
    isolated_changes: usize,
    carrier_flaps: usize,
    storm_rounds: usize,
    storm: Duration,
    paced_storm: Duration,
    failures: usize,
    throughput_rounds: usize,
    cold_starts: usize,
    idle: Duration,
}

impl Plan {
    const FULL: Self = Self {
        isolated_changes: 400,
        carrier_flaps: 15,
        storm_rounds: 3,
        storm: Duration::from_secs(3),
        paced_storm: Duration::from_secs(2),
        failures: 2,
        throughput_rounds: 5,
        cold_starts: 9,
        idle: Duration::from_secs(5),
    };
    const QUICK: Self = Self {
        isolated_changes: 100,
        carrier_flaps: 3,
        storm_rounds: 1,
        storm: Duration::from_millis(1500),
        paced_storm: Duration::from_secs(1),
        failures: 1,
        throughput_rounds: 3,
        cold_starts: 5,
        idle: Duration::from_secs(2),
    };
}

/// Builds what is measured and what measures, and measures.
///
/// # Errors
/// When the build or a measurement fails; a missed target is no error.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some([redis, log]) = args.blocking.as_deref() {
        return blocking::run(redis, log);
    }
    let (true, Some(daemon)) = (args.measure, &args.daemon) else {
        return if args.kernels.is_empty() {
            build::build_and_measure(args)
        } else {
            vm::measure(args)
        };
    };
    let interrupt = Interrupt::catch()?;
    let begun = Instant::now();
    let mut report = Report::new(Host::look()?);
    let measured = measure(daemon, args, &interrupt, &mut report);
    if interrupt.came() {
        bail!("interrupted");
    }
    measured?;
    report.ended(begun.elapsed());
    if args.json {
        eprint!("{}", report.table());
        println!("{:#}", report.json());
    } else {
        print!("{}", report.table());
    }
    Ok(())
}

/// How many ports the latencies and the storms are measured on.
const STORM_PORTS: usize = 256;
/// The largest SKU that SONiC ships: cold start, memory and idle cost.
const LARGE_PORTS: usize = 514;

fn measure(daemon: &Path, args: &Args, interrupt: &Interrupt, report: &mut Report) -> Result<()> {
    let plan = if args.quick { Plan::QUICK } else { Plan::FULL };
    let against = args.against.as_deref();
    let wanted = |figures: Figures| {
        let comparable = against.is_none() || figures.is_comparable();
        (args.only.is_empty() && comparable) || args.only.contains(&figures)
    };
    if wanted(Figures::Isolated) || wanted(Figures::Storm) {
        let world = World::new(STORM_PORTS, daemon, interrupt)?.against(against)?;
        if wanted(Figures::Isolated) {
            isolated::measure(&world, &plan, report)?;
        }
        if wanted(Figures::Storm) {
            storm::measure(&world, &plan, report)?;
        }
    }
    if wanted(Figures::Failure) {
        failure::measure(daemon, against, &plan, interrupt, report)?;
    }
    if wanted(Figures::Start) || wanted(Figures::Footprint) {
        let world = World::new(LARGE_PORTS, daemon, interrupt)?;
        if wanted(Figures::Start) {
            cold_start::measure(&world, &plan, report)?;
            warm_restart::measure(&world, &plan, report)?;
        }
        if wanted(Figures::Footprint) {
            footprint::measure(&world, &plan, report)?;
        }
    }
    Ok(())
}

/// How long anything that is waited for may take before the measurement counts
/// as failed.
const PATIENCE: Duration = Duration::from_secs(20);
