//! `portsyncd ports` for people.

use std::fmt::Write;

use super::table::{ago, columns, lasting};
use crate::report::{JournalLine, PortDetail, PortList, PortReport, Row};
use crate::wall_time::Utc;

const HEADING: [&str; 7] = [
    "PORT",
    "OPER",
    "ADMIN",
    "MTU",
    "FLAPS",
    "PER HOUR",
    "LAST CHANGE",
];

/// A line for each port.
pub(super) fn render(list: &PortList) -> String {
    let rows: Vec<_> = list.ports.iter().map(row).collect();
    columns(&HEADING, &rows)
}

/// One port with its journal.
pub(super) fn render_one(detail: &PortDetail) -> String {
    let mut out = columns(&HEADING, &[row(&detail.port)]);
    out.push_str("\nwhat happened, oldest first (times are UTC)\n");
    let lines: Vec<_> = detail.journal.iter().map(line).collect();
    out.push_str(&columns(
        &["WHEN", "CHANGE", "TOLD BY", "KERNEL TO REDIS", "TIMES"],
        &lines,
    ));
    if !detail.outages.is_empty() {
        out.push_str("\namong the longest outages of all ports\n");
    }
    for outage in &detail.outages {
        let lasted = lasting(outage.lasted_ms / 1000);
        let open = if outage.open { ", and it lasts" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}  {lasted}{open}", Utc(outage.since_ms));
    }
    out
}

fn row(port: &PortReport) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    vec![
        port.port.clone(),
        port.oper.clone(),
        or_dash(port.admin.clone()),
        or_dash(port.mtu.map(|mtu| mtu.to_string())),
        port.flaps.to_string(),
        format!("{:.1}", port.flaps_per_hour),
        or_dash(port.changed_ms.map(ago)),
    ]
}

fn line(line: &JournalLine) -> Vec<String> {
    let latency = line.latency_us;
    vec![
        format!("{}.{:03}", Utc(line.at_ms), line.at_ms % 1000),
        change(line.was.as_ref(), line.is.as_ref()),
        line.origin.replace('_', " "),
        latency.map_or("-".into(), |us| format!("{us} us")),
        line.times.to_string(),
    ]
}

/// What differs.
pub(super) fn change(was: Option<&Row>, is: Option<&Row>) -> String {
    let (was, is) = match (was, is) {
        (None, Some(is)) => {
            return format!("new: oper {}, admin {}, mtu {}", is.oper, is.admin, is.mtu);
        }
        (_, None) => return "gone".into(),
        (Some(was), Some(is)) => (was, is),
    };
    let mut parts = Vec::new();
    if was.oper != is.oper {
        parts.push(format!("oper {} -> {}", was.oper, is.oper));
    }
    if was.admin != is.admin {
        parts.push(format!("admin {} -> {}", was.admin, is.admin));
    }
    if was.mtu != is.mtu {
        parts.push(format!("mtu {} -> {}", was.mtu, is.mtu));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let row = |oper: &str, mtu| Row {
            oper: oper.into(),
            admin: "up".into(),
            mtu,
        };
        let (up, down) = (row("up", 9100), row("down", 1500));
        assert_eq!(
            change(Some(&up), Some(&down)),
            "oper up -> down, mtu 9100 -> 1500"
        );
        assert_eq!(change(None, Some(&up)), "new: oper up, admin up, mtu 9100");
        assert_eq!(change(Some(&up), None), "gone");
    }
}
