//! The page at `/`: the ports as a grid and a table that need no JavaScript, kept live by `/events`
//! where there is some. Nothing of it comes from anywhere else, which its own policy tells the browser.

use std::fmt::{Display, Write};

use super::picture::Picture;
use super::report;
use crate::report::{PortReport, Status};
use crate::wall_time::Utc;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page as things stand.
pub(super) fn render(picture: &mut Picture) -> String {
    let status = report::status(picture);
    let ports = report::ports(picture);
    let (mut grid, mut rows) = (String::new(), String::new());
    let common = common(&ports.ports);
    for port in &ports.ports {
        cell(&mut grid, port, common);
        row(&mut rows, port);
    }
    let mut lost = String::new();
    let mut outages = String::new();
    // Writing to a string cannot fail.
    for each in &status.health.lost {
        let _ = write!(lost, "<li>-{}: {}</li>", each.points, Escaped(&each.reason));
    }
    for each in &status.outages {
        let (port, since) = (Escaped(&each.port), Utc(each.since_ms));
        let lasts = if each.open { " and lasting" } else { "" };
        let secs = each.lasted_ms / 1000;
        let _ = write!(
            outages,
            "<tr><td>{port}</td><td>{since}</td><td class=\"n\">{secs}{lasts}</td></tr>"
        );
    }
    fill(&[
        ("{style}", STYLE.to_owned()),
        ("{about}", about(&status)),
        ("{score}", status.health.score.to_string()),
        ("{up}", status.ports.up.to_string()),
        ("{down}", status.ports.down.to_string()),
        ("{missing}", status.ports.missing.to_string()),
        ("{p50}", status.latency_us.p50.to_string()),
        ("{p99}", status.latency_us.p99.to_string()),
        ("{lost}", lost),
        ("{grid}", grid),
        ("{rows}", rows),
        ("{outages}", outages),
        ("{script}", SCRIPT.to_owned()),
    ])
}

/// Puts each value into its place; the places are in the page's order, once each.
fn fill(values: &[(&str, String)]) -> String {
    let mut out =
        String::with_capacity(PAGE.len() + values.iter().map(|v| v.1.len()).sum::<usize>());
    let mut rest = PAGE;
    for (place, value) in values {
        if let Some((before, behind)) = rest.split_once(place) {
            out.push_str(before);
            out.push_str(value);
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}

fn about(status: &Status) -> String {
    let source = &status.link_source;
    let text = format!(
        "version {} ({}), started {} UTC, link source {}, carrier hook {}{}",
        status.version,
        status.revision,
        Utc(status.started_ms),
        source.is,
        status.carrier_hook.is,
        status
            .not_ready
            .as_ref()
            .map_or(String::new(), |why| format!("; not ready: {why}")),
    );
    Escaped(&text).to_string()
}

/// The word for a port's state; a port that is switched off is no fault.
fn state(port: &PortReport) -> &str {
    match (port.oper.as_str(), port.admin.as_deref()) {
        ("down", Some("down")) => "off",
        (oper, _) => oper,
    }
}

/// How many bytes before the first digit all names have in common.
fn common(ports: &[PortReport]) -> usize {
    let Some(first) = ports.first() else { return 0 };
    let digit = first.port.find(|char: char| char.is_ascii_digit());
    let (common, _) = first.port.split_at(digit.unwrap_or(0));
    if ports.iter().all(|port| port.port.starts_with(common)) {
        common.len()
    } else {
        0
    }
}

fn cell(out: &mut String, port: &PortReport, common: usize) {
    let (name, short) = (Escaped(&port.port), Escaped(&port.port[common..]));
    let (path, state) = (Path(&port.port), state(port));
    let PortReport { oper, flaps, .. } = port;
    let _ = write!(
        out,
        "<a class=\"cell {state}\" href=\"ports/{path}\" data-port=\"{name}\" \
         title=\"{name}: {oper}, {flaps} flaps\">{short}</a>"
    );
}

fn row(out: &mut String, port: &PortReport) {
    let name = Escaped(&port.port);
    let (path, state) = (Path(&port.port), state(port));
    let admin = port.admin.as_deref().unwrap_or("");
    let mtu = port.mtu.map_or(String::new(), |mtu| mtu.to_string());
    let since = port
        .changed_ms
        .map_or(String::new(), |at| Utc(at).to_string());
    let PortReport {
        oper,
        flaps,
        flaps_per_hour,
        ..
    } = port;
    let _ = write!(
        out,
        "<tr><td><a href=\"ports/{path}\" data-port=\"{name}\">{name}</a></td>\
         <td class=\"{state}\">{oper}</td><td class=\"extra\">{admin}</td><td class=\"n extra\">{mtu}</td>\
         <td class=\"n\">{flaps}</td><td class=\"n extra\">{flaps_per_hour:.1}</td>\
         <td>{since}</td></tr>"
    );
}

/// Text in HTML: names come from the kernel, reasons from wherever.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// A name as one segment of a path.
struct Path<'a>(&'a str);

impl Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_the_page_is_there_and_in_order() {
        let places = [
            "{style}",
            "{about}",
            "{score}",
            "{up}",
            "{down}",
            "{missing}",
            "{p50}",
            "{p99}",
            "{lost}",
            "{grid}",
            "{rows}",
            "{outages}",
            "{script}",
        ];
        let values = places.map(|place| (place, format!("<{}>", &place[1..place.len() - 1])));
        let page = fill(&values);
        for (place, value) in values {
            assert!(page.contains(&value) && !page.contains(place), "{place}");
        }
    }

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(Escaped("<a>&\"'").to_string(), "&lt;a&gt;&amp;&quot;&#39;");
        assert_eq!(Path("a\"b%").to_string(), "a%22b%25");
    }
}
