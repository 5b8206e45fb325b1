//! The log level that `CONFIG_DB` asks for.

use tracing::{info, warn};

use super::{LogHandle, LogLevel};

/// Follows `LOGGER|portsyncd` `LOGLEVEL`.
///
/// A level of the command line or the environment stands until the row changes:
/// what an operator sets by `swssloglevel` later is the newer word.
#[derive(Debug)]
pub struct FollowedLevel {
    handle: LogHandle,
    last: Option<String>,
}

impl FollowedLevel {
    /// Follows with nothing seen yet.
    #[must_use]
    pub fn new(handle: LogHandle) -> Self {
        Self { handle, last: None }
    }

    /// The row's level was read; `None` where there is none.
    pub fn follow(&mut self, level: Option<&str>) {
        let Some(level) = level else { return };
        if self.last.as_deref() == Some(level) {
            return;
        }
        let first = self.last.replace(level.to_owned()).is_none();
        match level.parse::<LogLevel>() {
            Ok(_) if first && self.handle.is_pinned() => {}
            Ok(parsed) => {
                self.handle.set(parsed);
                if !first {
                    info!(level = %parsed, "log level set by CONFIG_DB");
                }
            }
            Err(error) => warn!(%error, "CONFIG_DB LOGGER|portsyncd LOGLEVEL: the level stays"),
        }
    }
}
