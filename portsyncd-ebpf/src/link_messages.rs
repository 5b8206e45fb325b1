//! The socket filter that reads link messages where the kernel sends them.
//!
//! In: every message that the kernel sends to a `NETLINK_ROUTE` socket of the
//! daemon's, joined to `RTNLGRP_LINK`. The kernel runs the filter in the sender's
//! context before it would queue the message (`do_one_broadcast` in
//! `net/netlink/af_netlink.c`). Out: one record for each `RTM_NEWLINK` and
//! `RTM_DELLINK`. The filter always returns 0, so nothing is ever queued and
//! the socket cannot overrun.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::macros::socket_filter;
use aya_ebpf::programs::SkBuffContext;
use portsyncd_common::{IFNAMSIZ, MessageBytes, msg, parse_link_message};

use crate::ring;

/// `nlmsg_type` within `struct nlmsghdr` (netlink(7)).
const NLMSG_TYPE_OFFSET: usize = 4;

/// Keep nothing of the message: the socket's queue stays empty.
const DROP: i64 = 0;

/// Reports each link message through the ring.
#[socket_filter]
pub(crate) fn link_messages(ctx: SkBuffContext) -> i64 {
    if let Ok(msg::NEWLINK | msg::DELLINK) = ctx.load::<u16>(NLMSG_TYPE_OFFSET) {
        ring::report(|record| parse_link_message(&SocketBuffer(ctx), record));
    }
    DROP
}

/// The message in the socket buffer that the filter was run for.
struct SocketBuffer(SkBuffContext);

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
        // Of the 1 to 16 that the caller promises; said again behind a veil, in a way
        // that bounds the very register even on a path that is only speculated.
        let length = (self.veiled(u64::from(length.wrapping_sub(1))) as u32 & 15) + 1;
        let to: *mut c_void = to.as_mut_ptr().cast();
        // SAFETY: `to` has room for the 16 bytes that `length` cannot exceed, and
        // the helper checks `offset` and `length` against the message.
        unsafe { bpf_skb_load_bytes(self.0.as_ptr(), offset, to, length) == 0 }
    }

    #[inline(always)]
    fn veiled(&self, value: u64) -> u64 {
        let mut value = value;
        // Not `core::hint::black_box`, which takes the value through the stack: a
        // verifier before 6.8 refuses a loader without CAP_PERFMON to use the same
        // eight bytes now for eight and now for four.
        // SAFETY: no instruction at all.
        #[cfg(target_arch = "bpf")]
        unsafe {
            core::arch::asm!("/* {value} */", value = inout(reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        value
    }
}
