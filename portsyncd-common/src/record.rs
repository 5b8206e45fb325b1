//! One link event as it travels through the ring buffer.

use core::mem::offset_of;

use crate::name::IFNAMSIZ;

/// One link event: fixed size, no padding, native byte order.
///
/// The fields that a message did not carry are zero and their bit in
/// [`present`](LinkRecord::present) is clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LinkRecord {
    /// `CLOCK_MONOTONIC` in nanoseconds: in the kernel when the message was sent
    /// (eBPF), or when it was read from the socket (plain netlink).
    pub timestamp_ns: u64,
    /// The netdev's index; 0 only when the message was too short to hold one.
    pub ifindex: u32,
    /// `ifi_flags`: the [`flag`] bits among them.
    pub flags: u32,
    /// `ifi_change`: all ones when the netdev was just registered
    /// (`register_netdevice`, `rtnl_configure_link`).
    pub change: u32,
    /// `IFLA_MTU` in bytes.
    pub mtu: u32,
    /// `IFLA_MASTER`: the ifindex of the bridge, bond or team above.
    pub master: u32,
    /// `IFLA_CARRIER_UP_COUNT`.
    pub carrier_up_count: u32,
    /// `IFLA_CARRIER_DOWN_COUNT`.
    pub carrier_down_count: u32,
    /// The [`present`] bits: which attributes the message carried.
    pub present: u32,
    /// The [`msg`] type.
    pub msg_type: u16,
    /// `ifi_family`: `AF_UNSPEC` (0), or `AF_BRIDGE` (7) for a bridge's port.
    pub family: u8,
    /// `IFLA_OPERSTATE` (RFC 2863): 6 is up, 2 is down.
    pub operstate: u8,
    /// `IFLA_CARRIER`: 0 or 1.
    pub carrier: u8,
    /// The [`kind`] of the link, from `IFLA_LINKINFO`.
    pub kind: u8,
    /// Why the message could not be read ([`malformed`]); 0 when it could.
    pub malformed: u8,
    /// Keeps the record free of padding; always 0.
    pub reserved: u8,
    /// `IFLA_IFNAME`, NUL-padded.
    pub name: [u8; IFNAMSIZ],
}

const _: () = assert!(
    size_of::<LinkRecord>() == 64,
    "a record is one cache line, and has no padding"
);

impl LinkRecord {
    /// Size of a record in the ring, in bytes.
    pub const SIZE: usize = size_of::<Self>();

    /// Reads a record as the kernel side wrote it into the ring.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        fn take<const N: usize>(bytes: &[u8; LinkRecord::SIZE], at: usize) -> [u8; N] {
            core::array::from_fn(|i| bytes[at + i])
        }
        let u32_at = |at| u32::from_ne_bytes(take(bytes, at));
        Self {
            timestamp_ns: u64::from_ne_bytes(take(bytes, offset_of!(Self, timestamp_ns))),
            ifindex: u32_at(offset_of!(Self, ifindex)),
            flags: u32_at(offset_of!(Self, flags)),
            change: u32_at(offset_of!(Self, change)),
            mtu: u32_at(offset_of!(Self, mtu)),
            master: u32_at(offset_of!(Self, master)),
            carrier_up_count: u32_at(offset_of!(Self, carrier_up_count)),
            carrier_down_count: u32_at(offset_of!(Self, carrier_down_count)),
            present: u32_at(offset_of!(Self, present)),
            msg_type: u16::from_ne_bytes(take(bytes, offset_of!(Self, msg_type))),
            family: bytes[offset_of!(Self, family)],
            operstate: bytes[offset_of!(Self, operstate)],
            carrier: bytes[offset_of!(Self, carrier)],
            kind: bytes[offset_of!(Self, kind)],
            malformed: bytes[offset_of!(Self, malformed)],
            reserved: bytes[offset_of!(Self, reserved)],
            name: take(bytes, offset_of!(Self, name)),
        }
    }
}

