//! What the databases answer, and what follows for the port table.

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Road, RoadParts};
use crate::clock::monotonic_ns;
use crate::db::{DbEvent, StartKind, WriterEvent};
use crate::observe::Told;
use crate::table::Change;

impl Road {
    pub(super) fn written(&mut self, event: WriterEvent) {
        let RoadParts {
            table,
            writer,
            teller,
            ..
        } = &mut self.parts;
        match event {
            WriterEvent::Acked(changes) => {
                let now_ns = monotonic_ns();
                self.tally.acked(&changes, now_ns);
                self.stages.acked(&changes, writer.stamps(), now_ns);
                teller.published(&changes, now_ns, table);
                teller.state_db_up();
                table.acked(&changes);
                self.port_log.answered(&changes);
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
                self.tally.refused(changes.len());
                self.port_log.answered(&changes);
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
                    self.tally.meters.redis.reconnects.inc();
                    self.republish();
                    self.vigil.alarm(Instant::now());
                }
                // Where something has to be written, the write tells whether Redis is well.
                if self.parts.table.waiting() == 0 {
                    self.parts.teller.state_db_up();
                }
            }
            WriterEvent::Looked { missing } => self.looked(missing),
            WriterEvent::Disconnected(error, changes) => {
                table.failed(&changes);
                self.port_log.answered(&changes);
                self.tally.broken(changes.len());
                teller.state_db_down(&error);
                if self.outage.begins(&error) {
                    warn!(%error, "STATE_DB unreachable, retrying; changes are kept");
                }
            }
        }
    }

    pub(super) fn database(&mut self, event: DbEvent) {
        let now_ns = monotonic_ns();
        let RoadParts { table, teller, .. } = &mut self.parts;
        match event {
            DbEvent::Boot(boot) => {
                info!("{} start", boot.start.as_str());
                teller.tell(Told::Start(boot.start));
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
                teller.tell(Told::Configured(names));
            }
            DbEvent::Awaited { ports, push } => table.start_init(ports.iter(), push),
            DbEvent::Set(name) => {
                table.config_set(name, now_ns);
                teller.tell(Told::Listed(name));
            }
            DbEvent::Deleted(name) => {
                table.config_del(name);
                teller.tell(Told::Unlisted(name));
            }
            DbEvent::InApplDb(name) => table.appl_db_has(name, now_ns),
            DbEvent::ConfigPushed { count } => {
                info!(count, "PortConfigDone");
                table.config_pushed();
            }
            DbEvent::PortInitDone => {
                self.tally.meters.port_init_done.set(1);
                teller.tell(Told::PortInitDone);
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
