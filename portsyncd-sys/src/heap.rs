//! glibc's allocator: a small daemon's share of it.

/// glibc's own thresholds, before they grow.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 128 << 10;

/// Keeps every thread to one arena, because a thread that lives for one dump would otherwise
/// leave an arena of its own behind, and large blocks apart from the heap, so that they go back to
/// the kernel when they are free: by itself glibc keeps up to twice the largest that it ever saw,
/// which is the kernel's BTF (mallopt(3)).
pub fn keep_heap_small() {
    #[cfg(target_env = "gnu")]
    for (setting, value) in [
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_THRESHOLD, LARGE_BYTES),
        (libc::M_TRIM_THRESHOLD, LARGE_BYTES),
    ] {
        // SAFETY: mallopt takes two ints and only changes the allocator's settings.
        unsafe { libc::mallopt(setting, value) };
    }
}

/// Gives memory that is free back to the kernel (`malloc_trim(3)`): reading and
/// pushing the configuration needs more than the daemon ever does again.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes one size and is safe to call from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
