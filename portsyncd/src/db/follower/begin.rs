//! What a connection to the databases begins with: one question for everything, how this process
//! starts, the configuration into APPL_DB.
//!
//! In: fresh connections. Out: [`DbEvent::Boot`], [`DbEvent::Configured`], [`DbEvent::Awaited`].
//! It never waits for one answer before it asks for the next where it need not: on the way of a
//! start each wait is a wake-up of Redis and one of ours.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use futures_util::{StreamExt, TryStreamExt, stream};
use portsyncd_common::IfName;
use tracing::info;

use super::{Follower, Session, SessionEnd};
use crate::db::config_db;
use crate::db::keyspace::{self, Published};
use crate::db::warm_restart::{self, Account, StartKind};
use crate::db::{Boot, DbError, DbEvent, appl_db, logger_row};

/// Chunks of rows asked for before their turn.
const READS_AHEAD: usize = 4;
/// Chunks being pushed: what Redis has not taken yet is in memory, 11 KB a chunk of usual rows.
const PUSHES_AHEAD: usize = 8;

/// What a session reads first.
struct First {
    /// How this process starts; only until that is accounted for.
    boot: Option<(Boot, Account)>,
    names: Vec<IfName>,
    level: Result<Option<String>, DbError>,
    published: Option<Published>,
}

impl Follower {
    /// Everything that a new connection begins with.
    pub(super) async fn start(&mut self, session: &mut Session) -> Result<(), SessionEnd> {
        self.progress.pushed = false;
        // Redis may have lost what we told orchagent.
        if self.progress.boot.is_some() {
            self.check_signals(session).await?;
        }
        let read = self.read_first(session).await?;
        if let Ok(level) = &read.level {
            self.level.follow(level.as_deref());
        }
        let boot = match (self.progress.boot, read.boot) {
            (None, Some((boot, account))) => {
                self.account(session, account).await?;
                self.progress.boot = Some(boot);
                self.send(DbEvent::Boot(boot)).await?;
                boot
            }
            (Some(boot), _) => boot,
            (None, None) => return Err(DbError::Closed.into()),
        };
        self.configured(session, boot, read.names).await?;
        self.say_how_followed(read.published);
        self.settle_debts(session).await?;
        // A CONFIG_DB that cannot be written to keeps no port back, but it is out of order.
        read.level?;
        self.backoff.reset();
        self.connected.store(true, Ordering::Relaxed);
        if self.progress.outage.ends() {
            info!(config_db = %self.addresses.config, "configuration databases reachable again");
        }
        Ok(())
    }

    /// Asks all that a session begins with at once.
    async fn read_first(&self, session: &mut Session) -> Result<First, DbError> {
        let config = self.addresses.config.separator();
        let (mut names, mut logger, mut how) = (
            session.config_db.clone(),
            session.config_db.clone(),
            session.config_db.clone(),
        );
        let config_db = &mut session.config_db;
        let state_db = session.state_db.as_mut();
        let (switch_type, names, level, published, account) = tokio::try_join!(
            config_db::switch_type(config_db, config),
            config_db::read_names(&mut names, config),
            async { Ok(logger_row::ensure(&mut logger, config).await) },
            async { Ok(keyspace::events_enabled(&mut how).await) },
            async {
                let separator = self.addresses.state.separator();
                match state_db {
                    Some(state_db) => warm_restart::read_start(state_db, separator)
                        .await
                        .map(Some),
                    None => Ok(None),
                }
            },
        )?;
        let dpu = switch_type.as_deref() == Some(b"dpu");
        Ok(First {
            boot: account.map(|account| {
                let start = account.start;
                (Boot { start, dpu }, account)
            }),
            names,
            level,
            published,
        })
    }

    /// Accounts for this start, once it is known how it starts.
    async fn account(&self, session: &mut Session, account: Account) -> Result<(), DbError> {
        match session.state_db.take() {
            Some(mut state_db) => {
                let separator = self.addresses.state.separator();
                warm_restart::account(&mut state_db, separator, account).await
            }
            None => Ok(()),
        }
    }

    pub(super) async fn read_config(
        &mut self,
        session: &mut Session,
        boot: Boot,
    ) -> Result<(), SessionEnd> {
        let separator = self.addresses.config.separator();
        let names = config_db::read_names(&mut session.config_db, separator).await?;
        self.configured(session, boot, names).await
    }

    /// CONFIG_DB has ports of these names.
    async fn configured(
        &mut self,
        session: &mut Session,
        boot: Boot,
        names: Vec<IfName>,
    ) -> Result<(), SessionEnd> {
        let separator = self.addresses.config.separator();
        self.progress.again.configured(&names);
        self.send(DbEvent::Configured(names.clone())).await?;
        self.progress.requested.reread = false;
        if self.progress.awaited {
            return Ok(());
        }
        let awaited = match boot.start {
            StartKind::Warm => names,
            StartKind::Cold => {
                let may_push = self.may_push();
                let (config_db, appl_db) = (&session.config_db, &session.appl_db);
                let producer = &self.producer;
                // Redis pushes one chunk while we make sense of the next; more answers at once would
                // all be read before the first of them is pushed.
                let chunks = names.chunks(appl_db::KEYS_PER_SCRIPT);
                // Of their own, or the compiler does not see that the stream may change threads.
                let pushed = stream::iter(chunks.map(<[IfName]>::to_vec).collect::<Vec<_>>())
                    .map(|names| async move {
                        config_db::read_rows(&mut config_db.clone(), separator, &names).await
                    })
                    .buffered(READS_AHEAD)
                    .map(|rows| async move {
                        let rows = rows?;
                        if may_push {
                            producer.push(&mut appl_db.clone(), &rows).await?;
                        }
                        Ok::<_, DbError>(rows)
                    })
                    .buffered(PUSHES_AHEAD)
                    .try_concat();
                let mut administered = appl_db.clone();
                // First: orchagent makes ports of what is pushed.
                let (ready, rows) =
                    tokio::try_join!(producer.administered(&mut administered, &names), pushed)?;
                self.progress.pushed = may_push;
                let ready: BTreeSet<IfName> = ready.into_iter().collect();
                let names = rows.iter().map(|row| row.name);
                let awaited = names.filter(|name| !ready.contains(name)).collect();
                self.progress.push = Some(rows);
                awaited
            }
        };
        self.progress.awaited = true;
        let push = boot.start == StartKind::Cold;
        self.send(DbEvent::Awaited {
            ports: awaited,
            push,
        })
        .await?;
        Ok(())
    }
}
