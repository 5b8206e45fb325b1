//! The daemon's talk with the databases apart from the hot path.
//!
//! Owns the connections to CONFIG_DB and APPL_DB, and what has to be done there
//! exactly once over however many connections it takes: accounting for the start,
//! pushing the configuration, PortConfigDone, PortInitDone. When somebody empties
//! APPL_DB it does all of it once more. Requests of the road flow in, [`DbEvent`]s
//! flow out. It never writes a port's row of STATE_DB.

mod again;
mod begin;
mod requested;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use portsyncd_common::IfName;
use redis::Msg;
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::address::{DbAddress, DbAddresses};
use super::appl_db::Producer;
use super::backoff::Backoff;
use super::config_db::{self, ConfigRow};
use super::keyspace::{Channels, Published, Touched};
use super::sentry::Sentry;
use super::{Boot, DbError, DbEvent, DbRequest, connect, keys, logger_row, state_rows};
use crate::logging::FollowedLevel;
use crate::logging::outage::Outage;

use requested::{Push, Requested};

/// Follows the databases. See the module's documentation.
#[derive(Debug)]
pub struct Follower {
    addresses: Arc<DbAddresses>,
    timeout: Duration,
    backoff: Backoff,
    events: mpsc::Sender<DbEvent>,
    requests: mpsc::Receiver<DbRequest>,
    level: FollowedLevel,
    connected: Arc<AtomicBool>,
    channels: Channels,
    producer: Producer,
    /// The push waits for [`DbRequest::MayPush`].
    push_waits: bool,
    progress: Progress,
}

/// What is done and what is owed, whichever connection it takes.
#[derive(Debug, Default)]
struct Progress {
    boot: Option<Boot>,
    /// PortInitDone's ports were named.
    awaited: bool,
    /// Rows that APPL_DB does not have yet, or lacks PortConfigDone for.
    push: Option<Vec<ConfigRow>>,
    /// It took them over this connection.
    pushed: bool,
    again: again::Again,
    requested: Requested,
    /// Redis tells of deleted rows.
    hears_deletions: bool,
    said: Said,
    /// The databases are away.
    outage: Outage,
}

/// What the log has said.
#[derive(Debug, Default)]
struct Said {
    /// How CONFIG_DB is followed.
    keyspace: bool,
}

/// The connections of one session.
struct Session {
    config_db: MultiplexedConnection,
    appl_db: MultiplexedConnection,
    /// Until this start is accounted for.
    state_db: Option<MultiplexedConnection>,
    sentry: Option<Sentry>,
    sentry_asked: bool,
}

/// The road is gone: nobody needs the databases any more.
struct RoadGone;

enum SessionEnd {
    RoadGone,
    Broken(DbError),
}

impl From<DbError> for SessionEnd {
    fn from(error: DbError) -> Self {
        Self::Broken(error)
    }
}

impl From<RoadGone> for SessionEnd {
    fn from(_: RoadGone) -> Self {
        Self::RoadGone
    }
}

impl Follower {
    /// `timeout` bounds connecting and each answer, `longest_pause` each pause.
    #[must_use]
    pub fn new(
        addresses: Arc<DbAddresses>,
        timeout: Duration,
        longest_pause: Duration,
        events: mpsc::Sender<DbEvent>,
        requests: mpsc::Receiver<DbRequest>,
        level: FollowedLevel,
    ) -> Self {
        Self {
            channels: Channels::new(&addresses),
            producer: Producer::new(&addresses.appl),
            backoff: Backoff::new(longest_pause),
            addresses,
            timeout,
            events,
            requests,
            level,
            connected: Arc::default(),
            push_waits: false,
            progress: Progress::default(),
        }
    }

    /// Keeps `connected` true while the databases answer.
    #[must_use]
    pub fn telling(mut self, connected: Arc<AtomicBool>) -> Self {
        self.connected = connected;
        self
    }

    /// The configuration is pushed only after [`DbRequest::MayPush`]: whatever
    /// netdev orchagent makes of it must not be taken for one of before.
    #[must_use]
    pub fn pushing_on_request(mut self, on_request: bool) -> Self {
        self.push_waits = on_request;
        self
    }

