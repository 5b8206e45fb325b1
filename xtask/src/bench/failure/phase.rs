//! One failure, or one recovery: carriers change, and four observers note when
//! they learn of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use portsyncd_common::{LinkRecord, flag};
use portsyncd_tests::redis_server::STATE_DB;

use crate::bench::PATIENCE;
use crate::bench::kernel_clock::{KernelClock, monotonic_ns};
use crate::bench::netlink::{Received, Route};
use crate::bench::resp::{Redis, Subscriber, command};
use crate::bench::usage::CpuClock;
use crate::bench::world::World;

/// All carriers change within this time.
pub(super) const WITHIN: Duration = Duration::from_millis(200);
/// Linkwatch's second, and some more: the next failure is one of its own.
const REST: Duration = Duration::from_millis(1300);
/// The receive buffer of SONiC's own listeners, bytes.
const LISTENER_BYTES: usize = 16 << 20;
/// Linkwatch tells the first loss at once: the work queue takes some milliseconds on
/// an emulated processor. What takes longer it has held back.
const HELD_BACK_NS: u64 = 100_000_000;
/// Ports of the failure that does not count.
const WARM_UP: usize = 16;
/// How often the bystander takes RTNL.
const BYSTANDER: Duration = Duration::from_millis(4);
/// A pass of linkwatch's takes about 100 netdevs, and the next is a second away.
const PATIENT: Duration = PATIENCE.saturating_mul(3);

/// What becomes of the carriers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Lost,
    Gained,
}

impl Direction {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lose",
            Self::Gained => "gain",
        }
    }

    fn oper_status(self) -> &'static str {
        match self {
            Self::Lost => "down",
            Self::Gained => "up",
        }
    }

    /// Whether a link message is the kernel's own word of it.
    fn told_by(self, record: &LinkRecord) -> bool {
        (record.flags & flag::RUNNING != 0) == (self == Self::Gained)
    }
}

/// One port's carrier: `CLOCK_MONOTONIC`, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port {
    /// Just before the ioctl.
    pub(super) changed: u64,
    /// When the row said so, by the keyspace event.
    pub(super) redis: Option<u64>,
    /// When the kernel sent its own message.
    pub(super) sent: Option<u64>,
    /// When an ordinary listener had it.
    pub(super) heard: Option<u64>,
}

/// What one failure or recovery was.
pub(super) struct Phase {
    pub(super) ports: Vec<Port>,
    /// The daemon's processor time until everything was known to everybody.
    pub(super) daemon: Duration,
    /// How long the bystander waited, each time.
    pub(super) bystander: Vec<Duration>,
}

impl Phase {
    /// Ports that linkwatch held back, and of them those that Redis did not have
    /// before the kernel's own message was sent.
    pub(super) fn held_back(&self) -> (usize, usize) {
        let held_back = |port: &&Port| {
            let held = port.sent.map(|sent| sent.saturating_sub(port.changed));
            held.is_some_and(|held| held >= HELD_BACK_NS)
        };
        let late = |port: &&Port| port.redis.zip(port.sent).is_none_or(|(r, s)| r >= s);
        let all = || self.ports.iter().filter(held_back);
        (all().count(), all().filter(late).count())
    }

    /// From the last change of a carrier until the last of these times, seconds.
    pub(super) fn after_last(&self, time: impl Fn(&Port) -> Option<u64>) -> Option<f64> {
        let changed = self.ports.iter().map(|port| port.changed).max()?;
        let known = self.ports.iter().filter_map(time).max()?;
        Some(seconds(known.saturating_sub(changed)))
    }
}

/// Nanoseconds as seconds.
pub(super) fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

/// The observers, from one failure to the next.
pub(super) struct Stage<'a> {
    world: &'a World,
    ifindexes: Vec<u32>,
    rows: Option<Rows>,
    sent: KernelClock,
    listener: Route,
    bystander: Route,
    daemon: Option<CpuClock>,
    order: fastrand::Rng,
}

