//! The grid: how large a port is drawn, how many fit, which of them are on the screen.

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::board::{Board, Size};
use super::port::Port;
use super::view::Look;

/// Where the ports of this picture go.
pub(super) struct Grid {
    size: Size,
    /// What all names begin with, and is left out where they are drawn small.
    common: usize,
    /// Of a cell, without the blank behind it.
    width: usize,
    /// Of the names before rows of dots.
    margin: usize,
    columns: usize,
    rows: usize,
}

impl Grid {
    /// The largest size at which all ports fit into `area`, or the one that was chosen.
    pub(super) fn new(ports: &[&Port], size: Size, area: Rect) -> Self {
        let (width, rows) = (usize::from(area.width), usize::from(area.height));
        let name = longest(ports.iter().map(|port| port.report.port.as_str()));
        let flaps = ports.iter().map(|port| port.report.flaps).max();
        let flaps = flaps.unwrap_or(0).to_string().len();
        let common = common(ports);
        let of = |size: Size| {
            let (common, cell, margin) = match size {
                Size::Large | Size::Auto => (0, name + 2 + flaps + 1, 0),
                Size::Small => (common, name - common + 1, 0),
                // Where it is narrow the ports need the room.
                Size::Dot if name < width / 3 => (0, 0, name + 1),
                Size::Dot => (0, 0, 0),
            };
            let columns = (width.saturating_sub(margin) + 1) / (cell + 1);
            let columns = if size == Size::Dot {
                // Numbers of ports are easier to find in rows of eight.
                let columns = width.saturating_sub(margin);
                if columns >= 8 {
                    columns / 8 * 8
                } else {
                    columns
                }
            } else {
                columns
            };
            Self {
                size,
                common,
                width: cell,
                margin,
                columns: columns.max(1),
                rows,
            }
        };
        match size {
            Size::Auto => {
                let fits = |grid: &Self| grid.columns * grid.rows >= ports.len();
                let sizes = [Size::Large, Size::Small, Size::Dot].into_iter().map(of);
                let mut fitting = sizes.filter(fits);
                fitting.next().unwrap_or_else(|| of(Size::Dot))
            }
            size => of(size),
        }
    }

    /// Ports in a row, rows on the screen.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }

    /// Draws those of `ports` that are on the screen, so that the chosen one is among them.
    pub(super) fn draw(
        &self,
        ports: &[&Port],
        board: &Board,
        look: Look,
        area: Rect,
        out: &mut Buffer,
    ) {
        let row_of_chosen = board.chosen / self.columns;
        let first = row_of_chosen.saturating_sub(self.rows.saturating_sub(1));
        let now = Instant::now();
        let (left, top) = (area.x, area.y);
        let place = |offset: usize| u16::try_from(offset).unwrap_or(u16::MAX);
        for row in 0..self.rows {
            let from = (first + row) * self.columns;
            let Some(cells) = ports.get(from..) else {
                break;
            };
            let Some(begin) = cells.first() else { break };
            let y = top + place(row);
            if self.margin > 0 {
                let name = &begin.report.port;
                out.set_stringn(left, y, name, self.margin - 1, Style::new());
            }
            for (column, port) in cells.iter().take(self.columns).enumerate() {
                let x = self.margin + column * (self.width + usize::from(self.width > 0)).max(1);
                let mut style = look.state(port);
                if port.is_fresh(now) {
                    style = style.add_modifier(Modifier::UNDERLINED);
                }
                if from + column == board.chosen {
                    style = style.add_modifier(Modifier::REVERSED);
                }
                let room = usize::from(area.width).saturating_sub(x);
                let text = self.text(port, look);
                out.set_stringn(left + place(x), y, text, room.min(self.width.max(1)), style);
            }
        }
    }

    fn text(&self, port: &Port, look: Look) -> String {
        let sign = look.sign(port);
        let name = port.report.port.get(self.common..).unwrap_or_default();
        match self.size {
            Size::Dot => sign.to_owned(),
            Size::Small => format!("{name}{sign}"),
            Size::Large | Size::Auto => match port.report.flaps {
                0 => format!("{name} {sign}"),
                flaps => format!("{name} {sign} {flaps}"),
            },
        }
    }
}

impl Look {
    /// The sign of a port's state: it must do without colours, too.
    pub(super) fn sign(self, port: &Port) -> &'static str {
        match (port.report.oper.as_str(), self.unicode) {
            ("up", true) => "●",
            ("up", false) => "+",
            ("down", true) if port.is_broken() => "▼",
            ("down", false) if port.is_broken() => "X",
            ("down", true) => "○",
            ("down", false) => "-",
            _ => "?",
        }
    }

    /// The style of a port's state.
    pub(super) fn state(self, port: &Port) -> Style {
        let broken = port.is_broken();
        if !self.colours {
            let style = Style::new();
            return if broken {
                style.add_modifier(Modifier::BOLD)
            } else {
                style
            };
        }
        match port.report.oper.as_str() {
            "up" => Style::new().fg(Color::Green),
            "down" if broken => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
            "down" => Style::new().fg(Color::DarkGray),
            _ => Style::new().fg(Color::Yellow),
        }
    }
}

fn longest<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0)
}

/// How many bytes all names begin with; digits are never among them.
fn common(ports: &[&Port]) -> usize {
    let mut names = ports.iter().map(|port| port.report.port.as_str());
    let Some(first) = names.next() else { return 0 };
    let letters = first.find(|char: char| char.is_ascii_digit());
    let mut common = letters.unwrap_or(0);
    for name in names {
        let same = first.bytes().zip(name.bytes()).take_while(|(a, b)| a == b);
        common = common.min(same.count());
    }
    if first.is_char_boundary(common) {
        common
    } else {
        0
    }
}
