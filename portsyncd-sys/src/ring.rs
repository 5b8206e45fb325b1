//! The user side of a ring (`BPF_MAP_TYPE_RINGBUF`).
//!
//! The kernel lays a ring's pages twice in a row, so that a record that runs over the
//! end is read in one piece. aya's ring and libbpf's map both copies, and both count
//! as resident memory, a megabyte for nothing: our records are small, so that one page
//! of the second copy is all that can ever be read.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

use aya_obj::generated::{BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ};

/// What stands before each record: its length with two flags, and an offset of the kernel's.
const HEADER_BYTES: usize = BPF_RINGBUF_HDR_SZ as usize;

/// A ring, read in the kernel's order.
#[derive(Debug)]
pub struct Ring {
    map: OwnedFd,
    /// One page, to which we write: how far we have read.
    consumer: Pages,
    /// A page that says how far the kernel has written, then the records.
    producer: Pages,
    page_bytes: usize,
    /// Turns a position into an offset among the records.
    mask: usize,
    read: usize,
    /// How far the kernel had written when it was last looked.
    written: usize,
    /// Something was read since the kernel's side was last looked at.
    moved: bool,
}

impl Ring {
    /// Maps a ring of `bytes`, which is what it was created with.
    ///
    /// # Errors
    /// The kernel's answer to mmap(2).
    pub fn map(map: OwnedFd, bytes: u32) -> io::Result<Self> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        let page_bytes = page_bytes()?;
        if !bytes.is_power_of_two() || !bytes.is_multiple_of(page_bytes) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        let consumer = Pages::map(map.as_fd(), page_bytes, writable, 0)?;
        let length = page_bytes + bytes + page_bytes;
        let producer = Pages::map(map.as_fd(), length, libc::PROT_READ, page_bytes)?;
        let mut ring = Self {
            map,
            consumer,
            producer,
            page_bytes,
            mask: bytes - 1,
            read: 0,
            written: 0,
            moved: false,
        };
        ring.read = ring.consumer.position().load(Ordering::Acquire);
        ring.written = ring.read;
        Ok(ring)
    }

    /// Gives the next record to `read`, and its room back to the kernel. `None` when there
    /// is none: then the kernel wakes whoever polls the ring up for the next one.
    pub fn next<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        loop {
            if self.read == self.written {
                self.settle();
                self.written = self.producer.position().load(Ordering::Acquire);
                if self.read == self.written {
                    return None;
                }
            }
            let at = self.page_bytes + (self.read & self.mask);
            let header = self.producer.word(at)?.load(Ordering::Acquire);
            if header & BPF_RINGBUF_BUSY_BIT != 0 {
                if self.settle() {
                    continue;
                }
                return None;
            }
            let length = (header & !(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)) as usize;
            if header & BPF_RINGBUF_DISCARD_BIT != 0 {
                self.give_back(length);
                continue;
            }
            // A record that ended beyond the page that is mapped twice would be none of ours.
            let record = self.producer.bytes(at + HEADER_BYTES, length);
            let result = read(record.unwrap_or_default());
            self.give_back(length);
            return Some(result);
        }
    }

    /// The record that was read, of `length` bytes: the kernel may use its room from now on.
    fn give_back(&mut self, length: usize) {
        let bytes = (HEADER_BYTES + length).next_multiple_of(8);
        self.read = self.read.wrapping_add(bytes);
        self.consumer.position().store(self.read, Ordering::Release);
        self.moved = true;
    }

    /// Before the kernel's side is looked at for the last time: either that look sees a record
    /// or its writer sees how far we are, and wakes us up. True if something was read since.
    fn settle(&mut self) -> bool {
        let moved = std::mem::take(&mut self.moved);
        if moved {
            fence(Ordering::SeqCst);
        }
        moved
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

/// Shared pages of a map.
#[derive(Debug)]
struct Pages {
    first: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; `Ring` reads and writes it
// through `&mut self` alone, and what the kernel changes meanwhile is accessed atomically.
unsafe impl Send for Pages {}

impl Pages {
    fn map(map: BorrowedFd<'_>, length: usize, protection: i32, offset: usize) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping replaces none; what the kernel refuses is an error.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                protection,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                offset,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let first = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { first, length })
    }

    /// The position at the beginning of the first page.
    fn position(&self) -> &AtomicUsize {
        // SAFETY: a mapping is at least a page long and aligned to one, lives as long as `self`,
        // and the kernel accesses its positions atomically as well (`struct bpf_ringbuf`).
        unsafe { self.first.cast().as_ref() }
    }

    /// The 32 bits at `at`, a multiple of 8.
    fn word(&self, at: usize) -> Option<&AtomicU32> {
        let end = at.checked_add(size_of::<AtomicU32>())?;
        if end > self.length || !at.is_multiple_of(8) {
            return None;
        }
        // SAFETY: within the mapping and aligned, as just checked; the kernel accesses a record's
        // header atomically as well.
        Some(unsafe { self.first.add(at).cast().as_ref() })
    }

    /// `length` bytes from `at`, which the kernel must not write to while they are borrowed: of a
    /// record that is committed and not given back.
    fn bytes(&self, at: usize, length: usize) -> Option<&[u8]> {
        if at.checked_add(length)? > self.length {
            return None;
        }
        // SAFETY: within the mapping, as just checked, and by the caller's word not written to.
        Some(unsafe { std::slice::from_raw_parts(self.first.add(at).as_ptr(), length) })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nothing borrows from it now.
        unsafe { libc::munmap(self.first.as_ptr().cast(), self.length) };
    }
}

fn page_bytes() -> io::Result<usize> {
    // SAFETY: sysconf takes an int and has no other effect.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).map_err(|_| io::Error::last_os_error())
}
