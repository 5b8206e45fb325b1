//! Netdevs that come, change, move and go while the daemon runs.

use std::ops::ControlFlow;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::bridge::Bridge;
use portsyncd_tests::config_db::remove_port;
use portsyncd_tests::redis_server::STATE_DB;
use portsyncd_tests::{Bed, Events, PATIENCE, Tap, on_each_source, port_names, wait_until};

on_each_source!(
    a_created_netdev_is_published_and_a_deleted_one_withdrawn,
    a_recreated_netdev_is_withdrawn_and_published,
    a_renamed_netdev_moves_its_row,
    a_netdev_renamed_out_of_the_configuration_is_withdrawn,
    a_port_in_a_bridge_and_out_of_it_keeps_its_row,
    admin_state_and_mtu_follow,
    carrier_follows,
    a_lost_carrier_is_not_hidden_by_another_change,
    every_link_message_refreshes_the_row,
    breakout_withdraws_one_port_and_publishes_four,
    a_port_unconfigured_and_configured_again_is_published,
);

fn a_created_netdev_is_published_and_a_deleted_one_withdrawn(bed: &Bed) -> Result<()> {
    bed.configure(&port_names(4))?;
    let daemon = bed.daemon()?;
    for _ in 0..3 {
        let tap = bed.tap("Ethernet4")?;
        bed.wait_for_field("Ethernet4", "netdev_oper_status", "up")?;
        bed.converge()?;
        tap.delete()?;
        bed.wait_for_no_row("Ethernet4")?;
    }
    daemon.stop()
}

fn a_recreated_netdev_is_withdrawn_and_published(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    let mut tap = bed.tap("Ethernet0")?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    let events = port_events(bed)?;
    for round in 0..20u16 {
        let from = events.count();
        let old = tap.ifindex()?;
        // Every second time both are read at once, and may be folded.
        let stopped = round % 2 == 1;
        if stopped {
            daemon.signal(Signal::SIGSTOP)?;
        }
        tap.delete()?;
        tap = bed.tap("Ethernet0")?;
        if stopped {
            daemon.signal(Signal::SIGCONT)?;
        }
        ensure!(tap.ifindex()? != old, "the ifindex is not new");
        tap.set_mtu(1400 + round)?;
        // However quickly it came back: the transceiver daemon waits for the DEL.
        let (_, withdrawn) = events.wait_for(from, "PORT_TABLE|Ethernet0", "del", PATIENCE)?;
        events.wait_for(withdrawn, "PORT_TABLE|Ethernet0", "hset", PATIENCE)?;
        bed.converge()?;
    }
    daemon.stop()
}

fn a_renamed_netdev_moves_its_row(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0", "Ethernet4"])?;
    let mut tap = bed.tap("Ethernet0")?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    for name in ["Ethernet4", "Ethernet0"] {
        let old = tap.name().to_owned();
        tap.down()?;
        tap.rename(name)?;
        tap.up()?;
        bed.wait_for_no_row(&old)?;
        bed.wait_for_field(name, "netdev_oper_status", "up")?;
        bed.converge()?;
    }
    daemon.stop()
}

fn a_netdev_renamed_out_of_the_configuration_is_withdrawn(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    let mut tap = bed.tap("Ethernet0")?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    tap.down()?;
    tap.rename("eth-spare")?;
    bed.wait_for_no_row("Ethernet0")?;
    tap.rename("Ethernet0")?;
    bed.wait_for_field("Ethernet0", "state", "ok")?;
    bed.converge()?;
    daemon.stop()
}

fn a_port_in_a_bridge_and_out_of_it_keeps_its_row(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0", "Ethernet4"])?;
    let taps = bed.taps(&["Ethernet0", "Ethernet4"])?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    let events = port_events(bed)?;
    let bridge = Bridge::create(bed.namespace(), "Bridge")?;
    for mtu in [1410, 1420, 1430] {
        taps.iter().try_for_each(|tap| bridge.enslave(tap))?;
        bed.converge()?;
        taps.iter().try_for_each(|tap| bridge.release(tap))?;
        // Published after the RTM_DELLINK of the release.
        taps.iter().try_for_each(|tap| tap.set_mtu(mtu))?;
        bed.converge()?;
    }
    let withdrawn: Vec<_> = events
        .all()
        .into_iter()
        .filter(|event| event.command == "del")
        .collect();
    ensure!(
        withdrawn.is_empty(),
        "a port that only left a bridge was withdrawn: {withdrawn:?}"
    );
    daemon.stop()
}

