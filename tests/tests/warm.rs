//! Warm and cold starts, and the netdevs that a restart finds.

use anyhow::{Result, ensure};
use portsyncd_tests::oracle::{Row, rows};
use portsyncd_tests::{Bed, Consumer, PATIENCE, Tap, on_each_source, port_names, wait_until};
use redis::Commands;

on_each_source!(
    a_warm_start_pushes_nothing,
    a_warm_start_of_swss_alone,
    rows_that_agree_neither_go_nor_flicker_on_a_warm_start,
    port_init_done_waits_for_no_question_but_its_own,
    rows_stripped_by_a_system_warm_reboot_are_whole_again,
    warm_restart_enabled_without_a_count_is_cold,
    warm_restart_disabled_is_cold,
    replaced_netdevs_are_set_down_and_ignored,
    a_dpu_does_not_replace_its_netdevs,
);

fn a_warm_start_pushes_nothing(bed: &Bed) -> Result<()> {
    warm_start(bed, "system")
}

fn a_warm_start_of_swss_alone(bed: &Bed) -> Result<()> {
    warm_start(bed, "swss")
}

fn warm_start(bed: &Bed, scope: &str) -> Result<()> {
    let ports = port_names(8);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    enable(bed, scope, "true")?;
    set_restore_count(bed, "3")?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortInitDone")?;
    // A system warm reboot strips the rows: all are published again.
    bed.converge()?;
    taps[0].set_mtu(1400)?;
    bed.converge()?;
    let popped: Vec<String> = consumer
        .all()
        .into_iter()
        .map(|popped| popped.key)
        .collect();
    ensure!(popped == ["PortInitDone"], "a warm start pushed {popped:?}");
    expect_row(bed, "4")?;
    daemon.stop()
}

/// Ended as a crash ends it, and by SIGTERM.
fn rows_that_agree_neither_go_nor_flicker_on_a_warm_start(bed: &Bed) -> Result<()> {
    let ports = port_names(64);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortInitDone")?;
    // Some are down, one way or another.
    taps[3].down()?;
    taps[5].carrier(false)?;
    let mut rtnl = bed.namespace().rtnl()?;
    portsyncd_tests::wait::wait_for("linkwatch has acted", PATIENCE, || {
        Ok(rtnl.dump()?.values().all(portsyncd_tests::Netdev::settled))
    })?;
    bed.converge()?;
    let mut state_db = bed.state_db()?;
    for port in &ports {
        let row = format!("PORT_TABLE|{port}");
        state_db.hset::<_, _, _, ()>(row, "host_tx_ready", "true")?;
    }
    let before = rows(&mut state_db, "PORT_TABLE")?;
    enable(bed, "swss", "true")?;
    daemon.kill()?;

    let commands = portsyncd_tests::Commands::watch(bed.redis())?;
    for start in 2..4 {
        let daemon = bed.daemon()?;
        portsyncd_tests::wait::wait_for("PortInitDone again", PATIENCE, || {
            Ok(consumer.times("PortInitDone") == start)
        })?;
        bed.converge()?;
        let log = daemon.log().clone();
        daemon.stop()?;
        let last = log.wait_for("portsyncd stopped", PATIENCE)?;
        ensure!(
            last.contains("warm_restarts=1 cold_starts=0"),
            "not a warm start: {last}"
        );
    }
    ensure!(rows(&mut state_db, "PORT_TABLE")? == before);
    for port in &ports {
        let about = commands.about(&format!("\"PORT_TABLE|{port}\""));
        let written: Vec<&String> = about.iter().filter(|line| !line.contains("GET")).collect();
        let status = format!(
            "\"netdev_oper_status\" \"{}\"",
            before[port]["netdev_oper_status"]
        );
        ensure!(
            written
                .iter()
                .all(|line| !line.to_uppercase().contains("\"DEL\"")
                    && (line.contains("EXISTS") || line.contains(&status))),
            "{port} was {status}: {written:?}"
        );
    }
    ensure!(consumer.times("PortConfigDone") == 1 && consumer.times(&ports[0]) == 1);
    Ok(())
}

/// Stale rows are searched for after it, single ports asked about only where CONFIG_DB does not
/// name them.
fn port_init_done_waits_for_no_question_but_its_own(bed: &Bed) -> Result<()> {
    let ports = port_names(64);
    bed.configure(&ports)?;
    let _taps = bed.taps(&ports)?;
    let foreign = bed.taps(&["Ethernet900", "Ethernet904"])?;
    // One of the two is a port all the same: orchagent's.
    bed.appl_db()?
        .hset::<_, _, _, ()>("PORT_TABLE:Ethernet900", "admin_status", "up")?;
    enable(bed, "swss", "true")?;
    set_restore_count(bed, "1")?;
    let stale = "PORT_TABLE|Ethernet908";
    bed.state_db()?
        .hset::<_, _, _, ()>(stale, "netdev_oper_status", "up")?;
    let commands = portsyncd_tests::Commands::watch(bed.redis())?;
    let daemon = bed.daemon()?;
    bed.consumer()?.wait_for("PortInitDone")?;
    portsyncd_tests::wait::wait_for("Ethernet900's row, no stale one", PATIENCE, || {
        let mut state_db = bed.state_db()?;
        let published: bool = state_db.hexists("PORT_TABLE|Ethernet900", "netdev_oper_status")?;
        Ok(published && !state_db.exists::<_, bool>(stale)?)
    })?;

    // MONITOR's lines begin with the time.
    let first = |part: &str| commands.about(part).into_iter().next();
    let done = first("\"_PORT_TABLE:PortInitDone\"");
    let search = first("\"SCAN\"");
    ensure!(
        done.is_some() && done < search,
        "PortInitDone: {done:?}, the search for stale rows: {search:?}"
    );
    let asked = commands.about("\"EXISTS\" \"PORT|");
    for line in &asked {
        ensure!(
            foreign.iter().any(|tap| line.contains(tap.name())),
            "asked about a configured port: {line}"
        );
    }
    ensure!(asked.len() >= foreign.len(), "asked about {asked:?}");
    daemon.stop()
}

