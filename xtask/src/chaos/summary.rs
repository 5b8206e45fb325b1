//! What a run comes to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::judge::Verdict;
use super::schedule::{Fault, Schedule};
use super::world::RETRY;

/// After the last fault has ended: a second, and the pause between two attempts to
/// reach Redis that may have begun just then.
const BOUND: Duration = Duration::from_secs(1).saturating_add(RETRY);

/// The sums over the rounds so far.
pub(crate) struct Summary {
    seed: u64,
    rounds: u32,
    faults: BTreeMap<String, u32>,
    kills: u32,
    /// SIGKILL met a file that was being written.
    saves_met: u32,
    wrong_ports: usize,
    spurious_dels: usize,
    accounts: u32,
    converged: Vec<Duration>,
    took: Duration,
}

impl Summary {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            rounds: 0,
            faults: BTreeMap::new(),
            kills: 0,
            saves_met: 0,
            wrong_ports: 0,
            spurious_dels: 0,
            accounts: 0,
            converged: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// One more round.
    pub(crate) fn count(&mut self, schedule: &Schedule, verdict: &Verdict) {
        self.rounds += 1;
        for fault in schedule.faults() {
            *self.faults.entry(fault.kind()).or_default() += 1;
        }
        self.kills += u32::from(schedule.faults().any(Fault::kills_daemon));
        self.wrong_ports += verdict.wrong_ports;
        self.spurious_dels += verdict.spurious_dels;
        self.accounts += u32::from(verdict.accounts_compared);
        self.converged.push(verdict.converged);
    }

    /// A world ended in which SIGKILL met so many writes of the state file.
    pub(crate) fn world_ended(&mut self, saves_met: u32) {
        self.saves_met += saves_met;
    }

    /// How long it all took.
    pub(crate) fn took(&mut self, took: Duration) {
        self.took = took;
    }

    /// Whether the 99th percentile is within the bound.
    pub(crate) fn is_fast_enough(&self) -> bool {
        self.quantile(990) <= BOUND
    }

    /// The smallest time that so many in a thousand rounds did not exceed.
    fn quantile(&self, permille: usize) -> Duration {
        let mut sorted = self.converged.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * permille).div_ceil(1000).saturating_sub(1);
        sorted.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |duration: Duration| format!("{:.3} s", duration.as_secs_f64());
        writeln!(
            f,
            "chaos: seed {}, {} rounds in {}",
            self.seed,
            self.rounds,
            seconds(self.took)
        )?;
        let faults: Vec<String> = self
            .faults
            .iter()
            .map(|(kind, n)| format!("{kind} {n}"))
            .collect();
        writeln!(f, "  faults: {}", faults.join(", "))?;
        writeln!(
            f,
            "  rounds with SIGKILL of the daemon: {}; in the middle of a write of the state file: {}",
            self.kills, self.saves_met
        )?;
        writeln!(
            f,
            "  wrong ports: {}; spurious DELs: {}; accounts compared: {}",
            self.wrong_ports, self.spurious_dels, self.accounts
        )?;
        write!(
            f,
            "  converged after the last fault: p50 {}, p99 {}, max {} (bound {})",
            seconds(self.quantile(500)),
            seconds(self.quantile(990)),
            seconds(self.quantile(1000)),
            seconds(BOUND)
        )
    }
}
