//! Text in columns, and times for people.

use std::fmt::Write;

use crate::clock::wall_ns;

/// Rows under a heading; a column is as wide as its widest cell. Numbers go to the right.
pub(super) fn columns(heading: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max();
        widest.unwrap_or(0).max(heading[column].len())
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut out = String::new();
    let heading: Vec<String> = heading.iter().map(|&word| word.to_owned()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let is_number = cell.starts_with(|first: char| first.is_ascii_digit())
                && cell
                    .chars()
                    .all(|char| char.is_ascii_digit() || char == '.');
            // Writing to a string cannot fail.
            let _ = if is_number {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// How long ago, in the two largest units: `3d 4h ago`.
pub(super) fn ago(at_ms: u64) -> String {
    let now_ms = wall_ns() / 1_000_000;
    format!("{} ago", lasting(now_ms.saturating_sub(at_ms) / 1000))
}

/// Seconds in the two largest units.
pub(super) fn lasting(secs: u64) -> String {
    match (secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60) {
        (0, 0, 0, secs) => format!("{secs}s"),
        (0, 0, minutes, secs) => format!("{minutes}m {secs}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [
            vec!["Ethernet0".to_owned(), "9100".to_owned(), "up".to_owned()],
            vec!["Ethernet4".to_owned(), "68".to_owned(), String::new()],
        ];
        assert_eq!(
            columns(&["PORT", "MTU", "OPER"], &rows),
            "PORT       MTU   OPER\nEthernet0  9100  up\nEthernet4    68\n"
        );
    }

    #[test]
    fn times_have_two_units_at_most() {
        for (secs, text) in [
            (0, "0s"),
            (61, "1m 1s"),
            (3_600, "1h 0m"),
            (90_061, "1d 1h"),
        ] {
            assert_eq!(lasting(secs), text);
        }
    }
}
