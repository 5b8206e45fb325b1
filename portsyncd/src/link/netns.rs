//! Running a piece of code in another network namespace (setns(2)).
//!
//! Only link sockets are opened there: Redis and the metrics listener belong to
//! the namespace that the daemon was started in. A socket stays in the namespace
//! in which it was opened.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, fstat, open, stat};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::LinkError;

/// The namespace whose netdevs are watched.
#[derive(Debug)]
pub struct Netns {
    target: Option<Target>,
}

#[derive(Debug)]
struct Target {
    name: String,
    home: OwnedFd,
    there: OwnedFd,
}

impl Netns {
    /// The namespace `name` as `ip netns` keeps it, or the daemon's own where the
    /// name is empty.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn open(name: &str) -> Result<Self, LinkError> {
        if name.is_empty() {
            return Ok(Self { target: None });
        }
        let open_ns = |path: &str| {
            open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|source| {
                LinkError::Netns {
                    name: name.to_owned(),
                    path: path.to_owned(),
                    call: "open",
                    source,
                }
            })
        };
        Ok(Self {
            target: Some(Target {
                name: name.to_owned(),
                home: open_ns("/proc/thread-self/ns/net")?,
                there: open_ns(&format!("/run/netns/{name}"))?,
            }),
        })
    }

    /// The inode number by which the kernel knows it (`net.ns.inum`).
    ///
    /// # Errors
    /// When the namespace's file cannot be examined.
    pub fn inode(&self) -> Result<u32, LinkError> {
        let own = "/proc/thread-self/ns/net";
        let (name, path, found) = match &self.target {
            Some(target) => (&*target.name, &*target.name, fstat(&target.there)),
            None => ("", own, stat(own)),
        };
        let inode = found.and_then(|found| u32::try_from(found.st_ino).map_err(|_| Errno::RANGE));
        inode.map_err(|source| LinkError::Netns {
            name: name.to_owned(),
            path: path.to_owned(),
            call: "stat",
            source,
        })
    }

    /// Runs `work` there, on the calling thread, and comes back.
    ///
    /// # Errors
    /// Those of `work`, and `setns` refused.
    pub fn run<T>(&self, work: impl FnOnce() -> Result<T, LinkError>) -> Result<T, LinkError> {
        let Some(target) = &self.target else {
            return work();
        };
        target.enter(&target.there)?;
        let result = work();
        target.enter(&target.home)?;
        result
    }
}

impl Target {
    fn enter(&self, namespace: &OwnedFd) -> Result<(), LinkError> {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).map_err(
            |source| LinkError::Netns {
                name: self.name.clone(),
                path: format!("/run/netns/{}", self.name),
                call: "setns",
                source,
            },
        )
    }
}