fn admin_state_and_mtu_follow(bed: &Bed) -> Result<()> {
    let ports = port_names(16);
    bed.configure(&ports)?;
    let taps = Tap::create_all(bed.namespace(), &ports)?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    for (round, mtu) in [(0, 1280), (1, 9100), (2, 1500)] {
        for (number, tap) in taps.iter().enumerate() {
            if (number + round) % 2 == 0 {
                tap.up()
            } else {
                tap.down()
            }?;
            tap.set_mtu(mtu)?;
        }
        bed.converge()?;
        let (up, down) = if round == 1 {
            ("Ethernet4", "Ethernet0")
        } else {
            ("Ethernet0", "Ethernet4")
        };
        bed.wait_for_field(up, "admin_status", "up")?;
        bed.wait_for_field(down, "admin_status", "down")?;
        bed.wait_for_field(down, "netdev_oper_status", "down")?;
        bed.wait_for_field(up, "mtu", &mtu.to_string())?;
    }
    daemon.stop()
}

fn carrier_follows(bed: &Bed) -> Result<()> {
    let ports = port_names(8);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    // The first loss is told at once, the others when linkwatch gets to them.
    for _ in 0..2 {
        taps.iter().try_for_each(|tap| tap.carrier(false))?;
        for port in &ports {
            bed.wait_for_field(port, "netdev_oper_status", "down")?;
            bed.wait_for_field(port, "admin_status", "up")?;
        }
        bed.converge()?;
        taps.iter().try_for_each(|tap| tap.carrier(true))?;
        for port in &ports {
            bed.wait_for_field(port, "netdev_oper_status", "up")?;
        }
        bed.converge()?;
    }
    // Whatever a glitch shorter than linkwatch's delay leaves is right, too.
    for tap in &taps {
        tap.carrier(false)?;
        tap.carrier(true)?;
    }
    bed.converge()?;
    bed.wait_for_field("Ethernet28", "netdev_oper_status", "up")?;
    daemon.stop()
}

/// For up to a second linkwatch leaves `IFF_RUNNING` set on a port without carrier.
/// A link message for another reason must not publish that port as up.
fn a_lost_carrier_is_not_hidden_by_another_change(bed: &Bed) -> Result<()> {
    let ports = port_names(6);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    for mtu in [1400, 1500] {
        // After the first loss linkwatch makes the others wait.
        for (port, tap) in ports.iter().zip(&taps) {
            tap.carrier(false)?;
            tap.set_mtu(mtu)?;
            let text = mtu.to_string();
            let row = wait_until("the new MTU is published", PATIENCE, || {
                let row = bed.row(port)?;
                Ok(if row.get("mtu") == Some(&text) {
                    ControlFlow::Break(row)
                } else {
                    ControlFlow::Continue(format!("{row:?}"))
                })
            })?;
            ensure!(
                row["netdev_oper_status"] == "down",
                "{port} has no carrier: {row:?}"
            );
        }
        taps.iter().try_for_each(|tap| tap.carrier(true))?;
        bed.converge()?;
    }
    daemon.stop()
}

/// teammgrd retries a LAG member on any SET of the key, changed or not.
fn every_link_message_refreshes_the_row(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    let tap = bed.tap("Ethernet0")?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    let row = bed.row("Ethernet0")?;
    let events = port_events(bed)?;
    for on in [true, false] {
        let from = events.count();
        tap.promiscuous(on)?;
        events.wait_for(from, "PORT_TABLE|Ethernet0", "hset", PATIENCE)?;
    }
    ensure!(bed.row("Ethernet0")? == row);
    daemon.stop()
}

fn breakout_withdraws_one_port_and_publishes_four(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0", "Ethernet4"])?;
    let mut taps = bed.taps(&["Ethernet0", "Ethernet4"])?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortInitDone")?;
    bed.converge()?;

    remove_port(&mut bed.config_db()?, "Ethernet0")?;
    taps.remove(0).delete()?;
    bed.wait_for_no_row("Ethernet0")?;
    let four = ["Ethernet0", "Ethernet1", "Ethernet2", "Ethernet3"];
    bed.configure(&four)?;
    let narrow = bed.taps(&four)?;
    for port in four {
        bed.wait_for_field(port, "state", "ok")?;
    }
    bed.converge()?;
    narrow.into_iter().try_for_each(Tap::delete)?;
    four.iter()
        .try_for_each(|port| remove_port(&mut bed.config_db()?, port))?;
    four.iter().try_for_each(|port| bed.wait_for_no_row(port))?;
    bed.converge()?;
    ensure!(consumer.times("PortInitDone") == 1 && consumer.times("PortConfigDone") == 1);
    daemon.stop()
}

fn a_port_unconfigured_and_configured_again_is_published(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0", "Ethernet4"])?;
    let taps = bed.taps(&["Ethernet0", "Ethernet4"])?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    remove_port(&mut bed.config_db()?, "Ethernet0")?;
    bed.configure(&["Ethernet0", "Ethernet4"])?;
    taps[0].set_mtu(1400)?;
    bed.wait_for_field("Ethernet0", "mtu", "1400")?;
    bed.converge()?;
    daemon.stop()
}

fn port_events(bed: &Bed) -> Result<Events> {
    bed.events(&[(STATE_DB, "PORT_TABLE|*")])
}
