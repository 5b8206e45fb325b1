//! The kernel's link state, read independently of the daemon: rtnetlink(7)
//! messages taken apart by hand.

mod message;

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use message::{link_request, messages, netdev};

use crate::tap::Tap;

const IFF_UP: u32 = 1;
const IFF_RUNNING: u32 = 1 << 6;
const IFF_LOWER_UP: u32 = 1 << 16;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const IFLA_GROUP: u16 = 27;
const RTMGRP_LINK: u32 = 1;

/// A netdev as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netdev {
    /// Its ifindex, unique in its namespace.
    pub ifindex: u32,
    /// Its name; bytes that are not UTF-8 replaced.
    pub name: String,
    /// `ifi_flags`.
    pub flags: u32,
    /// `IFLA_MTU`, in bytes.
    pub mtu: u32,
    /// `IFLA_CARRIER_DOWN_COUNT`: how often it lost its carrier.
    pub carrier_downs: u32,
    /// `IFLA_MASTER`, the ifindex of its bridge.
    pub master: Option<u32>,
    /// `IFLA_INFO_KIND`: "tun", "bridge", …
    pub kind: Option<String>,
}

impl Netdev {
    /// `IFF_UP`.
    #[must_use]
    pub fn admin_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// `IFF_RUNNING`: the operstate as linkwatch last settled it.
    #[must_use]
    pub fn running(&self) -> bool {
        self.flags & IFF_RUNNING != 0
    }

    /// Linkwatch has acted on the carrier: `IFF_RUNNING` is what `IFF_LOWER_UP` is.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.running() == (self.flags & IFF_LOWER_UP != 0)
    }

    /// Up for traffic: `IFF_UP`, `IFF_RUNNING` (linkwatch has seen the carrier)
    /// and `IFF_LOWER_UP` (the carrier is still there).
    #[must_use]
    pub fn oper_up(&self) -> bool {
        let up = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
        self.flags & up == up
    }
}

/// A socket for requests to rtnetlink.
pub struct Rtnl {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Rtnl {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self> {
        Ok(Self {
            socket: open(0)?,
            buffer: vec![0; 64 * 1024],
        })
    }

    /// All netdevs, by name. A dump that a change interrupted is repeated.
    pub fn dump(&mut self) -> Result<BTreeMap<String, Netdev>> {
        for _ in 0..100 {
            if let Some(netdevs) = self.dump_once()? {
                return Ok(netdevs);
            }
        }
        bail!("100 dumps of the netdevs in a row were interrupted by changes")
    }

