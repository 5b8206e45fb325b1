//! What the fuzzers need of the files.

pub(in crate::observe) use super::sealed::{open_map, seal};
pub(in crate::observe) use super::state::{read, write};
