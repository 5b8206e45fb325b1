//! The carrier hook's life: attached beside the road once the road is in step,
//! because it reads the kernel's BTF, and said in the log once.

use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::config;
use crate::link::LinkSource;
use crate::link::carrier::{Attached, HookRefused, attach};
use crate::link::gate::Gate;
use crate::observe::Told;

/// The hook, wherever it stands.
#[derive(Debug)]
pub(super) struct Hook {
    mode: config::CarrierHook,
    stage: Stage,
    /// Changes that the kernel is known not to have run the programs for.
    missed: u64,
    /// Why there is none.
    reason: String,
}

#[derive(Debug)]
enum Stage {
    /// The road is not in step yet.
    Waits,
    /// The thread behind the gate is at it.
    Attaching(oneshot::Receiver<Result<Attached, HookRefused>>),
    /// It is in place.
    Attached(Attached),
    /// There is none.
    Absent,
}

impl Hook {
    pub(super) fn new(mode: config::CarrierHook) -> Self {
        Self {
            mode,
            stage: Stage::Waits,
            missed: 0,
            reason: String::new(),
        }
    }

    /// Changes that the hook has missed since this was last asked: the kernel does not
    /// run a program that runs on the same CPU already.
    pub(super) fn take_missed(&mut self) -> u64 {
        let Stage::Attached(attached) = &self.stage else {
            return 0;
        };
        match attached.missed() {
            Ok(missed) => missed.saturating_sub(std::mem::replace(&mut self.missed, missed)),
            Err(error) => {
                debug!(%error, "the kernel does not say what the carrier hook has missed");
                0
            }
        }
    }

    /// Starts attaching it to `source`, which feeds the road from now on; a hook
    /// on a former source goes. `carrier_hook = "off"` does nothing.
    pub(super) fn start(&mut self, source: &LinkSource, gate: &Gate) {
        self.stage = Stage::Absent;
        self.missed = 0;
        let mode = self.mode;
        if mode == config::CarrierHook::Off {
            self.reason = HookRefused::Configured.to_string();
            info!(carrier_hook = "off", reason = self.reason, "carrier hook");
            return;
        }
        match source.hook_maps() {
            Ok(Some(maps)) => {
                let netns = gate.netns_inode();
                self.stage = Stage::Attaching(gate.ask(move || attach(mode, &maps, netns)));
            }
            Ok(None) => self.refused(&HookRefused::NoRing),
            Err(error) => self.refused(&error.into()),
        }
    }

    /// Waits until the thread is done with it; for ever while none is at it.
    /// Cancel-safe.
    pub(super) async fn attached(&mut self) -> Result<Attached, HookRefused> {
        match &mut self.stage {
            Stage::Attaching(answer) => answer.await.unwrap_or(Err(HookRefused::Thread)),
            _ => std::future::pending().await,
        }
    }

    /// Whether it is in place, or never will be.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Attached(_) | Stage::Absent)
    }

    /// Takes what [`attached`](Self::attached) gave.
    pub(super) fn settle(&mut self, attached: Result<Attached, HookRefused>) {
        match attached {
            Ok(attached) => {
                info!(carrier_hook = attached.kind.as_str(), "carrier hook");
                self.stage = Stage::Attached(attached);
            }
            Err(refused) => {
                self.stage = Stage::Absent;
                self.refused(&refused);
            }
        }
    }

    /// The hook as others should know it.
    pub(super) fn told(&self) -> Told {
        match &self.stage {
            Stage::Attached(attached) => Told::Hook {
                hook: attached.kind.as_str(),
                reason: String::new(),
            },
            Stage::Waits | Stage::Attaching(_) => Told::Hook {
                hook: "off",
                reason: "not attached yet".to_owned(),
            },
            Stage::Absent => Told::Hook {
                hook: "off",
                reason: self.reason.clone(),
            },
        }
    }

    /// Whoever asked for one way shall hear that it is closed; `auto` takes what
    /// there is.
    fn refused(&mut self, reason: &HookRefused) {
        self.reason = reason.to_string();
        if self.mode == config::CarrierHook::Auto {
            info!(carrier_hook = "off", %reason, "carrier hook");
        } else {
            warn!(carrier_hook = "off", %reason, "carrier hook");
        }
        debug!("a carrier loss is learned from its link message, up to a second later");
    }
}
