//! `portsyncd status` for people.

use std::fmt::{Display, Write};

use super::table::{ago, lasting};
use crate::report::{Choice, Status};
use crate::wall_time::Utc;

/// A line for each thing, what is wrong on lines of its own.
pub(super) fn render(status: &Status) -> String {
    let mut out = Lines::default();
    let Status {
        health,
        ports,
        events,
        latency_us,
        ..
    } = status;
    out.line(
        "portsyncd",
        format_args!(
            "{} ({}), up {}",
            status.version,
            status.revision,
            lasting(status.uptime_secs)
        ),
    );
    out.line("health", format_args!("{} of 100", health.score));
    for lost in &health.lost {
        out.line("", format_args!("-{} {}", lost.points, lost.reason));
    }
    let ready = status.not_ready.as_deref().unwrap_or("yes");
    let ready = if status.ready { "yes" } else { ready };
    out.line("ready", ready);
    if let Some(start) = &status.start {
        let after = status.in_step_after_secs;
        let after = after.map_or(String::new(), |secs| format!(", in step after {secs:.3} s"));
        out.line("start", format_args!("{start}{after}"));
    }
    let done = if status.port_init_done {
        "sent"
    } else {
        "not yet"
    };
    out.line("PortInitDone", done);
    out.line("link source", choice(&status.link_source));
    out.line("carrier hook", choice(&status.carrier_hook));
    for database in &status.redis {
        let error = database.error.as_deref().unwrap_or("does not answer");
        let word = if database.connected {
            "connected"
        } else {
            error
        };
        out.line(&database.db, word);
    }
    let (up, down, missing) = (ports.up, ports.down, ports.missing);
    out.line(
        "ports",
        format_args!("{up} up, {down} down, {missing} missing"),
    );
    out.line("waiting", format_args!("{} changes", status.queue_depth));
    let (messages, carrier, dump) = (events.link_message, events.carrier, events.dump);
    out.line(
        "events",
        format_args!("{messages} link messages, {carrier} carrier changes, {dump} dump entries"),
    );
    let (ring, overrun) = (events.lost_ring_full, events.lost_socket_overrun);
    out.line(
        "lost",
        format_args!(
            "{ring} (ring full), {overrun} (socket overrun), {} unreadable",
            events.decode_errors
        ),
    );
    let (p50, p99, max) = (latency_us.p50, latency_us.p99, latency_us.max);
    out.line(
        "latency",
        format_args!("p50 {p50} us, p99 {p99} us, longest {max} us, kernel to Redis"),
    );
    let (ok, failed) = (status.writes.ok, status.writes.failed);
    out.line("writes", format_args!("{ok} done, {failed} failed"));
    out.line("resync", resync(status));
    for file in &status.files {
        let saved = file
            .saved_ms
            .map_or("not saved yet".into(), |at| format!("saved {}", ago(at)));
        let trouble = file.trouble.as_ref();
        let trouble = trouble.map_or(String::new(), |trouble| format!("; {trouble}"));
        out.line("file", format_args!("{}, {saved}{trouble}", file.path));
    }
    for listener in &status.listeners {
        let trouble = listener.trouble.as_deref();
        out.line("listener", trouble.unwrap_or(&listener.address));
    }
    for outage in status.outages.iter().take(5) {
        let open = if outage.open { ", and it lasts" } else { "" };
        let lasted = lasting(outage.lasted_ms / 1000);
        let since = Utc(outage.since_ms);
        out.line(
            "outage",
            format_args!("{} {lasted} since {since} UTC{open}", outage.port),
        );
    }
    out.0
}

fn resync(status: &Status) -> String {
    let resync = &status.resync;
    match (resync.last_ms, &resync.reason) {
        (Some(last), Some(reason)) => {
            format!(
                "{} complete, the last {} ({reason})",
                resync.count,
                ago(last)
            )
        }
        _ => "none complete yet".into(),
    }
}

fn choice(choice: &Choice) -> String {
    if choice.reason.is_empty() {
        choice.is.clone()
    } else {
        format!("{} ({})", choice.is, choice.reason)
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, what: &str, text: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{what:<13} {text}");
    }
}
