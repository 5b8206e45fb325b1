//! What a scrape gets: Prometheus' text format 0.0.4.
//!
//! The road's counters come from their registry. A port's series are written straight from the
//! ports, so that a port that is gone has none, and a scrape builds nothing per port but text.

use std::fmt::{Display, Write};

use portsyncd_common::IfName;
use prometheus::TextEncoder;

use super::picture::Picture;
use super::usage;

/// The content type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text that grows family by family.
#[derive(Debug, Default)]
pub(super) struct Text {
    out: String,
}

impl Text {
    /// Begins a family; `kind` is "counter", "gauge" or "histogram".
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A sample without labels.
    pub(super) fn sample(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.out, "{name} {value}");
    }

    /// A sample with one label, whose value needs no escape.
    pub(super) fn labelled(
        &mut self,
        name: &str,
        label: &str,
        is: impl Display,
        value: impl Display,
    ) {
        let _ = writeln!(self.out, "{name}{{{label}=\"{is}\"}} {value}");
    }

    /// A family of one sample.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, value);
    }
}

/// Everything that is measured.
pub(super) fn render(picture: &mut Picture) -> String {
    picture.judge();
    let mut text = Text::default();
    let ports = picture.ports.sorted();
    text.out.reserve(16_384 + ports.len() * 120);
    let families = picture.meters.registry().gather();
    // The only error is a family without samples, and each was created with its label sets.
    let _ = TextEncoder::new().encode_utf8(&families, &mut text.out);
    ledger(&mut text, picture);
    let totals = picture.ports.totals();
    let name = "portsyncd_ports";
    text.family(
        name,
        "gauge",
        "Ports that have a row of STATE_DB or are configured, by state",
    );
    text.labelled(name, "state", "up", totals.up);
    text.labelled(name, "state", "down", totals.down);
    text.labelled(name, "state", "missing", totals.missing);
    let name = "portsyncd_port_oper_up";
    text.family(
        name,
        "gauge",
        "Whether the port is published as operationally up",
    );
    for (port, state) in ports
        .iter()
        .filter_map(|(name, port)| Some((name, port.state?)))
    {
        text.labelled(name, "device", Escaped(port), u8::from(state.oper_up));
    }
    let name = "portsyncd_port_flaps_total";
    text.family(name, "counter", "Losses of the port's link");
    for (device, port) in ports.iter().filter(|(_, port)| port.state.is_some()) {
        text.labelled(name, "device", Escaped(device), port.flaps);
    }
    usage::render(&mut text);
    text.out
}

fn ledger(text: &mut Text, picture: &Picture) {
    for (name, help, value) in picture.ledger.counters() {
        text.single(&name, "counter", help, value);
    }
    for (name, help, value) in picture.ledger.timestamps() {
        text.single(name, "gauge", help, value);
    }
    let name = "portsyncd_initial_sync_duration_seconds";
    text.family(
        name,
        "histogram",
        "From start to the initial synchronisation's being in Redis",
    );
    let (buckets, sum, count) = picture.ledger.initial_syncs();
    let bucket = format!("{name}_bucket");
    for (upper, below) in buckets {
        text.labelled(&bucket, "le", upper, below);
    }
    text.labelled(&bucket, "le", "+Inf", count);
    text.sample(&format!("{name}_sum"), sum);
    text.sample(&format!("{name}_count"), count);
}

/// A netdev's name as a label's value.
struct Escaped<'a>(&'a IfName);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Names that are no UTF-8 are shown with escapes of their own.
        for char in self.0.to_string().chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_the_format_asks() {
        let name: IfName = r#"a"b\c"#.parse().unwrap();
        assert_eq!(Escaped(&name).to_string(), r#"a\"b\\c"#);
    }
}
