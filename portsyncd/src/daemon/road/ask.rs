//! What the road asks of the databases' follower, and in which order: PortInitDone before the
//! search for stale rows.
//!
//! In: what the table wants to know and has to tell. Out: [`DbRequest`]s, and old netdevs to the
//! gate. It never waits: what finds the channel full is asked with a later turn, a single name with
//! its netdev's next message.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info};

use super::{Road, RoadParts};
use crate::db::DbRequest;
use crate::link;
use crate::table::InitStage;

/// After a dump the search for stale rows leaves Redis to PortInitDone for so long: with
/// 514 ports it is answered in half a millisecond, which orchagent would wait for.
const SEARCH_WITHIN: Duration = Duration::from_millis(50);

/// The search for stale rows of STATE_DB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// None is due.
    Idle,
    /// The next complete dump is followed by one.
    AfterDump,
    /// Ask as soon as STATE_DB is there, and PortInitDone is out of the way or this time has come.
    Due(Instant),
}

impl Search {
    /// A complete dump has ended: the table knows which netdevs are gone.
    pub(super) fn dump_ended(&mut self, now: Instant) {
        if *self == Self::AfterDump {
            *self = Self::Due(now + SEARCH_WITHIN);
        }
    }

    /// When it does not wait for PortInitDone any longer.
    pub(super) fn deadline(self, now: Instant) -> Option<Instant> {
        match self {
            // Past it, the search waits for STATE_DB, which wakes the road by itself.
            Self::Due(at) if at > now => Some(at),
            _ => None,
        }
    }
}

impl Road {
    /// Asks and tells what is due.
    pub(super) fn ask_databases(&mut self) {
        let RoadParts {
            table,
            writer,
            db_requests,
            ..
        } = &mut self.parts;
        for name in table.take_questions() {
            // The table asks again with the netdev's next message.
            let _ = db_requests.try_send(DbRequest::IsPort(name));
        }
        if table.init_stage().0 == InitStage::Due
            && let Ok(permit) = db_requests.try_reserve()
            && table.take_port_init_due()
        {
            permit.send(DbRequest::PortInitDone(self.life));
        }
        if let Search::Due(at) = self.search
            && (table.init_stage().0 == InitStage::Sent || at <= Instant::now())
            && writer.is_open()
            && db_requests.try_send(DbRequest::SearchRows).is_ok()
        {
            self.search = Search::Idle;
        }
        let dumped = self.tally.dumps_ended() + self.tally.eoiu_timeouts > 0;
        if dumped && !self.said.may_push {
            self.said.may_push = db_requests.try_send(DbRequest::MayPush).is_ok();
        }
        let old = table.take_set_down();
        if !old.is_empty() {
            self.set_down(old);
        }
    }

    fn set_down(&self, old: Vec<u32>) {
        drop(self.parts.gate.ask(move || match link::set_down(&old) {
            Ok(refused) => info!(
                netdevs = old.len(),
                refused, "netdevs of before this cold start set down and ignored"
            ),
            Err(error) => error!(%error, "netdevs of before this cold start stay up"),
        }));
    }
}
