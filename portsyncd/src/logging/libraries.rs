//! The lines of libraries that log by the `log` crate (aya, rtnetlink): forwarded, but few.
//!
//! A library knows nothing of storms: one that complains about every message it cannot decode
//! would flood the log, so all of them together have a small [`Budget`].

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

use super::LogLevel;
use super::budget::{Budget, per_second};

/// What a person can still read, and enough to see what is wrong.
const LINES_PER_SECOND: u32 = 10;

struct Forward {
    budget: Mutex<Budget>,
}

static FORWARD: Forward = Forward {
    budget: Mutex::new(Budget::new(per_second(LINES_PER_SECOND))),
};

/// Takes the place of the process' `log` logger.
pub(super) fn forward() -> Result<(), SetLoggerError> {
    log::set_logger(&FORWARD)
}

/// Lets libraries log as befits the daemon's own `level`.
pub(super) fn set_level(level: LogLevel) {
    log::set_max_level(match level.for_libraries() {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Notice => LevelFilter::Info,
        LogLevel::Info => LevelFilter::Debug,
        LogLevel::Debug => LevelFilter::Trace,
    });
}

impl Log for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let verdict = self
            .budget
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .allow(Instant::now());
        if verdict.suppressed > 0 {
            tracing::warn!(
                "{} log lines of libraries were left out: more than {LINES_PER_SECOND} in a second",
                verdict.suppressed
            );
        }
        if !verdict.log {
            return;
        }
        let (target, text) = (record.target(), record.args());
        // A library's info is no notice to an operator; it only comes through at DEBUG anyway.
        match record.level() {
            log::Level::Error => tracing::error!("{target}: {text}"),
            log::Level::Warn => tracing::warn!("{target}: {text}"),
            log::Level::Info => tracing::debug!("{target}: {text}"),
            log::Level::Debug | log::Level::Trace => tracing::trace!("{target}: {text}"),
        }
    }

    fn flush(&self) {}
}
