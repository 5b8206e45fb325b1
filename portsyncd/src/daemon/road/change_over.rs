//! From the plain socket that a start begins with to the better source.
//!
//! With `link.source = "auto"` a start does not wait for the kernel to verify the
//! eBPF program. Once the road is in step it is loaded beside it, and then takes
//! over: the socket is drained until it is empty, and of what the ring has gathered
//! meanwhile only the records are taken that are younger than that, so that nothing
//! is told twice and no older state after a newer one. The kernel may have handed a
//! message to the one and not yet to the other: a dump closes that gap.

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::warn;

use super::{Road, RoadParts};
use crate::clock::monotonic_ns;
use crate::daemon::resync::Reason;
use crate::daemon::{say_source, told_source};
use crate::link::{self, Choice, LinkError, LinkSource};

/// A storm that never ends must not keep the change waiting; the dump that follows
/// it tells what the socket still held.
const MOST_DRAINS: u32 = 16;

/// The source that follows a provisional one.
#[derive(Debug, Default)]
pub(super) struct Better(Option<oneshot::Receiver<Result<Choice, LinkError>>>);

impl Better {
    /// Waits until it is open, or refused; for ever while none is being opened.
    /// Cancel-safe.
    pub(super) async fn opened(&mut self) -> Result<Choice, LinkError> {
        match &mut self.0 {
            Some(opening) => opening.await.unwrap_or(Err(LinkError::GateClosed)),
            None => std::future::pending().await,
        }
    }
}

impl Road {
    /// The road is in step and orchagent knows: what is expensive comes now. A thread
    /// that has a program verified, or reads megabytes, delays nobody from here on.
    pub(super) fn settle_source(&mut self) {
        if std::mem::take(&mut self.parts.provisional) {
            let link = self.parts.reloader.config().link.clone();
            let opening = self.parts.gate.ask(move || link::choose(&link));
            self.better = Better(Some(opening));
        } else {
            self.hook_carrier();
        }
    }

    /// The better source is open, or it is refused and another plain one came.
    pub(super) fn change_over(
        &mut self,
        opened: Result<Choice, LinkError>,
    ) -> Result<(), LinkError> {
        self.better = Better::default();
        let choice = match opened {
            Ok(choice) => choice,
            Err(error) => {
                warn!(%error, "no better link source, staying on the plain socket");
                self.hook_carrier();
                return Ok(());
            }
        };
        say_source(&choice);
        self.parts.teller.tell(told_source(&choice));
        if matches!(choice.source, LinkSource::Ebpf(_)) {
            let mut empty_at_ns = monotonic_ns();
            // The first drain always; more for as long as there is more.
            for _ in 0..MOST_DRAINS {
                if !self.watching {
                    break;
                }
                empty_at_ns = monotonic_ns();
                self.drain()?;
                if !self.more {
                    break;
                }
            }
            self.told_until_ns = empty_at_ns;
            self.parts.source = choice.source;
            self.resync.request(Reason::Source, Instant::now());
        }
        self.hook_carrier();
        Ok(())
    }

    pub(super) fn hook_carrier(&mut self) {
        let RoadParts { source, gate, .. } = &self.parts;
        self.hook.start(source, gate);
        self.parts.teller.tell(self.hook.told());
    }
}