    /// Follows the databases until the road is gone.
    pub async fn run(mut self) {
        loop {
            match self.session().await {
                SessionEnd::RoadGone => return,
                SessionEnd::Broken(error) => {
                    self.connected.store(false, Ordering::Relaxed);
                    if self.progress.outage.begins(&error) {
                        warn!(
                            config_db = %self.addresses.config,
                            appl_db = %self.addresses.appl,
                            %error,
                            "configuration databases unreachable or refusing, retrying"
                        );
                    }
                }
            }
            if self.pause().await.is_err() {
                return;
            }
        }
    }

    /// Waits before the next attempt, noting requests meanwhile.
    async fn pause(&mut self) -> Result<(), RoadGone> {
        let until = Instant::now() + self.backoff.pause();
        loop {
            tokio::select! {
                () = sleep_until(until) => return Ok(()),
                request = self.requests.recv() => self.progress.requested.note(request.ok_or(RoadGone)?),
            }
        }
    }

    async fn session(&mut self) -> SessionEnd {
        let within = self.timeout;
        let addresses = Arc::clone(&self.addresses);
        let first = self.progress.boot.is_none();
        let connected = tokio::try_join!(
            connect::multiplexed(&addresses.config, within),
            connect::multiplexed(&addresses.appl, within),
            connect::subscriber(&addresses.config, within),
            async {
                if !first {
                    return Ok(None);
                }
                connect::multiplexed(&addresses.state, within)
                    .await
                    .map(Some)
            },
        );
        let (config_db, appl_db, mut subscriber, state_db) = match connected {
            Ok(connected) => connected,
            Err(error) => return SessionEnd::Broken(error),
        };
        let answer = timeout(within, self.channels.subscribe(&mut subscriber)).await;
        if let Err(error) = answer.unwrap_or(Err(DbError::Timeout {
            what: "PSUBSCRIBE of CONFIG_DB",
            after_ms: within.as_millis(),
        })) {
            return SessionEnd::Broken(error);
        }
        let mut session = Session {
            config_db,
            appl_db,
            state_db,
            sentry: None,
            sentry_asked: false,
        };
        let events = subscriber.into_on_message();
        match self.start(&mut session).await {
            Ok(()) => self.follow(&mut session, events).await,
            Err(end) => end,
        }
    }

    fn say_how_followed(&mut self, published: Option<Published>) {
        if std::mem::replace(&mut self.progress.said.keyspace, true) {
            return;
        }
        self.progress.hears_deletions =
            self.channels.hear_deletions() && published.is_some_and(|p| p.deletions);
        match published {
            Some(published) if published.rows => info!("CONFIG_DB is followed by keyspace events"),
            Some(_) => warn!(
                "Redis publishes no keyspace events: a port added to CONFIG_DB is noticed when its \
                 netdev shows up or at the next resync; set notify-keyspace-events AKE"
            ),
            None => warn!(
                "Redis does not tell whether it publishes keyspace events; without them a port \
                 added to CONFIG_DB is noticed when its netdev shows up or at the next resync"
            ),
        }
    }

    async fn follow(
        &mut self,
        session: &mut Session,
        mut events: impl Stream<Item = Msg> + Unpin,
    ) -> SessionEnd {
        loop {
            let worked = tokio::select! {
                event = events.next() => match event {
                    Some(event) => {
                        let touched = self.channels.fold(&event, &mut events);
                        self.touched(session, touched).await
                    }
                    None => return SessionEnd::Broken(DbError::Closed),
                },
                news = again::news(&mut session.sentry) => self.alarmed(session, news).await,
                () = again::look_again(self.progress.again.looks_at()) => {
                    match self.begin_again(session).await {
                        Ok(()) => self.settle_debts(session).await,
                        broken => broken,
                    }
                }
                request = self.requests.recv() => match request {
                    Some(request) => {
                        self.progress.requested.note(request);
                        while let Ok(request) = self.requests.try_recv() {
                            self.progress.requested.note(request);
                        }
                        self.settle_debts(session).await
                    }
                    None => return SessionEnd::RoadGone,
                },
            };
            if let Err(end) = worked {
                return end;
            }
        }
    }

