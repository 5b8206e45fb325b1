//! The daemon's exit codes: sysexits(3), so that systemd, supervisord and scripts can tell why it
//! ended. Only a daemon that was asked to stop ends with 0: under supervisord 0 counts as expected.

use std::process::{ExitCode, Termination};

/// Why the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// `EX_OK`: asked to stop by SIGTERM or SIGINT, or there was only something to print.
    Ok = 0,
    /// `EX_USAGE`: bad command line or bad configuration.
    Usage = 64,
    /// `EX_UNAVAILABLE`: a service it needs is away for good.
    Unavailable = 69,
    /// `EX_SOFTWARE`: an internal error.
    Software = 70,
    /// `EX_NOPERM`: the kernel or a file refuses what it needs.
    NoPermission = 77,
}

impl Exit {
    /// The code that the parent process sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What it stands for, for the last line of the log.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "asked to stop",
            Self::Usage => "bad usage or configuration",
            Self::Unavailable => "a needed service is away for good",
            Self::Software => "internal error",
            Self::NoPermission => "permission denied",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wanted_end_is_zero() {
        let failures = [
            Exit::Usage,
            Exit::Unavailable,
            Exit::Software,
            Exit::NoPermission,
        ];
        assert_eq!(Exit::Ok.code(), 0);
        assert_eq!(failures.map(Exit::code), [64, 69, 70, 77]);
        for exit in failures {
            assert_eq!(exit.report(), ExitCode::from(exit.code()));
        }
    }
}
