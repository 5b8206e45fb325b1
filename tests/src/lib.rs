//! The test bed: real kernels, real Redis and the real daemon, one set of them
//! per test.
//!
//! What each module owns:
//!
//! - [`namespace`]: a network namespace that only its test knows;
//! - [`tap`], [`bridge`]: netdevs in it, whose carrier, flags, MTU and name the
//!   test changes as a NIC driver and an operator would;
//! - [`rtnl`]: an independent reader of the kernel's link state;
//! - [`redis_server`]: a private Redis with SONiC's settings;
//! - [`certificates`]: a CA of the test's own, and what it signs;
//! - [`config_db`]: what SONiC's configuration would have written there;
//! - [`daemon`]: the `portsyncd` binary under test, its configuration, log, exit;
//! - [`proxy`]: what stands between the daemon and Redis, and is slow or hangs up;
//! - [`consumer`], [`events`], [`commands`]: who listens to Redis in orchagent's place;
//! - [`http`]: a client of the daemon's listener;
//! - [`prometheus`], [`promql`]: the real Prometheus beside the daemon, and what its queries ask for;
//! - [`terminal`], [`browser`]: a real terminal and a real browser to look at;
//! - [`oracle`]: whether `STATE_DB` says what the kernel says;
//! - [`bed`]: all of these together, and the reports of failures.
//!
//! Nothing here is shared with the daemon: the rules it checks are written down
//! a second time, from the kernel's and swss-common's own definitions. Every
//! wait has a deadline. Everything is gone when its owner is dropped, and the
//! child processes are gone even when the test process is killed.
#![deny(unsafe_code)]
#![allow(
    clippy::missing_errors_doc,
    reason = "an error here is a failed test; its anyhow context says what was being done"
)]

pub mod bed;
pub mod bridge;
pub mod browser;
pub mod certificates;
pub mod child;
pub mod commands;
pub mod config_db;
pub mod consumer;
pub mod daemon;
pub mod events;
pub mod http;
pub mod namespace;
pub mod oracle;
pub mod prometheus;
pub mod promql;
pub mod proxy;
pub mod redis_server;
pub mod rtnl;
mod sys;
pub mod tap;
pub mod terminal;
pub mod wait;

pub use bed::Bed;
pub use commands::Commands;
pub use config_db::port_names;
pub use consumer::Consumer;
pub use daemon::{Daemon, DaemonConfig, Source};
pub use events::Events;
pub use namespace::Namespace;
pub use oracle::Oracle;
pub use proxy::{Proxy, Way};
pub use redis_server::{RedisOptions, RedisServer};
pub use rtnl::{Monitor, Netdev, Rtnl};
pub use tap::Tap;
pub use wait::{PATIENCE, wait_until};