impl<'a> Stage<'a> {
    /// With the daemon of that process id, or without one.
    pub(super) fn new(world: &'a World, daemon: Option<u32>) -> Result<Self> {
        let namespace = world.bed.namespace();
        let mut listener = namespace.run(|| Route::listen(LISTENER_BYTES))??;
        // Only to see the end coming.
        listener.set_timeout(Duration::from_millis(50))?;
        // What the taps told while they came up.
        while listener.receive()? != Received::Nothing {}
        Ok(Self {
            ifindexes: world.ifindexes()?,
            rows: daemon.map(|_| Rows::watch(world)).transpose()?,
            sent: namespace.run(KernelClock::open)??,
            listener,
            bystander: namespace.run(Route::open)??,
            daemon: daemon.map(CpuClock::of).transpose()?,
            order: fastrand::Rng::with_seed(1),
            world,
        })
    }

    /// A small failure that does not count: code is paged in, or translated for the
    /// first time by an emulated processor.
    pub(super) fn warm_up(&mut self) -> Result<()> {
        for direction in [Direction::Lost, Direction::Gained] {
            let ports: Vec<usize> = (0..WARM_UP).collect();
            self.change(&ports, direction)?;
        }
        Ok(())
    }

    /// Changes every carrier and waits until everybody knows of each.
    pub(super) fn run(&mut self, direction: Direction) -> Result<Phase> {
        let mut order: Vec<usize> = (0..self.ifindexes.len()).collect();
        self.order.shuffle(&mut order);
        self.change(&order, direction)
    }

    fn change(&mut self, order: &[usize], direction: Direction) -> Result<Phase> {
        thread::sleep(REST);
        self.world.check()?;
        let cpu = self.daemon.map(CpuClock::read).transpose()?;
        self.sent.records();
        let over = AtomicBool::new(false);
        let (world, ifindexes) = (self.world, &self.ifindexes);
        let (rows, listener, bystander) = (&mut self.rows, &mut self.listener, &self.bystander);
        let (changed, redis, heard, waits) = thread::scope(|scope| -> Result<_> {
            let redis = scope.spawn(|| {
                let rows = rows.as_mut();
                rows.map(|rows| rows.follow(order.len(), direction))
                    .transpose()
            });
            let heard = scope.spawn(|| listen(listener, ifindexes, order.len(), direction));
            let waits = scope.spawn(|| stand_by(bystander, &over));
            let changed = change(world, order, direction);
            let redis = redis.join();
            let heard = heard.join();
            over.store(true, Ordering::Relaxed);
            let gone = |_| anyhow!("an observer panicked");
            let waits = waits.join().map_err(gone)??;
            Ok((
                changed?,
                redis.map_err(gone)??,
                heard.map_err(gone)??,
                waits,
            ))
        })?;
        let mut sent = HashMap::new();
        for record in self.sent.records() {
            let index = ifindexes.iter().position(|i| *i == record.ifindex);
            let Some(index) = index.filter(|_| direction.told_by(&record)) else {
                continue;
            };
            if changed
                .get(&index)
                .is_some_and(|at| record.timestamp_ns >= *at)
            {
                sent.entry(index).or_insert(record.timestamp_ns);
            }
        }
        let daemon = match (self.daemon, cpu) {
            (Some(clock), Some(before)) => clock.since(before)?,
            _ => Duration::ZERO,
        };
        let ports = changed.iter().map(|(index, changed)| Port {
            changed: *changed,
            redis: redis.as_ref().and_then(|redis| redis.get(index).copied()),
            sent: sent.get(index).copied(),
            heard: heard.get(index).copied(),
        });
        let ports: Vec<Port> = ports.collect();
        ensure!(
            ports.iter().all(|port| port.sent.is_some()),
            "the kernel's clock missed a message"
        );
        Ok(Phase {
            ports,
            daemon,
            bystander: waits,
        })
    }
}

