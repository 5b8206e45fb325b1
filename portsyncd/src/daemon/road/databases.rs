//! What the databases answer, and what follows for the port table.

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Road, RoadParts};
use crate::clock::monotonic_ns;
use crate::db::{DbEvent, StartKind, WriterEvent};
use crate::table::Change;

impl Road {
    pub(super) fn written(&mut self, event: WriterEvent) {
        let RoadParts { table, writer, .. } = &mut self.parts;
        match event {
            WriterEvent::Acked(changes) => {
                self.tally.acked(&changes, monotonic_ns());
                table.acked(&changes);
                writer.recycle(changes);
                if self.outage.ends() {
                    info!("STATE_DB reachable again");
                }
            }
            WriterEvent::WrongType(changes) => {
                warn!(
                    port = %changes[0].name,
                    rows = changes.len(),
                    "STATE_DB row is not a hash: replaced"
                );
                let replaced: Vec<Change> = changes
                    .iter()
                    .map(|change| Change {
                        delete: true,
                        ..*change
                    })
                    .collect();
                table.failed(&replaced);
            }
            WriterEvent::Connected => {
                // Redis may have lost what it had.
                if std::mem::replace(&mut self.said.connected, true) {
                    self.republish();
                    self.vigil.alarm(Instant::now());
                }
            }
            WriterEvent::Looked { missing } => self.looked(missing),
            WriterEvent::Disconnected(error, changes) => {
                table.failed(&changes);
                self.tally.redis_failures += 1;
                if self.outage.begins(&error) {
                    warn!(%error, "STATE_DB unreachable, retrying; changes are kept");
                }
            }
        }
    }

    pub(super) fn database(&mut self, event: DbEvent) {
        let now_ns = monotonic_ns();
        let table = &mut self.parts.table;
        match event {
            DbEvent::Boot(boot) => {
                info!("{} start", boot.start.as_str());
                match boot.start {
                    StartKind::Cold => self.tally.cold_starts += 1,
                    StartKind::Warm => self.tally.warm_restarts += 1,
                }
                if !self.watching {
                    if boot.start == StartKind::Cold && !boot.dpu {
                        table.replace_existing();
                    }
                    self.watch();
                }
            }
            DbEvent::Configured(names) => {
                debug!(ports = names.len(), "CONFIG_DB read");
                table.configured(names.iter(), now_ns);
            }
            DbEvent::Awaited { ports, push } => table.start_init(ports.iter(), push),
            DbEvent::Set(name) => table.config_set(name, now_ns),
            DbEvent::Deleted(name) => table.config_del(name),
            DbEvent::InApplDb(name) => table.appl_db_has(name, now_ns),
            DbEvent::ConfigPushed { count } => {
                info!(count, "PortConfigDone");
                table.config_pushed();
            }
            DbEvent::PortInitDone => {
                portsyncd_sys::trim_heap();
                self.settle_at = self.settle_at.map(|at| at.min(Instant::now()));
                let totals = table.totals();
                info!(
                    up = totals.up,
                    down = totals.down,
                    missing = totals.missing,
                    after_ms = self.started.elapsed().as_millis(),
                    "PortInitDone"
                );
            }
            DbEvent::StateRows(rows) => table.rows_found(rows.iter(), now_ns),
            DbEvent::Told(told) => self.vigil.told(told),
            DbEvent::Alarm => self.vigil.alarm(Instant::now()),
            DbEvent::Again { life, dpu } => self.begin_again(life, dpu),
        }
    }
}
