//! rtnetlink(7) at its barest: a dump that is only drained, a listener that is
//! only read, a change that is one system call.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use portsyncd_common::{LinkRecord, parse_link_message};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const RTMGRP_LINK: u32 = 1;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 8;
/// A flag that means nothing to a tap and to the daemon (`linux/if.h`): changing
/// it is a link message and nothing else.
const IFF_DEBUG: u32 = 4;
/// `lo` is the first netdev of every namespace.
const LOOPBACK: u32 = 1;
/// What the kernel fills at most (`netlink_dump`).
const BUFFER_BYTES: usize = 32 << 10;

/// What a datagram brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// This many bytes.
    Bytes(usize),
    /// The kernel had to drop messages (`ENOBUFS`).
    Overrun,
    /// The timeout passed.
    Nothing,
}

/// A `NETLINK_ROUTE` socket of the calling thread's namespace.
#[derive(Debug)]
pub(super) struct Route {
    socket: OwnedFd,
    buffer: Box<[u8]>,
}

impl Route {
    /// For requests.
    pub(super) fn open() -> Result<Self> {
        let route = Self::unbound()?;
        route.bind(0)?;
        Ok(route)
    }

    /// Joined to `RTNLGRP_LINK`, with a receive buffer of so many bytes.
    pub(super) fn listen(receive_buffer: usize) -> Result<Self> {
        let route = Self::unbound()?;
        sockopt::set_socket_recv_buffer_size_force(&route.socket, receive_buffer)
            .context("SO_RCVBUFFORCE")?;
        route.join_link_group()?;
        Ok(route)
    }

