//! What the daemon holds and does when nothing happens: resident memory after the
//! start and after a storm, processor time and context switches at rest.

use std::thread;
use std::time::Instant;

use anyhow::Result;

use super::Plan;
use super::report::{Cell, Report, Section};
use super::storm::{Sender, as_f64};
use super::subject::Subject;
use super::usage::{Memory, context_switches, wait_until_quiet};
use super::world::World;

/// What the C++ daemon is resident with 512 ports: 8.2 MB; ours at most this.
const MOST_RESIDENT: f64 = 8e6;

/// Measures and reports.
pub(super) fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    let ports = world.names.len();
    let sender = Sender::new(world)?;
    let mut memory = Section::new(
        &format!("Resident memory with {ports} ports"),
        &format!("before and after a storm of {:?}", plan.storm),
        &["resident", "anonymous", "program", "ring", "peak"],
    );
    let mut rest = Section::new(
        &format!("At rest with {ports} ports"),
        &format!("over {:?}", plan.idle),
        &["processor time/s", "context switches/s"],
    );
    for subject in [Subject::Ebpf, Subject::Netlink] {
        let name = subject.as_str();
        world.say(&format!("memory and rest: {name}"))?;
        let live = subject.start(world)?;
        let clocks = [live.cpu()?, world.redis_cpu()?];
        live.wait_until_settled()?;
        wait_until_quiet(&clocks)?;
        let before = Memory::of(live.pid())?;

        let (begun, cpu, switches) = (
            Instant::now(),
            clocks[0].read()?,
            context_switches(live.pid())?,
        );
        thread::sleep(plan.idle);
        let seconds = begun.elapsed().as_secs_f64();
        let cpu = clocks[0].since(cpu)?.as_secs_f64() / seconds;
        // A thread of the runtime that ended meanwhile took its count with it.
        let switches = context_switches(live.pid())?.saturating_sub(switches);
        rest.row(
            name,
            &[Cell::Seconds(cpu), Cell::Number(as_f64(switches) / seconds)],
        );

        sender.full_speed(plan.storm)?;
        wait_until_quiet(&clocks)?;
        let after = Memory::of(live.pid())?;
        live.stop()?;
        memory.row(&format!("{name}, after the start"), &cells(before));
        memory.row(&format!("{name}, after the storm"), &cells(after));
        if subject == Subject::Ebpf {
            for (when, memory) in [("start", before), ("storm", after)] {
                report.target(
                    &format!("resident memory with {ports} ports after the {when}, MB"),
                    as_f64(memory.resident) * 1024.0 / 1e6,
                    MOST_RESIDENT / 1e6,
                );
            }
        }
    }
    report.add(memory);
    report.add(rest);
    Ok(())
}

fn cells(memory: Memory) -> [Cell; 5] {
    [
        memory.resident,
        memory.anonymous,
        memory.program,
        memory.ring,
        memory.peak,
    ]
    .map(|kib| Cell::Bytes(as_f64(kib) * 1024.0))
}
