//! What the daemon holds: resident memory after the start and after a storm.

use anyhow::Result;

use super::plan::Plan;
use super::report::{Cell, Report, Section};
use super::samples::as_f64;
use super::sender::Sender;
use super::subject::Subject;
use super::usage::{Memory, wait_until_quiet};
use super::world::World;

/// The C++ daemon is resident with 512 ports at 8.2 MB; ours at most at this.
const MOST_RESIDENT: f64 = 7e6;

/// Measures and reports.
pub(super) fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    let ports = world.names.len();
    let sender = Sender::new(world)?;
    let mut memory = Section::new(
        &format!("Resident memory with {ports} ports"),
        &format!("before and after a storm of {:?}", plan.storm),
        &["resident", "anonymous", "program", "ring", "peak"],
    );
    for subject in [Subject::Ebpf, Subject::Netlink] {
        let name = subject.as_str();
        world.say(&format!("memory: {name}"))?;
        let live = subject.start(world)?;
        let clocks = [live.cpu()?, world.redis_cpu()?];
        live.wait_until_settled()?;
        wait_until_quiet(&clocks)?;
        let before = Memory::of(live.pid())?;

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
