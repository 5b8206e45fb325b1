//! The parser of link messages, for the kernel and for the daemon alike.
//!
//! In: the bytes of one rtnetlink message, through [`MessageBytes`]. Out: a
//! filled [`LinkRecord`]. The layout is ABI: `struct nlmsghdr` (netlink(7)) and
//! `struct ifinfomsg` (rtnetlink(7)); what follows them is `attributes`'s.
//!
//! Every loop is bounded by a constant and every load is checked by the
//! implementation of [`MessageBytes`], so that the BPF verifier of kernel 5.10
//! accepts it and nothing outside the message is ever read.

use crate::attributes::{
    IFLA_CARRIER, IFLA_CARRIER_DOWN_COUNT, IFLA_CARRIER_UP_COUNT, IFLA_IFNAME, IFLA_LINKINFO,
    IFLA_MASTER, IFLA_MTU, IFLA_OPERSTATE, MAX_MESSAGE_LEN, Offsets, is_team, read_name, read_u8,
    read_u32,
};
use crate::name::IFNAMSIZ;
use crate::record::{LinkRecord, kind, malformed, present};

/// `NLMSG_HDRLEN` and `struct ifinfomsg`: the attributes come after them.
const HEADERS_LEN: u32 = 32;

/// Checked loads from one link message. Offsets are in bytes from `nlmsghdr`.
pub trait MessageBytes {
    /// How many bytes the buffer holds.
    fn len(&self) -> u32;
    /// True when there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The byte at `offset`, or `None` beyond the end.
    fn load_u8(&self, offset: u32) -> Option<u8>;
    /// Four bytes at `offset` in native order, or `None` beyond the end.
    fn load_u32(&self, offset: u32) -> Option<u32>;
    /// Copies `length` (1 to 16) bytes at `offset` to the start of `to`; false
    /// beyond the end.
    fn load_name(&self, offset: u32, length: u32, to: &mut [u8; IFNAMSIZ]) -> bool;
}

/// Reads one `RTM_NEWLINK` or `RTM_DELLINK` into `record`, whose `timestamp_ns`
/// it leaves alone.
///
/// A message that cannot be read whole is marked in `record.malformed`; its
/// `ifindex`, where there is one, is still right.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the BPF verifier checks one function with its bounds in sight; a call would lose them"
)]
pub fn parse_link_message<M: MessageBytes + ?Sized>(message: &M, record: &mut LinkRecord) {
    *record = LinkRecord {
        timestamp_ns: record.timestamp_ns,
        ..LinkRecord::default()
    };
    record.malformed = match parse(message, record) {
        Ok(()) => malformed::NOT,
        Err(why) => why,
    };
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "as parse_link_message")]
fn parse<M: MessageBytes + ?Sized>(message: &M, record: &mut LinkRecord) -> Result<(), u8> {
    let u32_at = |offset| message.load_u32(offset).ok_or(malformed::TRUNCATED);
    let nlmsg_len = u32_at(0)?;
    let [type_low, type_high, ..] = u32_at(4)?.to_ne_bytes();
    record.msg_type = u16::from_ne_bytes([type_low, type_high]);
    record.family = message.load_u8(16).ok_or(malformed::TRUNCATED)?;
    record.ifindex = u32_at(20)?;
    record.flags = u32_at(24)?;
    record.change = u32_at(28)?;
    if !(HEADERS_LEN..=message.len().min(MAX_MESSAGE_LEN)).contains(&nlmsg_len) {
        return Err(malformed::TRUNCATED);
    }
    let offsets = Offsets::find(message, HEADERS_LEN, nlmsg_len)?;
    read_name(message, offsets.of(IFLA_IFNAME), &mut record.name)?;
    record.present |= present::NAME;
    if let Some(mtu) = read_u32(message, offsets.of(IFLA_MTU))? {
        record.mtu = mtu;
        record.present |= present::MTU;
    }
    if let Some(master) = read_u32(message, offsets.of(IFLA_MASTER))? {
        record.master = master;
        record.present |= present::MASTER;
    }
    if let Some(count) = read_u32(message, offsets.of(IFLA_CARRIER_UP_COUNT))? {
        record.carrier_up_count = count;
        record.present |= present::CARRIER_UP_COUNT;
    }
    if let Some(count) = read_u32(message, offsets.of(IFLA_CARRIER_DOWN_COUNT))? {
        record.carrier_down_count = count;
        record.present |= present::CARRIER_DOWN_COUNT;
    }
    if let Some(operstate) = read_u8(message, offsets.of(IFLA_OPERSTATE))? {
        record.operstate = operstate;
        record.present |= present::OPERSTATE;
    }
    if let Some(carrier) = read_u8(message, offsets.of(IFLA_CARRIER))? {
        record.carrier = carrier;
        record.present |= present::CARRIER;
    }
    if is_team(message, offsets.of(IFLA_LINKINFO))? {
        record.kind = kind::TEAM;
    }
    Ok(())
}

impl MessageBytes for [u8] {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "clamped: a message of 4 GiB does not exist, and a clamped one is only truncated"
    )]
    fn len(&self) -> u32 {
        <[u8]>::len(self).min(u32::MAX as usize) as u32
    }

    fn load_u8(&self, offset: u32) -> Option<u8> {
        self.get(offset as usize).copied()
    }

    fn load_u32(&self, offset: u32) -> Option<u32> {
        let bytes = self.get(offset as usize..)?.first_chunk()?;
        Some(u32::from_ne_bytes(*bytes))
    }

    fn load_name(&self, offset: u32, length: u32, to: &mut [u8; IFNAMSIZ]) -> bool {
        let (from, length) = (offset as usize, length as usize);
        match (self.get(from..from + length), to.get_mut(..length)) {
            (Some(bytes), Some(to)) => {
                to.copy_from_slice(bytes);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
