//! A map's counters, read in memory.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// The values of an array map of `u64`s that was created with `BPF_F_MMAPABLE`, read
/// without a system call and without a capability: kernels before 5.19 let nobody
/// without `CAP_BPF` look into a map by bpf(2).
#[derive(Debug)]
pub struct Counters {
    first: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only read, each
// value atomically.
unsafe impl Send for Counters {}
// SAFETY: as above.
unsafe impl Sync for Counters {}

impl Counters {
    /// Maps the `count` values of `map`.
    ///
    /// # Errors
    /// The kernel's answer to mmap(2): the map is none of that kind, or is smaller.
    pub fn map(map: BorrowedFd<'_>, count: u32) -> io::Result<Self> {
        let count = usize::try_from(count).map_err(io::Error::other)?;
        // SAFETY: a new mapping replaces none; what the kernel refuses is an error.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                count * size_of::<u64>(),
                libc::PROT_READ,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let first = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { first, count })
    }

    /// One value.
    ///
    /// # Panics
    /// If there are not that many.
    #[must_use]
    pub fn read(&self, index: u32) -> u64 {
        let index = index as usize;
        assert!(index < self.count, "counter {index} of {}", self.count);
        // SAFETY: the mapping holds `count` aligned values (`array_map_alloc` rounds
        // each up to eight bytes) and lives as long as `self`; programs change them by
        // atomic additions.
        unsafe { self.first.add(index).as_ref() }.load(Ordering::Relaxed)
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nothing borrows from it now.
        unsafe { libc::munmap(self.first.as_ptr().cast(), self.count * size_of::<u64>()) };
    }
}
