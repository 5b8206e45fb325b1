//! Storms that no buffer holds: the loss is noticed, told, and made good.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::redis_server::Keep;
use portsyncd_tests::{Bed, DaemonConfig, Source, Tap, on_each_source, port_names};

on_each_source!(
    a_storm_converges,
    an_overflow_while_the_daemon_is_stopped_converges,
    an_overflow_by_a_storm_converges,
    netdevs_that_came_and_went_unseen_are_reconciled,
    redis_killed_and_restarted_in_a_storm_converges,
    redis_that_lost_everything_is_filled_again,
    redis_that_hangs_in_a_storm_converges,
);

/// How often a storm goes over the ports.
const ROUNDS: u16 = 40;

fn a_storm_converges(bed: &Bed) -> Result<()> {
    let ports = port_names(64);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    consumer.wait_for("PortInitDone")?;
    storm(&taps, ROUNDS)?;
    bed.converge()?;
    ensure!(consumer.times("PortInitDone") == 1 && consumer.times("PortConfigDone") == 1);
    daemon.stop()
}

fn an_overflow_while_the_daemon_is_stopped_converges(bed: &Bed) -> Result<()> {
    let ports = port_names(64);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let mut daemon = bed.start(smallest_buffer(bed))?;
    bed.converge()?;
    let before = daemon.log().text().lines().count();
    // Nothing is read meanwhile, so most of these messages find no room.
    daemon.signal(Signal::SIGSTOP)?;
    storm(&taps, ROUNDS)?;
    taps.iter().step_by(2).try_for_each(Tap::down)?;
    daemon.signal(Signal::SIGCONT)?;
    bed.converge()?;
    bed.wait_for_field("Ethernet0", "admin_status", "down")?;
    // It works on as before.
    taps[0].up()?;
    bed.wait_for_field("Ethernet0", "admin_status", "up")?;
    bed.converge()?;
    daemon.still_runs()?;
    let log = daemon.log().clone();
    daemon.stop()?;
    let log = log.text();
    let told: Vec<&str> = log
        .lines()
        .skip(before)
        .filter(|line| tells_of_loss(line))
        .collect();
    ensure!(!told.is_empty(), "the log does not tell of the loss");
    ensure!(told.len() < 100, "{} lines about one loss", told.len());
    Ok(())
}

fn an_overflow_by_a_storm_converges(bed: &Bed) -> Result<()> {
    let ports = port_names(128);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let daemon = bed.start(smallest_buffer(bed))?;
    bed.converge()?;
    for _ in 0..3 {
        storm(&taps, ROUNDS)?;
        bed.converge()?;
    }
    daemon.stop()
}

fn netdevs_that_came_and_went_unseen_are_reconciled(bed: &Bed) -> Result<()> {
    let ports = port_names(32);
    bed.configure(&ports)?;
    let mut taps = bed.taps(&ports)?;
    let daemon = bed.start(smallest_buffer(bed))?;
    bed.converge()?;
    daemon.signal(Signal::SIGSTOP)?;
    // Of the others, so that nothing at all is heard of the first ones: the one
    // made anew looks exactly as the one before.
    storm(&taps[8..], ROUNDS)?;
    // One goes, one is made anew, one changes its name.
    taps.remove(1).delete()?;
    taps.remove(1).delete()?;
    taps.push(bed.tap("Ethernet8")?);
    taps[1].down()?;
    taps[1].rename("eth-spare")?;
    daemon.signal(Signal::SIGCONT)?;
    bed.wait_for_no_row("Ethernet4")?;
    bed.wait_for_no_row("Ethernet12")?;
    bed.converge()?;
    daemon.stop()
}

fn redis_killed_and_restarted_in_a_storm_converges(bed: &Bed) -> Result<()> {
    let ports = port_names(64);
    bed.configure(&ports)?;
    let mut taps = bed.taps(&ports)?;
    let mut daemon = bed.start(impatient(bed.config()))?;
    bed.converge()?;
    bed.redis().save()?;
    for round in 0..2 {
        during_a_storm(&taps, || {
            bed.redis().kill()?;
            bed.redis().start_again(Keep::Saved)
        })?;
        bed.converge()
            .with_context(|| format!("after restart {round}"))?;
        daemon.still_runs()?;
    }
    // Removed while Redis is away: its saved row must go.
    bed.redis().save()?;
    bed.redis().kill()?;
    taps.remove(5).delete()?;
    taps[0].down()?;
    bed.redis().start_again(Keep::Saved)?;
    bed.wait_for_no_row("Ethernet20")?;
    bed.wait_for_field("Ethernet0", "admin_status", "down")?;
    bed.converge()?;
    daemon.stop()
}

fn redis_that_lost_everything_is_filled_again(bed: &Bed) -> Result<()> {
    let ports = port_names(16);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let mut daemon = bed.start(impatient(bed.config()))?;
    bed.converge()?;
    bed.redis().kill()?;
    taps[3].down()?;
    bed.redis().start_again(Keep::Nothing)?;
    bed.configure(&ports)?;
    bed.wait_for_field("Ethernet12", "admin_status", "down")?;
    bed.converge()?;
    // Configuration is followed on the new connection, too.
    let _late = bed.tap("Ethernet400")?;
    bed.configure(&["Ethernet400"])?;
    bed.wait_for_field("Ethernet400", "state", "ok")?;
    bed.converge()?;
    daemon.still_runs()?;
    daemon.stop()
}

fn redis_that_hangs_in_a_storm_converges(bed: &Bed) -> Result<()> {
    let ports = port_names(64);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let mut daemon =
        bed.start(impatient(bed.config()).set("database.connection_timeout_secs", 1))?;
    bed.converge()?;
    bed.redis().pause()?;
    storm(&taps, ROUNDS)?;
    taps[0].down()?;
    bed.redis().resume()?;
    bed.wait_for_field("Ethernet0", "admin_status", "down")?;
    bed.converge()?;
    daemon.still_runs()?;
    daemon.stop()
}

/// Carrier, flags and MTU of every port, as fast as one thread can.
fn storm(taps: &[Tap], rounds: u16) -> Result<()> {
    for round in 0..rounds {
        for (number, tap) in (0..).zip(taps) {
            tap.set_mtu(1400 + (round + number) % 100)?;
            match (round + number) % 4 {
                0 => tap.down()?,
                1 => tap.up()?,
                2 => tap.carrier(false)?,
                _ => tap.carrier(true)?,
            }
        }
    }
    taps.iter().try_for_each(Tap::up)
}

/// Does `deed` while another thread storms.
fn during_a_storm(taps: &[Tap], deed: impl FnOnce() -> Result<()>) -> Result<()> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let storming = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                storm(taps, 1)?;
            }
            anyhow::Ok(())
        });
        let deed = deed();
        done.store(true, Ordering::Relaxed);
        storming
            .join()
            .map_err(|_| anyhow::anyhow!("the storm panicked"))?
            .and(deed)
    })
}

/// The smallest ring or receive buffer that the configuration takes.
fn smallest_buffer(bed: &Bed) -> DaemonConfig {
    match bed.source() {
        Source::Netlink => bed.config().set("link.netlink_rcvbuf_kb", 4),
        _ => bed.config().set("link.ring_buffer_kb", 4),
    }
}

/// A daemon that looks for Redis often.
fn impatient(config: DaemonConfig) -> DaemonConfig {
    config.set("database.retry_interval_secs", 1)
}

fn tells_of_loss(line: &str) -> bool {
    let line = line.to_lowercase();
    ["lost", "overrun", "overflow"]
        .iter()
        .any(|word| line.contains(word))
}
