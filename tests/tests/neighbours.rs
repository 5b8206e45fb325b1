//! Others write to the same tables: what is theirs stays, what is ours goes.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use portsyncd_tests::oracle::rows;
use portsyncd_tests::redis_server::STATE_DB;
use portsyncd_tests::{Bed, PATIENCE, on_each_source};
use redis::Commands;

on_each_source!(
    fields_of_other_writers_survive,
    a_deleted_port_loses_its_whole_row,
    rows_of_sub_interfaces_are_left_alone,
    a_stale_row_of_ours_goes_and_a_row_of_others_stays,
    extra_ports_are_published_without_configuration,
    the_alias_table_is_a_copy,
    netdevs_that_are_no_ports_are_ignored,
);

/// What orchagent and xcvrd keep in the same row.
const THEIRS: [(&str, &str); 3] = [
    ("host_tx_ready", "true"),
    ("supported_speeds", "100000,50000"),
    ("NPU_SI_SETTINGS_SYNC_STATUS", "NPU_SI_SETTINGS_DEFAULT"),
];

fn fields_of_other_writers_survive(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0", "Ethernet4"])?;
    let taps = bed.taps(&["Ethernet0", "Ethernet4"])?;
    // One row is there before the daemon, the other gets its fields later.
    write_theirs(bed, "Ethernet0")?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    write_theirs(bed, "Ethernet4")?;
    for mtu in [1400, 1500] {
        for tap in &taps {
            tap.down()?;
            tap.up()?;
            tap.set_mtu(mtu)?;
        }
        bed.converge()?;
    }
    for port in ["Ethernet0", "Ethernet4"] {
        let row = bed.row(port)?;
        for (field, value) in THEIRS {
            ensure!(
                row.get(field).is_some_and(|has| has == value),
                "{port} lost {field}: {row:?}"
            );
        }
        ensure!(
            row.len() == 4 + THEIRS.len(),
            "{port} has other fields than expected: {row:?}"
        );
    }
    daemon.stop()
}

fn a_deleted_port_loses_its_whole_row(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    let tap = bed.tap("Ethernet0")?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    write_theirs(bed, "Ethernet0")?;
    tap.delete()?;
    bed.wait_for_no_row("Ethernet0")?;
    daemon.stop()
}

fn rows_of_sub_interfaces_are_left_alone(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    let tap = bed.tap("Ethernet0")?;
    let sub = bed.tap("Ethernet0.10")?;
    let theirs = BTreeMap::from([("state".to_owned(), "ok".to_owned())]);
    let write = |name: &str| -> Result<()> {
        Ok(bed
            .state_db()?
            .hset(format!("PORT_TABLE|{name}"), "state", "ok")?)
    };
    write("Ethernet0.10")?;
    let events = bed.events(&[(STATE_DB, "PORT_TABLE|Ethernet0.*")])?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    sub.set_mtu(1400)?;
    sub.down()?;
    let later = bed.tap("Ethernet0.20")?;
    write("Ethernet0.20")?;
    sub.delete()?;
    later.delete()?;
    // Published after all of the above.
    tap.set_mtu(1400)?;
    bed.converge()?;
    for name in ["Ethernet0.10", "Ethernet0.20"] {
        ensure!(bed.row(name)? == theirs, "{name}: {:?}", bed.row(name)?);
    }
    ensure!(
        events.all().len() == 1,
        "besides our own write: {:?}",
        events.all()
    );
    daemon.stop()
}

fn a_stale_row_of_ours_goes_and_a_row_of_others_stays(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0", "Ethernet4", "Ethernet8"])?;
    let _tap = bed.tap("Ethernet0")?;
    let mut state_db = bed.state_db()?;
    let ours = [
        ("state", "ok"),
        ("netdev_oper_status", "up"),
        ("admin_status", "up"),
        ("mtu", "9100"),
    ];
    // Of a port that lost its netdev, and of one that lost its configuration too.
    state_db.hset_multiple::<_, _, _, ()>("PORT_TABLE|Ethernet4", &ours)?;
    state_db.hset_multiple::<_, _, _, ()>("PORT_TABLE|Ethernet100", &ours)?;
    // xcvrd may make the row before the netdev is there.
    write_theirs(bed, "Ethernet8")?;
    write_theirs(bed, "Ethernet104")?;
    let daemon = bed.daemon()?;
    bed.wait_for_no_row("Ethernet4")?;
    bed.wait_for_no_row("Ethernet100")?;
    bed.converge()?;
    for port in ["Ethernet8", "Ethernet104"] {
        ensure!(
            bed.row(port)?.len() == THEIRS.len(),
            "{port}: {:?}",
            bed.row(port)?
        );
    }
    daemon.stop()
}

fn extra_ports_are_published_without_configuration(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    let names = ["Ethernet0", "Ethernet-IB0", "Ethernet-Rec0", "Ethernet7"];
    let taps = bed.taps(&names)?;
    let globs = toml::Value::from(vec!["Ethernet-IB*", "Ethernet-Rec[0-9]"]);
    let daemon = bed.start(bed.config().set("link.extra_ports", globs))?;
    let mut oracle = bed.oracle()?.also(&["Ethernet-IB0", "Ethernet-Rec0"]);
    oracle.converge(PATIENCE)?;
    taps.iter().try_for_each(|tap| tap.set_mtu(1400))?;
    oracle.converge(PATIENCE)?;
    ensure!(
        bed.row("Ethernet7")?.is_empty(),
        "Ethernet7 matches no glob and is not configured"
    );
    daemon.stop()
}

fn the_alias_table_is_a_copy(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0", "Ethernet4"])?;
    let mut taps = bed.taps(&["Ethernet0", "Ethernet4"])?;
    let daemon = bed.start(bed.config().set("database.state_table_alias", "PORT"))?;
    let mut copy = bed.oracle()?.table("PORT");
    bed.converge()?;
    copy.converge(PATIENCE)?;
    taps[0].down()?;
    taps.remove(1).delete()?;
    bed.converge()?;
    copy.converge(PATIENCE)?;
    portsyncd_tests::wait::wait_for("the copy of Ethernet4 is gone", PATIENCE, || {
        Ok(!rows(&mut bed.state_db()?, "PORT")?.contains_key("Ethernet4"))
    })?;
    daemon.stop()
}

fn netdevs_that_are_no_ports_are_ignored(bed: &Bed) -> Result<()> {
    // Configured by mistake: the name alone tells that it is none of ours.
    bed.configure(&["Ethernet0", "eth0"])?;
    let taps = bed.taps(&[
        "Ethernet0",
        "eth0",
        "Ethernet4",
        "PortChannel1",
        "Loopback0",
    ])?;
    let daemon = bed.daemon()?;
    bed.wait_for_field("Ethernet0", "state", "ok")?;
    taps.iter().try_for_each(|tap| tap.set_mtu(1400))?;
    bed.wait_for_field("Ethernet0", "mtu", "1400")?;
    let published: Vec<String> = rows(&mut bed.state_db()?, "PORT_TABLE")?
        .into_keys()
        .collect();
    ensure!(published == ["Ethernet0"], "{published:?}");
    daemon.stop()
}

fn write_theirs(bed: &Bed, port: &str) -> Result<()> {
    Ok(bed
        .state_db()?
        .hset_multiple(format!("PORT_TABLE|{port}"), &THEIRS)?)
}