    /// To be prepared before it joins a group.
    pub(super) fn unbound() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)
            .context("socket(AF_NETLINK)")?;
        Ok(Self {
            socket,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
        })
    }

    /// Joins `RTNLGRP_LINK`.
    pub(super) fn join_link_group(&self) -> Result<()> {
        self.bind(RTMGRP_LINK)
    }

    fn bind(&self, groups: u32) -> Result<()> {
        rustix::net::bind(&self.socket, &SocketAddrNetlink::new(0, groups)).context("bind netlink")
    }

    /// Bounds every receive.
    pub(super) fn set_timeout(&self, timeout: Duration) -> Result<()> {
        sockopt::set_socket_timeout(&self.socket, Timeout::Recv, Some(timeout))
            .context("SO_RCVTIMEO")
    }

    /// Waits for a datagram.
    pub(super) fn receive(&mut self) -> Result<Received> {
        loop {
            return match rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((_, length)) => Ok(Received::Bytes(length)),
                Err(Errno::INTR) => continue,
                Err(Errno::NOBUFS) => Ok(Received::Overrun),
                Err(Errno::AGAIN) => Ok(Received::Nothing),
                Err(error) => Err(error).context("recv netlink"),
            };
        }
    }

    /// The messages of the last datagram of `length` bytes.
    pub(super) fn messages(&self, length: usize) -> Messages<'_> {
        Messages(&self.buffer[..length.min(self.buffer.len())])
    }

    fn send(&self, request: &[u8]) -> Result<()> {
        rustix::net::send(&self.socket, request, SendFlags::empty()).context("send netlink")?;
        Ok(())
    }

    /// Asks for all netdevs.
    pub(super) fn request_dump(&self, statistics: bool) -> Result<()> {
        let mut bytes = request(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, [0; 3]);
        if !statistics {
            bytes.extend(8_u16.to_ne_bytes());
            bytes.extend(IFLA_EXT_MASK.to_ne_bytes());
            bytes.extend(RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
            bytes[..4].copy_from_slice(&40_u32.to_ne_bytes());
        }
        self.send(&bytes)
    }

    /// A whole dump, thrown away; how many netdevs it had.
    pub(super) fn dump(&mut self, statistics: bool) -> Result<usize> {
        self.request_dump(statistics)?;
        let mut netdevs = 0;
        loop {
            let Received::Bytes(length) = self.receive()? else {
                anyhow::bail!("a dump broke off");
            };
            for message in self.messages(length) {
                match message.kind {
                    NLMSG_DONE => return Ok(netdevs),
                    NLMSG_ERROR => anyhow::bail!("the kernel refused a dump"),
                    _ => netdevs += 1,
                }
            }
        }
    }

    /// Reads a whole dump without statistics; how long the kernel took for each part.
    pub(super) fn dump_parts(&mut self) -> Result<Vec<Duration>> {
        let mut parts = Vec::new();
        let mut begun = Instant::now();
        self.request_dump(false)?;
        loop {
            let Received::Bytes(length) = self.receive()? else {
                anyhow::bail!("a dump broke off");
            };
            parts.push(begun.elapsed());
            if self.messages(length).any(|message| message.is_done()) {
                return Ok(parts);
            }
            begun = Instant::now();
        }
    }

    /// Has the kernel take RTNL and do nothing: a change of a netdev's that changes
    /// none of its flags. How long that took.
    pub(super) fn take_rtnl(&self) -> Result<Duration> {
        let begun = Instant::now();
        self.send(&request(RTM_NEWLINK, NLM_F_REQUEST, [LOOPBACK, 0, 0]))?;
        Ok(begun.elapsed())
    }

    /// Asks for one netdev, as the daemon does to have it settled, and throws the
    /// answer away; how long the kernel took to carry it out.
    pub(super) fn ask_for(&mut self, ifindex: u32) -> Result<Duration> {
        let begun = Instant::now();
        self.send(&request(RTM_GETLINK, NLM_F_REQUEST, [ifindex, 0, 0]))?;
        let took = begun.elapsed();
        ensure!(
            matches!(self.receive()?, Received::Bytes(_)),
            "no answer to RTM_GETLINK"
        );
        Ok(took)
    }

    /// Sets or clears [`IFF_DEBUG`]; the kernel answers only errors.
    pub(super) fn toggle(&self, ifindex: u32, on: bool) -> Result<()> {
        let flags = if on { IFF_DEBUG } else { 0 };
        self.send(&request(
            RTM_NEWLINK,
            NLM_F_REQUEST,
            [ifindex, flags, IFF_DEBUG],
        ))
    }

    /// Fails if the kernel refused a [`toggle`](Self::toggle).
    pub(super) fn nothing_refused(&self) -> Result<()> {
        let mut answer = [0; 64];
        let refused = rustix::net::recv(&self.socket, &mut answer[..], RecvFlags::DONTWAIT);
        ensure!(
            refused.is_err(),
            "the kernel refused to change a netdev's flags"
        );
        Ok(())
    }
}

impl AsFd for Route {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `struct nlmsghdr` and `struct ifinfomsg` with index, flags and change mask.
fn request(kind: u16, flags: u16, ifinfo: [u32; 3]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend(32_u32.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 12]);
    for value in ifinfo {
        bytes.extend(value.to_ne_bytes());
    }
    bytes
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    kind: u16,
    sequence_and_port: [u8; 8],
    bytes: &'a [u8],
}

impl Message<'_> {
    /// The link that an `RTM_NEWLINK` tells of.
    pub(super) fn link(&self) -> Option<LinkRecord> {
        let mut record = LinkRecord::default();
        (self.kind == RTM_NEWLINK).then(|| {
            parse_link_message(self.bytes, &mut record);
            record
        })
    }

    /// Whether a dump ends with it.
    pub(super) fn is_done(&self) -> bool {
        self.kind == NLMSG_DONE
    }

    /// Whether it answers a request, rather than being multicast.
    pub(super) fn is_answer(&self) -> bool {
        self.sequence_and_port[4..] != [0; 4]
    }
}

/// Walks a datagram.
#[derive(Clone, Debug)]
pub(super) struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let (header, _) = self.0.split_first_chunk::<16>()?;
        let [l0, l1, l2, l3, k0, k1, _, _, sequence_and_port @ ..] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let bytes = self.0.get(..length).filter(|_| length >= 16)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            sequence_and_port,
            bytes,
        })
    }
}
