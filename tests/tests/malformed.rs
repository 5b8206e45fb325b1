//! Rows in `CONFIG_DB` that no tool of SONiC writes: they neither stop the
//! daemon nor harm any other row.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use portsyncd_tests::{Bed, on_each_source, port_names};
use redis::Commands;

on_each_source!(
    malformed_rows_harm_nobody,
    malformed_rows_that_come_later_harm_nobody,
    a_row_without_fields_is_still_a_port,
);

fn malformed_rows_harm_nobody(bed: &Bed) -> Result<()> {
    let ports = port_names(3);
    bed.configure(&ports)?;
    write_malformed(bed)?;
    let mut taps = bed.taps(&ports)?;
    let consumer = bed.consumer()?;
    let mut daemon = bed.daemon()?;
    consumer.wait_for("PortConfigDone")?;
    for port in &ports {
        bed.wait_for_field(port, "netdev_oper_status", "up")?;
        ensure!(
            consumer.times(port) == 1,
            "{port} was pushed {} times",
            consumer.times(port)
        );
    }
    // Rows whose names no port can have hold nobody up; this one can.
    taps.push(bed.tap("Ethernet60")?);
    consumer.wait_for("PortInitDone")?;
    taps[0].set_mtu(1400)?;
    bed.wait_for_field("Ethernet0", "mtu", "1400")?;

    // What is not text is passed on byte by byte.
    let pushed: BTreeMap<Vec<u8>, Vec<u8>> = bed.appl_db()?.hgetall("PORT_TABLE:Ethernet60")?;
    let value = pushed
        .get(b"description".as_slice())
        .context("no description was pushed")?;
    ensure!(value == b"\xff\xfe\x00\x80", "{}", value.escape_ascii());

    // On a warm start orchagent compares this count with the rows.
    let count = consumer.wait_for("PortConfigDone")?.fields["count"].clone();
    let rows = bed
        .appl_db()?
        .keys::<_, Vec<Vec<u8>>>("PORT_TABLE:*")?
        .len()
        - 2;
    ensure!(
        count == rows.to_string(),
        "count is {count}, but {rows} rows were pushed"
    );
    daemon.still_runs()?;
    daemon.stop()
}

fn malformed_rows_that_come_later_harm_nobody(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    let mut taps = bed.taps(&["Ethernet0"])?;
    let mut daemon = bed.daemon()?;
    bed.converge()?;
    write_malformed(bed)?;
    // Told after all of them.
    bed.configure(&["Ethernet0", "Ethernet8"])?;
    taps.push(bed.tap("Ethernet8")?);
    bed.wait_for_field("Ethernet8", "state", "ok")?;
    let mut config_db = bed.config_db()?;
    for key in config_db.keys::<_, Vec<Vec<u8>>>("PORT|*")? {
        let good = key.as_slice() == b"PORT|Ethernet0" || key.as_slice() == b"PORT|Ethernet8";
        if !good {
            config_db.del::<_, ()>(key)?;
        }
    }
    taps.iter().try_for_each(|tap| tap.set_mtu(1400))?;
    bed.wait_for_field("Ethernet8", "mtu", "1400")?;
    bed.converge()?;
    daemon.still_runs()?;
    daemon.stop()
}

fn a_row_without_fields_is_still_a_port(bed: &Bed) -> Result<()> {
    bed.configure(&["Ethernet0"])?;
    bed.config_db()?
        .hset::<_, _, _, ()>("PORT|Ethernet4", "NULL", "NULL")?;
    let _taps = bed.taps(&["Ethernet0", "Ethernet4"])?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortInitDone")?;
    bed.converge()?;
    bed.wait_for_field("Ethernet4", "state", "ok")?;
    // No fields would read as a DEL to orchagent.
    for popped in consumer.all() {
        ensure!(!popped.fields.is_empty() && !popped.deleted, "{popped:?}");
        ensure!(!popped.fields.contains_key("NULL"), "{popped:?}");
    }
    daemon.stop()
}

fn write_malformed(bed: &Bed) -> Result<()> {
    let mut config_db = bed.config_db()?;
    let fields: [(&[u8], &[u8]); 2] = [(b"lanes", b"61,62"), (b"description", b"\xff\xfe\x00\x80")];
    config_db.hset_multiple::<_, _, _, ()>("PORT|Ethernet60", &fields)?;
    // Names that no netdev can have.
    for name in [
        &b""[..],
        &[b'E'; 10_000],
        b"Ethernet 0",
        b"Ethernet/0",
        b"Ether\0net",
    ] {
        config_db.hset::<_, _, _, ()>([b"PORT|", name].concat(), "lanes", "1")?;
    }
    // Names that a netdev can have, but no port.
    for name in [&b"\xff\xfe"[..], b"eth0"] {
        config_db.hset::<_, _, _, ()>([b"PORT|", name].concat(), "lanes", "1")?;
    }
    // Other types than a hash.
    config_db.set::<_, _, ()>("PORT|eth1", "not a hash")?;
    config_db.rpush::<_, _, ()>("PORT|eth2", "not a hash")?;
    Ok(())
}