    async fn touched(&mut self, session: &mut Session, touched: Touched) -> Result<(), SessionEnd> {
        if touched.rows {
            self.send(DbEvent::Alarm).await?;
        }
        let config = &self.addresses.config;
        if touched.logger {
            let level = logger_row::read(&mut session.config_db, config.separator()).await?;
            self.level.follow(level.as_deref());
        }
        let names: Vec<IfName> = touched.ports.into_iter().collect();
        let keys = config_keys(config, &names);
        let there = config_db::exist(&mut session.config_db, &keys).await?;
        for (name, there) in names.into_iter().zip(there) {
            self.progress.again.touched(name, there);
            self.send(if there {
                DbEvent::Set(name)
            } else {
                DbEvent::Deleted(name)
            })
            .await?;
        }
        Ok(())
    }

    /// Does what is owed: the push, the signals, the road's questions.
    async fn settle_debts(&mut self, session: &mut Session) -> Result<(), SessionEnd> {
        if std::mem::take(&mut self.progress.requested.check_signals) {
            self.check_signals(session).await?;
        }
        if let Some(rows) = &self.progress.push
            && self.may_push()
        {
            let (appl_db, count) = (&mut session.appl_db, rows.len());
            if !self.progress.pushed {
                self.producer.push(appl_db, rows).await?;
            }
            self.producer.send_port_config_done(appl_db, count).await?;
            self.progress.push = None;
            self.progress.again.pushed();
            self.send(DbEvent::ConfigPushed { count }).await?;
        }
        // A request of an earlier life is of ports that have to be awaited anew.
        if self.progress.requested.port_init_done == Some(self.progress.again.life()) {
            self.producer
                .send_port_init_done(&mut session.appl_db)
                .await?;
            self.progress.requested.port_init_done = None;
            self.progress.again.init_done();
            self.send(DbEvent::PortInitDone).await?;
        }
        if self.progress.requested.search {
            let mut state_db = connect::multiplexed(&self.addresses.state, self.timeout).await?;
            let rows = state_rows::search(&mut state_db, self.addresses.state.separator()).await?;
            self.progress.requested.search = false;
            self.send(DbEvent::StateRows(rows)).await?;
        }
        if self.progress.requested.reread
            && let Some(boot) = self.progress.boot
        {
            self.read_config(session, boot).await?;
        }
        self.answer_questions(session).await
    }

    fn may_push(&self) -> bool {
        self.progress.requested.push == Push::MayGo || !self.push_waits
    }

    async fn answer_questions(&mut self, session: &mut Session) -> Result<(), SessionEnd> {
        let asked: Vec<IfName> = std::mem::take(&mut self.progress.requested.is_port)
            .into_iter()
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        let config_rows = config_keys(&self.addresses.config, &asked);
        let appl_rows: Vec<_> = asked.iter().map(|name| self.producer.row(*name)).collect();
        let (in_config, in_appl) = tokio::try_join!(
            config_db::exist(&mut session.config_db, &config_rows),
            config_db::exist(&mut session.appl_db, &appl_rows),
        )?;
        for (name, (in_config, in_appl)) in
            asked.into_iter().zip(in_config.into_iter().zip(in_appl))
        {
            if in_config {
                self.send(DbEvent::Set(name)).await?;
            } else if in_appl {
                self.send(DbEvent::InApplDb(name)).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, event: DbEvent) -> Result<(), RoadGone> {
        self.events.send(event).await.map_err(|_| RoadGone)
    }
}

fn config_keys(address: &DbAddress, names: &[IfName]) -> Vec<Vec<u8>> {
    let prefix = keys::row(keys::CONFIG_PORT_TABLE, address.separator(), "");
    let key = |name: &IfName| [prefix.as_bytes(), name.as_bytes()].concat();
    names.iter().map(key).collect()
}
