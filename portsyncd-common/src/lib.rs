//! What the kernel side and the user side of portsyncd share.
//!
//! Owns the layout of one ring-buffer record ([`LinkRecord`]), the name of a
//! netdev ([`IfName`]), the indices of the loss counters ([`counter`]) and the
//! parser that turns one `RTM_NEWLINK`/`RTM_DELLINK` message into a record
//! ([`parse_link_message`]). The same parser runs inside the kernel (over a
//! socket buffer) and in the daemon (over bytes read from a netlink socket), so
//! both link sources see the same events.
//!
//! Never allocates, never touches the kernel, knows nothing of Redis.
#![no_std]
#![forbid(unsafe_code)]

mod attributes;
mod name;
mod parse;
mod record;

pub use attributes::MAX_ATTRIBUTES;
pub use name::{IFNAMSIZ, IfName, NotAnIfName};
pub use parse::{MessageBytes, parse_link_message};
pub use record::{LinkRecord, counter, flag, kind, malformed, msg, operstate, present};
