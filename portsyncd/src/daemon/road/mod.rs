//! The road: kernel → link source → port table → database writer → Redis.
//!
//! One loop owns all five and does each step the moment it can: nothing on the
//! way waits for a timer, a lock or another thread. Dumps, the databases'
//! [`Follower`](crate::db::Follower) and signals come in from beside it.

mod ask;
mod carrier;
mod change_over;
mod databases;
mod kernel;
mod start;
mod status;
mod stop;
mod vigil;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::{debug, warn};

use ask::Search;
use carrier::CarrierCare;
use change_over::Better;
use start::READY_WITHIN;
use status::StatusLine;

use super::hook::Hook;
use super::notify;
use super::pace::Pace;
use super::port_log::PortLog;
use super::reload::Reloader;
use super::resync::{Reason, Resync};
use super::signals::{Asked, Signals};
use super::stages::Stages;
use super::tally::Tally;
use super::vigil::Vigil;
use super::watchdog::Watchdog;
use crate::clock::monotonic_ns;
use crate::db::{DbEvent, DbRequest, StateWriter};
use crate::link::carrier::{Attached, HookRefused};
use crate::link::dump::{self, DumpPart};
use crate::link::gate::Gate;
use crate::link::{LinkError, LinkSource};
use crate::logging::budget::{Budget, per_second};
use crate::logging::outage::Outage;
use crate::observe::{Teller, Told};
use crate::table::PortTable;

/// Batches that may be under way: a Redis that does not answer must not fill the
/// memory.
const MOST_UNDER_WAY: usize = 4;
/// When nothing has to be done by any time.
const FAR: Duration = Duration::from_hours(1);

/// What the road is made of.
pub(super) struct RoadParts {
    pub(super) source: LinkSource,
    /// `source` is to be changed for a better one once the road is in step.
    pub(super) provisional: bool,
    pub(super) gate: Arc<Gate>,
    pub(super) table: PortTable,
    pub(super) writer: StateWriter,
    pub(super) db_events: mpsc::Receiver<DbEvent>,
    pub(super) db_requests: mpsc::Sender<DbRequest>,
    pub(super) watch_at_once: bool,
    pub(super) reloader: Reloader,
    pub(super) teller: Teller,
}

/// The road. See the module's documentation.
pub(super) struct Road {
    parts: RoadParts,
    resync: Resync,
    dump: Option<mpsc::Receiver<DumpPart>>,
    tally: Tally,
    stages: Stages,
    hook: Hook,
    port_log: PortLog,
    loss_log: Budget,
    pace: Pace,
    watchdog: Watchdog,
    care: CarrierCare,
    status: StatusLine,
    started: Instant,
    /// Link events are taken; before that they wait in the kernel.
    watching: bool,
    /// The source has more than one drain's worth.
    more: bool,
    /// A dump has ended complete.
    eoiu: bool,
    privileges: Privileges,
    /// When the first dump is not waited for any longer.
    eoiu_until: Option<Instant>,
    /// When what is expensive, and nobody waits for, may begin.
    settle_at: Option<Instant>,
    /// When the start's memory is given back.
    tidy_at: Option<Instant>,
    /// The source that follows a provisional one.
    better: Better,
    /// Records from before this time were told by the source before: `CLOCK_MONOTONIC`,
    /// nanoseconds.
    told_until_ns: u64,
    vigil: Vigil,
    /// How often APPL_DB was emptied and everything began again.
    life: u32,
    /// STATE_DB's rows have to be compared with the netdevs, after a dump.
    search: Search,
    queue: Queue,
    said: Said,
    /// STATE_DB is away.
    outage: Outage,
}

/// What others have been told once.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is told by itself")]
struct Said {
    /// systemd: READY.
    ready: bool,
    /// Everybody: the initial synchronisation is in STATE_DB.
    in_step: bool,
    /// The follower: the netdevs of before this start are known.
    may_push: bool,
    /// STATE_DB: what the table knew when it first answered.
    connected: bool,
}

/// The privileges of the thread behind the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Privileges {
    Needed,
    GivenUp,
}

/// What became of the changes that wait for Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    /// They wait; `performance.max_event_queue` bounds them.
    Bounded,
    /// They were too many and were dropped.
    Dropped,
    /// Every port is being written: one change per port is no overflow.
    Republishing,
}

