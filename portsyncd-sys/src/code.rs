//! Code and constants that only the start needed.

use std::ffi::{c_int, c_void};

/// Takes what is never written to of the program and its libraries out of the process's memory.
/// The kernel keeps it in its page cache, from which it comes back, without a read from disk, as
/// far as it is used again: the command line, the configuration, the object's loader are not.
pub fn forget_start() {
    // SAFETY: the function has the wanted signature, keeps nothing and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(forget), std::ptr::null_mut()) };
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "what is mapped has addresses of this process"
)]
/// One object: the program, a library, the kernel's vDSO.
unsafe extern "C" fn forget(
    object: *mut libc::dl_phdr_info,
    _: libc::size_t,
    _: *mut c_void,
) -> c_int {
    // SAFETY: the loader gives an object that it has mapped.
    let object = unsafe { &*object };
    let headers = (0..usize::from(object.dlpi_phnum)).map(|at| {
        // SAFETY: so many headers stand there.
        unsafe { &*object.dlpi_phdr.add(at) }
    });
    for header in headers {
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        // A segment begins where its page does, but for the offset that it has in the file.
        let offset = header.p_vaddr as usize % PAGE_BYTES;
        let start = object.dlpi_addr as usize + header.p_vaddr as usize - offset;
        let length = header.p_memsz as usize + offset;
        // SAFETY: a segment that is not writable holds what the file holds, in a mapping of the
        // file: what is dropped is read from there again. The kernel refuses what it does not
        // allow, as for its vDSO, which then stays.
        unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(start),
                length,
                libc::MADV_DONTNEED,
            )
        };
    }
    0
}

/// The smallest page that there is: a larger one's offset has it as a factor, and madvise(2)
/// refuses where that is not enough.
const PAGE_BYTES: usize = 4096;
