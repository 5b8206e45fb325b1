//! PortConfigDone and PortInitDone: one explicit state machine.
//!
//! ```text
//!  AwaitsConfig --configuration read--> AwaitsPush   (cold start)
//!       |                                   | every row and PortConfigDone
//!       | configuration read (warm start)   | are acknowledged by APPL_DB
//!       v                                   v
//!  AwaitsPorts <----------------------------+
//!       | no awaited port is left: each had its first link message and its
//!       v row is acknowledged by STATE_DB (zero ports: at once)
//!      Due --handed to APPL_DB--> Sent
//! ```
//!
//! The states and their order are those of `portsyncd.cpp` and of the gates in
//! orchagent (`PortsOrch::doPortTask`): no port before PortConfigDone, no further
//! table before PortInitDone. Unlike there, the state is looked at again after
//! any input, so the last port's own message is enough.

/// Where the daemon is on its way to PortInitDone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InitStage {
    /// CONFIG_DB has not been read yet.
    #[default]
    AwaitsConfig,
    /// The configuration is on its way into APPL_DB.
    AwaitsPush,
    /// Some ports have not shown up yet.
    AwaitsPorts,
    /// PortInitDone has to be sent.
    Due,
    /// PortInitDone was handed to APPL_DB's writer.
    Sent,
}

/// The stage and the number of ports awaited.
#[derive(Debug, Default)]
pub(super) struct Init {
    stage: InitStage,
    awaited: usize,
}

impl Init {
    pub(super) fn stage(&self) -> InitStage {
        self.stage
    }

    pub(super) fn awaited(&self) -> usize {
        self.awaited
    }

    pub(super) fn configured(&mut self, awaited: usize, push: bool) {
        if self.stage == InitStage::AwaitsConfig {
            self.awaited = awaited;
            self.stage = if push {
                InitStage::AwaitsPush
            } else {
                InitStage::AwaitsPorts
            };
            self.advance();
        }
    }

    pub(super) fn pushed(&mut self) {
        if self.stage == InitStage::AwaitsPush {
            self.stage = InitStage::AwaitsPorts;
            self.advance();
        }
    }

    pub(super) fn arrived(&mut self) {
        self.awaited = self.awaited.saturating_sub(1);
        self.advance();
    }

    /// True once: the caller sends PortInitDone.
    pub(super) fn take_due(&mut self) -> bool {
        let due = self.stage == InitStage::Due;
        if due {
            self.stage = InitStage::Sent;
        }
        due
    }

    fn advance(&mut self) {
        if self.stage == InitStage::AwaitsPorts && self.awaited == 0 {
            self.stage = InitStage::Due;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_start_waits_for_the_push_and_for_every_port() {
        let mut init = Init::default();
        init.configured(2, true);
        init.arrived();
        init.arrived();
        assert_eq!(init.stage(), InitStage::AwaitsPush);
        init.pushed();
        assert!(init.take_due());
        assert!(!init.take_due(), "PortInitDone is sent once");
        init.configured(1, true);
        assert_eq!(
            init.stage(),
            InitStage::Sent,
            "a later read changes nothing"
        );
    }

    #[test]
    fn a_warm_start_without_ports_is_done_at_once() {
        let mut init = Init::default();
        init.configured(0, false);
        assert!(init.take_due());
    }
}
