//! Link messages as fast as one thread can make them, and at a steady rate: what
//! does each cost the daemon, Redis and the sender?
//!
//! The eBPF program runs in the sender's context, a queued message is copied
//! there: so the sender's processor time per message is reported beside the
//! daemon's, and beside what it is with no listener at all.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use portsyncd_tests::Monitor;

use super::netlink::Route;
use super::report::{Cell, Report, Section};
use super::samples::Samples;
use super::subject::{Account, Subject};
use super::usage::{own_cpu, wait_until_quiet};
use super::world::{MTU, World};
use super::{PATIENCE, Plan};

/// What RIVAL's C++ daemon was measured at, too, in messages per second.
const PACE: u32 = 4000;

/// Measures and reports.
pub(super) fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    let sender = Sender::new(world)?;
    sender.check_messages_per_change(world)?;
    world.say("storm, nobody listens")?;
    let alone = sender.full_speed(plan.storm / 2)?;
    let columns = [
        "messages/s",
        "daemon",
        "Redis",
        "sender",
        "writes/msg",
        "lost",
        "overruns",
        "dumps",
        "ports wrong",
    ];
    let ports = world.names.len();
    let mut section = Section::new(
        &format!("Storm on {ports} ports"),
        &format!(
            "MTU and flags as fast as one thread can, {:?}, median of {}; processor time per message",
            plan.storm, plan.storm_rounds
        ),
        &columns,
    );
    let mut silence = vec![Cell::None; columns.len()];
    silence[0] = Cell::PerSecond(alone.rate());
    silence[3] = Cell::Seconds(alone.cpu_per_message());
    section.row("no listener", &silence);

    let subjects = Subject::all(world);
    let mut rounds: Vec<Vec<Round>> = subjects.iter().map(|_| Vec::new()).collect();
    for number in 0..plan.storm_rounds {
        for (&subject, rounds) in subjects.iter().zip(&mut rounds) {
            let name = subject.as_str();
            world.say(&format!("storm {}: {name}", number + 1))?;
            let storm = || sender.full_speed(plan.storm);
            rounds.push(Round::run(world, subject, storm)?);
        }
    }
    let cost = |rounds: &[Round]| median(rounds, Round::daemon_cpu);
    let [ebpf, netlink, blocking] = [&rounds[0], &rounds[1], &rounds[2]];
    for (subject, rounds) in subjects.iter().zip(&rounds) {
        section.row(subject.as_str(), &cells(rounds));
    }
    section.note(
        "per message that the daemon took; lost: dropped by the kernel, or by a ring with no room",
    );
    section.note("ports wrong: rows that differ from the kernel once everything is quiet");
    report.add(section);
    report.target_at_least(
        "storm: processor time per message, blocking baseline / portsyncd on ebpf",
        cost(blocking) / cost(ebpf),
        5.0,
    );
    if let Some(other) = rounds.get(3) {
        report.remark(
            "storm: processor time per message, the other daemon / portsyncd on ebpf",
            cost(other) / cost(ebpf),
        );
    }
    report.remark(
        "storm: processor time per message, portsyncd on ebpf / on netlink",
        cost(ebpf) / cost(netlink),
    );
    let wrong: usize = ebpf.iter().chain(netlink).map(|round| round.wrong).sum();
    report.target(
        "storm: ports left wrong by portsyncd",
        as_f64(wrong as u64),
        0.0,
    );

    let mut section = Section::new(
        &format!("Steady {PACE} messages/s on {ports} ports"),
        &format!("{:?}; processor time per message", plan.paced_storm),
        &columns,
    );
    for subject in subjects {
        world.say(&format!("steady rate: {}", subject.as_str()))?;
        let storm = || sender.paced(PACE, plan.paced_storm);
        let round = Round::run(world, subject, storm)?;
        section.row(subject.as_str(), &cells(&[round]));
    }
    report.add(section);
    Ok(())
}

fn cells(rounds: &[Round]) -> Vec<Cell> {
    vec![
        Cell::PerSecond(median(rounds, |round| round.sent.rate())),
        Cell::Seconds(median(rounds, Round::daemon_cpu)),
        Cell::Seconds(median(rounds, Round::redis_cpu)),
        Cell::Seconds(median(rounds, |round| round.sent.cpu_per_message())),
        Cell::Number(median(rounds, Round::writes)),
        Cell::Count(median(rounds, |round| as_f64(round.lost()))),
        Cell::Count(median(rounds, |round| as_f64(round.account.overruns))),
        Cell::Count(median(rounds, |round| as_f64(round.account.dumps))),
        Cell::Count(median(rounds, |round| as_f64(round.wrong as u64))),
    ]
}

