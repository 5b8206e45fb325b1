//! The socket filter that reads link messages where the kernel sends them.
//!
//! In: every message that the kernel sends to a `NETLINK_ROUTE` socket of the
//! daemon's, joined to `RTNLGRP_LINK`. The kernel runs the filter in the sender's
//! context before it would queue the message (`do_one_broadcast` in
//! `net/netlink/af_netlink.c`). Out: one record for each `RTM_NEWLINK` and
//! `RTM_DELLINK`. The filter always returns 0, so nothing is ever queued and
//! the socket cannot overrun.

use core::ffi::c_void;
use core::hint::black_box;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::macros::socket_filter;
use aya_ebpf::programs::SkBuffContext;
use portsyncd_common::{IFNAMSIZ, LinkRecord, MessageBytes, msg, parse_link_message};

use crate::ring::{self, Event, LINK_MESSAGE, Origin};

/// `nlmsg_type` within `struct nlmsghdr` (netlink(7)).
const NLMSG_TYPE_OFFSET: usize = 4;

/// Keep nothing of the message: the socket's queue stays empty.
const DROP: i64 = 0;

/// Reports each link message through the ring.
#[socket_filter]
pub(crate) fn link_messages(ctx: SkBuffContext) -> i64 {
    if let Ok(msg::NEWLINK | msg::DELLINK) = ctx.load::<u16>(NLMSG_TYPE_OFFSET) {
        ring::report(SocketBuffer(ctx));
    }
    DROP
}

/// The message in the socket buffer that the filter was run for.
struct SocketBuffer(SkBuffContext);

impl Event for SocketBuffer {
    const ORIGIN: Origin = LINK_MESSAGE;

    #[inline(always)]
    fn fill(self, record: &mut LinkRecord) {
        parse_link_message(&self, record);
    }
}

impl MessageBytes for SocketBuffer {
    #[inline(always)]
    fn len(&self) -> u32 {
        self.0.len()
    }

    #[inline(always)]
    fn load_u8(&self, offset: u32) -> Option<u8> {
        self.0.load(offset as usize).ok()
    }

    #[inline(always)]
    fn load_u32(&self, offset: u32) -> Option<u32> {
        self.0.load(offset as usize).ok()
    }

    #[inline(always)]
    fn load_name(&self, offset: u32, length: u32, to: &mut [u8; IFNAMSIZ]) -> bool {
        // The caller's own promise, said again behind a veil: the verifier wants to
        // see this very register bounded, and not one that the compiler compared.
        let length = (black_box(length).wrapping_sub(1) & 15) + 1;
        let to: *mut c_void = to.as_mut_ptr().cast();
        // SAFETY: `to` has room for the 16 bytes that `length` cannot exceed, and
        // the helper checks `offset` and `length` against the message.
        unsafe { bpf_skb_load_bytes(self.0.as_ptr(), offset, to, length) == 0 }
    }
}