    fn dump_once(&mut self) -> Result<Option<BTreeMap<String, Netdev>>> {
        let request = link_request(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 0, &[]);
        send(self.socket.as_raw_fd(), &request, MsgFlags::empty()).context("send RTM_GETLINK")?;
        let mut netdevs = BTreeMap::new();
        let mut interrupted = false;
        loop {
            let length = receive(&self.socket, &mut self.buffer)?
                .context("the kernel did not answer RTM_GETLINK")?;
            for message in messages(&self.buffer[..length]) {
                let message = message?;
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_DONE => return Ok((!interrupted).then_some(netdevs)),
                    NLMSG_ERROR => bail!("RTM_GETLINK: {}", message.error()),
                    RTM_NEWLINK => {
                        let netdev = netdev(message.bytes)?;
                        netdevs.insert(netdev.name.clone(), netdev);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Deletes one netdev.
    pub fn delete(&mut self, ifindex: u32) -> Result<()> {
        self.acknowledged(RTM_DELLINK, ifindex, &[])
            .with_context(|| format!("cannot delete the netdev with ifindex {ifindex}"))
    }

    /// Deletes every tap with one request: each by itself takes an RCU grace
    /// period. The requests put them into a group and delete the group.
    pub(crate) fn delete_all_taps(&mut self) -> Result<()> {
        let taps: Vec<u32> = self
            .dump()?
            .values()
            .filter(|netdev| netdev.kind.as_deref() == Some("tun"))
            .map(|netdev| netdev.ifindex)
            .collect();
        self.delete_together(taps)
    }

    /// Deletes these taps with one request.
    pub(crate) fn delete_group(&mut self, taps: &[Tap]) -> Result<()> {
        let taps = taps.iter().map(Tap::ifindex).collect::<Result<_>>()?;
        self.delete_together(taps)
    }

    fn delete_together(&mut self, taps: Vec<u32>) -> Result<()> {
        // Each call's own: others may be deleting theirs just now.
        static NEXT_GROUP: AtomicU32 = AtomicU32::new(0x7073_0000);
        if taps.is_empty() {
            return Ok(());
        }
        let group = NEXT_GROUP.fetch_add(1, Ordering::Relaxed);
        for ifindex in taps {
            self.acknowledged(RTM_SETLINK, ifindex, &[(IFLA_GROUP, group)])?;
        }
        self.acknowledged(RTM_DELLINK, 0, &[(IFLA_GROUP, group)])
    }

    fn acknowledged(&mut self, kind: u16, ifindex: u32, attributes: &[(u16, u32)]) -> Result<()> {
        let request = link_request(kind, NLM_F_REQUEST | NLM_F_ACK, ifindex, attributes);
        send(self.socket.as_raw_fd(), &request, MsgFlags::empty()).context("send to rtnetlink")?;
        let length = receive(&self.socket, &mut self.buffer)?
            .context("rtnetlink did not acknowledge a request")?;
        match messages(&self.buffer[..length]).next().transpose()? {
            Some(answer) if answer.kind == NLMSG_ERROR && answer.i32_at(16)? == 0 => Ok(()),
            Some(answer) => bail!("rtnetlink request {kind}: {}", answer.error()),
            None => bail!("rtnetlink request {kind}: an empty answer"),
        }
    }
}

/// A link message as it was multicast.
#[derive(Clone, Debug)]
pub struct LinkMessage {
    /// When it was read.
    pub at: Instant,
    /// True for `RTM_DELLINK`.
    pub deleted: bool,
    /// What it says.
    pub netdev: Netdev,
}

/// A subscriber to `RTNLGRP_LINK`.
pub struct Monitor {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Subscribes in the calling thread's network namespace.
    pub fn open() -> Result<Self> {
        let socket = open(RTMGRP_LINK)?;
        // In a user namespace only the limited way is allowed.
        if setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20)).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &(16 << 20)).context("SO_RCVBUF")?;
        }
        Ok(Self {
            socket,
            buffer: vec![0; 64 * 1024],
        })
    }

    /// The next messages, none if `timeout` passes first.
    pub fn next(&mut self, timeout: Duration) -> Result<Vec<LinkMessage>> {
        let micros = i64::try_from(timeout.as_micros())
            .unwrap_or(i64::MAX)
            .max(1);
        setsockopt(
            &self.socket,
            sockopt::ReceiveTimeout,
            &TimeVal::microseconds(micros),
        )
        .context("SO_RCVTIMEO")?;
        let Some(length) = receive(&self.socket, &mut self.buffer)? else {
            return Ok(Vec::new());
        };
        let at = Instant::now();
        messages(&self.buffer[..length])
            .filter_map(|message| match message {
                Ok(m) if m.kind == RTM_NEWLINK || m.kind == RTM_DELLINK => {
                    Some(netdev(m.bytes).map(|netdev| LinkMessage {
                        at,
                        deleted: m.kind == RTM_DELLINK,
                        netdev,
                    }))
                }
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
            .collect()
    }
}

fn open(groups: u32) -> Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )
    .context("socket(AF_NETLINK, NETLINK_ROUTE)")?;
    // The kernel answers at once; the limit only keeps a broken test from hanging.
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(10)).context("SO_RCVTIMEO")?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups)).context("bind(NETLINK_ROUTE)")?;
    Ok(socket)
}

/// One datagram, or None when the socket's receive timeout passed.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>> {
    loop {
        match recv(socket.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(length) => return Ok(Some(length)),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(None),
            Err(error) => return Err(error).context("recv(NETLINK_ROUTE)"),
        }
    }
}
