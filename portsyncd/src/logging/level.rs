//! The levels as SONiC names them.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;

/// How much is logged: this level and everything graver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// ERROR; EMERG, ALERT and CRIT are the same here, as nothing graver than an error is logged.
    Error,
    /// WARN.
    Warn,
    /// NOTICE, what SONiC's daemons log by default.
    #[default]
    Notice,
    /// INFO.
    Info,
    /// DEBUG, and then the libraries' lines too.
    Debug,
}

/// A text that names no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a log level: must be EMERG, ALERT, CRIT, ERROR, WARN, NOTICE, INFO or DEBUG")]
pub struct UnknownLevel(String);

impl LogLevel {
    /// Its name in SONiC's `LOGGER` table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Notice => "NOTICE",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }

    /// The name of a `tracing` level, which calls NOTICE info and so on.
    pub(super) const fn of(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Notice,
            tracing::Level::DEBUG => Self::Info,
            tracing::Level::TRACE => Self::Debug,
        }
    }

    pub(super) const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Notice => LevelFilter::INFO,
            Self::Info => LevelFilter::DEBUG,
            Self::Debug => LevelFilter::TRACE,
        }
    }

    /// What libraries log at when the daemon logs at this level.
    pub(super) fn for_libraries(self) -> Self {
        if self == Self::Debug {
            self
        } else {
            self.min(Self::Warn)
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = UnknownLevel;

    /// Any case: operators type it by hand.
    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        match text.to_ascii_uppercase().as_str() {
            "EMERG" | "ALERT" | "CRIT" | "ERROR" => Ok(Self::Error),
            "WARN" => Ok(Self::Warn),
            "NOTICE" => Ok(Self::Notice),
            "INFO" => Ok(Self::Info),
            "DEBUG" => Ok(Self::Debug),
            // CONFIG_DB may hold anything, and this goes to the log.
            _ => Err(UnknownLevel(text.chars().take(32).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sonic_names_in_any_case() {
        for (text, level) in [
            ("EMERG", LogLevel::Error),
            ("alert", LogLevel::Error),
            ("Crit", LogLevel::Error),
            ("ERROR", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("NOTICE", LogLevel::Notice),
            ("info", LogLevel::Info),
            ("DEBUG", LogLevel::Debug),
        ] {
            assert_eq!(text.parse(), Ok(level));
        }
        assert_eq!(LogLevel::default(), LogLevel::Notice);
    }

    #[test]
    fn every_level_has_a_name_that_reads_back() {
        for level in [
            LogLevel::Error,
            LogLevel::Warn,
            LogLevel::Notice,
            LogLevel::Info,
            LogLevel::Debug,
        ] {
            assert_eq!(level.to_string().parse(), Ok(level));
            let tracing = level.filter().into_level().expect("not off");
            assert_eq!(LogLevel::of(tracing), level);
        }
    }

    #[test]
    fn a_refusal_lists_the_names_and_is_short() {
        let refusal = "loud"
            .parse::<LogLevel>()
            .expect_err("no level")
            .to_string();
        for word in ["\"loud\"", "EMERG", "NOTICE", "DEBUG"] {
            assert!(refusal.contains(word), "{refusal}");
        }
        let long = "x"
            .repeat(10_000)
            .parse::<LogLevel>()
            .expect_err("no level");
        assert!(long.to_string().len() < 200);
    }
}
