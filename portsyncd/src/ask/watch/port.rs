//! One port as it is shown, and in which order ports are.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use crate::report::{PortEvent, PortReport};

/// For how long a change stands out.
const FRESH: Duration = Duration::from_secs(2);

/// A port.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) report: PortReport,
    changed: Option<Instant>,
}

impl Port {
    pub(super) fn new(report: PortReport) -> Self {
        Self {
            report,
            changed: None,
        }
    }

    /// Takes a change.
    pub(super) fn change(&mut self, event: &PortEvent, now: Instant) {
        let report = &mut self.report;
        report.flaps = event.flaps;
        self.changed = Some(now);
        let Some(is) = &event.change.is else {
            report.oper = "missing".into();
            (report.admin, report.mtu) = (None, None);
            report.changed_ms = Some(event.change.at_ms);
            return;
        };
        let admin = report.admin.as_deref();
        if report.oper != is.oper || admin != Some(is.admin.as_str()) {
            report.changed_ms = Some(event.change.at_ms);
        }
        report.oper.clone_from(&is.oper);
        report.admin = Some(is.admin.clone());
        report.mtu = Some(is.mtu);
    }

    /// Whether it changed just now.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.changed
            .is_some_and(|changed| now.duration_since(changed) < FRESH)
    }

    /// Down though it is meant to be up: worse than one that is switched off.
    pub(super) fn is_broken(&self) -> bool {
        self.report.oper == "down" && self.report.admin.as_deref() != Some("down")
    }

    /// Whether a filter lets it through: part of its name, or its state.
    pub(super) fn passes(&self, filter: &str) -> bool {
        filter.is_empty()
            || self.report.oper == filter
            || self.report.port.to_lowercase().contains(filter)
    }
}

/// The order of the ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// As the switch counts them.
    #[default]
    Name,
    /// What is broken first.
    State,
    /// What flaps most first.
    Flaps,
    /// What changed last first.
    Change,
}

impl Sort {
    /// The next one.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Name => Self::State,
            Self::State => Self::Flaps,
            Self::Flaps => Self::Change,
            Self::Change => Self::Name,
        }
    }

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Flaps => "flaps",
            Self::Change => "change",
        }
    }

    /// Sorts ports that are in the order of their names; ports that are alike stay so.
    pub(super) fn sort(self, ports: &mut [&Port]) {
        let state = |port: &Port| match port.report.oper.as_str() {
            "down" if port.is_broken() => 0,
            "missing" => 1,
            "down" => 2,
            _ => 3,
        };
        match self {
            Self::Name => {}
            Self::State => ports.sort_by_key(|port| state(port)),
            Self::Flaps => ports.sort_by_key(|port| Reverse(port.report.flaps)),
            Self::Change => ports.sort_by_key(|port| Reverse(port.report.changed_ms)),
        }
    }
}
