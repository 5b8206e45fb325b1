//! From exec to PortInitDone when swss restarts warm: every row is there and says
//! what the kernel says.
//!
//! PortInitDone comes once the row of every port is acknowledged, so it is the
//! moment from which STATE_DB is known to be in step. The baseline, taken before
//! each start on the same netdevs and the same server, is the least that can
//! prove it: a dump, and a read of every row.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use portsyncd_tests::Source;
use portsyncd_tests::redis_server::STATE_DB;

use super::cold_start::timed;
use super::netlink::Route;
use super::plan::Plan;
use super::report::{Report, Section};
use super::resp::command;
use super::samples::Samples;
use super::subject::{Live, start_daemon, wait_for_init_done};
use super::world::World;

/// Measures and reports.
pub(super) fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    let ports = world.names.len();
    let mut state_db = world.redis(STATE_DB)?;
    world.clear()?;
    state_db.pipeline(&world.rows("PORT_TABLE|", World::state_fields), ports)?;
    let enable: [&[u8]; 4] = [
        b"HSET",
        b"WARM_RESTART_ENABLE_TABLE|swss",
        b"enable",
        b"true",
    ];
    state_db.call(&enable)?;
    state_db.call(&[
        b"HSET",
        b"WARM_RESTART_TABLE|portsyncd",
        b"restore_count",
        b"0",
    ])?;
    let mut route = world.bed.namespace().run(Route::open)??;
    let read = read_request(world);
    let (mut dumps, mut reads) = (Vec::new(), Vec::new());
    let (mut auto, mut ebpf, mut netlink) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=plan.cold_starts {
        world.say(&format!("warm restart {number} with {ports} ports"))?;
        for (source, starts) in [
            (Source::Auto, &mut auto),
            (Source::Ebpf, &mut ebpf),
            (Source::Netlink, &mut netlink),
        ] {
            let (dump, netdevs) = timed(|| route.dump(false))?;
            world.has(netdevs)?;
            dumps.push(dump);
            reads.push(timed(|| state_db.pipeline(&read, ports))?.0);
            starts.push(start(world, source)?);
        }
    }
    let count = state_db.call(&[b"HGET", b"WARM_RESTART_TABLE|portsyncd", b"restore_count"])?;
    ensure!(
        count.text() == (3 * plan.cold_starts).to_string(),
        "restore_count is {}: not every start was warm",
        count.text()
    );

    let of = |times: &[Duration]| Samples::of(times.iter().copied());
    let (dumps, reads) = (of(&dumps), of(&reads));
    let bare = dumps.median() + reads.median();
    let mut section = Section::new(
        &format!("Warm restart with {ports} ports"),
        &format!("median of {}", plan.cold_starts),
        &["p50", "min", "max", "p50 / bare"],
    );
    section.spread("raw RTM_GETLINK dump, without statistics", &dumps, bare);
    section.spread("raw pipelined read of the STATE_DB rows", &reads, bare);
    section.spread(
        "exec → PortInitDone, auto (eBPF once in step)",
        &of(&auto),
        bare,
    );
    section.spread("exec → PortInitDone, ebpf", &of(&ebpf), bare);
    section.spread("exec → PortInitDone, netlink", &of(&netlink), bare);
    section.note("bare: dump + read, what the target is measured in");
    report.add(section);
    report.target(
        "warm restart → PortInitDone on auto, p50 / (raw dump + raw pipelined read)",
        of(&auto).median() / bare,
        3.0,
    );
    report.remark(
        "warm restart → PortInitDone on ebpf insisted on, p50 / the same",
        of(&ebpf).median() / bare,
    );
    Ok(())
}

fn start(world: &World, source: Source) -> Result<Duration> {
    let mut events = world.done_events()?;
    let begun = Instant::now();
    let live = Live::Daemon(start_daemon(world, source)?);
    wait_for_init_done(&mut events)?;
    let took = begun.elapsed();
    world.bed.oracle()?.converge(super::PATIENCE)?;
    live.stop()?;
    Ok(took)
}

fn read_request(world: &World) -> Vec<u8> {
    let mut request = Vec::new();
    for name in &world.names {
        let row = format!("PORT_TABLE|{name}");
        command(&mut request, &[b"HGETALL", row.as_bytes()]);
    }
    request
}
