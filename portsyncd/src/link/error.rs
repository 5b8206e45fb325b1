//! What can go wrong between the kernel and the daemon.

use std::io;

use rustix::io::Errno;

/// A link source, a dump or a namespace failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A system call failed.
    #[error("{call} on the {what}: {source}")]
    Call {
        /// The system call.
        call: &'static str,
        /// What it was called on.
        what: &'static str,
        /// The kernel's answer.
        source: Errno,
    },
    /// The runtime cannot poll a descriptor.
    #[error("polling the {what}: {source}")]
    Poll {
        /// What was to be polled.
        what: &'static str,
        /// The runtime's answer.
        source: io::Error,
    },
    /// No thread can be started.
    #[error("a thread for the link sockets: {0}")]
    Thread(io::Error),
    /// The thread behind the gate is gone.
    #[error("the thread that opens link sockets ended")]
    GateClosed,
    /// The kernel answered a request with an error.
    #[error("the kernel refused {request}: {source}")]
    Refused {
        /// The request.
        request: &'static str,
        /// The kernel's answer.
        source: Errno,
    },
    /// The eBPF object cannot be loaded or attached.
    #[error("eBPF {step}: {reason}")]
    Ebpf {
        /// Which step failed.
        step: &'static str,
        /// Why, with every cause.
        reason: String,
        /// The host forbids it (`EPERM`, `EACCES`).
        forbidden: bool,
    },
    /// The network namespace of `link.netns` cannot be entered.
    #[error(
        "network namespace \"{name}\" ({path}): {call}: {source}; `ip netns list` shows those that exist"
    )]
    Netns {
        /// The value of `link.netns`.
        name: String,
        /// Its file.
        path: String,
        /// The system call.
        call: &'static str,
        /// The kernel's answer.
        source: Errno,
    },
}

impl LinkError {
    pub(super) fn call(call: &'static str, what: &'static str) -> impl FnOnce(Errno) -> Self {
        move |source| Self::Call { call, what, source }
    }

    /// Whether the host forbids it, as opposed to not having it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        match self {
            Self::Call { source, .. }
            | Self::Refused { source, .. }
            | Self::Netns { source, .. } => {
                matches!(*source, Errno::PERM | Errno::ACCESS)
            }
            Self::Ebpf { forbidden, .. } => *forbidden,
            Self::Poll { .. } | Self::Thread(_) | Self::GateClosed => false,
        }
    }
}
