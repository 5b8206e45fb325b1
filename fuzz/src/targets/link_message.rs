//! One link message, as the eBPF program reads it: through checked loads.

use std::cell::Cell;

use portsyncd_common::{IFNAMSIZ, IfName, LinkRecord, MessageBytes, malformed, parse_link_message};

use super::reference;

/// The socket buffer in the kernel's place: loads answer as `bpf_skb_load_bytes`
/// does, and the last byte that was asked for with success is noted.
struct SocketBuffer<'a> {
    bytes: &'a [u8],
    loads: Cell<u32>,
}

/// The verifier lets a program take a million steps; the parser is far from that.
const MOST_LOADS: u32 = 512;

impl SocketBuffer<'_> {
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.loads.set(self.loads.get() + 1);
        self.bytes.get(offset as usize..)?.first_chunk().copied()
    }
}

impl MessageBytes for SocketBuffer<'_> {
    fn len(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("an input of 4 GiB")
    }

    fn load_u8(&self, offset: u32) -> Option<u8> {
        self.load(offset).map(|[byte]| byte)
    }

    fn load_u32(&self, offset: u32) -> Option<u32> {
        self.load(offset).map(u32::from_ne_bytes)
    }

    fn load_name(&self, offset: u32, length: u32, to: &mut [u8; IFNAMSIZ]) -> bool {
        // What the kernel side has to be able to rely on.
        assert!((1..=16).contains(&length), "a name of {length} bytes");
        self.loads.set(self.loads.get() + 1);
        let end = offset as usize + length as usize;
        let Some(bytes) = self.bytes.get(offset as usize..end) else {
            return false;
        };
        to[..bytes.len()].copy_from_slice(bytes);
        true
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let before = LinkRecord {
        timestamp_ns: 7,
        mtu: 0xdead,
        present: u32::MAX,
        ..LinkRecord::default()
    };
    let buffer = SocketBuffer {
        bytes,
        loads: Cell::new(0),
    };
    let mut record = before;
    parse_link_message(&buffer, &mut record);
    assert!(buffer.loads.get() <= MOST_LOADS, "{}", buffer.loads.get());

    let mut in_the_daemon = before;
    parse_link_message(bytes, &mut in_the_daemon);
    assert_eq!(record, in_the_daemon, "both sides see the same");

    if let Some(expected) = reference::read(bytes) {
        let expected = LinkRecord {
            timestamp_ns: 7,
            ..expected
        };
        assert_eq!(record, expected);
        // What is behind the message is nobody's business.
        let length = u32::from_ne_bytes(*bytes.first_chunk().expect("read")) as usize;
        let mut alone = before;
        parse_link_message(&bytes[..length], &mut alone);
        assert_eq!(record, alone);
        // A name that cannot be one is a name all the same: the table refuses it.
        let _ = IfName::from_buffer(&record.name);
    } else {
        assert_ne!(record.malformed, malformed::NOT);
        assert_eq!((record.timestamp_ns, record.reserved), (7, 0));
        if let Some(ifindex) = bytes.get(20..).and_then(|rest| rest.first_chunk()) {
            assert_eq!(record.ifindex, u32::from_ne_bytes(*ifindex));
        }
    }
}
