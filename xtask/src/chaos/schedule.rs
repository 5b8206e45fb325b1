//! What happens in a round, drawn from the seed and the round's number alone.

use std::fmt;

use fastrand::Rng;

/// One fault: it has a beginning and an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// SIGKILL of the daemon, and a start.
    DaemonKilled,
    /// SIGKILL, and a start with warm restart enabled.
    DaemonKilledWarm,
    /// SIGKILL while the state file is being written, and a start.
    KilledWhileSaving,
    /// SIGKILL, the state file cut short, and a start.
    StateFileCut,
    /// SIGTERM, and a start.
    DaemonRestarted,
    /// SIGTERM, and a start with warm restart enabled.
    DaemonRestartedWarm,
    /// SIGSTOP, SIGCONT: rings and sockets overflow.
    DaemonPaused,
    /// SIGHUP with another configuration.
    Reload,
    /// SIGKILL of Redis, and a start with what it had saved.
    RedisKilled,
    /// SIGKILL of Redis, and a start with nothing.
    RedisEmptied,
    /// SIGSTOP, SIGCONT.
    RedisPaused,
    /// `maxmemory 1`.
    OutOfMemory,
    /// REPLICAOF: writes are refused.
    Replica,
    /// SIGKILL, and a start that takes long to load.
    Loading,
    /// `requirepass`, and everybody is hung up on.
    Password,
    /// Everybody is hung up on, and nobody gets through.
    Refused,
    /// So many ms for each piece of an answer.
    Slow(u8),
    /// Hung up on after so many bytes of requests.
    Cut(u16),
    /// FLUSHALL; the configuration is written again.
    FlushAll,
    /// APPL_DB flushed, STATE_DB's rows deleted.
    SwssRestart,
    /// STATE_DB's rows deleted.
    RowsDeleted,
    /// The directory of the state file goes, and comes back.
    DirectoryGone,
    /// So many netdevs created and destroyed.
    Churn(u8),
}

/// Faults of the way to Redis or of Redis; one at most in a round.
const REDIS: [Fault; 13] = [
    Fault::RedisKilled,
    Fault::RedisEmptied,
    Fault::RedisPaused,
    Fault::OutOfMemory,
    Fault::Replica,
    Fault::Loading,
    Fault::Password,
    Fault::Refused,
    Fault::Slow(0),
    Fault::Cut(0),
    Fault::FlushAll,
    Fault::SwssRestart,
    Fault::RowsDeleted,
];
const DAEMON: [Fault; 9] = [
    Fault::DaemonKilled,
    Fault::DaemonKilled,
    Fault::KilledWhileSaving,
    Fault::StateFileCut,
    Fault::DaemonKilledWarm,
    Fault::DaemonRestarted,
    Fault::DaemonRestartedWarm,
    Fault::DaemonPaused,
    Fault::Reload,
];

/// A step of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many random changes of random netdevs, drawn from this seed.
    Links(u16, u64),
    /// Every port changed so many times, as fast as one thread can.
    Storm(u16),
    /// Nothing, for so many ms: what is under way goes on.
    Pause(u16),
    /// A fault begins.
    Begin(Fault),
    /// It ends.
    End(Fault),
}

/// The steps of a round.
pub(crate) struct Schedule {
    pub(crate) steps: Vec<Step>,
}

