//! Every way in which Redis can be in trouble. In each the link source is drained
//! on, memory stays bounded, and afterwards everything is there again, the fields
//! of other writers too.

use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use portsyncd_tests::redis_server::{APPL_DB, Keep};
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{
    Bed, Daemon, DaemonConfig, PATIENCE, Proxy, Tap, Way, on_each_source, port_names,
};
use redis::{Commands, Connection};

on_each_source!(
    killed,
    paused_until_timeouts_fire,
    out_of_memory,
    turned_into_a_replica,
    loading,
    asking_for_a_password,
    socket_permission_denied,
    slow,
    hanging_up_in_the_middle_of_a_pipeline,
    failing_over_to_an_empty_one,
);

/// More link messages than the ring or the socket could hold.
const ROUNDS: u16 = 300;
/// What an outage may cost in memory, KiB.
const GROWTH: u64 = 8 << 10;

fn killed(bed: &Bed) -> Result<()> {
    let world = World::new(bed)?;
    bed.redis().save()?;
    world.outage(
        || bed.redis().kill(),
        || bed.redis().start_again(Keep::Saved),
    )?;
    world.finish()
}

fn paused_until_timeouts_fire(bed: &Bed) -> Result<()> {
    let world = World::new(bed)?;
    world.outage(
        || {
            bed.redis().pause()?;
            // Something has to be under way for its answer to be missed.
            world.taps[1].set_mtu(1300)?;
            world.daemon.wait_for_log("no answer")?;
            Ok(())
        },
        || bed.redis().resume(),
    )?;
    world.finish()
}

fn out_of_memory(bed: &Bed) -> Result<()> {
    let world = World::new(bed)?;
    world.outage(
        || {
            bed.redis().configure("maxmemory", "1")?;
            world.taps[1].set_mtu(1300)?;
            world.daemon.wait_for_log("OOM")?;
            Ok(())
        },
        || bed.redis().configure("maxmemory", "0"),
    )?;
    world.finish()
}

fn turned_into_a_replica(bed: &Bed) -> Result<()> {
    let world = World::new(bed)?;
    let replicaof = |master: [&str; 2]| -> Result<()> {
        let mut redis = bed.redis().connect(APPL_DB)?;
        Ok(redis::cmd("REPLICAOF").arg(&master).exec(&mut redis)?)
    };
    world.outage(
        || {
            replicaof(["127.0.0.1", "1"])?;
            world.taps[1].set_mtu(1300)?;
            world.daemon.wait_for_log("READONLY")?;
            Ok(())
        },
        || replicaof(["NO", "ONE"]),
    )?;
    world.finish()
}

fn loading(bed: &Bed) -> Result<()> {
    let world = World::new(bed)?;
    bed.redis().save()?;
    world.outage(
        || {
            bed.redis().kill()?;
            bed.redis().start_again_slowly()
        },
        || bed.redis().wait_until_it_answers(),
    )?;
    world.finish()
}

fn asking_for_a_password(bed: &Bed) -> Result<()> {
    let world = World::new(bed)?;
    // A connection that was there before stays trusted.
    let mut redis = bed.redis().connect(APPL_DB)?;
    let mut require = |password: &str| -> Result<()> {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("requirepass").arg(password);
        Ok(set.exec(&mut redis)?)
    };
    require("s3cret")?;
    world.proxy.drop_all();
    world.daemon.wait_for_log("NOAUTH")?;
    world.outage(|| Ok(()), || require(""))?;
    world.finish()
}

fn socket_permission_denied(bed: &Bed) -> Result<()> {
    // root may open anything; this one may not.
    let config = config(bed).through(&[
        "setpriv",
        "--bounding-set",
        "-dac_override,-dac_read_search",
    ]);
    let world = World::with(bed, config)?;
    let mode = |mode: u32| -> Result<()> {
        let socket = bed.redis().socket();
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(socket, permissions).context("chmod of Redis' socket")
    };
    world.outage(
        || {
            mode(0o000)?;
            drop_clients(&mut bed.redis().connect(APPL_DB)?)?;
            world.daemon.wait_for_log("denied")?;
            Ok(())
        },
        || mode(0o777),
    )?;
    world.finish()
}

fn slow(bed: &Bed) -> Result<()> {
    let world = World::new(bed)?;
    world.outage(
        || {
            world.proxy.set(Way::Slow(Duration::from_millis(100)));
            // It is slow, not away: what happens is told, if late.
            world.taps[2].set_mtu(1333)?;
            bed.wait_for_field("Ethernet8", "mtu", "1333")
        },
        || {
            world.proxy.set(Way::Open);
            Ok(())
        },
    )?;
    world.finish()
}

