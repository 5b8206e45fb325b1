//! The clock that the kernel side stamps its records with.

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC` in nanoseconds, as `bpf_ktime_get_ns` gives it
/// (bpf-helpers(7)).
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// `CLOCK_REALTIME` in nanoseconds since 1970; 0 before it.
#[must_use]
pub fn wall_ns() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// A time of `CLOCK_MONOTONIC` as one of `CLOCK_REALTIME`, both in nanoseconds, by how far the two
/// are apart now.
#[must_use]
pub fn monotonic_to_wall_ns(monotonic: u64) -> u64 {
    wall_ns().saturating_sub(monotonic_ns().saturating_sub(monotonic))
}
