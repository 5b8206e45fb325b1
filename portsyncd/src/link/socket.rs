//! Opening `NETLINK_ROUTE` sockets (netlink(7), rtnetlink(7)).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::LinkError;

/// `RTMGRP_LINK` as a bit of `sockaddr_nl.nl_groups` (`linux/rtnetlink.h`).
const RTMGRP_LINK: u32 = 1;

/// An rtnetlink socket of the calling thread's network namespace.
#[derive(Debug)]
pub(super) struct RouteSocket {
    fd: OwnedFd,
    what: &'static str,
}

impl RouteSocket {
    /// Opens a socket that belongs to no group. `what` names it in errors.
    pub(super) fn open(what: &'static str, flags: SocketFlags) -> Result<Self, LinkError> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | flags,
            // NETLINK_ROUTE is 0, which is also what `None` stands for.
            None,
        )
        .map_err(LinkError::call("socket", what))?;
        Ok(Self { fd, what })
    }

    /// Binds it: to no group, for requests.
    pub(super) fn bind(&self) -> Result<(), LinkError> {
        self.bind_to(0)
    }

    /// Binds it and joins `RTNLGRP_LINK`: from here on every `RTM_NEWLINK` and
    /// `RTM_DELLINK` of the namespace is sent to it.
    pub(super) fn join_link_group(&self) -> Result<(), LinkError> {
        self.bind_to(RTMGRP_LINK)
    }

    fn bind_to(&self, groups: u32) -> Result<(), LinkError> {
        rustix::net::bind(&self.fd, &SocketAddrNetlink::new(0, groups))
            .map_err(LinkError::call("bind", self.what))
    }

    /// Asks for a receive buffer of `bytes`, past `net.core.rmem_max` where
    /// `CAP_NET_ADMIN` allows it (`SO_RCVBUFFORCE`, socket(7)). Returns what the
    /// kernel gave.
    pub(super) fn set_receive_buffer(&self, bytes: usize) -> Result<usize, LinkError> {
        if sockopt::set_socket_recv_buffer_size_force(&self.fd, bytes).is_err() {
            sockopt::set_socket_recv_buffer_size(&self.fd, bytes)
                .map_err(LinkError::call("setsockopt SO_RCVBUF", self.what))?;
        }
        sockopt::socket_recv_buffer_size(&self.fd)
            .map_err(LinkError::call("getsockopt SO_RCVBUF", self.what))
    }
}

impl AsFd for RouteSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl std::os::fd::AsRawFd for RouteSocket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}
