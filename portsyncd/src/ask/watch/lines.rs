//! A line for each change, without control characters: for pipes, files, dumb terminals.
//!
//! Standard output has changes only; what happens to the connection goes to standard error.

use std::io::{self, Write};

use tokio::sync::mpsc;

use super::feed::{self, News, Wanted};
use crate::ask::AskError;
use crate::ask::client::Client;
use crate::ask::ports::change;
use crate::report::PortEvent;
use crate::wall_time::Utc;

/// Prints until the reader has seen enough.
pub(super) async fn run(client: Client, json: bool) -> Result<(), AskError> {
    let wanted = if json { Wanted::Json } else { Wanted::Changes };
    let (to, mut news) = mpsc::channel(256);
    let feed = async {
        let result = feed::run(&client, wanted, &to).await;
        drop(to);
        result
    };
    let print = async {
        let mut lost = false;
        while let Some(news) = news.recv().await {
            if let News::Change(_) | News::Text(_) = news
                && std::mem::take(&mut lost)
            {
                eprintln!("portsyncd: connected again");
            }
            let printed = match news {
                News::Change(event) => line(&one_line(&event)),
                News::Text(text) => line(&plain(&text)),
                News::Missed(missed) => {
                    eprintln!("portsyncd: {missed} changes were not told: this reader is too slow");
                    Ok(())
                }
                News::Lost(reason) => {
                    if !std::mem::replace(&mut lost, true) {
                        eprintln!("portsyncd: {reason}; trying again");
                    }
                    Ok(())
                }
                News::Status(_) | News::Ports(_) => Ok(()),
            };
            if printed.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        result = feed => result,
        () = print => Ok(()),
    }
}

fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// `2026-01-31 12:00:00.123 Ethernet0 oper up -> down, by carrier, 45 us, 3 flaps`.
fn one_line(event: &PortEvent) -> String {
    let change_ = &event.change;
    let what = change(change_.was.as_ref(), change_.is.as_ref());
    let what = if what.is_empty() { "as before" } else { &what };
    let took = change_
        .latency_us
        .map_or(String::new(), |us| format!(", {us} us"));
    let times = match change_.times {
        1 => String::new(),
        times => format!(", {times} changes in one"),
    };
    let (at, by, flaps) = (Utc(change_.at_ms), &change_.origin, event.flaps);
    let millis = change_.at_ms % 1000;
    let port = &event.port;
    let text = format!("{at}.{millis:03} {port} {what}, by {by}{took}, {flaps} flaps{times}");
    plain(&text)
}

/// Text that cannot move anybody's cursor: a netdev's name may hold any byte but `/` and blanks.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_line_without_control_characters() {
        let event = serde_json::json!({
            "seq": 9, "port": "Eth\u{1b}[2J", "at_ms": 1_769_860_800_123_u64, "latency_us": 45,
            "was": {"oper": "up", "admin": "up", "mtu": 9100},
            "is": {"oper": "down", "admin": "up", "mtu": 9100},
            "origin": "carrier", "times": 2, "flaps": 3
        });
        let event: PortEvent = serde_json::from_value(event).unwrap();
        assert_eq!(
            one_line(&event),
            "2026-01-31 12:00:00.123 Eth\\u{1b}[2J oper up -> down, by carrier, 45 us, 3 flaps, \
             2 changes in one"
        );
    }
}
