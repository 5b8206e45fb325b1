//! glibc's allocator: a small daemon's share of it.

/// Keeps every thread to one arena: a thread that lives for one dump would
/// otherwise leave an arena of its own behind (mallopt(3)).
pub fn use_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two ints and only changes the allocator's settings.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
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
