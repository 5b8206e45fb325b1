//! The test bed itself: it must be able to see a fault, and leave nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use portsyncd_tests::bridge::Bridge;
use portsyncd_tests::redis_server::{Keep, RedisOptions, TCP_PORT};
use portsyncd_tests::{Bed, Consumer, Monitor, Namespace, Source, Tap, port_names, wait_until};
use redis::Commands;

#[test]
fn the_oracle_sees_every_kind_of_difference() -> Result<()> {
    let bed = Bed::new(Source::Auto)?;
    let ports = port_names(3);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports[..2])?;
    taps[1].down()?;
    let mut state_db = bed.state_db()?;
    let mut publish = |port: &str, fields: [(&str, &str); 4]| -> Result<()> {
        Ok(state_db.hset_multiple(format!("PORT_TABLE|{port}"), &fields)?)
    };
    let up = |mtu| {
        [
            ("state", "ok"),
            ("netdev_oper_status", "up"),
            ("admin_status", "up"),
            mtu,
        ]
    };
    let down = [
        ("state", "ok"),
        ("netdev_oper_status", "down"),
        ("admin_status", "down"),
        ("mtu", "1500"),
    ];
    publish("Ethernet0", up(("mtu", "1500")))?;
    publish("Ethernet4", down)?;
    bed.converge()?;

    for (port, fields, complaint) in [
        (
            "Ethernet0",
            up(("mtu", "9100")),
            "Ethernet0: mtu is 9100, kernel says 1500",
        ),
        (
            "Ethernet0",
            down,
            "netdev_oper_status is down, kernel says up",
        ),
        ("Ethernet8", down, "there is no such netdev"),
        ("Ethernet12", down, "it is no configured port"),
    ] {
        publish(port, fields)?;
        let found = bed.oracle()?.differences()?.join("\n");
        ensure!(
            found.contains(complaint),
            "{complaint:?} is not in {found:?}"
        );
    }
    Ok(())
}

#[test]
fn the_kernel_view_follows_carrier_flags_mtu_master_and_name() -> Result<()> {
    let namespace = Namespace::new()?;
    let mut tap = Tap::create(&namespace, "Ethernet0")?;
    let mut rtnl = namespace.rtnl()?;
    ensure!(!rtnl.dump()?["Ethernet0"].admin_up());
    tap.up()?;
    // Settled by linkwatch, which works on its own time.
    let mut settles = |what: &str, oper_up: bool| {
        wait_until(what, Duration::from_secs(10), || {
            let netdev = &rtnl.dump()?["Ethernet0"];
            Ok(if netdev.admin_up() && netdev.oper_up() == oper_up {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(format!("{netdev:?}"))
            })
        })
    };
    settles("a tap that is up has its carrier", true)?;
    tap.carrier(false)?;
    settles("the carrier is lost", false)?;
    tap.carrier(true)?;
    settles("the carrier is back", true)?;

    tap.set_mtu(9100)?;
    let bridge = Bridge::create(&namespace, "Bridge")?;
    bridge.enslave(&tap)?;
    let netdevs = rtnl.dump()?;
    ensure!(netdevs["Ethernet0"].mtu == 9100);
    ensure!(netdevs["Ethernet0"].master == Some(netdevs["Bridge"].ifindex));
    ensure!(netdevs["Bridge"].kind.as_deref() == Some("bridge"));
    bridge.release(&tap)?;
    tap.down()?;
    tap.rename("Ethernet4")?;
    let netdevs = rtnl.dump()?;
    ensure!(netdevs["Ethernet4"].master.is_none() && !netdevs.contains_key("Ethernet0"));
    tap.delete()?;
    ensure!(!rtnl.dump()?.contains_key("Ethernet4"));
    Ok(())
}