/// Values of [`LinkRecord::msg_type`]: `linux/rtnetlink.h`'s, and two of our own
/// beyond any of its.
///
/// A carrier record is made when the driver reports the change, before the kernel
/// has acted on it. It has the netdev's name, ifindex, operstate (still the old
/// one), the new carrier, both counts of such changes with this one in them, and
/// the flags that `dev_get_flags` would give now; nothing else.
pub mod msg {
    /// A netdev appeared or changed.
    pub const NEWLINK: u16 = 16;
    /// A netdev went away, or left a bridge (then with a master).
    pub const DELLINK: u16 = 17;
    /// `netif_carrier_off` was called on a netdev that had its carrier.
    pub const CARRIER_OFF: u16 = 0x8000;
    /// `netif_carrier_on` was called on a netdev that had none.
    pub const CARRIER_ON: u16 = 0x8001;
}

/// Bits of [`LinkRecord::flags`] (`linux/if.h`).
pub mod flag {
    /// Administratively up.
    pub const UP: u32 = 1;
    /// Operationally up (RFC 2863), as linkwatch last settled it.
    pub const RUNNING: u32 = 1 << 6;
    /// Takes every frame.
    pub const PROMISC: u32 = 1 << 8;
    /// Takes every multicast frame.
    pub const ALLMULTI: u32 = 1 << 9;
    /// The carrier itself, not delayed by linkwatch.
    pub const LOWER_UP: u32 = 1 << 16;
    /// Waits for something outside the netdev.
    pub const DORMANT: u32 = 1 << 17;
}

/// Values of [`LinkRecord::operstate`] (`linux/if.h`, RFC 2863).
pub mod operstate {
    /// Nobody ever said; counts as up (`netif_oper_up`).
    pub const UNKNOWN: u8 = 0;
    /// Up.
    pub const UP: u8 = 6;
}

/// Bits of [`LinkRecord::present`].
pub mod present {
    /// `mtu` was in the message.
    pub const MTU: u32 = 1;
    /// `operstate` was in the message.
    pub const OPERSTATE: u32 = 1 << 1;
    /// `carrier` was in the message.
    pub const CARRIER: u32 = 1 << 2;
    /// `carrier_up_count` was in the message.
    pub const CARRIER_UP_COUNT: u32 = 1 << 3;
    /// `carrier_down_count` was in the message.
    pub const CARRIER_DOWN_COUNT: u32 = 1 << 4;
    /// `master` was in the message.
    pub const MASTER: u32 = 1 << 5;
    /// `name` was in the message.
    pub const NAME: u32 = 1 << 6;
}

/// Values of [`LinkRecord::kind`].
pub mod kind {
    /// Any kind but those below, or none at all.
    pub const OTHER: u8 = 0;
    /// `team`: a LAG, whose state teamsyncd publishes.
    pub const TEAM: u8 = 1;
}

/// Values of [`LinkRecord::malformed`].
pub mod malformed {
    /// The message was read whole.
    pub const NOT: u8 = 0;
    /// Shorter than its headers, or than its own `nlmsg_len`.
    pub const TRUNCATED: u8 = 1;
    /// An attribute is shorter than its header or longer than the message.
    pub const ATTRIBUTE_LENGTH: u8 = 2;
    /// An attribute that we read has another size than the kernel gives it.
    pub const ATTRIBUTE_SIZE: u8 = 3;
    /// More attributes than [`MAX_ATTRIBUTES`](crate::MAX_ATTRIBUTES).
    pub const TOO_MANY_ATTRIBUTES: u8 = 4;
    /// No usable `IFLA_IFNAME`.
    pub const NAME: u8 = 5;
    /// The kernel's own memory could not be read (carrier records).
    pub const UNREADABLE: u8 = 6;
}

/// Indices into the eBPF programs' counters, apart for each origin.
///
/// `SEEN = SUBMITTED + LOST`, and the same of the carrier's three, holds at every
/// instant at which no event is half-way through a program.
pub mod counter {
    /// Link messages that the program was run for.
    pub const SEEN: u32 = 0;
    /// Records of them put into the ring, malformed ones included.
    pub const SUBMITTED: u32 = 1;
    /// Messages for which the ring had no room.
    pub const LOST: u32 = 2;
    /// Of those submitted, of either origin, the records marked malformed.
    pub const MALFORMED: u32 = 3;
    /// Carrier changes of registered netdevs of the daemon's namespace.
    pub const CARRIER_SEEN: u32 = 4;
    /// Records of them put into the ring.
    pub const CARRIER_SUBMITTED: u32 = 5;
    /// Changes for which the ring had no room, or that could not be read.
    pub const CARRIER_LOST: u32 = 6;
    /// How many counters there are.
    pub const COUNT: u32 = 7;
}
