//! The reconciliation dump: all netdevs at once, over a socket of its own.
//!
//! Runs on a thread of its own, because the kernel makes a dump wait for RTNL
//! and a waiting road would learn of no link. The parts go to the road through a
//! bounded channel. Statistics and VF lists are not asked for.

use std::sync::Arc;

use portsyncd_common::LinkRecord;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use tokio::sync::mpsc;

use super::LinkError;
use super::gate::Gate;
use super::messages::{Message, Messages};
use super::request::getlink;
use super::socket::RouteSocket;
use crate::clock::monotonic_ns;

const WHAT: &str = "dump socket";
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const FLAGS: u16 = 1 | 0x300;
/// The kernel fills parts of at most 32 KiB (`netlink_dump`).
const PART_BYTES: usize = 32 << 10;
/// What a part usually has room for, some 1300 bytes each: no second allocation, for which the
/// heap's lock would be fought over with the road.
const PART_NETDEVS: usize = 26;
/// Parts that may wait for the road, of some 24 netdevs each: a reader that waits holds the dump
/// open, and what changes meanwhile makes it an interrupted one.
const PARTS_AHEAD: usize = 32;

/// One step of a dump.
#[derive(Debug)]
pub enum DumpPart {
    /// Netdevs; each record's time is the one before which it cannot have been
    /// filled in.
    Netdevs(Vec<LinkRecord>),
    /// `NLMSG_DONE`; `interrupted` if any part carried `NLM_F_DUMP_INTR`.
    End {
        /// The dump is not consistent.
        interrupted: bool,
    },
    /// The dump broke off.
    Failed(LinkError),
}

/// Starts a dump over a socket from behind `gate`; its parts come through the channel, the last one is
/// [`DumpPart::End`] or [`DumpPart::Failed`].
#[must_use]
pub fn start(gate: Arc<Gate>) -> mpsc::Receiver<DumpPart> {
    let (parts, receiver) = mpsc::channel(PARTS_AHEAD);
    tokio::task::spawn_blocking(move || {
        let last = match run(&gate, &parts) {
            Ok(interrupted) => DumpPart::End { interrupted },
            Err(error) => DumpPart::Failed(error),
        };
        // The road may have stopped meanwhile, and then nobody needs the end.
        let _ = parts.blocking_send(last);
    });
    receiver
}

fn run(gate: &Gate, parts: &mpsc::Sender<DumpPart>) -> Result<bool, LinkError> {
    let socket = gate.run(|| {
        let socket = RouteSocket::open(WHAT, SocketFlags::empty())?;
        socket.bind()?;
        Ok(socket)
    })?;
    let mut not_before_ns = monotonic_ns();
    rustix::net::send(&socket, &getlink(FLAGS, 0), SendFlags::empty())
        .map_err(LinkError::call("send RTM_GETLINK", WHAT))?;
    let mut buffer = vec![0; PART_BYTES];
    let mut interrupted = false;
    loop {
        let read_ns = monotonic_ns();
        let length = match rustix::net::recv(&socket, &mut buffer[..], RecvFlags::TRUNC) {
            Ok((_, length)) => length,
            Err(Errno::INTR) => continue,
            Err(source) => {
                return Err(LinkError::Call {
                    call: "recv",
                    what: WHAT,
                    source,
                });
            }
        };
        // A part larger than the buffer lost its end: absence proves nothing then.
        interrupted |= length > buffer.len();
        let mut netdevs = Vec::with_capacity(PART_NETDEVS);
        let mut done = false;
        for (message, flagged) in Messages::new(&buffer[..length.min(buffer.len())], not_before_ns)
        {
            interrupted |= flagged;
            match message {
                Message::Link(record) => netdevs.push(record),
                Message::Done => done = true,
                Message::Error(Some(source)) => {
                    return Err(LinkError::Refused {
                        request: "RTM_GETLINK dump",
                        source,
                    });
                }
                Message::Error(None) | Message::Other => {}
            }
        }
        not_before_ns = read_ns;
        let stopped =
            !netdevs.is_empty() && parts.blocking_send(DumpPart::Netdevs(netdevs)).is_err();
        if done || stopped {
            return Ok(interrupted || stopped);
        }
    }
}
