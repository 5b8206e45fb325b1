//! bpf(2), the system call.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use aya_obj::generated::{bpf_attr, bpf_cmd};

/// An attribute with every byte zero, as the kernel wants unused ones.
pub(crate) fn zeroed() -> bpf_attr {
    // SAFETY: `bpf_attr` is a union of structs of integers, for which all-zero
    // bytes are a value.
    unsafe { std::mem::zeroed() }
}

/// A descriptor as `bpf_attr` has it.
pub(crate) fn fd_number(fd: &impl AsRawFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// A command that answers with a new descriptor.
///
/// # Safety
/// As for [`bpf`].
pub(crate) unsafe fn new_fd(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let answer = unsafe { bpf(command, attr) }?;
    let fd = RawFd::try_from(answer).map_err(io::Error::other)?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A command that answers with nothing.
///
/// # Safety
/// As for [`bpf`].
pub(crate) unsafe fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<()> {
    // SAFETY: the caller's promise.
    unsafe { bpf(command, attr) }.map(drop)
}

/// bpf(2).
///
/// # Safety
/// Every pointer in `attr` that `command` reads or writes is valid for the length
/// that `attr` gives with it.
unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is a whole `bpf_attr` and its length is given; the pointers
    // in it are the caller's promise.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<bpf_attr>(),
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}
