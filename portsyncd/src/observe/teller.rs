//! The road's end of the channel to the observer.
//!
//! Telling never waits: a message is put into an unbounded channel, and the changes in it are
//! counted. Beyond the bound none is put there; once the observer has caught up it gets everything
//! that is published, so that nothing stays wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::meters::Meters;
use super::told::{Published, Standing, Told};
use crate::table::{Change, PortTable};

/// Changes that may wait for the observer: 50 bytes each.
const MOST_PENDING: usize = 16_384;
/// How long the road waits before it looks whether the observer has caught up.
const RETRY: Duration = Duration::from_millis(100);

/// Tells the observer. See the module's documentation.
#[derive(Debug)]
pub(crate) struct Teller {
    meters: Arc<Meters>,
    to: mpsc::UnboundedSender<Told>,
    pending: Arc<AtomicUsize>,
    /// Changes that were not told, and when to try again.
    behind: Option<(u64, Instant)>,
    /// What was last said of STATE_DB.
    state_db: Option<bool>,
    /// The observer, while it leaves the processors to the start.
    waits: Option<Thread>,
}

/// The observer's end.
#[derive(Debug)]
pub(super) struct Hearing {
    /// What was told.
    pub(super) from: mpsc::UnboundedReceiver<Told>,
    pending: Arc<AtomicUsize>,
}

/// Both ends of a channel.
pub(super) fn channel(meters: Arc<Meters>) -> (Teller, Hearing) {
    let (to, from) = mpsc::unbounded_channel();
    let pending = Arc::new(AtomicUsize::new(0));
    let teller = Teller {
        meters,
        to,
        pending: Arc::clone(&pending),
        behind: None,
        state_db: None,
        waits: None,
    };
    (teller, Hearing { from, pending })
}

impl Hearing {
    /// `told` is taken: there is room for more.
    pub(super) fn taken(&self, told: &Told) {
        if let Told::Published(changes) = told {
            self.pending.fetch_sub(changes.len(), Ordering::Relaxed);
        }
    }
}

impl Teller {
    /// The counters that the road and the observer share.
    pub(crate) fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// Wakes `observer` up once the start is over, or does not go well.
    pub(super) fn wakes(&mut self, observer: Thread) {
        self.waits = Some(observer);
    }

    /// Tells something that is rare.
    pub(crate) fn tell(&mut self, told: Told) {
        let over = matches!(told, Told::PortInitDone | Told::StateDb(Err(_)));
        // An observer that could not be started hears nothing.
        let _ = self.to.send(told);
        if over && let Some(observer) = self.waits.take() {
            observer.unpark();
        }
    }

    /// STATE_DB acknowledged `changes` at `acked_ns`.
    pub(crate) fn published(&mut self, changes: &[Change], acked_ns: u64, table: &PortTable) {
        if changes.is_empty() {
            return;
        }
        let pending = self.pending.load(Ordering::Relaxed);
        if let Some((missed, _)) = &mut self.behind {
            *missed += changes.len() as u64;
            return;
        }
        if pending + changes.len() > MOST_PENDING && pending > 0 {
            self.behind = Some((changes.len() as u64, Instant::now() + RETRY));
            return;
        }
        let compact = |change: &Change| Published {
            name: change.name,
            since_ns: change.since_ns,
            acked_ns,
            state: change.set,
            downs: table.carrier_downs(&change.name).unwrap_or(0),
            deleted: change.delete,
            origin: change.origin,
        };
        self.pending.fetch_add(changes.len(), Ordering::Relaxed);
        self.tell(Told::Published(changes.iter().map(compact).collect()));
    }

    /// Tells an observer that has caught up everything that it missed.
    pub(crate) fn catch_up(&mut self, table: &PortTable, now: Instant) {
        let Some((missed, at)) = self.behind else {
            return;
        };
        if now < at {
            return;
        }
        if self.pending.load(Ordering::Relaxed) > 0 {
            self.behind = Some((missed, now + RETRY));
            return;
        }
        self.behind = None;
        let ports: Vec<Standing> = table.standing().collect();
        self.tell(Told::Whole { ports, missed });
    }

    /// When [`catch_up`](Self::catch_up) is next worth a call.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.behind.map(|(_, at)| at)
    }

    /// STATE_DB takes writes.
    pub(crate) fn state_db_up(&mut self) {
        if self.state_db != Some(true) {
            self.state_db = Some(true);
            self.meters.state_db_connected(true);
            self.tell(Told::StateDb(Ok(())));
        }
    }

    /// STATE_DB does not; `error` says why.
    pub(crate) fn state_db_down(&mut self, error: &impl ToString) {
        if self.state_db != Some(false) {
            self.state_db = Some(false);
            self.meters.state_db_connected(false);
            self.tell(Told::StateDb(Err(error.to_string())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Origin, PortState};

    fn batch(ports: u32) -> Vec<Change> {
        let change = |number| Change {
            name: format!("Ethernet{number}").parse().expect("a name"),
            delete: false,
            set: Some(PortState {
                oper_up: true,
                admin_up: true,
                mtu: 9100,
            }),
            was: None,
            origin: Origin::LinkMessage,
            since_ns: 1,
        };
        (0..ports).map(change).collect()
    }

    #[test]
    fn an_observer_that_stands_still_bounds_what_is_told_and_gets_the_whole_later() {
        let meters = Arc::new(Meters::new(Arc::default()).expect("sound"));
        let (mut teller, mut hearing) = channel(meters);
        let table = PortTable::default();
        for _ in 0..100 {
            teller.published(&batch(1000), 2, &table);
        }
        let at = teller.deadline().expect("it is behind");
        teller.catch_up(&table, at);
        let mut told = 0;
        while let Ok(Told::Published(changes)) = hearing.from.try_recv() {
            told += changes.len();
            hearing.taken(&Told::Published(changes));
        }
        assert!((1000..=MOST_PENDING).contains(&told), "{told}");
        let again = teller.deadline().expect("nobody had taken anything");
        assert!(again > at);
        teller.published(&batch(7), 2, &table);
        teller.catch_up(&table, again);
        let Ok(Told::Whole { missed, .. }) = hearing.from.try_recv() else {
            panic!("the whole is not told");
        };
        assert_eq!(usize::try_from(missed).expect("few"), 100_007 - told);
        assert_eq!(teller.deadline(), None);
        teller.published(&batch(1), 2, &table);
        assert!(matches!(hearing.from.try_recv(), Ok(Told::Published(_))));
    }
}
