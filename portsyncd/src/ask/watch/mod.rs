//! `portsyncd watch`: the ports live, on a terminal; a line for each change anywhere else.
//!
//! ```text
//! daemon ── /events, /status, /ports ──▶ feed ──▶ lines ──▶ a pipe, a file, a dumb terminal
//!                                          └────▶ board ──▶ view ──▶ screen
//!                                    keys ────────┘
//! ```
//!
//! A reader that is slower than the daemon falls behind in the daemon's own ring, is told how much
//! it missed, and asks for everything anew. Nothing grows here, and the daemon never waits.

mod board;
mod cells;
mod feed;
mod keys;
mod lines;
mod port;
mod screen;
mod sse;
mod trace;
mod view;

use std::env;
use std::io::{self, IsTerminal};

use super::client::{Client, runtime};
use super::{AskError, Asking};
use crate::config::Config;

/// Follows the daemon until the user leaves or the reader of a pipe does.
pub(super) fn run(asking: &Asking, config: &Config) -> Result<(), AskError> {
    let client = Client::new(asking, config)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        if asking.json || !has_screen() {
            lines::run(client, asking.json).await
        } else {
            screen::run(client).await
        }
    })
}

/// Whether what we write is shown by something that can move a cursor (term(7)).
fn has_screen() -> bool {
    let term = env::var("TERM").unwrap_or_default();
    io::stdout().is_terminal() && !term.is_empty() && term != "dumb"
}
