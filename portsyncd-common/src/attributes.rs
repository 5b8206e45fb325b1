//! The attributes of a link message: where they stand and what they hold.
//!
//! In: a message and the offsets between which its attributes lie (`struct
//! rtattr`, rtnetlink(7)). Out: checked values of the few attributes that a
//! record keeps, or the [`malformed`] reason. Knows nothing of the record.

use core::hint::black_box;

use crate::name::IFNAMSIZ;
use crate::parse::MessageBytes;
use crate::record::malformed;

/// The most top-level attributes that a message may have before it is counted
/// as malformed. Linux 6.12 defines 67 `IFLA_*` and sends each at most once.
pub const MAX_ATTRIBUTES: u32 = 128;

/// The most attributes read inside `IFLA_LINKINFO`; the kernel puts
/// `IFLA_INFO_KIND` first and defines 5 (`linux/if_link.h`).
const MAX_LINKINFO_ATTRIBUTES: u32 = 6;

const RTA_HDRLEN: u32 = 4;
/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are flags within `nla_type`.
const NLA_TYPE_MASK: u16 = 0x3fff;

pub(crate) const IFLA_IFNAME: u16 = 3;
pub(crate) const IFLA_MTU: u16 = 4;
pub(crate) const IFLA_MASTER: u16 = 10;
pub(crate) const IFLA_OPERSTATE: u16 = 16;
pub(crate) const IFLA_LINKINFO: u16 = 18;
pub(crate) const IFLA_CARRIER: u16 = 33;
pub(crate) const IFLA_CARRIER_UP_COUNT: u16 = 47;
pub(crate) const IFLA_CARRIER_DOWN_COUNT: u16 = 48;
const IFLA_INFO_KIND: u16 = 1;

/// Above the longest message, and four times what sixteen bits hold: the kernel
/// tells one netdev in a link message, and no attribute has more than 64 KiB.
pub(crate) const MAX_MESSAGE_LEN: u32 = 1 << 18;

/// The attributes that we read.
const WANTED: [u16; 8] = [
    IFLA_IFNAME,
    IFLA_MTU,
    IFLA_MASTER,
    IFLA_OPERSTATE,
    IFLA_LINKINFO,
    IFLA_CARRIER,
    IFLA_CARRIER_UP_COUNT,
    IFLA_CARRIER_DOWN_COUNT,
];

/// The place, 0 to 7, of a wanted type: a hash that happens to give each its own.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as parse_link_message")]
const fn place(nla_type: u16) -> u32 {
    ((nla_type as u32 * 15) >> 4) & 7
}

/// The wanted types as the bits of a word.
const WANTED_BITS: u64 = {
    let (mut types, mut places, mut i) = (0_u64, 0_u8, 0);
    while i < WANTED.len() {
        types |= 1 << WANTED[i];
        places |= 1 << place(WANTED[i]);
        i += 1;
    }
    assert!(places == 0xff, "two wanted types share a place");
    types
};

/// Where the wanted attributes stand in a message: a quarter of the offset of each
/// one's header in sixteen bits, four to a word; 0 for one that is not there.
///
/// Finding the attributes and reading them are two steps, and finding one is
/// arithmetic without a branch: the verifier walks the loop once for each
/// attribute that a message may have, and each branch in it again for each time
/// round.
#[derive(Default)]
pub(crate) struct Offsets {
    low: u64,
    high: u64,
}

impl Offsets {
    /// The offset of the attribute of a wanted type.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as parse_link_message")]
    pub(crate) fn of(&self, nla_type: u16) -> u32 {
        let place = place(nla_type);
        let word = if place < 4 { self.low } else { self.high };
        let quarter = (word >> (place % 4 * 16)) & 0xffff;
        (quarter as u32) << 2
    }

    /// Keeps the offset of an attribute if its type is wanted.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as parse_link_message")]
    fn keep(&mut self, nla_type: u16, offset: u32) {
        let is_bit = u64::from(nla_type / 64).wrapping_sub(1) >> 63;
        let is_wanted = WANTED_BITS >> (nla_type % 64) & is_bit;
        let place = place(nla_type);
        let shift = place % 4 * 16;
        let room = (0xffff << shift) & mask(is_wanted);
        let in_high = mask(u64::from(place / 4));
        let quarter = u64::from(offset >> 2) << shift;
        self.low = put(self.low, room & !in_high, quarter);
        self.high = put(self.high, room & in_high, quarter);
    }

    /// Walks the attributes from `first` to `end`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as parse_link_message")]
    pub(crate) fn find<M: MessageBytes + ?Sized>(
        message: &M,
        first: u32,
        end: u32,
    ) -> Result<Self, u8> {
        let mut found = Self::default();
        let mut next = first;
        let mut left = MAX_ATTRIBUTES;
        while next + RTA_HDRLEN <= end {
            if left == 0 {
                return Err(malformed::TOO_MANY_ATTRIBUTES);
            }
            left -= 1;
            let offset = next;
            let (length, nla_type) = attribute_header(message, offset)?;
            // Both sides less RTA_HDRLEN: a length below it wraps round to a great one.
            if length.wrapping_sub(RTA_HDRLEN) > end - offset - RTA_HDRLEN {
                return Err(malformed::ATTRIBUTE_LENGTH);
            }
            found.keep(nla_type, offset);
            next = offset + ((length + 3) & !3);
        }
        Ok(found)
    }
}