impl Schedule {
    /// The schedule of one round.
    pub(crate) fn draw(seed: u64, round: u32) -> Self {
        let mut random = Rng::with_seed(seed ^ (u64::from(round) << 32 | 0x00c4_a05e));
        let mut steps = Vec::new();
        let daemon = (random.u8(..100) < 55).then(|| pick(&DAEMON, &mut random));
        let redis = (random.u8(..100) < 65).then(|| pick(&REDIS, &mut random));
        let daemon = daemon.map(|fault| match (fault, redis) {
            // Who empties the databases takes what makes a start warm with them.
            (Fault::DaemonKilledWarm, Some(redis)) if redis.empties() => Fault::DaemonKilled,
            (Fault::DaemonRestartedWarm, Some(redis)) if redis.empties() => Fault::DaemonRestarted,
            (fault, _) => fault,
        });
        let (mut outer, mut inner) = (redis, daemon);
        if random.bool() {
            std::mem::swap(&mut outer, &mut inner);
        }
        activity(&mut steps, &mut random);
        begin(&mut steps, outer);
        activity(&mut steps, &mut random);
        begin(&mut steps, inner);
        activity(&mut steps, &mut random);
        if random.u8(..10) == 0 {
            begin(&mut steps, Some(Fault::Churn(random.u8(8..64))));
        }
        let directory = (random.u8(..10) == 0).then_some(Fault::DirectoryGone);
        begin(&mut steps, directory);
        activity(&mut steps, &mut random);
        end(&mut steps, directory);
        // Ended in either order: the daemon may start into an outage.
        let (first, second) = if random.bool() {
            (inner, outer)
        } else {
            (outer, inner)
        };
        end(&mut steps, first);
        activity(&mut steps, &mut random);
        end(&mut steps, second);
        if random.bool() {
            activity(&mut steps, &mut random);
        }
        Self { steps }
    }

    /// The faults of this round.
    pub(crate) fn faults(&self) -> impl Iterator<Item = Fault> {
        self.steps.iter().filter_map(|step| match step {
            Step::Begin(fault) => Some(*fault),
            _ => None,
        })
    }
}

impl Fault {
    /// The word for it in the summary.
    pub(crate) fn kind(self) -> String {
        let text = format!("{self:?}");
        text.split('(').next().unwrap_or_default().to_owned()
    }

    /// Whether APPL_DB is empty afterwards.
    fn empties(self) -> bool {
        matches!(
            self,
            Self::RedisEmptied | Self::FlushAll | Self::SwssRestart
        )
    }

    /// Whether the daemon is killed by SIGKILL.
    pub(crate) fn kills_daemon(self) -> bool {
        matches!(
            self,
            Self::DaemonKilled
                | Self::DaemonKilledWarm
                | Self::KilledWhileSaving
                | Self::StateFileCut
        )
    }
}

fn pick(faults: &[Fault], random: &mut Rng) -> Fault {
    match faults[random.usize(..faults.len())] {
        Fault::Slow(_) => Fault::Slow(random.u8(5..100)),
        Fault::Cut(_) => Fault::Cut(random.u16(1..4000)),
        other => other,
    }
}

fn begin(steps: &mut Vec<Step>, fault: Option<Fault>) {
    steps.extend(fault.map(Step::Begin));
}

fn end(steps: &mut Vec<Step>, fault: Option<Fault>) {
    steps.extend(fault.map(Step::End));
}

fn activity(steps: &mut Vec<Step>, random: &mut Rng) {
    steps.push(match random.u8(..10) {
        0..5 => Step::Links(random.u16(1..60), random.u64(..)),
        5..8 => Step::Storm(random.u16(1..12)),
        // Now and then long enough for timeouts to fire and pauses to grow.
        8 if random.u8(..4) == 0 => Step::Pause(random.u16(1000..2500)),
        _ => Step::Pause(random.u16(1..200)),
    });
    // A random instant, not the end of a system call.
    if random.bool() {
        steps.push(Step::Pause(random.u16(0..15)));
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.steps).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_drawn_alike_again() {
        for round in 0..50 {
            let draw = |_| Schedule::draw(7, round).steps;
            assert_eq!(draw(0), draw(1));
        }
        assert_ne!(Schedule::draw(7, 1).steps, Schedule::draw(7, 2).steps);
    }

    #[test]
    fn what_begins_ends_and_a_fifth_of_the_rounds_kill_the_daemon() {
        let mut killing = 0;
        for round in 0..1000 {
            let schedule = Schedule::draw(1, round);
            for fault in schedule.faults() {
                let ends = schedule.steps.contains(&Step::End(fault));
                assert_eq!(ends, !matches!(fault, Fault::Churn(_)), "{schedule}");
            }
            killing += usize::from(schedule.faults().any(Fault::kills_daemon));
        }
        assert!(killing >= 200, "{killing} of 1000");
    }
}
