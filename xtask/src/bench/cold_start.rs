//! From exec to PortInitDone, with every netdev there and `CONFIG_DB` filled.
//!
//! The stopwatch runs from just before the daemon is spawned (so fork and exec are
//! in it) to the keyspace event of `_PORT_TABLE:PortInitDone`. The baselines are
//! taken before each start, on the same netdevs and the same server: the least
//! that the contract with SONiC asks for, done by bare sockets.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use portsyncd_tests::Source;
use portsyncd_tests::redis_server::{APPL_DB, CONFIG_DB, STATE_DB};

use super::netlink::Route;
use super::plan::Plan;
use super::report::{Report, Section};
use super::resp::{Redis, command};
use super::samples::Samples;
use super::subject::{Live, start_daemon};
use super::world::{World, hset};

/// Measures and reports.
pub(super) fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    let ports = world.names.len();
    let mut baselines = Baselines::new(world)?;
    let mut raw = Vec::new();
    let (mut auto, mut ebpf, mut netlink) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=plan.cold_starts {
        world.say(&format!("cold start {number} with {ports} ports"))?;
        for (source, starts) in [
            (Source::Auto, &mut auto),
            (Source::Ebpf, &mut ebpf),
            (Source::Netlink, &mut netlink),
        ] {
            raw.push(baselines.take(world)?);
            starts.push(start(world, source)?);
        }
    }

    let of = |part: fn(&Raw) -> Duration| Samples::of(raw.iter().map(part));
    let (dump, rows) = (of(|raw| raw.dump), of(|raw| raw.state_rows));
    let bare = dump.median() + rows.median();
    let owed = Samples::of(raw.iter().map(Raw::owed));
    let mut section = Section::new(
        &format!("Cold start with {ports} ports"),
        &format!("median of {}", plan.cold_starts),
        &["p50", "min", "max", "p50 / bare"],
    );
    let mut row = |name: &str, samples: &Samples| section.spread(name, samples, bare);
    row("raw RTM_GETLINK dump, without statistics", &dump);
    row(
        "raw RTM_GETLINK dump, with statistics",
        &of(|raw| raw.full_dump),
    );
    row("raw pipelined write of the STATE_DB rows", &rows);
    row(
        "raw pipelined read of the CONFIG_DB rows",
        &of(|raw| raw.config_read),
    );
    row("raw pipelined push of them to APPL_DB", &of(|raw| raw.push));
    row("bare: dump + STATE_DB rows", &Samples::of_values([bare]));
    row("owed: dump + read + push + STATE_DB rows", &owed);
    for (name, starts) in [("auto", &auto), ("ebpf", &ebpf), ("netlink", &netlink)] {
        let of = |part: fn(&Start) -> Duration| Samples::of(starts.iter().map(part));
        row(
            &format!("exec → PortConfigDone, {name}"),
            &of(|start| start.config_done),
        );
        row(
            &format!("exec → PortInitDone, {name}"),
            &of(|start| start.init_done),
        );
        row(
            &format!("processor time until then, {name}"),
            &of(|start| start.cpu),
        );
    }
    section
        .note("bare: what the target is measured in; owed: the least that the contract asks for");
    report.add(section);
    let p50 = |starts: &[Start]| Samples::of(starts.iter().map(|s| s.init_done)).median();
    report.target(
        "cold start → PortInitDone on auto, p50 / (raw dump + raw pipelined rows)",
        p50(&auto) / bare,
        3.0,
    );
    report.remark(
        "cold start → PortInitDone on auto, p50 / all that the contract asks for, raw",
        p50(&auto) / owed.median(),
    );
    Ok(())
}

/// One start.
pub(super) struct Start {
    config_done: Duration,
    pub(super) init_done: Duration,
    /// The daemon's processor time up to then.
    pub(super) cpu: Duration,
}

/// Starts the daemon on cleared databases, and stops it.
pub(super) fn start(world: &World, source: Source) -> Result<Start> {
    world.clear()?;
    let mut events = world.done_events()?;
    let begun = Instant::now();
    let live = Live::Daemon(start_daemon(world, source)?);
    let mut config_done = None;
    let init_done = loop {
        let (channel, _) = events.next().context("waiting for PortInitDone")?;
        let at = begun.elapsed();
        if channel.ends_with("PortInitDone") {
            break at;
        }
        config_done.get_or_insert(at);
    };
    let cpu = live.cpu()?.read()?;
    world.bed.oracle()?.converge(super::PATIENCE)?;
    live.stop()?;
    Ok(Start {
        config_done: config_done.context("no PortConfigDone before PortInitDone")?,
        init_done,
        cpu,
    })
}

/// What the contract asks for, by bare sockets.
pub(super) struct Raw {
    pub(super) dump: Duration,
    full_dump: Duration,
    pub(super) state_rows: Duration,
    config_read: Duration,
    push: Duration,
}

impl Raw {
    fn owed(&self) -> Duration {
        self.dump + self.config_read + self.push + self.state_rows
    }
}

/// Bare sockets and what goes over them.
pub(super) struct Baselines {
    route: Route,
    state_db: Redis,
    config_db: Redis,
    appl_db: Redis,
    state_rows: Vec<u8>,
    config_read: Vec<u8>,
    push: Vec<u8>,
    /// Answers to [`push`](Self::push).
    pushes: usize,
}

impl Baselines {
    pub(super) fn new(world: &World) -> Result<Self> {
        let (mut config_read, mut push) = (Vec::new(), Vec::new());
        for (port, name) in world.names.iter().enumerate() {
            command(
                &mut config_read,
                &[b"HGETALL", format!("PORT|{name}").as_bytes()],
            );
            // What ProducerStateTable's script leaves behind, by plain commands.
            hset(
                &mut push,
                &format!("_PORT_TABLE:{name}"),
                &World::config_fields(port),
            );
        }
        let mut keys: Vec<&[u8]> = vec![b"SADD", b"PORT_TABLE_KEY_SET"];
        keys.extend(world.names.iter().map(String::as_bytes));
        command(&mut push, &keys);
        command(&mut push, &[b"PUBLISH", b"PORT_TABLE_CHANNEL@0", b"G"]);
        Ok(Self {
            route: world.bed.namespace().run(Route::open)??,
            state_db: world.redis(STATE_DB)?,
            config_db: world.redis(CONFIG_DB)?,
            appl_db: world.redis(APPL_DB)?,
            state_rows: world.rows("PORT_TABLE|", World::state_fields),
            config_read,
            push,
            pushes: world.names.len() + 2,
        })
    }

    /// Does it all once.
    pub(super) fn take(&mut self, world: &World) -> Result<Raw> {
        world.clear()?;
        let ports = world.names.len();
        let (dump, netdevs) = timed(|| self.route.dump(false))?;
        world.has(netdevs)?;
        let (full_dump, _) = timed(|| self.route.dump(true))?;
        let (state_rows, ()) = timed(|| self.state_db.pipeline(&self.state_rows, ports))?;
        let (config_read, ()) = timed(|| {
            self.config_db.call(&[b"KEYS", b"PORT|*"])?;
            self.config_db.pipeline(&self.config_read, ports)
        })?;
        let (push, ()) = timed(|| self.appl_db.pipeline(&self.push, self.pushes))?;
        Ok(Raw {
            dump,
            full_dump,
            state_rows,
            config_read,
            push,
        })
    }
}

/// How long `work` takes.
pub(super) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let begun = Instant::now();
    let result = work()?;
    Ok((begun.elapsed(), result))
}
