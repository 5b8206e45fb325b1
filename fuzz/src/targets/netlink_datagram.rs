//! A datagram of the netlink socket: walked, and its links given to a table.

use portsyncd::internals::link::{Walked, walk};
use portsyncd::table::{NameFilter, PortTable};
use portsyncd_common::{LinkRecord, parse_link_message};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;

pub(crate) fn run(bytes: &[u8]) {
    let walked = walk(bytes, 7);
    assert_eq!(walked, expected(bytes));
    let mut table = PortTable::new(NameFilter::default());
    for (message, _) in walked {
        if let Walked::Link(record) = message {
            table.link_message(&record);
        }
    }
}

/// 0 acknowledges; the kernel's errors are from -1 to -4095, and anything else is none of its.
fn error(message: &[u8]) -> Option<i32> {
    const EPROTO: i32 = 71;
    match i32::from_ne_bytes(message.get(16..20)?.try_into().ok()?) {
        0 => None,
        code @ -4095..=-1 => Some(code),
        _ => Some(-EPROTO),
    }
}

/// The same by offsets from the start.
fn expected(bytes: &[u8]) -> Vec<(Walked, bool)> {
    let (mut at, mut messages) = (0, Vec::new());
    while at + 16 <= bytes.len() {
        let half = |offset: usize| u16::from_ne_bytes([bytes[at + offset], bytes[at + offset + 1]]);
        let length = bytes[at..].first_chunk().expect("16 bytes and more");
        let length = u32::from_ne_bytes(*length) as usize;
        let message = &bytes[at..at + length.clamp(16, bytes.len() - at)];
        let walked = match half(4) {
            NEWLINK | DELLINK => {
                let mut record = LinkRecord {
                    timestamp_ns: 7,
                    ..LinkRecord::default()
                };
                parse_link_message(message, &mut record);
                Walked::Link(record)
            }
            2 => Walked::Error(error(message)),
            3 => Walked::Done,
            _ => Walked::Other,
        };
        messages.push((walked, half(6) & 0x10 != 0));
        if length < 16 {
            break;
        }
        at += length.next_multiple_of(4);
    }
    messages
}
