//! The daemon's parts, as a library that its tests can use.

#![forbid(unsafe_code)]

pub mod ask;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod db;
pub mod doctor;
pub mod exit;
#[cfg(feature = "internals")]
pub mod internals;
pub mod link;
pub mod logging;
mod observe;
pub mod privileges;
pub mod report;
pub mod table;
pub mod wall_time;
