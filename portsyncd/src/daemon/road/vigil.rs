//! Whether Redis still has what was written, and what follows when it has not.

use tokio::time::Instant;
use tracing::warn;

use super::{MOST_UNDER_WAY, Road};
use crate::clock::monotonic_ns;
use crate::config::ExistingNetdevs;
use crate::daemon::vigil::Look;
use crate::db::{DbRequest, StartKind};
use crate::observe::Told;

/// Rows in a look that is not a whole one.
const ROWS: usize = 16;

impl Road {
    /// Looks, when a look is due.
    pub(super) fn keep_vigil(&mut self, now: Instant) {
        let Some(look) = self.vigil.take_due(now) else {
            return;
        };
        // A full channel has more urgent things to do; the next look asks again.
        let _ = self.parts.db_requests.try_send(DbRequest::CheckSignals);
        if self.parts.writer.in_flight() >= MOST_UNDER_WAY {
            return;
        }
        let rows = match look {
            Look::Some => self.parts.table.rows_to_look_at(ROWS),
            Look::All => self.parts.table.rows_that_stand(),
        };
        self.parts.writer.look(&rows);
    }

    /// So many of the rows that were looked at are not there.
    pub(super) fn looked(&mut self, missing: usize) {
        if missing == 0 {
            return;
        }
        self.tally.meters.redis.rows_lost.inc_by(missing as u64);
        if self.loss_log.allow(std::time::Instant::now()).log {
            warn!(
                missing,
                "STATE_DB lost rows to somebody else: everything is written again"
            );
        }
        self.republish();
        self.vigil.found(Instant::now());
    }

    /// APPL_DB lost our signals: swss starts anew.
    pub(super) fn begin_again(&mut self, life: u32, dpu: bool) {
        self.life = life;
        self.said.may_push = false;
        self.tally.cold_starts += 1;
        self.tally.meters.port_init_done.set(0);
        self.parts.teller.tell(Told::Start(StartKind::Cold));
        let replace =
            self.parts.reloader.config().link.existing_netdevs == ExistingNetdevs::Replace;
        let table = &mut self.parts.table;
        table.begin_again();
        if replace && !dpu {
            table.replace_known(monotonic_ns());
        }
        self.republish();
        self.vigil.alarm(Instant::now());
    }
}
