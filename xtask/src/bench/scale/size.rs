//! Everything that is measured with one number of ports.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::http::get;
use portsyncd_tests::{Daemon, Source};

use crate::bench::PATIENCE;
use crate::bench::cold_start::{self, Baselines};
use crate::bench::plan::Plan;
use crate::bench::samples::{Samples, as_f64};
use crate::bench::scraper::Scraper;
use crate::bench::subject::start_at_rest;
use crate::bench::usage::{CpuClock, Memory};
use crate::bench::world::World;

/// 20 scrapes a second.
const PACE: Duration = Duration::from_millis(50);

/// In seconds and bytes.
pub(super) struct Size {
    pub(super) ports: usize,
    pub(super) dump: Samples,
    pub(super) rows: Samples,
    pub(super) start: Samples,
    pub(super) start_cpu: Samples,
    pub(super) resident: f64,
    pub(super) scrape: Samples,
    pub(super) scrape_cpu: f64,
    pub(super) scrape_bytes: f64,
    pub(super) resync_cpu: f64,
    pub(super) resync_redis: f64,
}

impl Size {
    pub(super) fn measure(world: &World, plan: &Plan) -> Result<Self> {
        let ports = world.names.len();
        world.say(&format!("growth: starts with {ports} ports"))?;
        let mut baselines = Baselines::new(world)?;
        let (mut raw, mut starts) = (vec![], vec![]);
        for _ in 0..plan.scale_starts {
            raw.push(baselines.take(world)?);
            starts.push(cold_start::start(world, Source::Auto)?);
        }
        drop(baselines);

        world.say(&format!(
            "growth: memory, scrapes and resyncs with {ports} ports"
        ))?;
        let (daemon, clocks) = start_at_rest(world)?;
        let resident = Memory::of(daemon.pid())?.resident;
        let (scrape, scrape_cpu, scrape_bytes) = scrapes(world, plan, clocks[0])?;
        let [resync_cpu, resync_redis] = resyncs(world, plan, &daemon, clocks)?;
        daemon.stop()?;
        Ok(Self {
            ports,
            dump: Samples::of(raw.iter().map(|raw| raw.dump)),
            rows: Samples::of(raw.iter().map(|raw| raw.state_rows)),
            start: Samples::of(starts.iter().map(|start| start.init_done)),
            start_cpu: Samples::of(starts.iter().map(|start| start.cpu)),
            resident: as_f64(resident) * 1024.0,
            scrape,
            scrape_cpu,
            scrape_bytes,
            resync_cpu,
            resync_redis,
        })
    }

    /// Median by the sum of the medians.
    pub(super) fn start_by_bare(&self) -> f64 {
        self.start.median() / (self.dump.median() + self.rows.median())
    }
}

/// How long each took, the daemon's processor time for one, its bytes.
fn scrapes(world: &World, plan: &Plan, daemon: CpuClock) -> Result<(Samples, f64, f64)> {
    let mut scraper = Scraper::connect(world.bed.namespace())?;
    // The first finds no buffers.
    let bytes = scraper.scrape()?;
    let cpu = daemon.read()?;
    let mut took = Vec::new();
    let begun = Instant::now();
    for number in 1..=plan.scrapes {
        world.check()?;
        let due = PACE * u32::try_from(number)?;
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let begun = Instant::now();
        scraper.scrape()?;
        took.push(begun.elapsed());
    }
    let cpu = daemon.since(cpu)?.as_secs_f64();
    let each = cpu / as_f64(plan.scrapes as u64);
    Ok((Samples::of(took), each, as_f64(bytes as u64)))
}

/// The processor time of the daemon and of Redis for one resync: the configuration is
/// reloaded with one a second.
fn resyncs(world: &World, plan: &Plan, daemon: &Daemon, clocks: [CpuClock; 2]) -> Result<[f64; 2]> {
    let file = daemon.directory().join("portsyncd.conf");
    let text = fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
    let often = text.replacen("[link]\n", "[link]\nresync_interval_secs = 1\n", 1);
    ensure!(often != text, "no [link] in {}", file.display());
    fs::write(&file, often).with_context(|| format!("cannot write {}", file.display()))?;
    daemon.signal(Signal::SIGHUP)?;
    // From one dump to a later one, so that nothing is counted by halves.
    let dumps = |after: f64| -> Result<f64> {
        let deadline = Instant::now() + PATIENCE + plan.resyncs;
        loop {
            world.check()?;
            let answer = get(world.bed.namespace(), "/metrics")?;
            let dumps = answer.sample("portsyncd_dumps_total{result=\"complete\"}")?;
            if dumps > after {
                return Ok(dumps);
            }
            ensure!(Instant::now() < deadline, "no resync within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let first = dumps(0.0)?;
    let first = dumps(first)?;
    // A scrape is not what is measured: between the two looks there is none.
    std::thread::sleep(Duration::from_millis(500));
    let before = [clocks[0].read()?, clocks[1].read()?];
    std::thread::sleep(plan.resyncs);
    let used = [clocks[0].since(before[0])?, clocks[1].since(before[1])?];
    let made = dumps(0.0)? - first;
    ensure!(made > 0.0, "no resync was made");
    Ok(used.map(|used| used.as_secs_f64() / made))
}
