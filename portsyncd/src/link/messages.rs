//! Walks the netlink messages of one received buffer (netlink(7)).

use portsyncd_common::{LinkRecord, msg, parse_link_message};
use rustix::io::Errno;

const NLMSG_HDRLEN: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_DUMP_INTR`: the dump was inconsistent (`linux/netlink.h`).
const NLM_F_DUMP_INTR: u16 = 0x10;

/// One message of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// An `RTM_NEWLINK` or `RTM_DELLINK`, well-formed or marked malformed.
    Link(LinkRecord),
    /// `NLMSG_DONE`.
    Done,
    /// `NLMSG_ERROR` with an error (0 is an acknowledgement).
    Error(Option<Errno>),
    /// Anything else.
    Other,
}

/// The messages of one buffer, each with whether it carried `NLM_F_DUMP_INTR`.
pub(super) struct Messages<'a> {
    rest: &'a [u8],
    timestamp_ns: u64,
}

impl<'a> Messages<'a> {
    /// `timestamp_ns` is put into every record.
    pub(super) fn new(buffer: &'a [u8], timestamp_ns: u64) -> Self {
        Self {
            rest: buffer,
            timestamp_ns,
        }
    }

    fn link(&self, bytes: &[u8]) -> LinkRecord {
        let mut record = LinkRecord {
            timestamp_ns: self.timestamp_ns,
            ..LinkRecord::default()
        };
        parse_link_message(bytes, &mut record);
        record
    }
}

impl Iterator for Messages<'_> {
    type Item = (Message, bool);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, _) = self.rest.split_first_chunk::<NLMSG_HDRLEN>()?;
        let [l0, l1, l2, l3, t0, t1, f0, f1, ..] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let interrupted = u16::from_ne_bytes([f0, f1]) & NLM_F_DUMP_INTR != 0;
        let message = &self.rest[..length.clamp(NLMSG_HDRLEN, self.rest.len())];
        // A length below the header would never end the walk: take it as the last.
        self.rest = match length {
            0..NLMSG_HDRLEN => &[],
            _ => self.rest.get(length.next_multiple_of(4)..).unwrap_or(&[]),
        };
        let message = match u16::from_ne_bytes([t0, t1]) {
            msg::NEWLINK | msg::DELLINK => Message::Link(self.link(message)),
            NLMSG_DONE => Message::Done,
            NLMSG_ERROR => Message::Error(error_of(message)),
            _ => Message::Other,
        };
        Some((message, interrupted))
    }
}

/// The error of an `NLMSG_ERROR`; `None` for an acknowledgement.
fn error_of(message: &[u8]) -> Option<Errno> {
    let code = message.get(NLMSG_HDRLEN..)?.first_chunk()?;
    match i32::from_ne_bytes(*code) {
        0 => None,
        // `MAX_ERRNO` (`linux/err.h`): rustix panics beyond it.
        code @ -4095..=-1 => Some(Errno::from_raw_os_error(-code)),
        _ => Some(Errno::PROTO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(length: u32, nl_type: u16, flags: u16) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(nl_type.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes
    }

    #[test]
    fn done_and_errors_are_told_apart() {
        let mut bytes = header(20, NLMSG_ERROR, 0);
        bytes.extend((-1_i32).to_ne_bytes());
        bytes.extend(header(20, NLMSG_DONE, NLM_F_DUMP_INTR));
        bytes.extend(0_i32.to_ne_bytes());
        let messages: Vec<_> = Messages::new(&bytes, 0).collect();
        assert_eq!(
            messages,
            [
                (Message::Error(Some(Errno::PERM)), false),
                (Message::Done, true)
            ]
        );
    }

    #[test]
    fn a_code_that_is_no_error_of_the_kernels_is_an_error_all_the_same() {
        for code in [1, 7, -4096, i32::MIN, i32::MAX] {
            let mut bytes = header(20, NLMSG_ERROR, 0);
            bytes.extend(code.to_ne_bytes());
            let messages: Vec<_> = Messages::new(&bytes, 0).collect();
            assert_eq!(messages, [(Message::Error(Some(Errno::PROTO)), false)]);
        }
    }

    #[test]
    fn a_wrong_length_ends_the_walk_and_is_not_lost() {
        for length in [0, 15, 4000] {
            let bytes = header(length, msg::NEWLINK, 0);
            let messages: Vec<_> = Messages::new(&bytes, 0).collect();
            assert_eq!(messages.len(), 1, "{length}");
            assert!(matches!(&messages[0].0, Message::Link(r) if r.malformed != 0));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes: Vec<u8>) {
            proptest::prop_assert!(Messages::new(&bytes, 0).count() <= bytes.len() / NLMSG_HDRLEN + 1);
        }
    }
}
