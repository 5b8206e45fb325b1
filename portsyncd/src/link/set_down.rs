//! Sets netdevs down, for `existing_netdevs = "replace"` alone.

use rustix::net::{RecvFlags, SendFlags, SocketFlags};

use super::LinkError;
use super::messages::{Message, Messages};
use super::socket::RouteSocket;

const WHAT: &str = "link request socket";
const RTM_NEWLINK: u16 = 16;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const FLAGS: u16 = 1 | 4;
const IFF_UP: u32 = 1;

/// Clears `IFF_UP` of each netdev, as `linksync.cpp` does by `ip link set down`.
/// Returns how many of them refused, or were gone already.
///
/// # Errors
/// When no request can be sent at all.
pub fn set_down(ifindexes: &[u32]) -> Result<usize, LinkError> {
    let socket = RouteSocket::open(WHAT, SocketFlags::empty())?;
    socket.bind()?;
    let mut answer = [0; 512];
    let mut refused = 0;
    for ifindex in ifindexes {
        let request = request(*ifindex);
        rustix::net::send(&socket, &request, SendFlags::empty())
            .map_err(LinkError::call("send", WHAT))?;
        let (_, length) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())
            .map_err(LinkError::call("recv", WHAT))?;
        let answer = &answer[..length.min(answer.len())];
        refused += Messages::new(answer, 0)
            .filter(|(message, _)| matches!(message, Message::Error(Some(_))))
            .count();
    }
    Ok(refused)
}

/// `struct nlmsghdr` and `struct ifinfomsg` (rtnetlink(7)).
fn request(ifindex: u32) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0..4].copy_from_slice(&32_u32.to_ne_bytes());
    bytes[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
    bytes[6..8].copy_from_slice(&FLAGS.to_ne_bytes());
    bytes[20..24].copy_from_slice(&ifindex.to_ne_bytes());
    bytes[28..32].copy_from_slice(&IFF_UP.to_ne_bytes());
    bytes
}