fn rows_stripped_by_a_system_warm_reboot_are_whole_again(bed: &Bed) -> Result<()> {
    let ports = port_names(16);
    bed.configure(&ports)?;
    let _taps = bed.taps(&ports)?;
    let mut state_db = bed.state_db()?;
    for port in &ports {
        // finalize-warmboot keeps what orchagent cannot find out again.
        let row = format!("PORT_TABLE|{port}");
        state_db.hset::<_, _, _, ()>(row, "supported_speeds", "100000,50000")?;
    }
    enable(bed, "system", "true")?;
    set_restore_count(bed, "0")?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    for port in &ports {
        let row = bed.row(port)?;
        ensure!(
            row.len() == 5 && row["supported_speeds"] == "100000,50000",
            "{row:?}"
        );
    }
    expect_row(bed, "1")?;
    daemon.stop()
}

fn warm_restart_enabled_without_a_count_is_cold(bed: &Bed) -> Result<()> {
    enable(bed, "system", "true")?;
    cold_start(bed)
}

fn warm_restart_disabled_is_cold(bed: &Bed) -> Result<()> {
    enable(bed, "system", "false")?;
    set_restore_count(bed, "3")?;
    cold_start(bed)
}

fn cold_start(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    let _tap = bed.tap("Ethernet0")?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortInitDone")?;
    consumer.wait_for("PortConfigDone")?;
    ensure!(consumer.times("Ethernet0") == 1);
    bed.converge()?;
    expect_row(bed, "0")?;
    daemon.stop()
}

fn replaced_netdevs_are_set_down_and_ignored(bed: &Bed) -> Result<()> {
    let ports = port_names(4);
    bed.configure(&ports)?;
    let mut taps = bed.taps(&ports[..3])?;
    let consumer = bed.consumer()?;
    let daemon = bed.start(bed.config().set("link.existing_netdevs", "replace"))?;
    consumer.wait_for("PortConfigDone")?;
    let mut rtnl = bed.namespace().rtnl()?;
    wait_until("the old netdevs are down", PATIENCE, || {
        let netdevs = rtnl.dump()?;
        let up: Vec<&String> = ports[..3]
            .iter()
            .filter(|port| netdevs[port.as_str()].admin_up())
            .collect();
        Ok(if up.is_empty() {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(format!("{up:?} are up"))
        })
    })?;
    // The old netdevs change; only the new one is a port.
    taps.iter().try_for_each(|tap| tap.set_mtu(1400))?;
    let _new = bed.tap("Ethernet12")?;
    bed.wait_for_field("Ethernet12", "state", "ok")?;
    for port in &ports[..3] {
        ensure!(
            bed.row(port)?.is_empty(),
            "{port} is old, but has a row: {:?}",
            bed.row(port)?
        );
    }
    ensure!(
        consumer.times("PortInitDone") == 0,
        "PortInitDone with old netdevs only"
    );
    // orchagent destroys and makes them again.
    taps.drain(..).try_for_each(Tap::delete)?;
    let _new = bed.taps(&ports[..3])?;
    consumer.wait_for("PortInitDone")?;
    bed.converge()?;
    once(&consumer)?;
    daemon.stop()
}

fn a_dpu_does_not_replace_its_netdevs(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    bed.config_db()?
        .hset::<_, _, _, ()>("DEVICE_METADATA|localhost", "switch_type", "dpu")?;
    let _tap = bed.tap("Ethernet0")?;
    let consumer = bed.consumer()?;
    let daemon = bed.start(bed.config().set("link.existing_netdevs", "replace"))?;
    consumer.wait_for("PortInitDone")?;
    bed.converge()?;
    bed.wait_for_field("Ethernet0", "admin_status", "up")?;
    once(&consumer)?;
    daemon.stop()
}

fn once(consumer: &Consumer) -> Result<()> {
    let times = consumer.times("PortInitDone");
    ensure!(times == 1, "PortInitDone was popped {times} times");
    Ok(())
}

fn enable(bed: &Bed, scope: &str, enable: &str) -> Result<()> {
    Ok(bed.state_db()?.hset(
        format!("WARM_RESTART_ENABLE_TABLE|{scope}"),
        "enable",
        enable,
    )?)
}

fn set_restore_count(bed: &Bed, count: &str) -> Result<()> {
    Ok(bed
        .state_db()?
        .hset("WARM_RESTART_TABLE|portsyncd", "restore_count", count)?)
}

/// sonic-mgmt compares the rows before and after: only the count may differ.
fn expect_row(bed: &Bed, count: &str) -> Result<()> {
    let row: Row = bed.state_db()?.hgetall("WARM_RESTART_TABLE|portsyncd")?;
    let wanted = Row::from([("restore_count".to_owned(), count.to_owned())]);
    ensure!(
        row == wanted,
        "WARM_RESTART_TABLE|portsyncd is {row:?}, not {wanted:?}"
    );
    Ok(())
}
