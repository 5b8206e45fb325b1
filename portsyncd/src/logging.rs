//! Logging: to the journal with syslog priorities where the daemon runs under systemd, else as
//! plain lines on stderr, never both.
//!
//! The levels are syslog's, as SONiC names them, because operators set them with `swssloglevel` and
//! filter with `journalctl -p`. `tracing` has five, which stand for:
//!
//! | `tracing` | syslog priority | SONiC names |
//! |---|---|---|
//! | `error!` | 3, err | EMERG ALERT CRIT ERROR |
//! | `warn!` | 4, warning | WARN |
//! | `info!` | 5, notice | NOTICE |
//! | `debug!` | 6, info | INFO |
//! | `trace!` | 7, debug | DEBUG |
//!
//! So `info!` is for what an operator should see by default: one line per change of the daemon's
//! own state, never one per link event. Fields stand behind the message on the same line, in the
//! journal as on stderr.
//!
//! What can repeat goes through a [`budget::Budget`]: rsyslog on SONiC cuts a program off at 20000
//! lines in 300 s, and a storm must not cost more in log lines than in work.

pub mod budget;
mod followed;
mod journal;
mod level;
mod libraries;
mod line;
pub mod outage;

use std::env;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use journal::Journal;

pub use followed::FollowedLevel;
pub use level::{LogLevel, UnknownLevel};

/// The environment variable that sets the level, unless the command line does.
pub const LEVEL_VARIABLE: &str = "PORTSYNCD_LOG_LEVEL";

/// This daemon's crates; everything else is a library.
const OWN_TARGET: &str = "portsyncd";

/// The subscriber that both sinks sit on.
type Filtered = Layered<reload::Layer<Targets, Registry>, Registry>;

/// Where the lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// The journal, by its native protocol.
    Journal,
    /// Plain lines on stderr.
    Stderr,
}

/// Changes the level of a running daemon.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: reload::Handle<Targets, Registry>,
    sink: Sink,
    pinned: bool,
}

/// Why there is no logging.
#[derive(Debug, thiserror::Error)]
pub enum LogInitError {
    /// [`LEVEL_VARIABLE`] is set to something that is no level.
    #[error("{LEVEL_VARIABLE}: {0}")]
    BadVariable(#[source] UnknownLevel),
    /// The process has a logger already.
    #[error("the process has a logger already")]
    AlreadyInitialised,
}

/// Starts logging for this process, at the level of the command line, else of the environment,
/// else NOTICE.
///
/// # Errors
/// [`LEVEL_VARIABLE`] holds no level (a usage error), or this was called before.
pub fn init(command_line: Option<LogLevel>) -> Result<LogHandle, LogInitError> {
    let wanted = match command_line {
        Some(level) => Some(level),
        None => level_from_environment()?,
    };
    let level = wanted.unwrap_or_default();
    let (filter, handle) = reload::Layer::new(targets(level));
    let filtered: Filtered = tracing_subscriber::registry().with(filter);
    let (sink, started) = match Journal::on_stderr() {
        Some(journal) => (
            Sink::Journal,
            filtered.with(line::to_journal(journal)).try_init(),
        ),
        None => (Sink::Stderr, filtered.with(line::to_stderr()).try_init()),
    };
    started.map_err(|_| LogInitError::AlreadyInitialised)?;
    libraries::forward().map_err(|_| LogInitError::AlreadyInitialised)?;
    libraries::set_level(level);
    Ok(LogHandle {
        filter: handle,
        sink,
        pinned: wanted.is_some(),
    })
}

/// Says why the daemon does not start, before there is a log: on stderr, whose lines are
/// errors where it is the journal (sd-daemon(3)).
pub fn complain(reason: &dyn std::fmt::Display) {
    let priority = match Journal::on_stderr() {
        Some(_) => "<3>",
        None => "",
    };
    for line in format!("portsyncd: {reason}").lines() {
        eprintln!("{priority}{line}");
    }
}

impl LogHandle {
    /// Logs at `level` from now on.
    pub fn set(&self, level: LogLevel) {
        // The only error is that the subscriber is gone, at the end of the process.
        let _ = self.filter.reload(targets(level));
        libraries::set_level(level);
    }

    /// Whether the command line or the environment set the level, so that `CONFIG_DB` must not.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Where the lines go.
    #[must_use]
    pub fn sink(&self) -> Sink {
        self.sink
    }
}

fn level_from_environment() -> Result<Option<LogLevel>, LogInitError> {
    match env::var_os(LEVEL_VARIABLE) {
        Some(value) if !value.is_empty() => value
            .to_string_lossy()
            .parse()
            .map(Some)
            .map_err(LogInitError::BadVariable),
        _ => Ok(None),
    }
}

/// Our own crates at `level`, those libraries that log by `tracing` at their own.
fn targets(level: LogLevel) -> Targets {
    Targets::new()
        .with_default(level.for_libraries().filter())
        .with_target(OWN_TARGET, level.filter())
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_are_quiet_unless_at_debug() {
        for (level, own, library) in [
            (LogLevel::Error, Level::ERROR, Level::ERROR),
            (LogLevel::Warn, Level::WARN, Level::WARN),
            (LogLevel::Notice, Level::INFO, Level::WARN),
            (LogLevel::Info, Level::DEBUG, Level::WARN),
            (LogLevel::Debug, Level::TRACE, Level::TRACE),
        ] {
            let targets = targets(level);
            for (target, most) in [
                ("portsyncd", own),
                ("portsyncd::link", own),
                ("portsyncd_common", own),
                ("redis::aio", library),
            ] {
                for asked in [
                    Level::ERROR,
                    Level::WARN,
                    Level::INFO,
                    Level::DEBUG,
                    Level::TRACE,
                ] {
                    assert_eq!(
                        targets.would_enable(target, &asked),
                        asked <= most,
                        "{target} {asked} at {level}"
                    );
                }
            }
        }
    }
}
