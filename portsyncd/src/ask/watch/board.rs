//! What the terminal shows, without the terminal: the ports, the figures of the last seconds, what
//! the user chose. Takes news, keys and the passing of seconds.

use std::time::Instant;

use rustc_hash::FxHashMap;

use super::feed::News;
use super::keys::Key;
use super::port::{Port, Sort};
use super::trace::Trace;
use crate::report::{PortCounts, PortEvent, PortReport, Status};

/// The longest filter.
const MOST_FILTER: usize = 32;

/// How large a port is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Size {
    /// The largest at which all fit.
    #[default]
    Auto,
    /// Name, state, flaps.
    Large,
    /// The name without what all names begin with.
    Small,
    /// One character.
    Dot,
}

/// Everything that is shown.
#[derive(Debug, Default)]
pub(super) struct Board {
    ports: Vec<Port>,
    index: FxHashMap<String, usize>,
    pub(super) status: Option<Box<Status>>,
    /// Why there is no connection.
    pub(super) lost: Option<String>,
    /// Changes that were not told, all in all.
    pub(super) missed: u64,
    /// Changes a second.
    pub(super) rate: Trace,
    /// The slowest change of each second, in microseconds.
    pub(super) latency: Trace,
    pub(super) sort: Sort,
    pub(super) size: Size,
    pub(super) filter: String,
    /// The filter is being typed.
    pub(super) typing: bool,
    /// Which of the shown ports is chosen.
    pub(super) chosen: usize,
    /// Ports in a row and rows on the screen, as they were drawn last.
    pub(super) drawn: (usize, usize),
}

impl Board {
    /// Takes news.
    pub(super) fn take(&mut self, news: News, now: Instant) {
        match news {
            News::Status(status) => self.status = Some(status),
            News::Ports(list) => self.list(list),
            News::Change(event) => self.change(&event, now),
            News::Missed(missed) => {
                self.missed += missed;
                self.rate.add(missed);
            }
            News::Lost(reason) => {
                self.lost = Some(reason);
                return;
            }
            News::Text(_) => {}
        }
        self.lost = None;
    }

    fn list(&mut self, list: Vec<PortReport>) {
        let mut before: FxHashMap<_, _> = std::mem::take(&mut self.ports)
            .into_iter()
            .map(|port| (port.report.port.clone(), port))
            .collect();
        for report in list {
            let known = before.remove(&report.port);
            let mut port = known.unwrap_or_else(|| Port::new(report.clone()));
            port.report = report;
            self.ports.push(port);
        }
        let names = self.ports.iter().enumerate();
        self.index = names
            .map(|(at, port)| (port.report.port.clone(), at))
            .collect();
    }

    fn change(&mut self, event: &PortEvent, now: Instant) {
        self.rate.add(event.change.times.into());
        if let Some(us) = event.change.latency_us {
            self.latency.largest(us.into());
        }
        // A new port comes with the next list, in its place.
        if let Some(at) = self.index.get(&event.port) {
            self.ports[*at].change(event, now);
        }
    }

    /// A second has passed.
    pub(super) fn tick(&mut self) {
        self.rate.tick();
        self.latency.tick();
    }

    /// The ports that pass the filter, in the chosen order.
    pub(super) fn shown(&self) -> Vec<&Port> {
        let filter = self.filter.to_lowercase();
        let mut shown: Vec<_> = self.ports.iter().filter(|p| p.passes(&filter)).collect();
        self.sort.sort(&mut shown);
        shown
    }

    /// All ports, by state.
    pub(super) fn counts(&self) -> PortCounts {
        let count = |state: &str| {
            let ports = self.ports.iter();
            ports.filter(|port| port.report.oper == state).count()
        };
        PortCounts {
            up: count("up"),
            down: count("down"),
            missing: count("missing"),
        }
    }

    /// Takes a key; `false`: the user leaves.
    pub(super) fn key(&mut self, key: Key) -> bool {
        match key {
            Key::Letter(letter) if self.typing => {
                if self.filter.len() < MOST_FILTER {
                    self.filter.push(letter);
                }
                self.chosen = 0;
            }
            Key::Rub if self.typing => {
                self.filter.pop();
            }
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.typing = false;
                self.filter.clear();
            }
            Key::Leave | Key::Letter('q') => return false,
            Key::Letter('s') => self.sort = self.sort.next(),
            Key::Letter('/') => {
                self.typing = true;
                self.filter.clear();
            }
            Key::Letter('z') => {
                self.size = match self.size {
                    Size::Auto => Size::Large,
                    Size::Large => Size::Small,
                    Size::Small => Size::Dot,
                    Size::Dot => Size::Auto,
                }
            }
            Key::Move { rows, ports } => self.step(rows, ports),
            Key::Page(pages) => {
                let rows = isize::try_from(self.drawn.1).unwrap_or(0).max(1);
                self.step(pages * rows, 0);
            }
            Key::First => self.chosen = 0,
            Key::Last => self.chosen = usize::MAX,
            Key::Letter(_) | Key::Rub => {}
        }
        let most = self.shown().len().saturating_sub(1);
        self.chosen = self.chosen.min(most);
        true
    }

    fn step(&mut self, rows: isize, ports: isize) {
        let columns = isize::try_from(self.drawn.0).unwrap_or(1).max(1);
        self.chosen = self.chosen.saturating_add_signed(rows * columns + ports);
    }
}
