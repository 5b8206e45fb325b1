//! What others deleted: rows that stood, and the way to PortInitDone.

use portsyncd_common::IfName;

use super::init::Init;
use super::port::{InitStep, Port};
use super::{InitStage, PortTable};

impl PortTable {
    /// Rows that STATE_DB must have now, once everything handed to the writer so far
    /// is written: the next `most` in turn.
    pub fn rows_to_look_at(&mut self, most: usize) -> Vec<IfName> {
        if self.looks.is_empty() {
            self.looks = self.ports.keys().copied().collect();
        }
        let from = self.looks.len().saturating_sub(most);
        let mut rows = self.looks.split_off(from);
        rows.retain(|name| self.ports.get(name).is_some_and(stands));
        rows
    }

    /// All rows that STATE_DB must have then.
    #[must_use]
    pub fn rows_that_stand(&self) -> Vec<IfName> {
        (self.ports.iter())
            .filter(|(_, port)| stands(port))
            .map(|(name, _)| *name)
            .collect()
    }

    /// APPL_DB was emptied: the way to PortInitDone begins anew, with
    /// [`start_init`](Self::start_init).
    pub fn begin_again(&mut self) {
        self.init = Init::default();
        for port in self.ports.values_mut() {
            port.init = InitStep::NotAwaited;
            // They may have been written before the rows were deleted.
            port.stale_answers = port.in_flight;
        }
        self.ports.retain(|_, port| !port.is_idle());
        debug_assert_eq!(self.init.stage(), InitStage::AwaitsConfig);
    }
}

/// Whether a row of this port's was handed to the writer and nothing else is owed.
/// One that is no port any more keeps its row, but would not get it back.
fn stands(port: &Port) -> bool {
    port.is_member() && port.handed.is_some() && port.owed.is_nothing()
}
