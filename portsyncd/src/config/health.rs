//! `[health]`: when the daemon calls itself unwell, and the watchdog.

use std::time::Duration;

use super::reader::Section;

/// The keys of `[health]`.
///
/// No rule ties the watchdog's interval to `max_stall`: the first is how often systemd hears of
/// progress, the second how long the daemon may make none before its health score says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// `max_stall_seconds`: the longest the main loop may stand still, 1 s to 3600 s. Default 10 s.
    pub max_stall: Duration,
    /// Percent of writes that may fail, 0 to 100. Default 5.
    pub max_failure_rate_percent: f64,
    /// Percent of configured ports that must be in step, 0 to 100. Default 90.
    pub min_port_sync_rate: f64,
    /// Whether systemd's watchdog is fed. Default true.
    pub enable_watchdog: bool,
    /// `watchdog_interval_secs`: how often it is fed, 1 s to 3600 s. Default 15 s.
    pub watchdog_interval: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            max_stall: Duration::from_secs(10),
            max_failure_rate_percent: 5.0,
            min_port_sync_rate: 90.0,
            enable_watchdog: true,
            watchdog_interval: Duration::from_secs(15),
        }
    }
}

impl Health {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            max_stall: section.seconds("max_stall_seconds", default.max_stall, 1..=3600),
            max_failure_rate_percent: section
                .percent("max_failure_rate_percent", default.max_failure_rate_percent),
            min_port_sync_rate: section.percent("min_port_sync_rate", default.min_port_sync_rate),
            enable_watchdog: section.boolean("enable_watchdog", default.enable_watchdog),
            watchdog_interval: section.seconds(
                "watchdog_interval_secs",
                default.watchdog_interval,
                1..=3600,
            ),
        }
    }
}
