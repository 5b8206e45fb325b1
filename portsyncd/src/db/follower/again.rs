//! Starting again in process: APPL_DB lost what we put there.
//!
//! A cold restart of swss flushes APPL_DB and deletes STATE_DB's `PORT_TABLE*`; so
//! do FLUSHALL and a failover to an empty Redis. Then orchagent waits for the
//! configuration, PortConfigDone and PortInitDone as after a boot. Only our own
//! signals prove it: orchagent moves them from the temporary hash to the row in
//! one step and keeps the row, so one that is in neither was wiped. A restart of
//! swss with warm restart enabled keeps both, and nothing has to be done.
//!
//! Whoever empties everything empties CONFIG_DB too, and fills it again key by
//! key. The push waits until it is whole: its ports are those that we knew, or it
//! says that it is filled, or it has not changed from one look to the next.

use std::collections::BTreeSet;
use std::time::Duration;

use portsyncd_common::IfName;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::requested::Push;
use super::{Boot, DbError, DbEvent, Follower, Session, SessionEnd};
use crate::db::sentry::Sentry;
use crate::db::warm_restart::{self, StartKind};
use crate::db::{config_db, connect, keys};

/// From one look at a CONFIG_DB that is being filled to the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// What we put into APPL_DB, and what we know to tell whether CONFIG_DB is whole.
#[derive(Debug, Default)]
pub(super) struct Again {
    life: u32,
    pushed: bool,
    init_done: bool,
    names: BTreeSet<IfName>,
    waits: Option<Waits>,
}

/// Waiting for a whole CONFIG_DB.
#[derive(Debug)]
struct Waits {
    seen: Option<Vec<IfName>>,
    look_at: Instant,
}

impl Again {
    /// How often we have started again.
    pub(super) fn life(&self) -> u32 {
        self.life
    }

    /// CONFIG_DB was read. What it lists while a new start waits for it is not
    /// known to be all.
    pub(super) fn configured(&mut self, names: &[IfName]) {
        if self.waits.is_none() {
            self.names = names.iter().copied().collect();
        }
    }

    /// CONFIG_DB gained or lost a port.
    pub(super) fn touched(&mut self, name: IfName, there: bool) {
        if self.waits.is_some() {
            return;
        }
        if there {
            self.names.insert(name);
        } else {
            self.names.remove(&name);
        }
    }

    /// APPL_DB took the configuration and PortConfigDone.
    pub(super) fn pushed(&mut self) {
        self.pushed = true;
    }

    /// APPL_DB took PortInitDone.
    pub(super) fn init_done(&mut self) {
        self.init_done = true;
    }

    /// When CONFIG_DB has to be looked at, while a new start waits for it.
    pub(super) fn looks_at(&self) -> Option<Instant> {
        Some(self.waits.as_ref()?.look_at)
    }

    fn signals(&self) -> Vec<&'static str> {
        let config = self.pushed.then_some(keys::PORT_CONFIG_DONE);
        let init = self.init_done.then_some(keys::PORT_INIT_DONE);
        config.into_iter().chain(init).collect()
    }

    /// Whether `names`, CONFIG_DB's ports at this look, are all of them.
    fn is_whole(&mut self, names: Vec<IfName>, filled: bool) -> bool {
        let known = names.len() == self.names.len() && names.iter().all(|n| self.names.contains(n));
        let Some(waits) = &mut self.waits else {
            return true;
        };
        if filled || known {
            return true;
        }
        let still = !names.is_empty() && waits.seen.as_ref() == Some(&names);
        waits.seen = Some(names);
        waits.look_at = Instant::now() + BETWEEN_LOOKS;
        still
    }
}

impl Follower {
    /// Something was emptied, or changed.
    pub(super) async fn alarmed(
        &mut self,
        session: &mut Session,
        news: Result<(), DbError>,
    ) -> Result<(), SessionEnd> {
        news?;
        self.send(DbEvent::Alarm).await?;
        self.progress.requested.check_signals = true;
        self.settle_debts(session).await
    }

