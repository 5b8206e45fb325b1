//! Doors into private parts, for the fuzzers in `fuzz/` and the instruction counts.
//! Only with the feature `internals`: no part of the library's interface.

pub use crate::db::internals as db;
pub use crate::link::internals as link;
pub use crate::observe::internals as observe;
