//! The system calls that have no safe wrapper: interface ioctls, and what a
//! child process must do between `fork` and `exec`.
#![allow(
    unsafe_code,
    reason = "ioctl(2) and pre_exec are unsafe by nature; nothing else in the crate is"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{SigSet, Signal};

/// `struct ifreq` (`linux/if.h`): a name and 24 bytes of union.
#[repr(C)]
pub(crate) struct Ifreq {
    name: [u8; libc::IFNAMSIZ],
    value: [u8; 24],
}

const _: () = assert!(size_of::<Ifreq>() == size_of::<libc::ifreq>());

impl Ifreq {
    /// A request about the netdev `name`, its union filled with zeros.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let mut request = Self {
            name: [0; libc::IFNAMSIZ],
            value: [0; 24],
        };
        ensure!(
            !name.is_empty() && name.len() < libc::IFNAMSIZ,
            "{name:?} is not the name of a netdev: 1 to 15 bytes"
        );
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        Ok(request)
    }

    /// Puts a C int (an MTU, an ifindex) into the union.
    pub(crate) fn with_int(mut self, value: i32) -> Self {
        self.value[..4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    /// Puts flags (`ifr_flags`) into the union.
    pub(crate) fn with_flags(mut self, flags: u16) -> Self {
        self.value[..2].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    /// Puts a name (`ifr_newname`) into the union.
    pub(crate) fn with_name(mut self, name: &str) -> Result<Self> {
        let other = Self::new(name)?;
        self.value[..libc::IFNAMSIZ].copy_from_slice(&other.name);
        Ok(self)
    }

    /// The union as a C int.
    pub(crate) fn int(&self) -> i32 {
        i32::from_ne_bytes([self.value[0], self.value[1], self.value[2], self.value[3]])
    }

    /// The union as `ifr_flags`.
    pub(crate) fn flags(&self) -> u16 {
        u16::from_ne_bytes([self.value[0], self.value[1]])
    }

    fn shown_name(&self) -> String {
        self.name.escape_ascii().to_string().replace("\\x00", "")
    }

    /// `ioctl(fd, call, self)`, where `what` names the call in an error.
    pub(crate) fn ioctl(&mut self, fd: BorrowedFd, call: libc::Ioctl, what: &str) -> Result<()> {
        // SAFETY: every interface ioctl, TUNSETIFF included, reads and writes one
        // struct ifreq at most, and `self` is one (the size is asserted above).
        let result = unsafe { libc::ioctl(fd.as_raw_fd(), call, std::ptr::from_mut(self)) };
        if result < 0 {
            return Err(io::Error::last_os_error())
                .with_context(|| format!("ioctl {what} on {}", self.shown_name()));
        }
        Ok(())
    }
}

/// An ioctl whose argument points to one C int, as `TUNSETCARRIER`.
pub(crate) fn ioctl_int(fd: BorrowedFd, call: libc::Ioctl, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the call reads one int from the pointer, which outlives it.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), call, std::ptr::from_ref(&value)) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Makes the child die by `SIGKILL` when the thread that spawns it ends, so that
/// nothing is left behind even if the test process is killed. Signals that the
/// parent blocks are not blocked in the child.
pub(crate) fn die_with_parent(command: &mut Command) {
    let parent = nix::unistd::getpid();
    let arm = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        SigSet::empty().thread_set_mask()?;
        // The parent may have died before the signal was armed.
        if nix::unistd::getppid() == parent {
            Ok(())
        } else {
            Err(io::Error::other("the parent process is gone"))
        }
    };
    // SAFETY: between fork and exec the closure makes three system calls; on the
    // one path that allocates the parent is dead and the child is about to exit.
    unsafe { command.pre_exec(arm) };
}
