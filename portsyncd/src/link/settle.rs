//! Asking the kernel to settle a lost carrier at once (`linkwatch_sync_dev`).
//!
//! Since 6.5 an `RTM_GETLINK` for one ifindex first runs the device's pending
//! linkwatch event (`rtnl_getlink`, `net/core/rtnetlink.c`): the operstate
//! follows the carrier, and `RTM_NEWLINK` goes to every listener on the switch, up
//! to seconds before linkwatch would have got to it. Older kernels only answer.
//!
//! Runs on a thread of its own, one request at a time: each takes RTNL and may
//! wait for an RCU grace period. Which ports, and how often, is for the caller.

use std::sync::Arc;

use portsyncd_common::{LinkRecord, flag};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use tokio::sync::mpsc;

use super::LinkError;
use super::gate::Gate;
use super::messages::{Message, Messages};
use super::request::getlink;
use super::socket::RouteSocket;

const WHAT: &str = "settle socket";
/// `NLM_F_REQUEST`.
const FLAGS: u16 = 1;
const ANSWER_BYTES: usize = 32 << 10;

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The operstate agrees with the carrier.
    Agrees,
    /// It does not: this kernel does not settle on request.
    Disagrees,
    /// The netdev is gone, or the kernel refused.
    Refused,
}

/// The user side of the settling thread.
#[derive(Debug)]
pub struct Settler {
    requests: mpsc::Sender<u32>,
    answers: mpsc::Receiver<Result<Settled, LinkError>>,
}

impl Settler {
    /// Starts the thread with a socket from behind `gate`; it ends with the settler, or
    /// with an answer that says why there is no socket.
    #[must_use]
    pub fn start(gate: Arc<Gate>, ahead: usize) -> Self {
        let (requests, mut wanted) = mpsc::channel(ahead);
        let (told, answers) = mpsc::channel(ahead);
        tokio::task::spawn_blocking(move || {
            let socket = match gate.run(open) {
                Ok(socket) => socket,
                Err(error) => {
                    // The road may have stopped meanwhile.
                    let _ = told.blocking_send(Err(error));
                    return;
                }
            };
            drop(gate);
            let mut buffer = vec![0; ANSWER_BYTES];
            while let Some(ifindex) = wanted.blocking_recv() {
                let settled = settle(&socket, ifindex, &mut buffer).unwrap_or(Settled::Refused);
                if told.blocking_send(Ok(settled)).is_err() {
                    return;
                }
            }
        });
        Self { requests, answers }
    }

    /// Whether another request can be taken now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.requests.capacity() > 0
    }

    /// Asks for `ifindex`; without room it is not asked.
    pub fn ask(&self, ifindex: u32) {
        // Without room the netdev's next record asks again.
        let _ = self.requests.try_send(ifindex);
    }

    /// The next answer; waits for ever once the thread is gone. Cancel-safe.
    ///
    /// # Errors
    /// Once, when the thread got no socket.
    pub async fn answer(&mut self) -> Result<Settled, LinkError> {
        match self.answers.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

fn open() -> Result<RouteSocket, LinkError> {
    let socket = RouteSocket::open(WHAT, SocketFlags::empty())?;
    socket.bind()?;
    Ok(socket)
}

fn settle(socket: &RouteSocket, ifindex: u32, buffer: &mut [u8]) -> Result<Settled, LinkError> {
    rustix::net::send(socket, &getlink(FLAGS, ifindex), SendFlags::empty())
        .map_err(LinkError::call("send RTM_GETLINK", WHAT))?;
    let length = loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::TRUNC) {
            Ok((_, length)) => break length,
            Err(Errno::INTR) => {}
            Err(source) => return Err(LinkError::call("recv", WHAT)(source)),
        }
    };
    let answer = &buffer[..length.min(buffer.len())];
    for (message, _) in Messages::new(answer, 0) {
        match message {
            Message::Link(record) => return Ok(verdict(&record)),
            Message::Error(Some(_)) => return Ok(Settled::Refused),
            Message::Error(None) | Message::Done | Message::Other => {}
        }
    }
    Ok(Settled::Refused)
}

/// A carrier that linkwatch has not looked at shows `IFF_RUNNING` without
/// `IFF_LOWER_UP`.
fn verdict(record: &LinkRecord) -> Settled {
    if record.flags & (flag::RUNNING | flag::LOWER_UP) == flag::RUNNING {
        Settled::Disagrees
    } else {
        Settled::Agrees
    }
}
