//! How long the kernel's RTNL lock is held for what the daemon asks of it.
//!
//! A request is carried out within send(2), a dump's part within recv(2), under
//! RTNL for most of it: with nobody else at the lock, the call's time bounds the
//! time for which it is held.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::netlink::Route;
use crate::bench::report::{Cell, Section};
use crate::bench::samples::Samples;
use crate::bench::world::World;

/// Ports that are settled, one by one.
const PORTS: usize = 64;
const DUMPS: usize = 20;
/// Linkwatch has run, and holds back what comes next.
const LINKWATCH: Duration = Duration::from_millis(1300);

/// Measures and reports.
pub(super) fn measure(world: &World) -> Result<Section> {
    world.say("how long RTNL is held")?;
    let mut route = world.bed.namespace().run(Route::open)??;
    let nothing: Result<Vec<_>> = (0..200).map(|_| route.take_rtnl()).collect();

    thread::sleep(LINKWATCH);
    let (first, held_back) = world.taps[..=PORTS].split_at(1);
    first[0].carrier(false)?;
    let mut settling = Vec::new();
    for tap in held_back {
        tap.carrier(false)?;
        settling.push(route.ask_for(tap.ifindex()?)?);
    }
    let mut settled = Vec::new();
    for tap in held_back {
        settled.push(route.ask_for(tap.ifindex()?)?);
    }
    for tap in &world.taps[..=PORTS] {
        tap.carrier(true)?;
    }

    let (mut parts, mut dumps) = (Vec::new(), Vec::new());
    for _ in 0..DUMPS {
        let begun = Instant::now();
        parts.extend(route.dump_parts()?);
        dumps.push(begun.elapsed());
    }

    let mut section = Section::new(
        "RTNL, with nobody else at it",
        &format!("{} netdevs", world.names.len() + 1),
        &["p50", "p99", "max"],
    );
    for (name, times) in [
        ("a request that does nothing (the bystander's)", nothing?),
        ("RTM_GETLINK for a port held back by linkwatch", settling),
        ("RTM_GETLINK for a settled port", settled),
        ("one part of a dump without statistics", parts),
        ("a whole dump, the lock taken anew for each part", dumps),
    ] {
        let times = Samples::of(times);
        let values = [times.median(), times.quantile(99), times.max()];
        section.row(name, &values.map(Cell::Seconds));
    }
    section.note("system call times: upper bounds of the time for which the lock is held");
    Ok(section)
}