fn median(rounds: &[Round], value: impl Fn(&Round) -> f64) -> f64 {
    Samples::of_values(rounds.iter().map(value)).median()
}

/// What one storm did to one daemon.
struct Round {
    sent: Sent,
    account: Account,
    daemon: Duration,
    redis: Duration,
    hsets: u64,
    wrong: usize,
}

impl Round {
    fn run(world: &World, subject: Subject, storm: impl FnOnce() -> Result<Sent>) -> Result<Self> {
        let live = subject.start(world)?;
        let clocks = [live.cpu()?, world.redis_cpu()?];
        wait_until_quiet(&clocks)?;
        let hsets = world.hsets()?;
        let [daemon, redis] = [clocks[0].read()?, clocks[1].read()?];
        let sent = storm()?;
        wait_until_quiet(&clocks)?;
        let [daemon, redis] = [clocks[0].since(daemon)?, clocks[1].since(redis)?];
        let hsets = world.hsets()? - hsets;
        let wrong = world.wrong_ports()?;
        let mut account = live.stop()?;
        if subject == Subject::Other {
            // It does not say, and may have lost some: its cost is by what was sent.
            account.messages = sent.messages;
        }
        ensure!(
            account.messages > 0,
            "{} took no message in the storm",
            subject.as_str()
        );
        ensure!(
            subject != Subject::Ebpf || account.messages + account.ring_lost == sent.messages,
            "{} messages were sent, {} taken, {} lost in the ring: the account does not balance",
            sent.messages,
            account.messages,
            account.ring_lost
        );
        Ok(Self {
            sent,
            account,
            daemon,
            redis,
            hsets,
            wrong,
        })
    }

    fn per_message(&self, value: f64) -> f64 {
        value / as_f64(self.account.messages)
    }

    fn daemon_cpu(&self) -> f64 {
        self.per_message(self.daemon.as_secs_f64())
    }

    fn redis_cpu(&self) -> f64 {
        self.per_message(self.redis.as_secs_f64())
    }

    fn writes(&self) -> f64 {
        self.per_message(as_f64(self.hsets))
    }

    fn lost(&self) -> u64 {
        self.sent.messages.saturating_sub(self.account.messages)
    }
}

/// What a storm was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    messages: u64,
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

/// The thread that changes netdevs: each change is one system call and, as is
/// checked, one link message.
pub(super) struct Sender<'a> {
    world: &'a World,
    ifindexes: Vec<u32>,
    route: Route,
}

impl<'a> Sender<'a> {
    pub(super) fn new(world: &'a World) -> Result<Self> {
        Ok(Self {
            ifindexes: world.ifindexes()?,
            route: world.bed.namespace().run(Route::open)??,
            world,
        })
    }

    /// The `number`th change since the start of a storm: rounds of the MTUs of all
    /// ports and rounds of their flags take turns.
    fn change(&self, number: u64) -> Result<()> {
        let ports = self.ifindexes.len() as u64;
        let (round, port) = (number / ports, usize::try_from(number % ports)?);
        let odd = round / 2 % 2 == 0;
        if round.is_multiple_of(2) {
            self.world.taps[port].set_mtu(MTU - u16::from(odd))
        } else {
            self.route.toggle(self.ifindexes[port], odd)
        }
    }

    /// Four rounds bring every port back to where it was; so storms end there.
    fn ends(&self, number: u64) -> bool {
        number.is_multiple_of(4 * self.ifindexes.len() as u64)
    }

    pub(super) fn full_speed(&self, least: Duration) -> Result<Sent> {
        self.storm(|number, begun| Ok(!self.ends(number) || begun.elapsed() < least))
    }

    fn paced(&self, rate: u32, least: Duration) -> Result<Sent> {
        self.storm(|number, begun| {
            let due = Duration::from_secs_f64(as_f64(number) / f64::from(rate));
            thread::sleep(due.saturating_sub(begun.elapsed()));
            Ok(!self.ends(number) || due < least)
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
    fn check_messages_per_change(&self, world: &World) -> Result<()> {
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

/// Counts far below 2⁵² are exact.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2⁵²"
)]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}
