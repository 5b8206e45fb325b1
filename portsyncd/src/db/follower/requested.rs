//! What the road asked for, kept over however many connections it takes.

use std::collections::BTreeSet;

use portsyncd_common::IfName;

use crate::db::DbRequest;

/// What the road asked for and has not got yet.
#[derive(Debug, Default)]
pub(super) struct Requested {
    /// Of which life.
    pub(super) port_init_done: Option<u32>,
    pub(super) push: Push,
    pub(super) check_signals: bool,
    pub(super) search: bool,
    pub(super) reread: bool,
    pub(super) is_port: BTreeSet<IfName>,
}

/// Whether the configuration may be pushed, where the push waits for the road.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Push {
    /// The netdevs of before this start are not known yet.
    #[default]
    Waits,
    /// They are.
    MayGo,
}

impl Requested {
    /// Notes one more request.
    pub(super) fn note(&mut self, request: DbRequest) {
        match request {
            DbRequest::IsPort(name) => {
                self.is_port.insert(name);
            }
            DbRequest::Reread => self.reread = true,
            DbRequest::PortInitDone(life) => self.port_init_done = Some(life),
            DbRequest::MayPush => self.push = Push::MayGo,
            DbRequest::CheckSignals => self.check_signals = true,
            DbRequest::SearchRows => self.search = true,
        }
    }
}
