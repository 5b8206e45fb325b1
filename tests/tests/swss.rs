//! Databases emptied under our feet while the connection stays: a restart of
//! swss, FLUSHALL, single rows; and what must not be taken for it.

use std::time::Duration;

use anyhow::{Result, ensure};
use portsyncd_tests::redis_server::STATE_DB;
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, Consumer, Daemon, PATIENCE, Tap, on_each_source, port_names};
use redis::Commands;

on_each_source!(
    a_restart_of_swss_is_a_cold_start_in_process,
    rows_that_swss_deletes_late_come_back,
    a_restart_of_swss_without_tracking_is_noticed,
    a_restart_before_every_port_is_there,
    old_netdevs_are_replaced_after_a_restart_of_swss,
    a_warm_restart_of_swss_changes_nothing,
    an_orchagent_that_wipes_its_table_gets_it_again,
    a_consumer_that_comes_late_is_no_restart,
    flushall_is_repaired,
    a_single_deleted_row_comes_back,
);

fn a_restart_of_swss_is_a_cold_start_in_process(bed: &Bed) -> Result<()> {
    let ports = port_names(32);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortInitDone")?;
    bed.converge()?;
    for life in 2..=4 {
        flush_appl_db(bed)?;
        delete_rows(bed)?;
        taps[0].set_mtu(1400 + u16::try_from(life)?)?;
        wait_for_signals(&consumer, life)?;
        bed.converge()?;
    }
    expect_signals(bed, &consumer, 4)?;
    let pushed = consumer.times(&ports[5]);
    ensure!(pushed == 4, "{} was pushed {pushed} times", ports[5]);
    let count: String = bed
        .state_db()?
        .hget("WARM_RESTART_TABLE|portsyncd", "restore_count")?;
    ensure!(count == "0", "restore_count is {count}");
    stop_and_expect(daemon, "cold_starts=4")
}

fn rows_that_swss_deletes_late_come_back(bed: &Bed) -> Result<()> {
    let (consumer, daemon, _taps) = in_step(bed, 16)?;
    flush_appl_db(bed)?;
    wait_for_signals(&consumer, 2)?;
    // swss.sh comes to STATE_DB only now.
    for _ in 0..3 {
        delete_rows(bed)?;
        bed.converge()?;
    }
    expect_signals(bed, &consumer, 2)?;
    daemon.stop()
}

fn a_restart_of_swss_without_tracking_is_noticed(bed: &Bed) -> Result<()> {
    redis::cmd("ACL")
        .arg(&["SETUSER", "default", "-client|tracking"])
        .exec(&mut bed.appl_db()?)?;
    let (consumer, daemon, _taps) = in_step(bed, 16)?;
    flush_appl_db(bed)?;
    delete_rows(bed)?;
    wait_for_signals(&consumer, 2)?;
    bed.converge()?;
    daemon.stop()
}

fn a_restart_before_every_port_is_there(bed: &Bed) -> Result<()> {
    bed.configure(&port_names(4))?;
    let _taps = bed.taps(&port_names(3))?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortConfigDone")?;
    bed.converge()?;
    flush_appl_db(bed)?;
    delete_rows(bed)?;
    wait_times(&consumer, "PortConfigDone", 2)?;
    bed.converge()?;
    ensure!(consumer.times("PortInitDone") == 0, "one port is missing");
    let _last = bed.tap("Ethernet12")?;
    consumer.wait_for("PortInitDone")?;
    bed.converge()?;
    several_looks(bed)?;
    ensure!(consumer.times("PortInitDone") == 1 && consumer.times("PortConfigDone") == 2);
    daemon.stop()
}

fn old_netdevs_are_replaced_after_a_restart_of_swss(bed: &Bed) -> Result<()> {
    let ports = port_names(4);
    bed.configure(&ports)?;
    let consumer = bed.consumer()?;
    let daemon = bed.start(bed.config().set("link.existing_netdevs", "replace"))?;
    consumer.wait_for("PortConfigDone")?;
    let mut taps = bed.taps(&ports)?;
    consumer.wait_for("PortInitDone")?;
    bed.converge()?;
    flush_appl_db(bed)?;
    delete_rows(bed)?;
    wait_times(&consumer, "PortConfigDone", 2)?;
    let mut rtnl = bed.namespace().rtnl()?;
    wait_for("the old netdevs are down", PATIENCE, || {
        let netdevs = rtnl.dump()?;
        Ok(ports.iter().all(|port| !netdevs[port].admin_up()))
    })?;
    several_looks(bed)?;
    ensure!(
        bed.row("Ethernet0")?.is_empty(),
        "an old netdev has a row again"
    );
    ensure!(
        consumer.times("PortInitDone") == 1,
        "old netdevs are awaited ones"
    );
    taps.drain(..).try_for_each(Tap::delete)?;
    let _new = bed.taps(&ports)?;
    wait_times(&consumer, "PortInitDone", 2)?;
    bed.converge()?;
    daemon.stop()
}

fn a_warm_restart_of_swss_changes_nothing(bed: &Bed) -> Result<()> {
    let (consumer, daemon, _taps) = in_step(bed, 16)?;
    bed.state_db()?
        .hset::<_, _, _, ()>("WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")?;
    // orchagent ends and begins again; the tables stay.
    let events = bed.events(&[(STATE_DB, "PORT_TABLE|*")])?;
    let next = bed.consumer()?;
    several_looks(bed)?;
    expect_signals(bed, &consumer, 1)?;
    ensure!(next.all().is_empty(), "{:?}", next.all());
    ensure!(events.all().is_empty(), "{:?}", events.all());
    stop_and_expect(daemon, "cold_starts=1")
}

