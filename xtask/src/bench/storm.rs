//! Link messages as fast as one thread can make them, and at a steady rate: what
//! does each cost the daemon, Redis and the sender?
//!
//! The eBPF program runs in the sender's context, a queued message is copied
//! there: so the sender's processor time per message is reported beside the
//! daemon's, and beside what it is with no listener at all.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::plan::Plan;
use super::report::{Cell, Report, Section};
use super::ring;
use super::samples::{Samples, as_f64};
use super::sender::{Sender, Sent};
use super::spread::Spread;
use super::subject::{Account, Subject};
use super::usage::wait_until_quiet;
use super::world::World;

/// What the C++ daemon was measured at, too, in messages per second.
pub(super) const PACE: u32 = 4000;

/// What is told of each storm.
pub(super) const COLUMNS: [&str; 9] = [
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

/// Measures and reports; `spread` gets the rounds, too.
pub(super) fn measure(
    world: &World,
    plan: &Plan,
    spread: &mut Spread,
    report: &mut Report,
) -> Result<()> {
    let sender = Sender::new(world)?;
    sender.check_messages_per_change(world)?;
    world.say("storm, nobody listens")?;
    let alone = sender.full_speed(plan.storm / 2)?;
    let ports = world.names.len();
    let mut section = Section::new(
        &format!("Storm on {ports} ports"),
        &format!(
            "MTU and flags as fast as one thread can, {:?}, median of {}; processor time per message",
            plan.storm, plan.storm_rounds
        ),
        &COLUMNS,
    );
    section.row("no listener", &silence(&alone));
    world.say("storm, its ring drained and nothing behind it")?;
    let drained = ring::live(world, || sender.full_speed(plan.storm))?;
    section.row("ring drained, no more", &drained.cells());

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
    let full = ring::full(world, &sender)?;
    section.note(
        "per message that the daemon took; lost: dropped by the kernel, or by a ring with no room",
    );
    section.note("ports wrong: rows that differ from the kernel once everything is quiet");
    section.note("ring drained, no more: a thread takes the records out every millisecond");
    report.add(section);
    report.add(full);
    report.target_at_least(
        "storm: processor time per message, blocking baseline / portsyncd on ebpf",
        cost(blocking) / cost(ebpf),
        10.0,
    );
    if let Some(other) = rounds.get(3) {
        report.remark(
            "storm: processor time per message, the other daemon / portsyncd on ebpf",
            cost(other) / cost(ebpf),
        );
    }
    report.target(
        "storm: processor time per message, portsyncd on ebpf / on netlink",
        cost(ebpf) / cost(netlink),
        0.5,
    );
    report.remark(
        "storm: processor time per message, portsyncd on ebpf / ring drained, no more",
        cost(ebpf) / drained.cpu_per_record(),
    );
    let mut section = Section::new(
        &format!("Steady {PACE} messages/s on {ports} ports"),
        &format!("{:?}; processor time per message", plan.paced_storm),
        &COLUMNS,
    );
    for &subject in &subjects {
        world.say(&format!("steady rate: {}", subject.as_str()))?;
        let storm = || sender.paced(PACE, plan.paced_storm);
        let round = Round::run(world, subject, storm)?;
        section.row(subject.as_str(), &cells(&[round]));
    }
    report.add(section);
    spread.add(ports, alone, subjects.into_iter().zip(rounds));
    Ok(())
}

/// The kernel's own cost.
pub(super) fn silence(alone: &Sent) -> [Cell; 9] {
    let mut cells = [Cell::None; 9];
    cells[0] = Cell::PerSecond(alone.rate());
    cells[3] = Cell::Seconds(alone.cpu_per_message());
    cells
}

pub(super) fn cells(rounds: &[Round]) -> Vec<Cell> {
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

pub(super) fn median(rounds: &[Round], value: impl Fn(&Round) -> f64) -> f64 {
    Samples::of_values(rounds.iter().map(value)).median()
}

/// What one storm did to one daemon.
pub(super) struct Round {
    sent: Sent,
    pub(super) account: Account,
    daemon: Duration,
    redis: Duration,
    hsets: u64,
    pub(super) wrong: usize,
}

impl Round {
    pub(super) fn run(
        world: &World,
        subject: Subject,
        storm: impl FnOnce() -> Result<Sent>,
    ) -> Result<Self> {
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

    pub(super) fn daemon_cpu(&self) -> f64 {
        self.per_message(self.daemon.as_secs_f64())
    }

    fn redis_cpu(&self) -> f64 {
        self.per_message(self.redis.as_secs_f64())
    }

    fn writes(&self) -> f64 {
        self.per_message(as_f64(self.hsets))
    }

    pub(super) fn lost(&self) -> u64 {
        self.sent.messages.saturating_sub(self.account.messages)
    }
}
