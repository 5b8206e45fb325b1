//! Trouble on the kernel's side: dumps that never end, ports by the thousand,
//! netdevs that go with their namespace.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, anyhow, bail, ensure};
use portsyncd_tests::namespace::NamedNamespace;
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, Daemon, PATIENCE, Tap, on_each_source, port_names};

on_each_source!(
    an_initial_dump_that_never_ends_is_not_waited_for,
    a_port_storm_during_the_initial_dump,
    a_thousand_ports_created_and_destroyed_at_once,
    a_namespace_that_disappears,
);

/// With so many netdevs a dump has enough parts to be interrupted in each.
const MANY: usize = 512;

fn an_initial_dump_that_never_ends_is_not_waited_for(bed: &Bed) -> Result<()> {
    let ports = port_names(MANY);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    // No ports: the more netdevs there are, the longer a dump is, and the more may interrupt it.
    let standing: Vec<String> = (0..1024).map(|n| format!("standing{n}")).collect();
    let _standing = bed.taps(&standing)?;
    let consumer = bed.consumer()?;
    let daemon = while_netdevs_come_and_go(bed, || {
        let daemon = start_without_a_whole_dump(bed)?;
        // What is known is published, and what changes is.
        consumer.wait_for("PortInitDone")?;
        taps[100].set_mtu(1400)?;
        bed.wait_for_field("Ethernet400", "mtu", "1400")?;
        Ok(daemon)
    })?;
    // Dumps went on: one ends now.
    daemon.wait_for_log("initial dump complete")?;
    bed.converge()?;
    expect_at_the_end(daemon, &["eoiu_timeouts=1", "eoiu_detected=1"])
}

fn a_port_storm_during_the_initial_dump(bed: &Bed) -> Result<()> {
    let ports = port_names(MANY);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let (early, late) = taps.split_at(MANY / 2);
    let started = AtomicBool::new(false);
    let daemon = thread::scope(|scope| {
        let storm = scope.spawn(|| {
            let mut round = 0;
            // Until the daemon is there, and then some more.
            while !started.load(Ordering::Relaxed) || round < 4 {
                for (number, tap) in (0_u16..).zip(early) {
                    tap.set_mtu(1300 + (round + number) % 100)?;
                    tap.carrier((round + number) % 3 != 0)?;
                }
                round = (round + 1) % 1000;
            }
            anyhow::Ok(())
        });
        let daemon = bed.daemon();
        if let Ok(daemon) = &daemon {
            daemon.wait_for_log("portsyncd started")?;
        }
        started.store(true, Ordering::Relaxed);
        storm.join().map_err(|_| anyhow!("the storm panicked"))??;
        daemon
    })?;
    late[7].down()?;
    bed.converge()?;
    expect_at_the_end(daemon, &["eoiu_detected=1", "eoiu_timeouts=0"])
}

fn a_thousand_ports_created_and_destroyed_at_once(bed: &Bed) -> Result<()> {
    let ports = port_names(1028);
    bed.configure(&ports)?;
    let daemon = bed.daemon()?;
    let consumer = bed.consumer()?;
    consumer.wait_for("PortConfigDone")?;
    for _ in 0..2 {
        let taps = bed.taps(&ports)?;
        bed.converge()?;
        let before = daemon.resident_kib()?;
        Tap::delete_all(taps)?;
        bed.wait_for_no_row("Ethernet4108")?;
        bed.converge()?;
        let after = daemon.resident_kib()?;
        ensure!(after < before + 4096, "{before} KiB, then {after} KiB");
    }
    daemon.stop()
}

/// The name goes, and all of the netdevs: as far as the daemon is concerned a
/// namespace lives as long as its sockets do.
fn a_namespace_that_disappears(bed: &Bed) -> Result<()> {
    let ports = port_names(8);
    bed.configure(&ports)?;
    let elsewhere = portsyncd_tests::Namespace::new()?;
    let named = NamedNamespace::new(&elsewhere)?;
    let taps = Tap::create_all(&elsewhere, &ports)?;
    let mut daemon = bed.start(bed.config().set("link.netns", named.name()))?;
    bed.wait_for_field("Ethernet28", "state", "ok")?;
    drop(named);
    Tap::delete_all(taps)?;
    for port in &ports {
        bed.wait_for_no_row(port)?;
    }
    drop(elsewhere);
    daemon.still_runs()?;
    daemon.stop()
}

/// Now and then a dump slips through, and the next daemon has to try.
fn start_without_a_whole_dump(bed: &Bed) -> Result<Daemon> {
    const TRIES: usize = 20;
    for _ in 0..TRIES {
        let config = bed
            .config()
            .set("warm_restart.eoiu_timeout_secs", 1)
            .arg("--log-level")
            .arg("debug");
        let daemon = bed.start(config)?;
        let mut given_up = false;
        wait_for("the first dump ends, or is given up", PATIENCE, || {
            let log = daemon.log().text();
            given_up = log.contains("no complete dump within warm_restart.eoiu_timeout_secs");
            Ok(given_up || log.contains("initial dump complete"))
        })?;
        if given_up {
            return Ok(daemon);
        }
        daemon.stop()?;
    }
    bail!("{TRIES} daemons in a row had a dump that nothing interrupted")
}

/// Does `deed` while netdevs that are no ports come and go without pause, so that
/// no dump of all is ever consistent.
fn while_netdevs_come_and_go<T>(bed: &Bed, deed: impl FnOnce() -> Result<T>) -> Result<T> {
    let done = AtomicBool::new(false);
    let passing = |number: usize| -> Result<()> {
        let names: Vec<String> = (0..48).map(|n| format!("passing{number}x{n}")).collect();
        while !done.load(Ordering::Relaxed) {
            let taps = Tap::create_all(bed.namespace(), &names)?;
            Tap::delete_all(taps)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let passing = &passing;
        let passing: Vec<_> = (0..4).map(|n| scope.spawn(move || passing(n))).collect();
        let result = deed();
        done.store(true, Ordering::Relaxed);
        for thread in passing {
            thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        result
    })
}

fn expect_at_the_end(daemon: Daemon, parts: &[&str]) -> Result<()> {
    let log = daemon.log().clone();
    daemon.stop()?;
    let ended = || {
        log.text()
            .lines()
            .any(|line| line.contains("portsyncd stopped"))
    };
    wait_for("the account is there", PATIENCE, || Ok(ended()))?;
    let text = log.text();
    let last = text.lines().find(|line| line.contains("portsyncd stopped"));
    let last = last.unwrap_or_default();
    for part in parts {
        ensure!(last.contains(part), "no {part} in {last}");
    }
    Ok(())
}