fn hanging_up_in_the_middle_of_a_pipeline(bed: &Bed) -> Result<()> {
    let world = World::new(bed)?;
    let cut = |bytes: usize| -> Result<()> {
        world.proxy.set(Way::CutAfter(bytes));
        for (number, tap) in (0..).zip(&world.taps) {
            tap.set_mtu(1300 + number)?;
        }
        wait_for("the proxy has hung up", PATIENCE, || {
            world.taps[0].promiscuous(true)?;
            world.taps[0].promiscuous(false)?;
            Ok(world.proxy.way() == Way::Open)
        })?;
        bed.converge()
    };
    // In the middle of a key, of a number, between two commands.
    for bytes in [1, 7, 100, 145, 146, 147, 290, 1000] {
        cut(bytes).with_context(|| format!("after {bytes} bytes"))?;
    }
    world.finish()
}

fn failing_over_to_an_empty_one(bed: &Bed) -> Result<()> {
    let mut world = World::new(bed)?;
    world.theirs = false;
    world.outage(
        || bed.redis().kill(),
        || {
            bed.redis().start_again(Keep::Nothing)?;
            bed.configure(&port_names(PORTS))
        },
    )?;
    world.finish()
}

const PORTS: usize = 32;

/// A daemon in step with 32 ports, behind a proxy.
struct World<'a> {
    bed: &'a Bed,
    proxy: Proxy,
    taps: Vec<Tap>,
    /// The one that goes during the outage.
    doomed: Cell<Option<Tap>>,
    daemon: Daemon,
    /// Fields of other writers have to be there in the end.
    theirs: bool,
}

fn config(bed: &Bed) -> DaemonConfig {
    bed.config()
        .set("database.retry_interval_secs", 1)
        .set("database.connection_timeout_secs", 1)
}

impl<'a> World<'a> {
    fn new(bed: &'a Bed) -> Result<Self> {
        let proxy = Proxy::start(bed.redis().socket())?;
        let socket = proxy.socket().display().to_string();
        Self::behind(bed, proxy, config(bed).set("database.redis_socket", socket))
    }

    /// Without the proxy.
    fn with(bed: &'a Bed, config: DaemonConfig) -> Result<Self> {
        Self::behind(bed, Proxy::start(bed.redis().socket())?, config)
    }

    fn behind(bed: &'a Bed, proxy: Proxy, config: DaemonConfig) -> Result<Self> {
        let ports = port_names(PORTS);
        bed.configure(&ports)?;
        let mut taps = bed.taps(&ports)?;
        let daemon = bed.start(config)?;
        bed.converge()?;
        for port in WITH_THEIRS {
            let row = format!("PORT_TABLE|{port}");
            bed.state_db()?
                .hset::<_, _, _, ()>(row, "host_tx_ready", "true")?;
        }
        Ok(Self {
            bed,
            proxy,
            doomed: Cell::new(taps.pop()),
            taps,
            daemon,
            theirs: true,
        })
    }

    /// A storm during the outage; a port goes, one changes.
    fn outage(
        &self,
        begin: impl FnOnce() -> Result<()>,
        end: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let before = self.daemon.resident_kib()?;
        begin().context("the outage begins")?;
        for round in 0..ROUNDS {
            for (number, tap) in (0..).zip(&self.taps) {
                tap.set_mtu(1400 + (round + number) % 100)?;
                tap.promiscuous((round + number) % 2 == 0)?;
            }
        }
        self.taps[0].down()?;
        if let Some(tap) = self.doomed.take() {
            tap.delete()?;
        }
        let grown = self.daemon.resident_kib()?.saturating_sub(before);
        ensure!(grown < GROWTH, "the outage cost {grown} KiB");
        end().context("the outage ends")?;
        self.bed
            .wait_for_field("Ethernet0", "admin_status", "down")?;
        self.bed.wait_for_no_row("Ethernet124")?;
        self.bed.converge()
    }

    fn finish(mut self) -> Result<()> {
        for port in WITH_THEIRS.iter().filter(|_| self.theirs) {
            let row = self.bed.row(port)?;
            ensure!(
                row.get("host_tx_ready")
                    .is_some_and(|value| value == "true"),
                "{port} lost a field of another writer's: {row:?}"
            );
        }
        self.daemon.still_runs()?;
        let log = self.daemon.log().clone();
        self.daemon.stop()?;
        let last = log.wait_for("portsyncd stopped", PATIENCE)?;
        ensure!(
            last.contains("ring_lost=0") && last.contains("overruns=0"),
            "the link source was not drained on: {last}"
        );
        Ok(())
    }
}

const WITH_THEIRS: [&str; 2] = ["Ethernet0", "Ethernet80"];

/// Redis hangs up on everybody but us.
fn drop_clients(redis: &mut Connection) -> Result<()> {
    for kind in ["normal", "pubsub"] {
        redis::cmd("CLIENT")
            .arg(&["KILL", "TYPE", kind, "SKIPME", "yes"])
            .exec(redis)?;
    }
    Ok(())
}
