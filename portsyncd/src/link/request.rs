//! `RTM_GETLINK` requests (rtnetlink(7)).

const RTM_GETLINK: u16 = 18;
const IFLA_EXT_MASK: u16 = 29;
/// `RTEXT_FILTER_SKIP_STATS` (`linux/rtnetlink.h`): statistics are of no use here
/// and cost the kernel more than all the rest.
const SKIP_STATS: u32 = 8;

/// `struct nlmsghdr` with `flags`, `struct ifinfomsg` of `ifindex` (0 in a dump)
/// and `IFLA_EXT_MASK`.
pub(super) fn getlink(flags: u16, ifindex: u32) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[0..4].copy_from_slice(&40_u32.to_ne_bytes());
    bytes[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[20..24].copy_from_slice(&ifindex.to_ne_bytes());
    bytes[32..34].copy_from_slice(&8_u16.to_ne_bytes());
    bytes[34..36].copy_from_slice(&IFLA_EXT_MASK.to_ne_bytes());
    bytes[36..40].copy_from_slice(&SKIP_STATS.to_ne_bytes());
    bytes
}
