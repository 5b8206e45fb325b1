//! Fuzz targets: every place where portsyncd reads bytes that somebody else wrote.
//!
//! A target takes any bytes and panics when something does not hold. "No panic" is
//! the least of it: where there is a second way to know the answer (a reference
//! parser, reading back what was written, the same bytes in other pieces) it is
//! compared. `corpus/` has seeds for each target, and every input that ever failed;
//! `tests/corpus.rs` runs all of them in the ordinary tests.
//!
//! Never touches the kernel, Redis or the network.
#![forbid(unsafe_code)]

mod targets;

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// Panics when something does not hold.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 11] = [
    Target {
        name: "link_message",
        run: targets::link_message::run,
    },
    Target {
        name: "netlink_datagram",
        run: targets::netlink_datagram::run,
    },
    Target {
        name: "btf",
        run: targets::btf::run,
    },
    Target {
        name: "configuration",
        run: targets::configuration::run,
    },
    Target {
        name: "database_config",
        run: targets::database_config::run,
    },
    Target {
        name: "state_file",
        run: targets::saved_files::state,
    },
    Target {
        name: "metrics_file",
        run: targets::saved_files::metrics,
    },
    Target {
        name: "http",
        run: targets::http::run,
    },
    Target {
        name: "config_db_row",
        run: targets::config_db_row::run,
    },
    Target {
        name: "redis_answers",
        run: targets::redis::answers_in_pieces,
    },
    Target {
        name: "state_row",
        run: targets::redis::row,
    },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