impl Road {
    pub(super) fn new(parts: RoadParts) -> Self {
        let now = Instant::now();
        Self {
            resync: Resync::new(parts.reloader.config().link.resync_interval),
            dump: None,
            tally: Tally::new(Arc::clone(parts.teller.meters())),
            stages: Stages::new(),
            hook: Hook::new(parts.reloader.config().link.carrier_hook),
            port_log: PortLog::new(),
            loss_log: Budget::new(per_second(1)),
            pace: Pace::new(longest_hold(parts.reloader.config()), now),
            watchdog: Watchdog::new(&parts.reloader.config().health, now),
            care: CarrierCare::new(&parts.reloader.config().link, now),
            status: StatusLine::new(now),
            started: now,
            watching: false,
            more: false,
            eoiu: false,
            privileges: Privileges::Needed,
            eoiu_until: None,
            settle_at: None,
            tidy_at: None,
            better: Better::default(),
            told_until_ns: 0,
            vigil: Vigil::new(now),
            life: 0,
            search: Search::AfterDump,
            queue: Queue::Republishing,
            said: Said::default(),
            outage: Outage::default(),
            parts,
        }
    }

    /// Runs until a signal asks to stop.
    pub(super) async fn run(mut self, mut signals: Signals) -> Result<(), LinkError> {
        if self.parts.watch_at_once {
            self.watch();
        }
        let timer = sleep_until(Instant::now() + FAR);
        tokio::pin!(timer);
        loop {
            self.turn();
            self.arm(&mut timer);
            self.tally.rests(self.parts.table.waiting());
            let parts = &mut self.parts;
            let more = self.more;
            let look = self.watching && (more || self.pace.next_look() <= Instant::now());
            tokio::select! {
                readable = async {
                    if more { Ok(()) } else { parts.source.readable().await }
                }, if look => {
                    readable?;
                    self.stages.woken();
                    self.drain()?;
                    self.stages.taken();
                    self.pace.looked(Instant::now());
                }
                event = parts.writer.next() => self.written(event),
                attached = self.hook.attached() => self.hooked(attached),
                choice = self.better.opened() => self.change_over(choice)?,
                part = next_part(&mut self.dump) => self.dumped(part)?,
                event = parts.db_events.recv() => match event {
                    Some(event) => self.database(event),
                    None => return Err(LinkError::Poll {
                        what: "databases",
                        source: std::io::Error::other("their task ended"),
                    }),
                },
                answer = self.care.answer() => self.settled(answer),
                asked = signals.next() => match asked {
                    Asked::Stop => break,
                    Asked::Reload => self.reload(),
                },
                () = &mut timer => {}
            }
        }
        self.stop().await
    }

    /// Everything that follows from whatever happened last.
    fn turn(&mut self) {
        self.tally.awake();
        self.flush();
        self.bound_queue();
        self.ask_databases();
        let now = Instant::now();
        self.care_for_carriers(now);
        if let Some(reason) = self.resync.start_due(now) {
            if reason == Reason::Interval {
                // Redis may publish no keyspace events. A full channel has asked already.
                let _ = self.parts.db_requests.try_send(DbRequest::Reread);
            }
            debug!(reason = reason.as_str(), "dump started");
            // Before there is a thread that asks: a netdev that goes from now on has gone
            // after the dump began, whatever its parts say.
            self.parts.table.dump_begin(monotonic_ns());
            self.dump = Some(dump::start(Arc::clone(&self.parts.gate)));
            self.tally.dump_started(reason);
        }
        self.keep_vigil(now);
        self.tell_ready(now);
        self.close_gate();
        self.tidy_up(now);
        self.parts.teller.catch_up(&self.parts.table, now);
        self.tell_status(now);
        self.watchdog.alive(now);
    }

    /// Hands changes to the writer: at once while nothing is under way and the
    /// pace allows, else they share the next write, but wait no longer than the
    /// batch timeout.
    fn flush(&mut self) {
        let RoadParts { table, writer, .. } = &mut self.parts;
        if table.waiting() == 0 || !writer.is_open() {
            return;
        }
        let now = Instant::now();
        let at_once = match writer.in_flight() {
            0 => table.is_urgent() || self.pace.next_write() <= now,
            MOST_UNDER_WAY.. => return,
            _ => false,
        };
        if at_once || self.overdue() {
            self.submit();
        }
    }

    fn submit(&mut self) {
        let RoadParts { table, writer, .. } = &mut self.parts;
        let mut changes = writer.spare();
        table.take_changes(&mut changes);
        self.pace.wrote(changes.len(), Instant::now());
        if self.queue == Queue::Republishing {
            self.queue = Queue::Bounded;
        }
        let count = changes.len();
        let first_ns = changes.first().map_or(0, |change| change.since_ns);
        match writer.submit(changes) {
            Ok(()) => {
                self.tally.submitted(count);
                self.stages.handed(first_ns);
            }
            Err(changes) => {
                table.failed(&changes);
                self.port_log.answered(&changes);
            }
        }
    }

    fn overdue(&self) -> bool {
        let timeout = self.parts.reloader.config().performance.batch_timeout;
        let waited = self
            .parts
            .table
            .waiting_since_ns()
            .map(|since| monotonic_ns().saturating_sub(since));
        waited.is_some_and(|waited| u128::from(waited) >= timeout.as_nanos())
    }

