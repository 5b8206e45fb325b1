//! The daemon's parts, as a library that its tests can use.

#![forbid(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod db;
pub mod exit;
pub mod link;
pub mod logging;
pub mod privileges;
pub mod table;
