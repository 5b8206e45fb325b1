//! The walk of a netlink datagram, for the fuzzers.

use portsyncd_common::LinkRecord;

use super::messages::{Message, Messages};

/// What one message of a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walked {
    /// A link message.
    Link(LinkRecord),
    /// The end of a dump.
    Done,
    /// An error, as its code; none for an acknowledgement.
    Error(Option<i32>),
    /// Anything else.
    Other,
}

/// The messages of a datagram, each with whether it says that the dump was interrupted.
#[must_use]
pub fn walk(datagram: &[u8], timestamp_ns: u64) -> Vec<(Walked, bool)> {
    let messages = Messages::new(datagram, timestamp_ns);
    let walked = messages.map(|(message, interrupted)| {
        let walked = match message {
            Message::Link(record) => Walked::Link(record),
            Message::Done => Walked::Done,
            Message::Error(error) => Walked::Error(error.map(|error| -error.raw_os_error())),
            Message::Other => Walked::Other,
        };
        (walked, interrupted)
    });
    walked.collect()
}
