//! What the fuzzers need of the listener.

pub(in crate::observe) use super::connection::speak;
