//! How often and how long each scenario is run.

use std::time::Duration;

/// The numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    isolated_changes: usize,
    bound_changes: usize,
    pub(super) carrier_flaps: usize,
    pub(super) storm_rounds: usize,
    pub(super) storm: Duration,
    /// Storms on other numbers of ports.
    pub(super) spread_rounds: usize,
    pub(super) spread_storm: Duration,
    pub(super) paced_storm: Duration,
    /// One change while something else goes on, each kind, in five turns.
    pub(super) disturbed_changes: usize,
    pub(super) failures: usize,
    pub(super) throughput_rounds: usize,
    pub(super) cold_starts: usize,
    pub(super) scale_starts: usize,
    pub(super) scrapes: usize,
    pub(super) resyncs: Duration,
    pub(super) rest: Duration,
    pub(super) traced_rest: Duration,
}

impl Plan {
    pub(super) const FULL: Self = Self {
        isolated_changes: 1000,
        bound_changes: 400,
        carrier_flaps: 15,
        storm_rounds: 5,
        storm: Duration::from_secs(2),
        spread_rounds: 3,
        spread_storm: Duration::from_secs(1),
        paced_storm: Duration::from_secs(2),
        disturbed_changes: 3000,
        failures: 2,
        throughput_rounds: 5,
        cold_starts: 9,
        scale_starts: 5,
        scrapes: 100,
        resyncs: Duration::from_secs(5),
        rest: Duration::from_secs(30),
        traced_rest: Duration::from_secs(10),
    };
    pub(super) const QUICK: Self = Self {
        isolated_changes: 200,
        bound_changes: 100,
        carrier_flaps: 3,
        storm_rounds: 1,
        storm: Duration::from_millis(1500),
        spread_rounds: 1,
        spread_storm: Duration::from_millis(500),
        paced_storm: Duration::from_secs(1),
        disturbed_changes: 200,
        failures: 1,
        throughput_rounds: 3,
        cold_starts: 5,
        scale_starts: 1,
        scrapes: 20,
        resyncs: Duration::from_secs(2),
        rest: Duration::from_secs(5),
        traced_rest: Duration::from_secs(5),
    };

    /// Isolated changes of each daemon: all on one processor, or not.
    pub(super) fn changes(&self, bound: bool) -> usize {
        if bound {
            self.bound_changes
        } else {
            self.isolated_changes
        }
    }
}
