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
mod background;
mod beside;
mod blocking;
mod chart;
mod cold_start;
mod course;
mod failure;
mod footprint;
pub(crate) mod host;
mod isolated;
mod kernel_clock;
mod measuring;
mod netlink;
mod plan;
mod processor;
mod relay;
mod report;
mod resp;
mod rest;
mod ring;
mod samples;
mod scale;
mod scraper;
mod section;
mod sender;
mod spread;
mod storm;
mod subject;
pub(crate) mod usage;
mod vm;
mod warm_restart;
mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::command::{target_dir, workspace_root};
use crate::interrupt::Interrupt;
use host::Host;
use report::Report;

/// `cargo xtask bench`.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Args {
    /// Fewer repetitions: under four minutes, and noisier
    #[arg(long)]
    quick: bool,

    /// Print a JSON document on standard output, the table on standard error
    #[arg(long)]
    json: bool,

    /// Draw the figures as SVG, too, into target/bench
    #[arg(long, conflicts_with = "kernels")]
    plot: bool,

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
    /// Resident memory
    Footprint,
    /// One change while others storm, while the daemon is scraped, while it saves files
    Disturbed,
    /// The cost of doing nothing
    Rest,
    /// Start, memory, scrape and resync with 64 to 4096 ports
    Scale,
}

impl Figures {
    /// Whether another daemon can be measured so.
    fn is_comparable(self) -> bool {
        matches!(
            self,
            Self::Isolated | Self::Disturbed | Self::Storm | Self::Failure
        )
    }
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
            measuring::build_and_measure(args)
        } else {
            vm::measure(args)
        };
    };
    let interrupt = Interrupt::catch()?;
    let begun = Instant::now();
    let mut report = Report::new(Host::look()?);
    let measured = course::run(daemon, args, &interrupt, &mut report);
    if interrupt.came() {
        bail!("interrupted");
    }
    measured?;
    report.ended(begun.elapsed());
    if args.plot {
        report.draw(&target_dir(&workspace_root()?).join("bench"))?;
    }
    if args.json {
        eprint!("{}", report.table());
        println!("{:#}", report.json());
    } else {
        print!("{}", report.table());
    }
    Ok(())
}

/// How long anything that is waited for may take before the measurement counts
/// as failed.
const PATIENCE: Duration = Duration::from_secs(20);
