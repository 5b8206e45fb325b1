//! What it costs to take link records out of the ring, with nothing behind it: the
//! least that a storm costs anybody who reads this ring.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::kernel_clock::KernelClock;
use super::report::{Cell, Section};
use super::samples::{Samples, as_f64};
use super::sender::{Sender, Sent};
use super::usage::own_cpu;
use super::world::World;

/// The daemon's own tick in a storm (`daemon/pace.rs`).
const TICK: Duration = Duration::from_millis(1);
/// More than half of the ring.
const MESSAGES: u64 = 8192;
const ROUNDS: usize = 9;

/// A storm whose records are taken out and thrown away.
pub(super) struct Drained {
    sent: Sent,
    taken: u64,
    cpu: Duration,
}

/// Drains at every tick while `storm` lasts.
pub(super) fn live(world: &World, storm: impl FnOnce() -> Result<Sent>) -> Result<Drained> {
    let mut clock = world.bed.namespace().run(KernelClock::open)??;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let draining = scope.spawn(|| -> Result<(u64, Duration)> {
            let cpu = own_cpu()?;
            let mut taken = 0;
            loop {
                // Looked at before the drain: what was sent by then is taken.
                let last = over.load(Ordering::Acquire);
                taken += clock.drain(|record| {
                    black_box(record.ifindex);
                });
                if last {
                    return Ok((taken, own_cpu()?.saturating_sub(cpu)));
                }
                thread::sleep(TICK);
            }
        });
        let sent = storm();
        over.store(true, Ordering::Release);
        let (taken, cpu) = draining
            .join()
            .map_err(|_| anyhow!("the thread that drains panicked"))??;
        Ok(Drained {
            sent: sent?,
            taken,
            cpu,
        })
    })
}

impl Drained {
    /// In seconds.
    pub(super) fn cpu_per_record(&self) -> f64 {
        self.cpu.as_secs_f64() / as_f64(self.taken)
    }

    /// As the columns of a storm.
    pub(super) fn cells(&self) -> [Cell; 9] {
        let mut cells = [Cell::None; 9];
        cells[0] = Cell::PerSecond(self.sent.rate());
        cells[1] = Cell::Seconds(self.cpu_per_record());
        cells[3] = Cell::Seconds(self.sent.cpu_per_message());
        cells[5] = Cell::Count(as_f64(self.sent.messages.saturating_sub(self.taken)));
        cells
    }
}

/// Drains a ring that has been filled before, in one go.
pub(super) fn full(world: &World, sender: &Sender<'_>) -> Result<Section> {
    world.say("raw ring drain")?;
    let mut clock = world.bed.namespace().run(KernelClock::open)??;
    let mut costs = Vec::new();
    for _ in 0..ROUNDS {
        clock.drain(|_| ());
        sender.messages(MESSAGES)?;
        let cpu = own_cpu()?;
        let taken = clock.drain(|record| {
            black_box(record.ifindex);
        });
        let cpu = own_cpu()?.saturating_sub(cpu);
        let taken = u32::try_from(taken).context("records of one ring")?;
        costs.push(cpu / taken.max(1));
    }
    let costs = Samples::of(costs);
    let mut section = Section::new(
        "Raw ring drain",
        &format!(
            "at least {MESSAGES} records at once, nothing behind it; processor time per record, of {ROUNDS} drains"
        ),
        &["p50", "min", "max"],
    );
    section.row(
        "each record copied out of the ring and thrown away",
        &[costs.median(), costs.min(), costs.max()].map(Cell::Seconds),
    );
    Ok(section)
}
