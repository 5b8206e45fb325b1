//! The limit on locked memory, against which kernels before 5.11 count what BPF
//! maps and programs take (`RLIMIT_MEMLOCK`, setrlimit(2)).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lifts the limit as far as this process may. Later kernels count against the
/// memory cgroup and do not ask; a refusal shows where a map cannot be created.
pub(super) fn lift() {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if setrlimit(Resource::Memlock, unlimited).is_ok() {
        return;
    }
    // Without CAP_SYS_RESOURCE the hard limit is as far as it goes.
    let limit = getrlimit(Resource::Memlock);
    let _ = setrlimit(
        Resource::Memlock,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}