    /// Looks whether APPL_DB still has our signals.
    pub(super) async fn check_signals(&mut self, session: &mut Session) -> Result<(), SessionEnd> {
        // Not earlier: two more connections would hold a start's signals up.
        if !std::mem::replace(&mut session.sentry_asked, true) {
            session.sentry = Sentry::post(&self.addresses, self.timeout).await;
            let told = session.sentry.is_some() && self.progress.hears_deletions;
            self.send(DbEvent::Told(told)).await?;
        }
        let signals = self.progress.again.signals();
        if signals.is_empty() || self.progress.again.waits.is_some() {
            return Ok(());
        }
        let appl_db = match &mut session.sentry {
            Some(sentry) => sentry.appl_db(),
            None => &mut session.appl_db,
        };
        if self.producer.has_signals(appl_db, &signals).await? {
            return Ok(());
        }
        warn!(
            appl_db = %self.addresses.appl,
            "APPL_DB was emptied, as by a restart of swss: starting cold again"
        );
        self.progress.again.waits = Some(Waits {
            seen: None,
            look_at: Instant::now(),
        });
        self.begin_again(session).await
    }

    /// Starts again once CONFIG_DB is whole.
    pub(super) async fn begin_again(&mut self, session: &mut Session) -> Result<(), SessionEnd> {
        let separator = self.addresses.config.separator();
        let names = config_db::read_names(&mut session.config_db, separator).await?;
        let filled: Option<Vec<u8>> = redis::cmd("GET")
            .arg(keys::CONFIG_FILLED)
            .query_async(&mut session.config_db)
            .await
            .map_err(DbError::redis("GET of CONFIG_DB_INITIALIZED"))?;
        let first_look = self
            .progress
            .again
            .waits
            .as_ref()
            .is_some_and(|w| w.seen.is_none());
        if !self
            .progress
            .again
            .is_whole(names, filled.as_deref() == Some(b"1"))
        {
            if first_look {
                info!("CONFIG_DB is not whole: the configuration is pushed once it is");
            }
            return Ok(());
        }
        let mut state_db = connect::multiplexed(&self.addresses.state, self.timeout).await?;
        warm_restart::account_again(&mut state_db, self.addresses.state.separator()).await?;
        let boot = Boot {
            start: StartKind::Cold,
            dpu: self.progress.boot.is_some_and(|boot| boot.dpu),
        };
        let life = self.progress.again.life + 1;
        self.progress.again = Again {
            life,
            ..Again::default()
        };
        self.progress.boot = Some(boot);
        self.progress.awaited = false;
        self.progress.push = None;
        self.progress.requested.port_init_done = None;
        self.progress.requested.push = Push::Waits;
        self.send(DbEvent::Again {
            life,
            dpu: boot.dpu,
        })
        .await?;
        self.read_config(session, boot).await
    }
}

/// The sentry's next news; none ever without one.
pub(super) async fn news(sentry: &mut Option<Sentry>) -> Result<(), DbError> {
    match sentry {
        Some(sentry) => sentry.news().await,
        None => std::future::pending().await,
    }
}

/// Waits until CONFIG_DB has to be looked at; for ever while it has not.
pub(super) async fn look_again(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<IfName> {
        list.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn waiting(known: &[&str]) -> Again {
        let mut again = Again::default();
        again.configured(&names(known));
        again.waits = Some(Waits {
            seen: None,
            look_at: Instant::now(),
        });
        again
    }

    #[test]
    fn a_config_db_that_was_not_touched_is_whole_at_once() {
        assert!(waiting(&["Ethernet0"]).is_whole(names(&["Ethernet0"]), false));
    }

    #[test]
    fn one_that_is_being_filled_is_waited_for() {
        let mut again = waiting(&["Ethernet0", "Ethernet4", "Ethernet8"]);
        assert!(!again.is_whole(names(&[]), false));
        assert!(!again.is_whole(names(&[]), false), "emptied, not empty");
        assert!(!again.is_whole(names(&["Ethernet0"]), false));
        assert!(!again.is_whole(names(&["Ethernet0", "Ethernet4"]), false));
        assert!(again.is_whole(names(&["Ethernet0", "Ethernet4"]), false));
    }

    #[test]
    fn one_that_says_it_is_filled_may_have_no_ports() {
        assert!(waiting(&["Ethernet0"]).is_whole(names(&[]), true));
        assert!(waiting(&[]).is_whole(names(&[]), false), "it never had any");
    }

    #[test]
    fn only_what_was_sent_is_looked_for() {
        let mut again = Again::default();
        assert!(again.signals().is_empty());
        again.init_done();
        assert_eq!(again.signals(), [keys::PORT_INIT_DONE], "a warm start");
        again.pushed();
        assert_eq!(again.signals().len(), 2);
    }
}
