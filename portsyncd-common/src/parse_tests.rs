//! Messages made by hand, whole and broken, against the parser.

extern crate std;

use std::vec::Vec;

use super::*;
use crate::attributes::MAX_ATTRIBUTES;
use crate::record::{flag, msg};

const IFLA_STATS: u16 = 7;
const IFLA_VFINFO_LIST: u16 = 22;
const IFLA_STATS64: u16 = 23;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const NLA_F_NESTED: u16 = 1 << 15;

const AF_BRIDGE: u8 = 7;
const FLAGS: u32 = flag::UP | flag::RUNNING | flag::LOWER_UP;

/// A link message in the making.
struct Message(Vec<u8>);

impl Message {
    fn new(msg_type: u16, family: u8, ifindex: u32) -> Self {
        let mut bytes = Vec::new();
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(msg_type.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend([family, 0, 1, 0]);
        bytes.extend(ifindex.to_ne_bytes());
        bytes.extend(FLAGS.to_ne_bytes());
        bytes.extend(u32::MAX.to_ne_bytes());
        Self(bytes).measured()
    }

    fn port(name: &str) -> Self {
        Self::new(msg::NEWLINK, 0, 7).with_name(name)
    }

    fn with(mut self, nla_type: u16, payload: &[u8]) -> Self {
        self.0.extend(attribute(nla_type, payload));
        self.measured()
    }

    fn with_name(self, name: &str) -> Self {
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        self.with(IFLA_IFNAME, &text)
    }

    fn with_u32(self, nla_type: u16, value: u32) -> Self {
        self.with(nla_type, &value.to_ne_bytes())
    }

    fn with_kind(self, kind: &[u8]) -> Self {
        self.with(IFLA_LINKINFO, &attribute(IFLA_INFO_KIND, kind))
    }

    /// Sets `nlmsg_len` to what is there.
    fn measured(mut self) -> Self {
        let length = u32::try_from(self.0.len()).unwrap();
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self
    }

    fn parse(&self) -> LinkRecord {
        parse(&self.0[..])
    }
}

fn attribute(nla_type: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 4).unwrap();
    let mut bytes = Vec::from(length.to_ne_bytes());
    bytes.extend(nla_type.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn parse<M: MessageBytes + ?Sized>(message: &M) -> LinkRecord {
    let mut record = LinkRecord {
        timestamp_ns: 99,
        mtu: 12345,
        name: *b"left from before",
        ..LinkRecord::default()
    };
    parse_link_message(message, &mut record);
    assert_eq!(record.timestamp_ns, 99);
    record
}

fn name(text: &[u8]) -> [u8; IFNAMSIZ] {
    let mut name = [0; IFNAMSIZ];
    name[..text.len()].copy_from_slice(text);
    name
}

/// A message with everything that a record keeps and much that it does not, in
/// the kernel's order (`rtnl_fill_ifinfo`).
fn full() -> Message {
    let vf: Vec<u8> = (0..64).flat_map(|vf| attribute(1, &[vf; 200])).collect();
    Message::port("Ethernet1234567")
        .with(IFLA_OPERSTATE, &[6])
        .with_u32(IFLA_MTU, 9100)
        .with_u32(IFLA_MASTER, 41)
        .with(IFLA_CARRIER, &[1])
        .with(IFLA_STATS64, &[0xff; 4096])
        .with(IFLA_STATS, &[3; 96])
        .with(IFLA_VFINFO_LIST | NLA_F_NESTED, &vf)
        .with(IFLA_AF_SPEC, &attribute(10, &attribute(IFLA_MTU, &[1; 4])))
        .with_u32(IFLA_CARRIER_UP_COUNT, 11)
        .with_u32(IFLA_CARRIER_DOWN_COUNT, 12)
        .with_kind(b"team\0")
}

fn full_record() -> LinkRecord {
    LinkRecord {
        timestamp_ns: 99,
        ifindex: 7,
        flags: FLAGS,
        change: u32::MAX,
        mtu: 9100,
        master: 41,
        carrier_up_count: 11,
        carrier_down_count: 12,
        present: (present::NAME << 1) - 1,
        msg_type: msg::NEWLINK,
        family: 0,
        operstate: 6,
        carrier: 1,
        kind: kind::TEAM,
        malformed: malformed::NOT,
        reserved: 0,
        name: name(b"Ethernet1234567"),
    }
}

#[test]
fn every_field_is_read_behind_long_and_nested_attributes() {
    assert_eq!(full().parse(), full_record());
}

#[test]
fn what_a_message_lacks_is_absent_and_zero() {
    let record = Message::port("E").parse();
    assert_eq!(record.present, present::NAME);
    assert_eq!(record.malformed, malformed::NOT);
    assert_eq!(
        (record.mtu, record.master, record.kind),
        (0, 0, kind::OTHER)
    );
    assert_eq!(record.name, name(b"E"));
}

#[test]
fn the_last_of_an_attribute_counts() {
    let message = Message::port("Ethernet0")
        .with_u32(IFLA_MTU, 1500)
        .with_u32(IFLA_MTU, 9100);
    assert_eq!(message.parse().mtu, 9100);
}

#[test]
fn a_bridge_port_leaving_is_told_from_a_netdev_going() {
    let record = Message::new(msg::DELLINK, AF_BRIDGE, 9)
        .with_name("Ethernet0")
        .with_u32(IFLA_MASTER, 3)
        .parse();
    assert_eq!(
        (record.msg_type, record.family, record.ifindex),
        (msg::DELLINK, AF_BRIDGE, 9)
    );
    assert_eq!((record.master, record.malformed), (3, malformed::NOT));
}

#[test]
fn only_team_is_team() {
    for kind_text in [
        &b"teamx\0"[..],
        b"tea\0",
        b"team",
        b"teams",
        b"team\0x",
        b"bond\0",
        b"\0",
        b"",
    ] {
        let record = Message::port("PortChannel1").with_kind(kind_text).parse();
        assert_eq!(
            (record.kind, record.malformed),
            (kind::OTHER, malformed::NOT),
            "{kind_text:?}"
        );
    }
    let nested = attribute(IFLA_INFO_KIND, b"team\0");
    let flagged = Message::port("PortChannel1").with(IFLA_LINKINFO | NLA_F_NESTED, &nested);
    assert_eq!(flagged.parse().kind, kind::TEAM);
}

#[test]
fn a_member_of_a_team_is_no_team() {
    let mut info = attribute(IFLA_INFO_SLAVE_KIND, b"team\0");
    assert_eq!(
        Message::port("E").with(IFLA_LINKINFO, &info).parse().kind,
        kind::OTHER
    );
    // Whatever the order in which they stand.
    info.extend(attribute(IFLA_INFO_DATA, &[7; 400]));
    info.extend(attribute(IFLA_INFO_KIND, b"team\0"));
    assert_eq!(
        Message::port("E").with(IFLA_LINKINFO, &info).parse().kind,
        kind::TEAM
    );
}

#[test]
fn linkinfo_that_overruns_itself_is_malformed() {
    for length in [0_u16, 3, 10, u16::MAX] {
        let mut info = attribute(IFLA_INFO_KIND, b"team\0");
        info.truncate(8);
        info[..2].copy_from_slice(&length.to_ne_bytes());
        // Bytes follow, but they are another attribute's.
        let message = Message::port("E")
            .with(IFLA_LINKINFO, &info)
            .with_u32(IFLA_MTU, 1);
        assert_eq!(
            message.parse().malformed,
            malformed::ATTRIBUTE_LENGTH,
            "{length}"
        );
    }
}

#[test]
fn a_cut_message_is_truncated() {
    let whole = full().0;
    for cut in 0..whole.len() {
        let record = parse(&whole[..cut]);
        assert_eq!(record.malformed, malformed::TRUNCATED, "cut at {cut}");
        assert_eq!(record.ifindex, if cut < 24 { 0 } else { 7 }, "cut at {cut}");
        assert_eq!(record.present, 0, "cut at {cut}");
    }
}

#[test]
fn a_cut_message_that_says_so_is_malformed_or_right() {
    let (whole, expected) = (full().0, full_record());
    for cut in 32..whole.len() {
        let record = Message(whole[..cut].to_vec()).measured().parse();
        assert_eq!(
            (record.ifindex, record.flags),
            (expected.ifindex, expected.flags)
        );
        if record.malformed == malformed::NOT {
            let or_zero = |bit, value: u32| if record.present & bit == 0 { 0 } else { value };
            assert_eq!(record.name, expected.name, "cut at {cut}");
            assert_eq!(record.mtu, or_zero(present::MTU, 9100), "cut at {cut}");
            assert_eq!(record.master, or_zero(present::MASTER, 41), "cut at {cut}");
            assert_eq!(
                u32::from(record.operstate),
                or_zero(present::OPERSTATE, 6),
                "cut at {cut}"
            );
            assert_eq!(
                u32::from(record.carrier),
                or_zero(present::CARRIER, 1),
                "cut at {cut}"
            );
            assert_eq!(
                record.carrier_up_count,
                or_zero(present::CARRIER_UP_COUNT, 11)
            );
            assert_eq!(
                record.carrier_down_count,
                or_zero(present::CARRIER_DOWN_COUNT, 12)
            );
        }
    }
}

#[test]
fn nlmsg_len_beyond_the_buffer_or_below_the_headers_is_truncated() {
    for length in [0, 16, 31, 49, 1 << 31, u32::MAX] {
        let mut message = Message::port("Ethernet0");
        message.0[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(message.parse().malformed, malformed::TRUNCATED, "{length}");
    }
}

#[test]
fn bytes_after_the_message_are_not_its_own() {
    let mut bytes = Message::port("Ethernet0").0;
    bytes.extend(attribute(IFLA_MTU, &9100_u32.to_ne_bytes()));
    assert_eq!(parse(&bytes[..]).present, present::NAME);
}

#[test]
fn an_attribute_of_impossible_length_is_malformed() {
    for length in [0_u16, 3, 9, u16::MAX] {
        let mut message = Message::port("Ethernet0").with_u32(IFLA_MTU, 1500);
        let header = message.0.len() - 8;
        message.0[header..header + 2].copy_from_slice(&length.to_ne_bytes());
        let record = message.parse();
        assert_eq!(record.malformed, malformed::ATTRIBUTE_LENGTH, "{length}");
        assert_eq!((record.ifindex, record.present), (7, 0));
    }
}

#[test]
fn a_wanted_attribute_of_another_size_is_malformed() {
    let words = [
        IFLA_MTU,
        IFLA_MASTER,
        IFLA_CARRIER_UP_COUNT,
        IFLA_CARRIER_DOWN_COUNT,
    ];
    for (nla_type, right) in words
        .map(|word| (word, 4))
        .into_iter()
        .chain([(IFLA_OPERSTATE, 1), (IFLA_CARRIER, 1)])
    {
        for size in (0..9).filter(|&size| size != right) {
            let record = Message::port("E").with(nla_type, &[1; 9][..size]).parse();
            assert_eq!(
                record.malformed,
                malformed::ATTRIBUTE_SIZE,
                "{nla_type} of {size}"
            );
        }
    }
}

#[test]
fn a_name_has_one_to_fifteen_bytes_and_a_nul() {
    assert_eq!(
        Message::new(msg::NEWLINK, 0, 7).parse().malformed,
        malformed::NAME
    );
    for bad in [
        &b""[..],
        b"\0",
        b"\0\0",
        b"E",
        b"Ethernet0",
        b"Ethernet12345678\0",
        b"0123456789abcdef",
    ] {
        let record = Message::new(msg::NEWLINK, 0, 7)
            .with(IFLA_IFNAME, bad)
            .parse();
        assert_eq!(
            (record.malformed, record.ifindex),
            (malformed::NAME, 7),
            "{bad:?}"
        );
        assert_eq!(record.present & present::NAME, 0, "{bad:?}");
    }
}

#[test]
fn more_attributes_than_the_bound_are_malformed() {
    let fill = |count| {
        (1..count).fold(Message::port("E"), |message, _| {
            message.with(IFLA_STATS, &[])
        })
    };
    assert_eq!(fill(MAX_ATTRIBUTES).parse().malformed, malformed::NOT);
    let record = fill(MAX_ATTRIBUTES + 1).parse();
    assert_eq!(
        (record.malformed, record.ifindex),
        (malformed::TOO_MANY_ATTRIBUTES, 7)
    );
}

#[test]
fn types_that_only_look_wanted_are_passed_over() {
    // Every type whose place or low bits could be taken for a wanted one's.
    let wanted = [3, 4, 10, 16, 18, 33, 47, 48];
    for nla_type in (0..0x3fff).filter(|nla_type| !wanted.contains(nla_type)) {
        let record = Message::port("E").with(nla_type, &[0xff; 3]).parse();
        assert_eq!(
            (record.malformed, record.present),
            (malformed::NOT, present::NAME),
            "{nla_type}"
        );
    }
}

/// A message that says it is `length` bytes long, in a buffer without an end.
struct Endless {
    length: u32,
    seed: u64,
}

impl MessageBytes for Endless {
    fn len(&self) -> u32 {
        u32::MAX
    }
    fn load_u8(&self, offset: u32) -> Option<u8> {
        self.load_u32(offset).map(|word| word.to_ne_bytes()[0])
    }
    fn load_u32(&self, offset: u32) -> Option<u32> {
        if offset == 0 {
            return Some(self.length);
        }
        let word = (self.seed ^ u64::from(offset)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        u32::try_from(word.wrapping_mul(word | 1) >> 32).ok()
    }
    fn load_name(&self, _: u32, length: u32, to: &mut [u8; IFNAMSIZ]) -> bool {
        assert!((1..=16).contains(&length));
        to.fill(1);
        true
    }
}

#[test]
fn no_length_makes_an_offset_overflow() {
    for seed in 0..2000 {
        for length in [(1 << 18) + 1, 1 << 31, u32::MAX - 3, u32::MAX] {
            let record = parse(&Endless { length, seed });
            assert_eq!(record.malformed, malformed::TRUNCATED);
        }
        let record = parse(&Endless {
            length: 1 << 18,
            seed,
        });
        assert_ne!(record.malformed, malformed::NOT, "{record:?}");
        assert_ne!(record.malformed, malformed::TRUNCATED, "{record:?}");
    }
}

#[test]
fn random_bytes_never_panic_and_never_leave_the_message() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    let whole = full().0;
    let mut readable = 0;
    for _ in 0..200_000 {
        let mut bytes = whole[..32 + next() % 200].to_vec();
        for _ in 0..next() % 8 {
            let at = next() % bytes.len();
            bytes[at] = next().to_ne_bytes()[0];
        }
        let record = Message(bytes).measured().parse();
        if record.malformed == malformed::NOT {
            readable += 1;
            assert!(
                record.present & present::NAME != 0 && record.name[15] == 0 && record.name[0] != 0
            );
        }
    }
    assert!(
        readable > 1000,
        "the generator made {readable} readable messages only"
    );
}
