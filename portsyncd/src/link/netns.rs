//! Another network namespace, to work in (setns(2)).

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::LinkError;

/// Where the calling thread's own is.
const OWN: &str = "/proc/thread-self/ns/net";

/// The namespace whose netdevs are watched.
#[derive(Debug)]
pub(super) struct Netns {
    /// Empty for the one that the daemon was started in.
    name: String,
    path: String,
    fd: OwnedFd,
}

impl Netns {
    /// The namespace `name` as `ip netns` keeps it, or the calling thread's own where
    /// the name is empty.
    pub(super) fn open(name: &str) -> Result<Self, LinkError> {
        let path = if name.is_empty() {
            OWN.to_owned()
        } else {
            format!("/run/netns/{name}")
        };
        match open(&*path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Self {
                name: name.to_owned(),
                path,
                fd,
            }),
            Err(source) => Err(LinkError::Netns {
                name: name.to_owned(),
                path,
                call: "open",
                source,
            }),
        }
    }

    /// The inode number by which the kernel knows it (`net.ns.inum`).
    pub(super) fn inode(&self) -> Result<u32, LinkError> {
        let found = fstat(&self.fd);
        let inode = found.and_then(|found| u32::try_from(found.st_ino).map_err(|_| Errno::RANGE));
        inode.map_err(self.failed("stat"))
    }

    /// Moves the calling thread into it, for good.
    pub(super) fn enter(&self) -> Result<(), LinkError> {
        if self.name.is_empty() {
            return Ok(());
        }
        move_into_link_name_space(self.fd.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(self.failed("setns"))
    }

    fn failed(&self, call: &'static str) -> impl FnOnce(Errno) -> LinkError {
        move |source| LinkError::Netns {
            name: self.name.clone(),
            path: self.path.clone(),
            call,
            source,
        }
    }
}