#[test]
fn a_monitor_hears_link_messages() -> Result<()> {
    let namespace = Namespace::new()?;
    let mut monitor = namespace.run(Monitor::open)??;
    let tap = Tap::create(&namespace, "Ethernet0")?;
    tap.set_mtu(1400)?;
    tap.delete()?;
    let mut mtus = Vec::new();
    loop {
        let messages = monitor.next(Duration::from_secs(10))?;
        ensure!(
            !messages.is_empty(),
            "no RTM_DELLINK came; MTUs heard: {mtus:?}"
        );
        mtus.extend(messages.iter().map(|message| message.netdev.mtu));
        if messages
            .iter()
            .any(|message| message.deleted && message.netdev.name == "Ethernet0")
        {
            ensure!(mtus.contains(&1400), "{mtus:?}");
            return Ok(());
        }
    }
}

#[test]
fn the_consumer_pops_what_a_producer_sets() -> Result<()> {
    let bed = Bed::new(Source::Auto)?;
    let mut appl_db = bed.appl_db()?;
    let mut set = |key: &str, fields: &[(&str, &str)]| -> Result<()> {
        let mut transaction = redis::pipe();
        transaction.atomic().sadd("PORT_TABLE_KEY_SET", key);
        transaction.hset_multiple(format!("_PORT_TABLE:{key}"), fields);
        transaction.publish("PORT_TABLE_CHANNEL@0", "G");
        Ok(transaction.exec(&mut appl_db)?)
    };
    set("Ethernet0", &[("mtu", "9100")])?;
    let consumer = Consumer::start(bed.redis())?;
    ensure!(consumer.wait_for("Ethernet0")?.fields["mtu"] == "9100");
    set("PortInitDone", &[("lanes", "0")])?;
    let popped = consumer.wait_for("PortInitDone")?;
    ensure!(!popped.deleted && popped.fields["lanes"] == "0");
    ensure!(appl_db.hget::<_, _, String>("PORT_TABLE:Ethernet0", "mtu")? == "9100");
    ensure!(!appl_db.exists::<_, bool>("_PORT_TABLE:Ethernet0")?);
    ensure!(consumer.times("Ethernet0") == 1);
    Ok(())
}

#[test]
fn redis_keeps_what_was_saved_and_forgets_the_rest() -> Result<()> {
    let bed = Bed::with_redis(
        Source::Auto,
        RedisOptions {
            tcp: true,
            ..RedisOptions::default()
        },
    )?;
    bed.configure(&["Ethernet0"])?;
    bed.redis().save()?;
    bed.redis().kill()?;
    ensure!(bed.config_db().is_err(), "a killed server answers");
    bed.redis().start_again(Keep::Saved)?;
    ensure!(bed.config_db()?.exists::<_, bool>("PORT|Ethernet0")?);
    bed.redis().kill()?;
    bed.redis().start_again(Keep::Nothing)?;
    ensure!(!bed.config_db()?.exists::<_, bool>("PORT|Ethernet0")?);
    let reached = bed
        .namespace()
        .run(|| std::net::TcpStream::connect(("127.0.0.1", TCP_PORT)))?;
    ensure!(reached.is_ok(), "{reached:?}");
    Ok(())
}

#[test]
fn nothing_is_left_behind() -> Result<()> {
    let bed = Bed::new(Source::Auto)?;
    let socket = bed.redis().socket().to_owned();
    let taps = bed.taps(&port_names(514))?;
    // The number of a namespace that is gone may be given to another test's, so
    // the processes are remembered, not the namespace.
    let inside = processes_in(bed.namespace())?;
    ensure!(!inside.is_empty(), "Redis is not in the namespace");
    drop(taps);
    drop(bed);
    ensure!(!socket.exists() && !socket.parent().is_some_and(Path::exists));
    for process in inside {
        ensure!(!process.exists(), "{} still runs", process.display());
    }
    Ok(())
}

fn processes_in(namespace: &Namespace) -> Result<Vec<PathBuf>> {
    let netns = fs::read_link(namespace.path())?;
    Ok(fs::read_dir("/proc")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        // Processes come and go while the list is read.
        .filter(|path| fs::read_link(path.join("ns/net")).is_ok_and(|other| other == netns))
        .collect())
}