/// All ones for 1, none for 0; behind a veil, or the compiler would see the choice
/// and make a branch of it again.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as parse_link_message")]
fn mask(bit: u64) -> u64 {
    0_u64.wrapping_sub(black_box(bit))
}

/// `word` with the bits of `value` where `room` has ones.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as parse_link_message")]
const fn put(word: u64, room: u64, value: u64) -> u64 {
    (word & !room) | (value & room)
}

/// Length (header included) and type of the attribute at `offset`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as parse_link_message")]
fn attribute_header<M: MessageBytes + ?Sized>(message: &M, offset: u32) -> Result<(u32, u16), u8> {
    let [l0, l1, t0, t1] = message
        .load_u32(offset)
        .ok_or(malformed::ATTRIBUTE_LENGTH)?
        .to_ne_bytes();
    Ok((
        u32::from(u16::from_ne_bytes([l0, l1])),
        u16::from_ne_bytes([t0, t1]) & NLA_TYPE_MASK,
    ))
}

/// The value of the four-byte attribute found at `offset`; `None` for 0.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as parse_link_message")]
pub(crate) fn read_u32<M: MessageBytes + ?Sized>(
    message: &M,
    offset: u32,
) -> Result<Option<u32>, u8> {
    if offset == 0 {
        return Ok(None);
    }
    let (length, _) = attribute_header(message, offset)?;
    if length != RTA_HDRLEN + 4 {
        return Err(malformed::ATTRIBUTE_SIZE);
    }
    let value = message.load_u32(offset + RTA_HDRLEN);
    value.map(Some).ok_or(malformed::ATTRIBUTE_LENGTH)
}

/// The value of the one-byte attribute found at `offset`; `None` for 0.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as parse_link_message")]
pub(crate) fn read_u8<M: MessageBytes + ?Sized>(
    message: &M,
    offset: u32,
) -> Result<Option<u8>, u8> {
    if offset == 0 {
        return Ok(None);
    }
    let (length, _) = attribute_header(message, offset)?;
    if length != RTA_HDRLEN + 1 {
        return Err(malformed::ATTRIBUTE_SIZE);
    }
    let value = message.load_u8(offset + RTA_HDRLEN);
    value.map(Some).ok_or(malformed::ATTRIBUTE_LENGTH)
}

/// Copies the `IFLA_IFNAME` found at `offset`, which the kernel ends with a NUL
/// (`nla_put_string`).
#[inline(always)]
#[expect(clippy::inline_always, reason = "as parse_link_message")]
pub(crate) fn read_name<M: MessageBytes + ?Sized>(
    message: &M,
    offset: u32,
    name: &mut [u8; IFNAMSIZ],
) -> Result<(), u8> {
    if offset == 0 {
        return Err(malformed::NAME);
    }
    let (length, _) = attribute_header(message, offset)?;
    // One byte of name and its NUL at least; IFNAMSIZ counts the NUL.
    if !(RTA_HDRLEN + 2..=RTA_HDRLEN + 16).contains(&length)
        || message.load_u8(offset + length - 1) != Some(0)
        || !message.load_name(offset + RTA_HDRLEN, length - RTA_HDRLEN, name)
        || name[0] == 0
    {
        return Err(malformed::NAME);
    }
    Ok(())
}

/// Whether the `IFLA_LINKINFO` found at `offset` has `IFLA_INFO_KIND` "team".
#[inline(always)]
#[expect(clippy::inline_always, reason = "as parse_link_message")]
pub(crate) fn is_team<M: MessageBytes + ?Sized>(message: &M, offset: u32) -> Result<bool, u8> {
    if offset == 0 {
        return Ok(false);
    }
    let (length, _) = attribute_header(message, offset)?;
    let end = offset + length;
    let mut next = offset + RTA_HDRLEN;
    for _ in 0..MAX_LINKINFO_ATTRIBUTES {
        if next + RTA_HDRLEN > end {
            break;
        }
        let offset = next;
        let (length, nla_type) = attribute_header(message, offset)?;
        if length < RTA_HDRLEN || length > end - offset {
            return Err(malformed::ATTRIBUTE_LENGTH);
        }
        if nla_type == IFLA_INFO_KIND {
            let text = offset + RTA_HDRLEN;
            // The kernel sends the kind with nla_put_string: four letters and a NUL.
            return Ok(length == RTA_HDRLEN + 5
                && message.load_u32(text) == Some(u32::from_ne_bytes(*b"team"))
                && message.load_u8(text + 4) == Some(0));
        }
        next = offset + ((length + 3) & !3);
    }
    Ok(false)
}
