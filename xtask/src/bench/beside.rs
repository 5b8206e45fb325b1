//! One port changes while the daemon is scraped, and while it saves its files: neither
//! stands on the road, and this is where it would show.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use portsyncd_tests::{Daemon, Source};

use super::PATIENCE;
use super::isolated::from_kernel;
use super::isolated::observer::Observer;
use super::plan::Plan;
use super::report::{Cell, Report, Section};
use super::samples::{Samples, as_f64};
use super::scraper::Scraping;
use super::subject::{daemon_config, wait_for_init_done};
use super::world::{MTU, REST, World};

/// 20 scrapes a second.
const PACE: Duration = Duration::from_millis(50);
/// With and without take turns, so that both see the same machine.
const TURNS: usize = 5;

/// Whether the daemon can save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    /// Their directories cannot be made: an attempt ends before it writes, and the next
    /// comes ever later.
    None,
    /// Each at the shortest interval.
    Often,
}

/// Changes and what went on beside them.
struct Measured {
    changes: Samples,
    scrapes: Option<Samples>,
    saves: usize,
}

/// Measures and reports.
pub(super) fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    let ports = world.names.len();
    let mut observer = Observer::new(world)?;
    let mut raw = Samples::default();
    let mut all = Vec::new();
    for files in [Files::None, Files::Often] {
        world.say(&format!(
            "isolated changes with and without scrapes: {}",
            files.as_str()
        ))?;
        let daemon = start(world, files)?;
        let mut measured = [Measured::new(), Measured::new()];
        for _ in 0..TURNS {
            for (scraped, measured) in [false, true].into_iter().zip(&mut measured) {
                let turn = plan.disturbed_changes / TURNS;
                raw = raw.and(measured.turn(world, &daemon, &mut observer, turn, scraped)?);
            }
        }
        daemon.stop()?;
        let [without, with] = measured;
        all.push((format!("no scrapes, {}", files.as_str()), without));
        all.push((format!("20 scrapes/s, {}", files.as_str()), with));
    }

    let mut section = Section::new(
        &format!("Isolated change with {ports} ports, scraped and saving"),
        &format!(
            "one tap's MTU on ebpf, kernel's message → event, n = {} each, from rest",
            plan.disturbed_changes
        ),
        &[
            "p50",
            "p99",
            "p99.9",
            "max",
            "p50 / raw HSET",
            "scrapes",
            "a scrape p50",
            "saves",
        ],
    );
    let row = |samples: &Samples| {
        vec![
            Cell::Seconds(samples.median()),
            Cell::Seconds(samples.quantile(99)),
            Cell::Seconds(samples.per_mille(999)),
            Cell::Seconds(samples.max()),
            Cell::Times(samples.median() / raw.median()),
        ]
    };
    section.row("raw HSET round trip", &row(&raw));
    for (name, measured) in &all {
        let mut cells = row(&measured.changes);
        let scrapes = measured.scrapes.as_ref();
        cells.push(scrapes.map_or(Cell::None, |took| Cell::Count(as_f64(took.count() as u64))));
        cells.push(scrapes.map_or(Cell::None, |took| Cell::Seconds(took.median())));
        cells.push(Cell::Count(as_f64(measured.saves as u64)));
        section.row(name, &cells);
    }
    section.note("the scraper shares the processors with the daemon, Redis and the observer");
    report.add(section);
    let ms = |of: &dyn Fn(&Samples) -> f64, with: usize, without: usize| {
        (of(&all[with].1.changes) - of(&all[without].1.changes)) * 1e3
    };
    report.target(
        &format!("{ports} ports: p99.9 of a change with 20 scrapes/s - without, ms"),
        ms(&|samples| samples.per_mille(999), 1, 0),
        1.0,
    );
    report.remark(
        &format!("{ports} ports: p99 of a change with 20 scrapes/s - without, ms"),
        ms(&|samples| samples.quantile(99), 1, 0),
    );
    report.remark(
        &format!("{ports} ports: p99.9 of a change with file saves - without, ms"),
        ms(&|samples| samples.per_mille(999), 2, 0),
    );
    Ok(())
}

fn start(world: &World, files: Files) -> Result<Daemon> {
    world.clear()?;
    let mut events = world.done_events()?;
    let mut config = daemon_config(world, Source::Ebpf);
    match files {
        Files::Often => config = config.set("metrics.save_interval_secs", 1),
        Files::None => {
            let file = world.directory.path().join("no-directory");
            fs::write(&file, "").with_context(|| format!("cannot write {}", file.display()))?;
            for (key, folder) in [
                ("metrics.storage_path", "metrics"),
                ("warm_restart.state_path", "state"),
            ] {
                config = config.set(key, file.join(folder).display().to_string());
            }
        }
    }
    let daemon = world.bed.start(config)?;
    wait_for_init_done(&mut events)?;
    world.bed.oracle()?.converge(PATIENCE)?;
    Ok(daemon)
}

impl Files {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "no files",
            Self::Often => "files saved each second",
        }
    }
}

impl Measured {
    fn new() -> Self {
        Self {
            changes: Samples::default(),
            scrapes: None,
            saves: 0,
        }
    }

    /// Some more changes; returns raw round trips, taken in turn with them.
    fn turn(
        &mut self,
        world: &World,
        daemon: &Daemon,
        observer: &mut Observer<'_>,
        changes: usize,
        scraped: bool,
    ) -> Result<Samples> {
        let scraping = scraped
            .then(|| Scraping::start(world.bed.namespace(), PACE))
            .transpose()?;
        let mut saves = Saves::begin(daemon);
        let (mut raw, mut times) = (vec![], vec![]);
        for number in 0..changes {
            world.check()?;
            thread::sleep(REST);
            raw.push(observer.round_trip()?);
            thread::sleep(REST);
            let mtu = MTU - 1 - u16::from(number % 2 == 0);
            let text = mtu.to_string();
            times.push(observer.change(Some(("mtu", &text)), |tap| tap.set_mtu(mtu))?);
            self.saves += saves.look();
        }
        if let Some(scraping) = scraping {
            let took = scraping.stop()?;
            ensure!(took.count() > 0, "nothing was scraped");
            self.scrapes = Some(self.scrapes.take().unwrap_or_default().and(took));
        }
        let before = std::mem::take(&mut self.changes);
        self.changes = before.and(from_kernel(&times));
        Ok(Samples::of(raw))
    }
}

/// The daemon's files: each save puts another inode in the place of the last one.
struct Saves([(PathBuf, Option<u64>); 2]);

impl Saves {
    fn begin(daemon: &Daemon) -> Self {
        let files = ["state/port_state.json", "metrics/metrics.json"];
        let files = files.map(|file| daemon.directory().join(file));
        Self(files.map(|file| {
            let inode = inode(&file);
            (file, inode)
        }))
    }

    /// Saves since it last looked.
    fn look(&mut self) -> usize {
        let changed = self.0.iter_mut().filter_map(|(file, last)| {
            let now = inode(file);
            (now != std::mem::replace(last, now)).then_some(())
        });
        changed.count()
    }
}

fn inode(file: &Path) -> Option<u64> {
    fs::metadata(file).ok().map(|metadata| metadata.ino())
}
