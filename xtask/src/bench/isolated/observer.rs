//! One port and somebody who watches its row.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use portsyncd_tests::Tap;
use portsyncd_tests::redis_server::STATE_DB;

use crate::bench::kernel_clock::{KernelClock, monotonic_ns};
use crate::bench::resp::{Redis, Subscriber};
use crate::bench::samples::Samples;
use crate::bench::world::{MTU, REST, World, hset};

/// Round trips without a rest between them.
const BACK_TO_BACK: usize = 2000;

/// The observer and what it needs for the baselines.
pub(in crate::bench) struct Observer<'a> {
    tap: &'a Tap,
    ifindex: u32,
    kernel: KernelClock,
    port: Subscriber,
    own: Subscriber,
    redis: Redis,
    /// An HSET of four fields to a key that nobody watches, and to one that `own` does.
    unwatched: Vec<u8>,
    watched: Vec<u8>,
}

/// One change, until its event came.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Change {
    /// From just before the system call.
    pub(in crate::bench) from_call: Duration,
    /// From the kernel's message.
    pub(in crate::bench) from_kernel: Duration,
}

/// What was measured in turn.
pub(in crate::bench) struct Series {
    /// Raw HSET and its answer.
    pub(in crate::bench) round_trip: Samples,
    /// Raw HSET until the observer has its event.
    pub(in crate::bench) observed: Samples,
    /// Changes of the port.
    pub(in crate::bench) changes: Vec<Change>,
}

impl<'a> Observer<'a> {
    /// Watches the port in the middle.
    pub(in crate::bench) fn new(world: &'a World) -> Result<Self> {
        let tap = &world.taps[Self::port(world)];
        let socket = world.bed.redis().socket();
        let channel = |key: &str| format!("__keyspace@{STATE_DB}__:{key}");
        let port = channel(&format!("PORT_TABLE|{}", tap.name()));
        let (mut unwatched, mut watched) = (Vec::new(), Vec::new());
        hset(&mut unwatched, "BENCH|unwatched", &World::state_fields(0));
        hset(&mut watched, "BENCH|watched", &World::state_fields(0));
        Ok(Self {
            tap,
            ifindex: tap.ifindex()?,
            kernel: world.bed.namespace().run(KernelClock::open)??,
            port: Subscriber::new(socket, &[&port])?,
            own: Subscriber::new(socket, &[&channel("BENCH|watched")])?,
            redis: world.redis(STATE_DB)?,
            unwatched,
            watched,
        })
    }

    /// The number of the port that is watched.
    pub(in crate::bench) fn port(world: &World) -> usize {
        world.taps.len() / 2
    }

    /// The port's name.
    pub(in crate::bench) fn port_name(&self) -> &str {
        self.tap.name()
    }

    /// The baselines and a change of the MTU, in turn, `count` times; `checked`:
    /// the row must bring the new MTU.
    pub(in crate::bench) fn series(
        &mut self,
        world: &World,
        count: usize,
        checked: bool,
    ) -> Result<Series> {
        let (mut round_trip, mut observed, mut changes) = (vec![], vec![], vec![]);
        for number in 0..count {
            world.check()?;
            thread::sleep(REST);
            round_trip.push(self.round_trip()?);
            thread::sleep(REST);
            observed.push(self.observed()?);
            thread::sleep(REST);
            let mtu = MTU - 1 - u16::from(number % 2 == 0);
            let text = mtu.to_string();
            let expected = checked.then_some(("mtu", text.as_str()));
            changes.push(self.change(expected, |tap| tap.set_mtu(mtu))?);
        }
        self.tap.set_mtu(MTU)?;
        Ok(Series {
            round_trip: Samples::of(round_trip),
            observed: Samples::of(observed),
            changes,
        })
    }

    /// Round trips without a rest.
    pub(in crate::bench) fn back_to_back(&mut self) -> Result<Samples> {
        let times: Result<Vec<_>> = (0..BACK_TO_BACK).map(|_| self.round_trip()).collect();
        Ok(Samples::of(times?))
    }

    /// One HSET and its answer.
    pub(in crate::bench) fn round_trip(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        self.redis.pipeline(&self.unwatched, 1)?;
        Ok(begun.elapsed())
    }

    fn observed(&mut self) -> Result<Duration> {
        self.own.discard()?;
        let begun = Instant::now();
        self.redis.send(&self.watched)?;
        self.own.next()?;
        let took = begun.elapsed();
        self.redis.reply()?;
        Ok(took)
    }

    /// Makes a change and waits for the write that brings `expected`, a field and
    /// its value; none is any write.
    pub(in crate::bench) fn change(
        &mut self,
        expected: Option<(&str, &str)>,
        change: impl FnOnce(&Tap) -> Result<()>,
    ) -> Result<Change> {
        // More than a few writes for one change would be a fault.
        const WRITES: usize = 8;
        self.port.discard()?;
        self.kernel.messages_of(self.ifindex);
        let begun = monotonic_ns();
        change(self.tap)?;
        for _ in 0..WRITES {
            self.port
                .next()
                .with_context(|| format!("waiting for {expected:?} of {}", self.tap.name()))?;
            let arrived = monotonic_ns();
            if self.row_has(expected)? {
                let sent = self.kernel.messages_of(self.ifindex);
                let sent = sent.into_iter().find(|&sent| sent >= begun);
                let sent = sent.context("the kernel sent no link message")?;
                return Ok(Change {
                    from_call: Duration::from_nanos(arrived - begun),
                    from_kernel: Duration::from_nanos(arrived.saturating_sub(sent)),
                });
            }
        }
        bail!(
            "{WRITES} writes did not bring {expected:?} of {}",
            self.tap.name()
        )
    }

    fn row_has(&mut self, expected: Option<(&str, &str)>) -> Result<bool> {
        let Some((field, value)) = expected else {
            return Ok(true);
        };
        let key = format!("PORT_TABLE|{}", self.tap.name());
        let has = self
            .redis
            .call(&[b"HGET", key.as_bytes(), field.as_bytes()])?;
        Ok(has.text() == value)
    }
}
