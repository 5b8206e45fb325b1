//! Descriptors under tokio's reactor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor kept open for a reactor, apart from whatever it is a copy of.
#[derive(Debug)]
pub struct Watched(OwnedFd);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Puts a duplicate of `fd` under the reactor of the current runtime, for
/// reading.
///
/// # Errors
/// When the descriptor cannot be duplicated or polled.
///
/// # Panics
/// Outside a tokio runtime.
pub fn watch(fd: BorrowedFd<'_>) -> io::Result<AsyncFd<Watched>> {
    let watched = Watched(fd.as_fd().try_clone_to_owned()?);
    // SAFETY: `Watched` owns its descriptor, never closes or changes it before it
    // is dropped, and always gives the same one.
    let registered = unsafe { AsyncFd::register_with_interest(watched, Interest::READABLE) };
    registered.map_err(io::Error::from)
}
