//! The capabilities of a thread, and how it gives them up (capabilities(7)); and who may
//! look into the process.
//!
//! Capabilities belong to a thread, not to the process: each thread gives up its own, and a
//! thread starts with those of the one that started it.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// A thread's capabilities cannot be given up.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{call}: {source}: a seccomp filter that forbids giving up capabilities?")]
pub struct StillPrivileged {
    /// The system call.
    call: &'static str,
    /// The kernel's answer.
    source: Errno,
}

/// Takes every capability from the calling thread, and with it from each thread that
/// it starts later; none of them gets one back, not by running a program either.
///
/// The bounding set is emptied as far as the kernel lets us: that takes `CAP_SETPCAP`,
/// which root has and the systemd unit does not grant. What is left there
/// (`CapabilityBoundingSet=` of the unit) is of no use with `no_new_privs`.
///
/// # Errors
/// When the kernel refuses.
pub fn give_up() -> Result<(), StillPrivileged> {
    give_up_but(CapabilitySet::empty())
}

/// As [`give_up`], but the calling thread keeps `CAP_NET_ADMIN` for itself: netdevs may
/// have to be set down again.
///
/// # Errors
/// When the kernel refuses.
pub fn give_up_but_net_admin() -> Result<(), StillPrivileged> {
    give_up_but(CapabilitySet::NET_ADMIN)
}

fn give_up_but(kept: CapabilitySet) -> Result<(), StillPrivileged> {
    let refused = |call| move |source| StillPrivileged { call, source };
    set_no_new_privs(true).map_err(refused("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    for number in 0..u64::BITS {
        // EPERM: see above; EINVAL: the kernel knows no capability of this number.
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
    clear_ambient_capability_set().map_err(refused("prctl(PR_CAP_AMBIENT_CLEAR_ALL)"))?;
    // A thread that never had it cannot keep it.
    let had = capabilities(None).map_err(refused("capget"))?.permitted;
    let left = CapabilitySets {
        effective: kept & had,
        permitted: kept & had,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, left).map_err(refused("capset"))
}

/// Keeps the process's memory from everybody who has no `CAP_SYS_PTRACE`, its own user
/// included, and out of core dumps (`PR_SET_DUMPABLE`, prctl(2)): a password has to stay
/// in memory for the next connection. `LimitCORE=0` would not do: the kernel hands a
/// dump to a program of `core_pattern`, such as systemd-coredump, all the same.
///
/// # Errors
/// When the kernel refuses.
pub fn hide_memory() -> Result<(), StillPrivileged> {
    let refused = |source| StillPrivileged {
        call: "prctl(PR_SET_DUMPABLE)",
        source,
    };
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(refused)
}
