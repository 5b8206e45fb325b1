//! The plain netlink source: for hosts where no BPF may be loaded.
//!
//! Owns a socket in `RTNLGRP_LINK`. Every message is queued by the kernel, read
//! and parsed here, by the parser that the eBPF program runs in the kernel. An
//! overrun (`ENOBUFS`) is a loss. The kernel puts no time on netlink messages:
//! the records carry the time of reading.

use std::os::fd::AsFd;

use portsyncd_common::{LinkRecord, malformed};
use portsyncd_sys::{Watched, watch};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags};
use tokio::io::unix::AsyncFd;

use super::messages::{Message, Messages};
use super::socket::RouteSocket;
use super::{Accounts, DRAIN_BOUND, Drained, LinkError, LossReason};
use crate::clock::monotonic_ns;

/// SONiC's own receive buffer for this socket (`linksync.cpp`).
const RECEIVE_BUFFER_BYTES: usize = 16 << 20;
/// Larger than any link message: the kernel's are bounded by `u16` attributes
/// and a page-sized skb (`rtnl_notify`, about 1.5 kB each).
const MESSAGE_BYTES: usize = 32 << 10;
const WHAT: &str = "link event socket";

/// A socket that receives link messages.
#[derive(Debug)]
pub struct NetlinkSource {
    socket: RouteSocket,
    wake: AsyncFd<Watched>,
    buffer: Box<[u8]>,
    accounts: Accounts,
    receive_buffer: usize,
}

impl NetlinkSource {
    /// Opens the socket in the calling thread's network namespace and joins the
    /// group. `receive_buffer` is in bytes; 0 is SONiC's 16 MiB.
    ///
    /// # Errors
    /// When the socket cannot be opened, bound or polled.
    pub fn open(receive_buffer: usize) -> Result<Self, LinkError> {
        let socket = RouteSocket::open(WHAT, SocketFlags::NONBLOCK)?;
        let wanted = match receive_buffer {
            0 => RECEIVE_BUFFER_BYTES,
            bytes => bytes,
        };
        let receive_buffer = socket.set_receive_buffer(wanted)?;
        socket.join_link_group()?;
        let wake =
            watch(socket.as_fd()).map_err(|source| LinkError::Poll { what: WHAT, source })?;
        Ok(Self {
            socket,
            wake,
            buffer: vec![0; MESSAGE_BYTES].into_boxed_slice(),
            accounts: Accounts::default(),
            receive_buffer,
        })
    }

    /// The receive buffer that the kernel gave, in bytes.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    pub(super) async fn readable(&mut self) -> Result<(), LinkError> {
        let mut guard = self
            .wake
            .readable()
            .await
            .map_err(|source| LinkError::Poll { what: WHAT, source })?;
        // Cleared before the drain: what comes during it sets it again.
        guard.clear_ready();
        Ok(())
    }

    pub(super) fn drain(
        &mut self,
        mut take: impl FnMut(&LinkRecord),
    ) -> Result<Drained, LinkError> {
        let mut drained = Drained::default();
        while drained.records < DRAIN_BOUND {
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            let length = match rustix::net::recv(&self.socket, &mut self.buffer[..], flags) {
                Ok((_, length)) => length,
                Err(Errno::AGAIN) => return Ok(drained),
                Err(Errno::INTR) => continue,
                Err(Errno::NOBUFS) => {
                    self.accounts.seen += 1;
                    self.accounts.lost += 1;
                    let lost = drained.lost.map_or(1, |(_, lost)| lost + 1);
                    drained.lost = Some((LossReason::SocketOverrun, lost));
                    continue;
                }
                Err(source) => {
                    return Err(LinkError::Call {
                        call: "recv",
                        what: WHAT,
                        source,
                    });
                }
            };
            let buffer = &self.buffer[..length.min(self.buffer.len())];
            for (message, _) in Messages::new(buffer, monotonic_ns()) {
                if let Message::Link(record) = message {
                    self.accounts.seen += 1;
                    self.accounts.submitted += 1;
                    drained.records += 1;
                    if record.malformed != malformed::NOT {
                        let lost = drained.lost.map_or(1, |(_, lost)| lost + 1);
                        drained.lost = Some((LossReason::Malformed, lost));
                    }
                    take(&record);
                }
            }
        }
        drained.more = true;
        Ok(drained)
    }

    pub(super) fn accounts(&self) -> Accounts {
        self.accounts
    }
}