/// Changes the carriers in that order, spread over [`WITHIN`]; when, by port.
fn change(world: &World, order: &[usize], direction: Direction) -> Result<HashMap<usize, u64>> {
    let begun = monotonic_ns();
    let step = u64::try_from(WITHIN.as_nanos())? / order.len() as u64;
    let mut changed = HashMap::new();
    for (number, port) in order.iter().enumerate() {
        let due = begun + number as u64 * step;
        thread::sleep(Duration::from_nanos(due.saturating_sub(monotonic_ns())));
        changed.insert(*port, monotonic_ns());
        world.taps[*port].carrier(direction == Direction::Gained)?;
    }
    Ok(changed)
}

/// The rows in Redis.
struct Rows {
    events: Subscriber,
    redis: Redis,
    /// The channels' ports.
    ports: HashMap<String, usize>,
    names: Vec<String>,
}

impl Rows {
    fn watch(world: &World) -> Result<Self> {
        let channel = |name: &String| format!("__keyspace@{STATE_DB}__:PORT_TABLE|{name}");
        let channels: Vec<String> = world.names.iter().map(channel).collect();
        let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
        let events = Subscriber::new(world.bed.redis().socket(), &channels)?;
        let ports = channels.iter().enumerate();
        Ok(Self {
            events,
            redis: world.redis(STATE_DB)?,
            ports: ports
                .map(|(port, channel)| ((*channel).to_owned(), port))
                .collect(),
            names: world.names.clone(),
        })
    }

    /// When each row was first seen to say it.
    fn follow(&mut self, ports: usize, direction: Direction) -> Result<HashMap<usize, u64>> {
        let mut seen = HashMap::new();
        while seen.len() < ports {
            let channels = self
                .events
                .batch()
                .with_context(|| format!("waiting for rows: {} of {ports}", seen.len()))?;
            let at = monotonic_ns();
            let mut asked = Vec::new();
            let mut request = Vec::new();
            for channel in channels {
                let port = *self.ports.get(&channel).context("an event of no port")?;
                if !seen.contains_key(&port) {
                    asked.push(port);
                    let key = format!("PORT_TABLE|{}", self.names[port]);
                    let hget: [&[u8]; 3] = [b"HGET", key.as_bytes(), b"netdev_oper_status"];
                    command(&mut request, &hget);
                }
            }
            self.redis.send(&request)?;
            for port in asked {
                if self.redis.reply()?.text() == direction.oper_status() {
                    seen.entry(port).or_insert(at);
                }
            }
        }
        Ok(seen)
    }
}

/// When an ordinary listener heard of each.
fn listen(
    listener: &mut Route,
    ifindexes: &[u32],
    ports: usize,
    direction: Direction,
) -> Result<HashMap<usize, u64>> {
    let deadline = Instant::now() + PATIENT;
    let mut heard = HashMap::new();
    while heard.len() < ports {
        ensure!(
            Instant::now() < deadline,
            "the kernel told of {} of {ports} ports",
            heard.len()
        );
        match listener.receive()? {
            Received::Nothing => {}
            Received::Overrun => anyhow::bail!("the listener was overrun"),
            Received::Bytes(length) => {
                let at = monotonic_ns();
                for record in listener
                    .messages(length)
                    .filter_map(|message| message.link())
                {
                    let port = ifindexes.iter().position(|index| *index == record.ifindex);
                    if let Some(port) = port.filter(|_| direction.told_by(&record)) {
                        heard.entry(port).or_insert(at);
                    }
                }
            }
        }
    }
    Ok(heard)
}

/// How long it took to take RTNL for nothing, again and again.
fn stand_by(route: &Route, over: &AtomicBool) -> Result<Vec<Duration>> {
    let mut waits = Vec::new();
    while !over.load(Ordering::Relaxed) {
        waits.push(route.take_rtnl()?);
        thread::sleep(BYSTANDER);
    }
    route.nothing_refused()?;
    Ok(waits)
}
