//! The thread that changes netdevs: each change is one system call and, as is
//! checked, one link message.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use portsyncd_tests::Monitor;

use super::PATIENCE;
use super::netlink::Route;
use super::samples::as_f64;
use super::usage::own_cpu;
use super::world::{MTU, World};

/// What a storm was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) messages: u64,
    took: Duration,
    cpu: Duration,
}

impl Sent {
    /// Messages per second.
    pub(super) fn rate(&self) -> f64 {
        as_f64(self.messages) / self.took.as_secs_f64()
    }

    /// The sender's processor time, in seconds.
    pub(super) fn cpu_per_message(&self) -> f64 {
        self.cpu.as_secs_f64() / as_f64(self.messages)
    }
}

/// Changes the netdevs of some ports.
pub(super) struct Sender<'a> {
    world: &'a World,
    /// Each port's number and ifindex.
    ports: Vec<(usize, u32)>,
    route: Route,
}

impl<'a> Sender<'a> {
    /// For all ports.
    pub(super) fn new(world: &'a World) -> Result<Self> {
        Ok(Self {
            ports: world.ifindexes()?.into_iter().enumerate().collect(),
            route: world.bed.namespace().run(Route::open)??,
            world,
        })
    }

    /// For all ports but this one.
    pub(super) fn sparing(world: &'a World, port: usize) -> Result<Self> {
        let mut sender = Self::new(world)?;
        sender.ports.retain(|(number, _)| *number != port);
        Ok(sender)
    }

    /// The `number`th change since the start of a storm: rounds of the MTUs of all
    /// ports and rounds of their flags take turns.
    fn change(&self, number: u64) -> Result<()> {
        let ports = self.ports.len() as u64;
        let round = number / ports;
        let (port, ifindex) = self.ports[usize::try_from(number % ports)?];
        let odd = (round / 2).is_multiple_of(2);
        if round.is_multiple_of(2) {
            self.world.taps[port].set_mtu(MTU - u16::from(odd))
        } else {
            self.route.toggle(ifindex, odd)
        }
    }

    /// Four rounds bring every port back to where it was; so storms end there.
    fn ends(&self, number: u64) -> bool {
        number.is_multiple_of(4 * self.ports.len() as u64)
    }

    /// As fast as it can.
    pub(super) fn full_speed(&self, least: Duration) -> Result<Sent> {
        self.storm(|number, begun| Ok(!self.ends(number) || begun.elapsed() < least))
    }

    /// So many messages a second.
    pub(super) fn paced(&self, rate: u32, least: Duration) -> Result<Sent> {
        self.storm(|number, begun| {
            let due = wait_for_turn(rate, number, begun);
            Ok(!self.ends(number) || due < least)
        })
    }

    /// At least so many messages.
    pub(super) fn messages(&self, least: u64) -> Result<Sent> {
        self.storm(|number, _| Ok(!self.ends(number) || number < least))
    }

    /// Until it is over; without a rate as fast as it can.
    pub(super) fn until(&self, over: &AtomicBool, rate: Option<u32>) -> Result<Sent> {
        self.storm(|number, begun| {
            if let Some(rate) = rate {
                wait_for_turn(rate, number, begun);
            }
            Ok(!self.ends(number) || !over.load(Ordering::Relaxed))
        })
    }

    fn storm(&self, mut goes_on: impl FnMut(u64, Instant) -> Result<bool>) -> Result<Sent> {
        let (begun, cpu) = (Instant::now(), own_cpu()?);
        let mut messages = 0;
        while goes_on(messages, begun)? {
            self.change(messages)?;
            messages += 1;
        }
        let sent = Sent {
            messages,
            took: begun.elapsed(),
            cpu: own_cpu()?.saturating_sub(cpu),
        };
        self.route.nothing_refused()?;
        self.world.check()?;
        Ok(sent)
    }

    /// Counts the messages of a short storm, to be sure what a change is.
    pub(super) fn check_messages_per_change(&self, world: &World) -> Result<()> {
        let mut monitor = world.bed.namespace().run(Monitor::open)??;
        let sent = self.full_speed(Duration::from_millis(1))?;
        let (mut heard, deadline) = (0, Instant::now() + PATIENCE);
        loop {
            let messages = monitor.next(Duration::from_millis(100))?;
            if messages.is_empty() || Instant::now() > deadline {
                break;
            }
            heard += messages.len() as u64;
        }
        ensure!(
            heard == sent.messages,
            "{} changes made {heard} link messages, not one each",
            sent.messages
        );
        Ok(())
    }
}

/// Waits until message `number` is due; when that is after the beginning.
fn wait_for_turn(rate: u32, number: u64, begun: Instant) -> Duration {
    let due = Duration::from_secs_f64(as_f64(number) / f64::from(rate));
    thread::sleep(due.saturating_sub(begun.elapsed()));
    due
}
