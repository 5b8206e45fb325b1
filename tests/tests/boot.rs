//! The start: configuration pushed, existing netdevs published, and the two
//! "done" signals, each exactly once.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use portsyncd_tests::config_db::port_fields;
use portsyncd_tests::redis_server::{APPL_DB, STATE_DB};
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, Consumer, PATIENCE, events, on_each_source, port_names};
use redis::Commands;

on_each_source!(
    boot_of_514_ports,
    configuration_is_pushed_verbatim,
    done_signals_come_in_order,
    zero_ports_are_a_valid_configuration,
    port_init_done_waits_for_the_last_netdev,
    a_port_that_orchagent_already_knows_is_not_waited_for,
    a_netdev_that_is_older_than_its_configuration_is_published,
    a_restart_publishes_again,
);

fn boot_of_514_ports(bed: &Bed) -> Result<()> {
    let ports = port_names(514);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    // Not all ports are alike.
    taps.iter()
        .step_by(3)
        .try_for_each(|tap| tap.set_mtu(9100))?;
    taps.iter()
        .step_by(5)
        .try_for_each(|tap| tap.carrier(false))?;
    taps.iter()
        .step_by(7)
        .try_for_each(portsyncd_tests::Tap::down)?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;

    let init_done = consumer.wait_for("PortInitDone")?;
    ensure!(
        init_done.fields == fields(&[("lanes", "0")]),
        "{init_done:?}"
    );
    let config_done = consumer.wait_for("PortConfigDone")?;
    ensure!(
        config_done.fields == fields(&[("count", "514")]),
        "{config_done:?}"
    );
    bed.converge()?;
    // SPOP takes keys in any order.
    wait_for("every key is popped", PATIENCE, || {
        Ok(consumer.all().len() >= 516)
    })?;
    for port in &ports {
        ensure!(
            consumer.times(port) == 1,
            "{port} was pushed {} times",
            consumer.times(port)
        );
    }
    ensure!(
        consumer.all().len() == 516,
        "{} keys were popped",
        consumer.all().len()
    );
    // As orchagent counts on a warm start.
    let in_table: Vec<String> = bed.appl_db()?.keys("PORT_TABLE:*")?;
    ensure!(
        in_table.len() == 516,
        "{} keys are in APPL_DB",
        in_table.len()
    );
    daemon.stop()
}

fn configuration_is_pushed_verbatim(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    let odd = "§ \"quoted\" 'text' with spaces\nand lines \u{0}";
    bed.config_db()?
        .hset::<_, _, _, ()>("PORT|Ethernet0", "description", odd)?;
    let _tap = bed.tap("Ethernet0")?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    let pushed = consumer.wait_for("Ethernet0")?;
    ensure!(!pushed.deleted);
    let mut wanted: BTreeMap<String, String> = port_fields(0).into_iter().collect();
    let speeds = wanted.remove("adv_speeds@").context("the row has a list")?;
    wanted.insert("adv_speeds".into(), speeds);
    wanted.insert("description".into(), odd.into());
    ensure!(
        pushed.fields == wanted,
        "{:?}\nis not\n{wanted:?}",
        pushed.fields
    );
    daemon.stop()
}

fn done_signals_come_in_order(bed: &Bed) -> Result<()> {
    let ports = port_names(40);
    bed.configure(&ports)?;
    let _taps = bed.taps(&ports)?;
    // One subscription hears both databases in the order of the writes.
    let events = bed.events(&[(APPL_DB, "_PORT_TABLE:*"), (STATE_DB, "PORT_TABLE|*")])?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortInitDone")?;
    let (_, config_done) = events.wait_for(
        0,
        "_PORT_TABLE:PortConfigDone",
        "hset",
        portsyncd_tests::PATIENCE,
    )?;
    let (_, init_done) = events.wait_for(
        0,
        "_PORT_TABLE:PortInitDone",
        "hset",
        portsyncd_tests::PATIENCE,
    )?;
    let seen = events.all();
    let place = |key: &str| first(&seen, key).with_context(|| format!("{key} was never written"));
    for port in &ports {
        ensure!(
            place(&format!("_PORT_TABLE:{port}"))? < config_done,
            "PortConfigDone before {port}"
        );
        ensure!(
            place(&format!("PORT_TABLE|{port}"))? < init_done,
            "PortInitDone before {port}"
        );
    }
    ensure!(config_done < init_done);
    once_each(&consumer)?;
    daemon.stop()
}

