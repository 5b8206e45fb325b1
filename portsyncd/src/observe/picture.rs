//! Everything that the observer knows, and how it takes in what the road tells.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::health::{self, Lost, Signs};
use super::ledger::{Count, Ledger};
use super::meters::Meters;
use super::ports::{Ports, Transition};
use super::told::Told;
use super::window::{Sample, Window};
use crate::clock::{monotonic_ns, wall_ns};
use crate::config::{Health, Performance};
use crate::db::StartKind;

/// What the observer knows. See the module's documentation.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) meters: Arc<Meters>,
    pub(super) ports: Ports,
    pub(super) ledger: Ledger,
    pub(super) facts: Facts,
    pub(super) files: BTreeMap<&'static str, FileStatus>,
    pub(super) listeners: Vec<ListenerStatus>,
    /// The ledger has what `metrics.json` has not.
    pub(super) ledger_dirty: bool,
    window: Window,
    health: Health,
    performance: Performance,
}

/// What changes rarely.
#[derive(Debug)]
pub(super) struct Facts {
    /// Nanoseconds since 1970.
    pub(super) started_ns: u64,
    pub(super) start: Option<StartKind>,
    pub(super) source: &'static str,
    pub(super) source_reason: String,
    pub(super) hook: &'static str,
    pub(super) hook_reason: String,
    /// Why STATE_DB takes no writes; empty: it was never reached.
    pub(super) state_db: Option<String>,
    pub(super) in_step_after: Option<Duration>,
    pub(super) port_init_done: bool,
    /// The last complete dump: when, nanoseconds since 1970, and why it was made.
    pub(super) resynced: Option<(u64, &'static str)>,
    /// Changes that the observer missed and took in all at once.
    pub(super) missed: u64,
}

/// A file that is saved.
#[derive(Clone, Debug)]
pub(super) struct FileStatus {
    pub(super) path: String,
    /// Nanoseconds since 1970; 0: not yet.
    pub(super) saved_ns: u64,
    /// Why it cannot be saved.
    pub(super) trouble: Option<String>,
}

/// An address of `metrics.listen`.
#[derive(Clone, Debug)]
pub(super) struct ListenerStatus {
    pub(super) address: String,
    /// Why it is not listened on.
    pub(super) trouble: Option<String>,
}

impl Picture {
    pub(super) fn new(meters: Arc<Meters>, health: Health, performance: Performance) -> Self {
        Self {
            meters,
            ports: Ports::new(),
            ledger: Ledger::default(),
            facts: Facts {
                started_ns: wall_ns(),
                start: None,
                source: "none",
                source_reason: "not open yet".into(),
                hook: "off",
                hook_reason: "not attached yet".into(),
                state_db: Some(String::new()),
                in_step_after: None,
                port_init_done: false,
                resynced: None,
                missed: 0,
            },
            files: BTreeMap::new(),
            listeners: Vec::new(),
            ledger_dirty: false,
            window: Window::default(),
            health,
            performance,
        }
    }

    /// Takes what the road told; transitions go to `tell`.
    pub(super) fn take(&mut self, told: Told, tell: impl FnMut(Transition)) {
        let facts = &mut self.facts;
        match told {
            Told::Published(changes) => {
                let slow = self.performance.max_latency.as_micros();
                let slow = u32::try_from(slow).unwrap_or(u32::MAX);
                self.ports.published(&changes, slow, tell);
            }
            Told::Whole { ports, missed } => {
                facts.missed += missed;
                self.ports.whole(&ports, tell);
            }
            Told::Configured(names) => self.ports.configured(&names),
            Told::Listed(name) => self.ports.listed(name, true),
            Told::Unlisted(name) => self.ports.listed(name, false),
            Told::Start(start) => {
                facts.start = Some(start);
                facts.port_init_done = false;
                self.ledger.started(start);
                self.ledger_dirty = true;
            }
            Told::Eoiu => self.count(Count::EoiuDetected, 1),
            Told::EoiuTimeout => self.count(Count::EoiuTimeouts, 1),
            Told::InStep(after) => {
                facts.in_step_after = Some(after);
                self.ledger.in_step_after(after.as_secs_f64());
                self.ledger_dirty = true;
                self.ports.forget_unseen();
            }
            Told::PortInitDone => facts.port_init_done = true,
            Told::Resynced(reason) => facts.resynced = Some((wall_ns(), reason)),
            Told::Source { source, reason } => {
                facts.source = source;
                facts.source_reason = reason;
                self.show_source();
            }
            Told::Hook { hook, reason } => {
                facts.hook = hook;
                facts.hook_reason = reason;
                self.show_source();
            }
            Told::StateDb(state) => facts.state_db = state.err(),
            Told::Reloaded(performance) => self.performance = performance,
        }
    }

    fn show_source(&self) {
        let facts = &self.facts;
        let mut reason = facts.source_reason.clone();
        if !facts.hook_reason.is_empty() {
            reason.push_str("; carrier hook: ");
            reason.push_str(&facts.hook_reason);
        }
        self.meters.source(facts.source, facts.hook, &reason);
    }

    /// Counts in the ledger.
    pub(super) fn count(&mut self, count: Count, times: u64) {
        self.ledger.count_by(count, times);
        self.ledger_dirty |= times > 0;
    }

    /// Whether readers of STATE_DB can rely on it, and if not, why.
    pub(super) fn ready(&self) -> Result<(), String> {
        match &self.facts.state_db {
            Some(error) if error.is_empty() => Err("STATE_DB was not reached yet".into()),
            Some(error) => Err(format!("STATE_DB takes no writes: {error}")),
            None if self.facts.in_step_after.is_none() => {
                Err("the initial synchronisation is not in Redis yet".into())
            }
            None => Ok(()),
        }
    }

    /// The health score now, and what it lacks.
    pub(super) fn judge(&mut self) -> (u32, Vec<Lost>) {
        let meters = &self.meters;
        let totals = self.ports.totals();
        let waiting = usize::try_from(meters.queue_depth.get()).unwrap_or(0);
        let rows = totals.up + totals.down;
        let sample = Sample {
            written: meters.redis.written.get(),
            unwritten: meters.redis.unwritten.get(),
            published: self.ports.published,
            slow: self.ports.slow,
            lost: meters.link.lost(),
        };
        let troubles = |trouble: &Option<String>| trouble.clone();
        let signs = Signs {
            state_db: self.facts.state_db.clone(),
            followed: meters.followed.load(Ordering::Relaxed),
            in_step: self.facts.in_step_after.is_some(),
            stalled: Duration::from_nanos(meters.stalled_ns(monotonic_ns())),
            ports: rows + totals.missing,
            synchronised: rows.saturating_sub(waiting),
            window: self.window.take(Instant::now(), sample),
            disk: self
                .files
                .values()
                .filter_map(|file| troubles(&file.trouble))
                .collect(),
            listening: self
                .listeners
                .iter()
                .filter(|l| l.trouble.is_none())
                .count(),
            deaf: self
                .listeners
                .iter()
                .filter_map(|listener| troubles(&listener.trouble))
                .collect(),
        };
        let (score, lost) = health::judge(&signs, &self.health, &self.performance);
        self.meters.health_score.set(score.into());
        (score, lost)
    }
}