/// `PortsOrch::bake` on a warm start whose table does not add up.
fn an_orchagent_that_wipes_its_table_gets_it_again(bed: &Bed) -> Result<()> {
    let (consumer, daemon, _taps) = in_step(bed, 16)?;
    bed.state_db()?
        .hset::<_, _, _, ()>("WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")?;
    delete_all(&mut bed.appl_db()?, "PORT_TABLE:*")?;
    wait_for_signals(&consumer, 2)?;
    bed.converge()?;
    daemon.stop()
}

fn a_consumer_that_comes_late_is_no_restart(bed: &Bed) -> Result<()> {
    let ports = port_names(16);
    bed.configure(&ports)?;
    let _taps = bed.taps(&ports)?;
    let daemon = bed.daemon()?;
    bed.converge()?;
    wait_for("PortInitDone waits for its consumer", PATIENCE, || {
        Ok(bed.appl_db()?.exists("_PORT_TABLE:PortInitDone")?)
    })?;
    several_looks(bed)?;
    let consumer = bed.consumer()?;
    wait_for_signals(&consumer, 1)?;
    expect_signals(bed, &consumer, 1)?;
    stop_and_expect(daemon, "cold_starts=1")
}

fn flushall_is_repaired(bed: &Bed) -> Result<()> {
    let (consumer, mut daemon, taps) = in_step(bed, 32)?;
    for life in 2..=3 {
        redis::cmd("FLUSHALL").exec(&mut bed.appl_db()?)?;
        taps[3].set_mtu(1400 + u16::try_from(life)?)?;
        bed.configure(&port_names(32))?;
        bed.converge()?;
        wait_for_signals(&consumer, life)?;
    }
    expect_signals(bed, &consumer, 3)?;
    let done = consumer.all();
    let counts: Vec<_> = (done.iter())
        .filter(|popped| popped.key == "PortConfigDone")
        .map(|popped| popped.fields["count"].as_str())
        .collect();
    ensure!(
        counts == ["32", "32", "32"],
        "a CONFIG_DB that was being filled was pushed: {counts:?}"
    );
    daemon.still_runs()?;
    daemon.stop()
}

fn a_single_deleted_row_comes_back(bed: &Bed) -> Result<()> {
    let (consumer, daemon, _taps) = in_step(bed, 8)?;
    // Whoever looks only now and then looks now, and not again for a while.
    several_looks(bed)?;
    for port in ["Ethernet12", "Ethernet20"] {
        bed.state_db()?.del::<_, ()>(format!("PORT_TABLE|{port}"))?;
        bed.oracle()?.converge(Duration::from_secs(3))?;
    }
    expect_signals(bed, &consumer, 1)?;
    daemon.stop()
}

fn in_step(bed: &Bed, count: usize) -> Result<(Consumer, Daemon, Vec<Tap>)> {
    let ports = port_names(count);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let consumer = bed.consumer()?;
    let daemon = bed.daemon()?;
    consumer.wait_for("PortInitDone")?;
    bed.converge()?;
    Ok((consumer, daemon, taps))
}

/// The first half of what swss.sh does on a cold start.
fn flush_appl_db(bed: &Bed) -> Result<()> {
    Ok(redis::cmd("FLUSHDB").exec(&mut bed.appl_db()?)?)
}

/// The second half.
fn delete_rows(bed: &Bed) -> Result<()> {
    delete_all(&mut bed.state_db()?, "PORT_TABLE*")
}

fn delete_all(db: &mut redis::Connection, keys: &str) -> Result<()> {
    let delete = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";
    Ok(redis::cmd("EVAL").arg(delete).arg(0).arg(keys).exec(db)?)
}

fn wait_times(consumer: &Consumer, key: &str, times: usize) -> Result<()> {
    wait_for(&format!("{key} is popped {times} times"), PATIENCE, || {
        Ok(consumer.times(key) >= times)
    })
}

fn wait_for_signals(consumer: &Consumer, lives: usize) -> Result<()> {
    wait_times(consumer, "PortConfigDone", lives)?;
    wait_times(consumer, "PortInitDone", lives)
}

/// Neither signal came more often than that, nor will it.
fn expect_signals(bed: &Bed, consumer: &Consumer, lives: usize) -> Result<()> {
    several_looks(bed)?;
    for key in ["PortConfigDone", "PortInitDone"] {
        let times = consumer.times(key);
        ensure!(times == lives, "{key} was popped {times} times");
    }
    Ok(())
}

/// Waits until the daemon has looked at its signals again.
fn several_looks(bed: &Bed) -> Result<()> {
    let before = bed.redis().calls("exists")?;
    // Any change of a tracked key, or a flush of any database, makes it look.
    wait_for("the daemon has looked again", PATIENCE, || {
        let mut other = bed.redis().connect(50)?;
        redis::cmd("FLUSHDB").exec(&mut other)?;
        Ok(bed.redis().calls("exists")? >= before + 3)
    })
}

fn stop_and_expect(daemon: Daemon, part: &str) -> Result<()> {
    let log = daemon.log().clone();
    daemon.stop()?;
    let last = log.wait_for("portsyncd stopped", PATIENCE)?;
    ensure!(last.contains(part), "no {part} in {last}");
    Ok(())
}