    /// Keeps what waits for Redis within `performance.max_event_queue`. In a storm on more ports
    /// than that changes wait for each other, to share a write: those are none of it.
    fn bound_queue(&mut self) {
        let RoadParts {
            table,
            writer,
            reloader,
            ..
        } = &self.parts;
        let bound = reloader.config().performance.max_event_queue.get();
        let (waiting, open) = (table.waiting(), writer.is_open());
        match self.queue {
            Queue::Bounded if waiting > bound && (!open || self.overdue()) => {
                warn!(
                    waiting,
                    bound,
                    "too many changes wait for STATE_DB: everything is republished once it answers"
                );
                self.parts.table.drop_changes();
                self.queue = Queue::Dropped;
            }
            Queue::Dropped if open && writer.in_flight() == 0 => self.republish(),
            _ => {}
        }
    }

    /// Writes every row again, and looks for stale ones after a dump.
    fn republish(&mut self) {
        self.parts.table.republish_all(monotonic_ns());
        self.tally.meters.redis.republications.inc();
        self.queue = Queue::Republishing;
        self.search = Search::AfterDump;
        self.resync.request(Reason::Reconnect, Instant::now());
    }

    /// Privileges are for the hook, and for setting down what the first dump finds with
    /// `existing_netdevs = "replace"`.
    fn close_gate(&mut self) {
        let set_down = self.parts.watch_at_once || self.tally.dumps_ended() > 0;
        if self.privileges == Privileges::Needed && set_down && self.hook.is_settled() {
            self.privileges = Privileges::GivenUp;
            self.parts.gate.close(!self.parts.watch_at_once);
            self.started_up();
        }
    }

    /// When the changes that wait have to be looked at without any event.
    fn next_batch(&self, now: Instant) -> Option<Instant> {
        let RoadParts { table, writer, .. } = &self.parts;
        if table.waiting() == 0 || !writer.is_open() || writer.in_flight() >= MOST_UNDER_WAY {
            return None;
        }
        let timeout = self.parts.reloader.config().performance.batch_timeout;
        let since = table.waiting_since_ns().unwrap_or_default();
        let waited = Duration::from_nanos(monotonic_ns().saturating_sub(since));
        let overdue = now + timeout.saturating_sub(waited);
        Some(match writer.in_flight() {
            0 => overdue.min(self.pace.next_write()),
            _ => overdue,
        })
    }

    /// A carrier that was lost before the hook was there, and that linkwatch still
    /// holds back, shows in a dump.
    fn hooked(&mut self, attached: Result<Attached, HookRefused>) {
        self.care.hooked(attached.is_ok());
        if attached.is_ok() {
            self.resync.request(Reason::Hook, Instant::now());
        }
        self.hook.settle(attached);
        self.parts.teller.tell(self.hook.told());
    }

    /// Sets the one timer to whatever is due first.
    fn arm(&self, timer: &mut Pin<&mut Sleep>) {
        let now = Instant::now();
        let batch = self.next_batch(now);
        let look = Some(self.pace.next_look()).filter(|at| *at > now);
        let ready = (!self.said.ready).then_some(self.started + READY_WITHIN);
        let due = [
            self.resync.deadline(),
            batch,
            look,
            ready,
            self.watchdog.deadline(),
            self.care.deadline(self.is_written()),
            self.parts.teller.deadline(),
            self.eoiu_until,
            self.settle_at,
            self.tidy_at,
            self.search.deadline(now),
            Some(self.vigil.deadline()),
            self.status.deadline(),
        ];
        let next = due.into_iter().flatten().min().unwrap_or(now + FAR);
        if timer.deadline() != next {
            timer.as_mut().reset(next);
        }
    }

    fn reload(&mut self) {
        notify::reloading();
        let reloader = &mut self.parts.reloader;
        reloader.reload();
        let interval = reloader.config().link.resync_interval;
        self.resync.set_interval(interval, Instant::now());
        let performance = reloader.config().performance.clone();
        self.parts.teller.tell(Told::Reloaded(performance));
        self.pace
            .set_longest(longest_hold(self.parts.reloader.config()));
        if self.said.ready {
            notify::ready(&self.standing());
        }
    }
}

/// The longest that a change may wait to share a write: what the configuration
/// allows, and never more than half of the latency that it aims at.
fn longest_hold(config: &crate::config::Config) -> Duration {
    let performance = &config.performance;
    performance.batch_timeout.min(performance.max_latency / 2)
}

/// The running dump's next part; waits for ever while none runs.
async fn next_part(dump: &mut Option<mpsc::Receiver<DumpPart>>) -> Option<DumpPart> {
    match dump {
        Some(parts) => parts.recv().await,
        None => std::future::pending().await,
    }
}
