//! The ring buffer to the daemon and the counters beside it.
//!
//! In: one call of [`report`] for each event. Out: a record in `EVENTS`, or one
//! more lost. Whatever happens, seen = submitted + lost holds for each [`Origin`]
//! once the call returns: nothing is dropped without being counted.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, RingBuf};
use portsyncd_common::{LinkRecord, counter, malformed};

/// Records on their way to the daemon, which sets the size at load
/// (`ring_buffer_kb`); this is the size without it, in bytes.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// What became of the events, by `portsyncd_common::counter`. The daemon reads them
/// in memory: kernels before 5.19 let nobody without `CAP_BPF` look into a map by
/// bpf(2), and by then the daemon has given it up.
#[map]
static COUNTERS: Array<u64> = Array::with_max_entries(counter::COUNT, BPF_F_MMAPABLE);

/// Something that happened, for the daemon to know.
pub(crate) trait Event {
    /// How it is counted.
    const ORIGIN: Origin;

    /// Says what happened in `record`, which is zero but for its timestamp.
    fn fill(self, record: &mut LinkRecord);
}

/// The counters of one kind of event, by `portsyncd_common::counter`.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    seen: u32,
    submitted: u32,
    lost: u32,
}

/// Messages to the netlink socket.
pub(crate) const LINK_MESSAGE: Origin = Origin {
    seen: counter::SEEN,
    submitted: counter::SUBMITTED,
    lost: counter::LOST,
};

/// Carrier changes.
pub(crate) const CARRIER: Origin = Origin {
    seen: counter::CARRIER_SEEN,
    submitted: counter::CARRIER_SUBMITTED,
    lost: counter::CARRIER_LOST,
};

/// Counts one event and, if the ring has room, submits its record.
#[inline(always)]
pub(crate) fn report<E: Event>(event: E) {
    count(E::ORIGIN.seen);
    let Some(mut entry) = EVENTS.reserve::<LinkRecord>(0) else {
        count(E::ORIGIN.lost);
        return;
    };
    let record = entry.write(LinkRecord {
        // SAFETY: the helper has no preconditions.
        timestamp_ns: unsafe { bpf_ktime_get_ns() },
        ..LinkRecord::default()
    });
    event.fill(record);
    let readable = record.malformed == malformed::NOT;
    entry.submit(0);
    count(E::ORIGIN.submitted);
    if !readable {
        count(counter::MALFORMED);
    }
}

/// Counts one event of which there can be no record.
#[inline(always)]
pub(crate) fn lose(origin: Origin) {
    count(origin.seen);
    count(origin.lost);
}

/// Adds one to a counter.
#[inline(always)]
fn count(index: u32) {
    if let Some(slot) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: the slot is eight aligned bytes that live as long as the map,
        // and nothing but this function writes to them.
        unsafe { add_one(slot) };
    }
}

/// Adds one atomically: other CPUs count as well, and a socket filter may be
/// preempted by another task, or by a softirq whose message runs the same filter (a
/// bridge's timers). A torn increment would break the accounting.
///
/// # Safety
/// `slot` is aligned and valid for reads and writes.
#[inline(always)]
unsafe fn add_one(slot: *mut u64) {
    // core has no `AtomicU64::fetch_add` for this target, which has no
    // compare-and-swap before kernel 5.12; BPF_XADD is there in every kernel.
    #[cfg(target_arch = "bpf")]
    // SAFETY: touches the eight bytes of `slot` and nothing else.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({slot} + 0) += {one}",
            slot = in(reg) slot,
            one = in(reg) 1_u64,
            options(nostack),
        );
    }
    // Only for lints, which run for the host.
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's promise.
    unsafe {
        use core::sync::atomic::{AtomicU64, Ordering};
        AtomicU64::from_ptr(slot).fetch_add(1, Ordering::Relaxed);
    }
}
