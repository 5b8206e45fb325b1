//! `SO_ATTACH_BPF` (socket(7)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Runs `program` for every message to `socket` from now on. The socket keeps the
/// program alive.
///
/// # Errors
/// The kernel's answer to setsockopt(2).
pub fn attach_socket_filter(socket: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    const LENGTH: libc::socklen_t = 4;
    const _: () = assert!(LENGTH as usize == size_of::<RawFd>());
    let program = program.as_raw_fd();
    // SAFETY: the option's value is one int that outlives the call, and its length
    // is given.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_BPF,
            std::ptr::from_ref(&program).cast(),
            LENGTH,
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
