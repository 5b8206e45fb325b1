//! Link sources: the only code that knows how the kernel tells of links.
//!
//! A source gives [`LinkRecord`](portsyncd_common::LinkRecord)s in the kernel's
//! order and says when some were lost; [`dump`] asks for all netdevs at once.
//! Neither knows what a port is, nor that Redis exists.

pub mod btf;
pub mod carrier;
mod choose;
pub mod dump;
pub mod ebpf;
mod error;
pub mod gate;
#[cfg(feature = "internals")]
pub mod internals;
mod memlock;
mod messages;
pub mod netlink;
mod netns;
mod object;
mod request;
mod set_down;
pub mod settle;
mod socket;

use portsyncd_common::LinkRecord;

pub use choose::{Choice, choose, plain};
pub use error::LinkError;
pub use set_down::set_down;

/// Where link records come from.
#[derive(Debug)]
pub enum LinkSource {
    /// The eBPF program's ring buffer.
    Ebpf(Box<ebpf::EbpfSource>),
    /// A plain netlink socket.
    Netlink(netlink::NetlinkSource),
}

/// Why link messages were lost; each kind is answered with a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossReason {
    /// The ring had no room.
    RingFull,
    /// The socket's receive buffer had no room (`ENOBUFS`).
    SocketOverrun,
    /// The message could not be read whole.
    Malformed,
    /// The kernel did not run the carrier hook.
    HookMissed,
}

impl LossReason {
    /// The word for it in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::SocketOverrun => "socket_overrun",
            Self::Malformed => "malformed",
            Self::HookMissed => "hook_missed",
        }
    }
}

/// What one [`LinkSource::drain`] brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records handed out.
    pub records: u64,
    /// Of those, carrier records.
    pub carrier: u64,
    /// Messages lost since the last drain, and why. A plain socket cannot say
    /// how many one overrun cost: it counts 1.
    pub lost: Option<(LossReason, u64)>,
    /// The bound was reached: there may be more.
    pub more: bool,
}

/// The kernel side's accounts of one kind of event: `seen = submitted + lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Events of the kernel's while the source, or the hook, was attached.
    pub seen: u64,
    /// Of those, handed to the daemon.
    pub submitted: u64,
    /// Of those, lost.
    pub lost: u64,
}

/// Records taken per drain before the rest of the daemon gets its turn.
const DRAIN_BOUND: u64 = 4096;

impl LinkSource {
    /// Waits until there may be something to drain. Cancel-safe.
    ///
    /// # Errors
    /// When the descriptor can no longer be polled.
    pub async fn readable(&mut self) -> Result<(), LinkError> {
        match self {
            Self::Ebpf(source) => source.readable().await,
            Self::Netlink(source) => source.readable().await,
        }
    }

    /// Hands every record that is there to `take`, in the kernel's order.
    ///
    /// # Errors
    /// When the kernel refuses to go on; a loss is not an error.
    pub fn drain(&mut self, take: impl FnMut(&LinkRecord)) -> Result<Drained, LinkError> {
        match self {
            Self::Ebpf(source) => Ok(source.drain(take)),
            Self::Netlink(source) => source.drain(take),
        }
    }

    /// The kernel side's accounts of link messages so far.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        match self {
            Self::Ebpf(source) => source.accounts(),
            Self::Netlink(source) => source.accounts(),
        }
    }

    /// The kernel side's accounts of carrier changes so far: all 0 without a hook.
    #[must_use]
    pub fn carrier_accounts(&self) -> Accounts {
        match self {
            Self::Ebpf(source) => source.carrier_accounts(),
            Self::Netlink(_) => Accounts::default(),
        }
    }

    /// What a carrier hook has to share with this source, or `None` where there is
    /// no ring to write to.
    ///
    /// # Errors
    /// When a descriptor cannot be duplicated.
    pub fn hook_maps(&self) -> Result<Option<carrier::HookMaps>, LinkError> {
        match self {
            Self::Ebpf(source) => source.hook_maps().map(Some),
            Self::Netlink(_) => Ok(None),
        }
    }

    /// The word for it in the configuration, logs and metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ebpf(_) => "ebpf",
            Self::Netlink(_) => "netlink",
        }
    }
}
