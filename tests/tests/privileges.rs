//! What the daemon may do, thread by thread (`/proc/PID/task/TID/status`): everything
//! is given up once nothing needs it, and what comes later works without.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::namespace::NamedNamespace;
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, Daemon, Namespace, Oracle, PATIENCE, Source, Tap, port_names};

/// The capability sets of a thread, in the order of `/proc/PID/status`.
const SETS: [&str; 5] = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];
/// `CAP_NET_ADMIN`, as a set.
const NET_ADMIN: u64 = 1 << 12;
const GIVEN_UP: &str = "every capability given up";

struct Thread {
    name: String,
    sets: [u64; 5],
    no_new_privs: bool,
}

impl Thread {
    fn read(task: &Path) -> Result<Self> {
        let status = fs::read_to_string(task.join("status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim).with_context(|| format!("no {name}"))
        };
        let mut sets = [0; 5];
        for (set, name) in sets.iter_mut().zip(SETS) {
            *set = u64::from_str_radix(field(name)?, 16)?;
        }
        Ok(Self {
            name: field("Name:")?.to_owned(),
            sets,
            no_new_privs: field("NoNewPrivs:")? == "1",
        })
    }

    fn is_plain(&self) -> bool {
        self.sets == [0; 5] && self.no_new_privs
    }
}

fn threads(daemon: &Daemon) -> Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for task in fs::read_dir(format!("/proc/{}/task", daemon.pid()))? {
        let task = task?.path();
        match Thread::read(&task) {
            Ok(thread) => threads.push(thread),
            // It ended while it was looked at.
            Err(_) if !task.exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(threads)
}

fn all_are_plain(daemon: &Daemon) -> Result<()> {
    let threads = threads(daemon)?;
    ensure!(!threads.is_empty());
    for thread in threads {
        ensure!(
            thread.is_plain(),
            "thread \"{}\" has {:x?} of {SETS:?}",
            thread.name,
            thread.sets
        );
    }
    Ok(())
}

fn every_thread_gives_up_everything(bed: &Bed) -> Result<()> {
    let ports = port_names(8);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let config = bed.config().set("link.resync_interval_secs", 1);
    let mut daemon = bed.start(config)?;
    daemon.wait_for_log(GIVEN_UP)?;
    all_are_plain(&daemon)?;

    // Dumps, requests to settle lost carriers and a new connection to Redis, each on
    // threads and sockets that are new.
    for tap in &taps {
        tap.carrier(false)?;
    }
    bed.converge()?;
    let mut state_db = bed.state_db()?;
    redis::cmd("FLUSHDB").exec(&mut state_db)?;
    redis::cmd("CLIENT")
        .arg("KILL")
        .arg("TYPE")
        .arg("normal")
        .exec(&mut state_db)?;
    bed.converge()?;
    daemon.signal(Signal::SIGHUP)?;
    daemon.wait_for_log("configuration reloaded")?;
    taps[0].set_mtu(1400)?;
    bed.converge()?;
    all_are_plain(&daemon)?;
    daemon.still_runs()?;
    daemon.stop()
}

portsyncd_tests::on_each_source!(every_thread_gives_up_everything);

#[test]
fn sockets_of_a_namespace_are_opened_without_privileges() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let inside = Namespace::new()?;
        let named = NamedNamespace::new(&inside)?;
        bed.configure(&["Ethernet0"])?;
        let tap = Tap::create(&inside, "Ethernet0")?;
        tap.up()?;
        let config = bed.config().set("link.netns", named.name());
        let daemon = bed.start(config.set("link.resync_interval_secs", 1))?;
        daemon.wait_for_log(GIVEN_UP)?;
        all_are_plain(&daemon)?;
        // A dump of the namespace proves that this row is nobody's.
        let mut state_db = bed.state_db()?;
        redis::cmd("HSET")
            .arg(&["PORT_TABLE|Ethernet4", "netdev_oper_status", "up"])
            .exec(&mut state_db)?;
        redis::cmd("CLIENT")
            .arg(&["KILL", "TYPE", "normal"])
            .exec(&mut state_db)?;
        bed.wait_for_no_row("Ethernet4")?;
        tap.carrier(false)?;
        Oracle::new(&inside, bed.redis())?.converge(PATIENCE)?;
        daemon.stop()
    })
}

/// With `existing_netdevs = "replace"` netdevs may have to be set down as soon as the
/// databases have said that the start is cold: one thread can wait for that.
#[test]
fn until_then_one_thread_alone_is_privileged() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let _old = bed.tap("Ethernet0")?;
        bed.redis().pause()?;
        let daemon = bed.start(bed.config().set("link.existing_netdevs", "replace"))?;
        daemon.wait_for_log("portsyncd started")?;
        let before = threads(&daemon)?;
        ensure!(before.iter().any(|thread| thread.name == "gate"));
        for thread in before {
            ensure!(
                thread.is_plain() != (thread.name == "gate"),
                "thread \"{}\" has {:x?}",
                thread.name,
                thread.sets
            );
        }
        bed.redis().resume()?;
        daemon.wait_for_log("set down and ignored")?;
        daemon.wait_for_log(GIVEN_UP)?;
        // A restart of swss may ask for it again.
        for thread in threads(&daemon)? {
            let left = if thread.name == "gate" { NET_ADMIN } else { 0 };
            ensure!(
                thread.sets == [0, left, left, 0, 0] && thread.no_new_privs,
                "thread \"{}\" has {:x?}",
                thread.name,
                thread.sets
            );
        }
        let mut rtnl = bed.namespace().rtnl()?;
        wait_for("the old netdev is down", PATIENCE, || {
            let netdevs = rtnl.dump()?;
            Ok(netdevs.get("Ethernet0").is_some_and(|old| !old.admin_up()))
        })?;
        daemon.stop()
    })
}
