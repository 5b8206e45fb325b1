//! The judgement after a round.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use portsyncd_tests::PATIENCE;
use portsyncd_tests::oracle::rows;
use portsyncd_tests::wait::wait_for;
use redis::Commands;

use super::world::World;

/// How long a round may take to converge before it counts as failed.
const GIVE_UP: Duration = Duration::from_secs(20);
/// A daemon is stopped, and its own account compared, once in so many rounds.
const ACCOUNTS_EVERY: u32 = 10;

/// What a daemon has to say of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    pub(crate) cold: u64,
    pub(crate) warm: u64,
}

/// What became of a round.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// From the end of the last fault until everything was as it should be.
    pub(crate) converged: Duration,
    pub(crate) wrong_ports: usize,
    pub(crate) spurious_dels: usize,
    pub(crate) accounts_compared: bool,
    faults: Vec<String>,
}

impl Verdict {
    pub(crate) fn into_result(self) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        bail!("{}", self.faults.join("\n"))
    }
}

impl World {
    /// Waits until the round has converged, and judges all that was seen.
    pub(crate) fn judge(&mut self) -> Result<Verdict> {
        self.panel.complete(&self.bed)?;
        self.bed.configure(&self.panel.names)?;
        let ended = Instant::now();
        let mut verdict = Verdict::default();
        let mut oracle = self.bed.oracle()?;
        let unmet = loop {
            let differences = oracle.differences()?;
            let served = self.lives.are_served(&self.seen());
            verdict.converged = ended.elapsed();
            if (differences.is_empty() && served) || verdict.converged > GIVE_UP {
                break differences;
            }
        };
        drop(oracle);
        verdict.wrong_ports = unmet.len();
        if !unmet.is_empty() {
            verdict.faults.push(format!("ports differ: {unmet:#?}"));
        }
        if let Err(error) = self.lives.judge(&self.seen()) {
            verdict.faults.push(format!("{error:#}"));
        }
        if let Err(error) = self.signals_stand() {
            verdict.faults.push(format!("{error:#}"));
        }
        for key in self.deletions() {
            let name = key.strip_prefix("PORT_TABLE|").unwrap_or(&key);
            if !self.panel.may_have_gone(name) {
                verdict.spurious_dels += 1;
                verdict
                    .faults
                    .push(format!("{key} was deleted, its netdev never went"));
            }
        }
        if let Err(error) = self.theirs_stand() {
            verdict.faults.push(format!("{error:#}"));
        }
        if let Err(error) = self.check_daemon() {
            verdict.faults.push(format!("{error:#}"));
        }
        if verdict.faults.is_empty() && self.round % ACCOUNTS_EVERY == ACCOUNTS_EVERY - 1 {
            self.compare_accounts()
                .context("the daemon's own account")?;
            verdict.accounts_compared = true;
        }
        Ok(verdict)
    }

    fn signals_stand(&self) -> Result<()> {
        let mut appl_db = self.bed.appl_db()?;
        for signal in ["PortConfigDone", "PortInitDone"] {
            let keys = [
                format!("_PORT_TABLE:{signal}"),
                format!("PORT_TABLE:{signal}"),
            ];
            let there: u64 = appl_db.exists(&keys)?;
            ensure!(there > 0, "APPL_DB has no {signal}");
        }
        Ok(())
    }

    fn theirs_stand(&self) -> Result<()> {
        if !self.theirs {
            return Ok(());
        }
        let rows = rows(&mut self.bed.state_db()?, "PORT_TABLE")?;
        for name in &self.panel.names {
            if self.panel.may_have_gone(name) {
                continue;
            }
            let field = rows.get(name).and_then(|row| row.get("host_tx_ready"));
            let round = self.round.to_string();
            ensure!(
                field == Some(&round),
                "{name} lost another writer's field: {:?}",
                rows.get(name)
            );
        }
        Ok(())
    }

    /// Stops the daemon: its counters against the kernel's and the schedule's.
    fn compare_accounts(&mut self) -> Result<()> {
        self.panel.all_up()?;
        let mut rtnl = self.bed.namespace().rtnl()?;
        let mut downs = 0;
        wait_for("linkwatch has acted on every carrier", PATIENCE, || {
            let netdevs = rtnl.dump()?;
            let ports = || self.panel.names.iter().filter_map(|name| netdevs.get(name));
            downs = ports().map(|netdev| u64::from(netdev.carrier_downs)).sum();
            Ok(ports().all(portsyncd_tests::Netdev::settled))
        })?;
        // A carrier that came back before linkwatch looked is settled and not yet told:
        // any change has the kernel tell its counts.
        self.panel.tell_all()?;
        self.bed.converge()?;
        let account = self.account;
        let daemon = self.daemon.take().context("no daemon")?;
        let log = daemon.log().clone();
        daemon.stop()?;
        let last = log.wait_for("portsyncd stopped", PATIENCE)?;
        for (field, expected) in [
            ("carrier_downs", downs),
            ("cold_starts", account.cold),
            ("warm_restarts", account.warm),
        ] {
            let part = format!(" {field}={expected} ");
            ensure!(last.contains(&part), "{field} should be {expected}: {last}");
        }
        self.start_in_step()
    }
}
