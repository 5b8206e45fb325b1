//! `[performance]`: queueing, batching and the targets they are judged by.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::reader::Section;

/// The keys of `[performance]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Performance {
    /// Changes that may wait for Redis, 1 to 1000000; beyond it the queue is dropped and everything
    /// is republished once Redis answers. Default 1000.
    pub max_event_queue: NonZeroUsize,
    /// `batch_timeout_ms`: the longest a change may wait to share a write while writes are under
    /// way, 1 ms to 10000 ms. Default 100 ms.
    pub batch_timeout: Duration,
    /// `max_latency_us`: kernel to Redis latency above which health suffers, 1 µs to 60000000 µs.
    /// Default 10000 µs.
    pub max_latency: Duration,
    /// Percent of writes that must succeed for full health, 0 to 100. Default 99.
    pub min_success_rate: f64,
}

impl Default for Performance {
    fn default() -> Self {
        Self {
            max_event_queue: const { NonZeroUsize::new(1000).unwrap() },
            batch_timeout: Duration::from_millis(100),
            max_latency: Duration::from_millis(10),
            min_success_rate: 99.0,
        }
    }
}

impl Performance {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let queue = section.integer(
            "max_event_queue",
            default.max_event_queue.get(),
            1..=1_000_000,
        );
        Self {
            max_event_queue: NonZeroUsize::new(queue).unwrap_or(default.max_event_queue),
            batch_timeout: section.milliseconds(
                "batch_timeout_ms",
                default.batch_timeout,
                1..=10_000,
            ),
            max_latency: section.microseconds(
                "max_latency_us",
                default.max_latency,
                1..=60_000_000,
            ),
            min_success_rate: section.percent("min_success_rate", default.min_success_rate),
        }
    }
}
