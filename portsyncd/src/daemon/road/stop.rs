//! The end of the road: what is owed is written first.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::Road;
use crate::daemon::notify;
use crate::link::LinkError;

/// Everything owed is written, or given up, within this time.
const STOP_WITHIN: Duration = Duration::from_secs(3);

impl Road {
    /// Writes what is owed, as far as STATE_DB takes it.
    pub(super) async fn stop(mut self) -> Result<(), LinkError> {
        notify::stopping();
        let deadline = Instant::now() + STOP_WITHIN;
        if self.watching {
            self.drain()?;
        }
        loop {
            let owed = self.parts.table.waiting() > 0 || self.parts.writer.in_flight() > 0;
            if !owed || !self.parts.writer.is_open() {
                break;
            }
            if self.parts.writer.in_flight() == 0 {
                self.submit();
            }
            tokio::select! {
                event = self.parts.writer.next() => self.written(event),
                () = sleep_until(deadline) => break,
            }
        }
        self.port_log.quiet();
        if self.parts.table.waiting() > 0 {
            let waiting = self.parts.table.waiting();
            warn!(waiting, "stopped before STATE_DB took every change");
        }
        let accounts = self.parts.source.accounts();
        debug!(?accounts, "link messages: seen = submitted + lost");
        let accounts = self.parts.source.carrier_accounts();
        debug!(?accounts, "carrier changes: seen = submitted + lost");
        self.tally.log(self.parts.table.carrier_downs_of_all());
        Ok(())
    }
}