fn zero_ports_are_a_valid_configuration(bed: &Bed) -> Result<()> {
    let none: [&str; 0] = [];
    bed.configure(&none)?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortInitDone")?;
    let config_done = consumer.wait_for("PortConfigDone")?;
    ensure!(
        config_done.fields == fields(&[("count", "0")]),
        "{config_done:?}"
    );
    // The first port comes by breakout: portmgrd pushes its configuration then.
    let _tap = bed.tap("Ethernet0")?;
    bed.configure(&["Ethernet0"])?;
    bed.converge()?;
    bed.wait_for_field("Ethernet0", "state", "ok")?;
    once_each(&consumer)?;
    ensure!(
        consumer.times("Ethernet0") == 0,
        "configuration is pushed at the start only"
    );
    daemon.stop()
}

fn port_init_done_waits_for_the_last_netdev(bed: &Bed) -> Result<()> {
    let ports = port_names(3);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports[..2])?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortConfigDone")?;
    bed.converge()?;
    // A change that is published afterwards proves that the start is over.
    taps[0].set_mtu(1400)?;
    bed.wait_for_field("Ethernet0", "mtu", "1400")?;
    ensure!(
        consumer.times("PortInitDone") == 0,
        "PortInitDone, but Ethernet8 has no netdev"
    );
    let _last = bed.tap("Ethernet8")?;
    consumer.wait_for("PortInitDone")?;
    bed.wait_for_field("Ethernet8", "state", "ok")?;
    taps[0].set_mtu(1500)?;
    bed.converge()?;
    once_each(&consumer)?;
    daemon.stop()
}

fn a_port_that_orchagent_already_knows_is_not_waited_for(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0", "Ethernet4"])?;
    let _tap = bed.tap("Ethernet0")?;
    bed.appl_db()?
        .hset::<_, _, _, ()>("PORT_TABLE:Ethernet4", "admin_status", "up")?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortInitDone")?;
    bed.converge()?;
    once_each(&consumer)?;
    daemon.stop()
}

fn a_netdev_that_is_older_than_its_configuration_is_published(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    let taps = bed.taps(&["Ethernet0", "Ethernet4"])?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    ensure!(
        bed.row("Ethernet4")?.is_empty(),
        "an unconfigured netdev was published"
    );
    bed.configure(&["Ethernet0", "Ethernet4"])?;
    bed.wait_for_field("Ethernet4", "state", "ok")?;
    bed.converge()?;
    drop(taps);
    daemon.stop()
}

fn a_restart_publishes_again(bed: &Bed) -> Result<()> {
    let ports = port_names(8);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let first = bed.daemon()?;
    bed.converge()?;
    first.kill()?;
    // What nobody watched.
    taps[0].set_mtu(1400)?;
    taps[1].down()?;
    let mut gone = taps;
    gone.remove(2).delete()?;
    ensure!(
        !bed.oracle()?.differences()?.is_empty(),
        "somebody else publishes"
    );
    let consumer = bed.consumer()?;
    let second = bed.daemon()?;
    bed.converge()?;
    ensure!(
        bed.row("Ethernet8")?.is_empty(),
        "the row of a removed netdev is still there"
    );
    consumer.wait_for("PortConfigDone")?;
    second.stop()
}

/// Both signals were popped exactly once.
fn once_each(consumer: &Consumer) -> Result<()> {
    for signal in ["PortConfigDone", "PortInitDone"] {
        consumer.wait_for(signal)?;
        ensure!(
            consumer.times(signal) == 1,
            "{signal} was popped {} times",
            consumer.times(signal)
        );
    }
    Ok(())
}

fn first(events: &[events::Event], key: &str) -> Option<usize> {
    events
        .iter()
        .position(|event| event.key == key && event.command == "hset")
}

fn fields(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    fields
        .iter()
        .map(|&(field, value)| (field.to_owned(), value.to_owned()))
        .collect()
}
