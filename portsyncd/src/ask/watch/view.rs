//! The picture: a board drawn into whatever room there is, from 200 columns down to a handful.

use std::env;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::bar;
use ratatui::text::{Line, Span};
use ratatui::widgets::Sparkline;

use super::board::{Board, Size};
use super::cells::Grid;
use super::port::Port;
use super::trace::Trace;
use crate::ask::table::ago;
use crate::report::PortReport;

/// What the terminal can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) colours: bool,
    pub(super) unicode: bool,
}

impl Look {
    /// As the environment says: `NO_COLOR` (no-color.org), `TERM`, and the locale of the C library.
    pub(super) fn of_this_terminal() -> Self {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let locale = locale.unwrap_or_default().to_lowercase();
        Self {
            colours: set("NO_COLOR").is_none()
                && !term.ends_with("-m")
                && !term.starts_with("vt1")
                && !term.starts_with("vt2"),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    fn dim(self) -> Style {
        if self.colours {
            Style::new().fg(Color::DarkGray)
        } else {
            Style::new()
        }
    }

    fn alarm(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.colours {
            style.fg(Color::Red)
        } else {
            style
        }
    }

    fn bars(self) -> bar::Set<'static> {
        if self.unicode {
            return bar::NINE_LEVELS;
        }
        bar::Set {
            full: "#",
            seven_eighths: "#",
            three_quarters: "+",
            five_eighths: "+",
            half: "=",
            three_eighths: "-",
            one_quarter: "-",
            one_eighth: ".",
            empty: " ",
        }
    }
}

/// Draws everything; the board learns how many ports are in a row.
pub(super) fn draw(frame: &mut Frame, board: &mut Board, look: Look) {
    let area = frame.area();
    let height = area.height;
    let traces = if height >= 14 && area.width >= 40 {
        3
    } else {
        0
    };
    let [head, trouble, middle, grid, chosen, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(u16::from(height >= 8)),
        Constraint::Length(traces),
        Constraint::Min(0),
        Constraint::Length(u16::from(height >= 6)),
        Constraint::Length(u16::from(height >= 4)),
    ])
    .areas(area);
    let width = area.width;
    frame.render_widget(headline(board, look, width), head);
    frame.render_widget(trouble_line(board, look), trouble);
    if traces > 0 {
        draw_traces(frame, board, look, middle);
    }
    board.drawn = {
        let shown = board.shown();
        let size = if shown.is_empty() {
            Size::Large
        } else {
            board.size
        };
        let layout = Grid::new(&shown, size, grid);
        layout.draw(&shown, board, look, grid, frame.buffer_mut());
        if shown.is_empty() {
            let why = if board.filter.is_empty() {
                "no ports"
            } else {
                "no port passes the filter"
            };
            frame.render_widget(Line::styled(why, look.dim()), grid);
        }
        frame.render_widget(about_chosen(shown.get(board.chosen).copied(), look), chosen);
        layout.shape()
    };
    frame.render_widget(key_line(board, width), keys);
}

fn headline(board: &Board, look: Look, width: u16) -> Line<'static> {
    let counts = board.counts();
    let health = board.status.as_ref().map(|status| status.health.score);
    let health = health.map_or("?".into(), |score| score.to_string());
    let style = |bad: bool| if bad { look.alarm() } else { Style::new() };
    let is_ill = board.status.as_ref().is_some_and(|s| s.health.score < 80);
    if width < 60 {
        let text = format!(
            "h{health} +{} X{} ?{}",
            counts.up, counts.down, counts.missing
        );
        return Line::styled(text, style(is_ill || board.lost.is_some()));
    }
    let version = board.status.as_ref().map(|status| status.version.clone());
    let mut spans = vec![
        Span::styled("portsyncd ", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(version.unwrap_or_default()),
        Span::styled(format!("  health {health}"), style(is_ill)),
        Span::raw(format!("  up {}", counts.up)),
        Span::styled(format!("  down {}", counts.down), style(counts.down > 0)),
        Span::styled(
            format!("  missing {}", counts.missing),
            style(counts.missing > 0),
        ),
    ];
    if let Some(status) = &board.status {
        let waiting = status.queue_depth;
        spans.push(Span::raw(format!("  waiting {waiting}")));
        let text = format!("  p99 {}", micros(status.latency_us.p99));
        spans.push(Span::raw(text));
    }
    Line::from(spans)
}

/// What is wrong; else what runs.
fn trouble_line(board: &Board, look: Look) -> Line<'static> {
    if let Some(lost) = &board.lost {
        return Line::styled(format!("trying again: {lost}"), look.alarm());
    }
    let Some(status) = &board.status else {
        return Line::raw("");
    };
    let mut text = Vec::new();
    if let Some(why) = &status.not_ready {
        text.push(format!("not ready: {why}"));
    }
    let lost = status.health.lost.iter();
    text.extend(lost.map(|lost| format!("-{} {}", lost.points, lost.reason)));
    if !text.is_empty() {
        return Line::styled(text.join("; "), look.alarm());
    }
    let (source, hook) = (&status.link_source.is, &status.carrier_hook.is);
    let mut text = format!("link source {source}, carrier hook {hook}");
    if board.missed > 0 {
        let late = format!(", {} changes seen late here", board.missed);
        text.push_str(&late);
    }
    Line::styled(text, look.dim())
}

fn draw_traces(frame: &mut Frame, board: &Board, look: Look, area: Rect) {
    let [left, _, right] = Layout::horizontal([
        Constraint::Fill(1),
        Constraint::Length(2),
        Constraint::Fill(1),
    ])
    .areas(area);
    let (rate, latency) = (&board.rate, &board.latency);
    let title = format!("changes/s {}, most {}", rate.latest(), rate.peak());
    draw_trace(frame, rate, title, look, left);
    let (last, peak) = (micros(latency.latest()), micros(latency.peak()));
    let title = format!("kernel to Redis {last}, most {peak}");
    draw_trace(frame, latency, title, look, right);
}

fn draw_trace(frame: &mut Frame, trace: &Trace, title: String, look: Look, area: Rect) {
    let [head, bars] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    frame.render_widget(Line::styled(title, look.dim()), head);
    let mut seconds = trace.last(usize::from(bars.width));
    // The newest second is at the right.
    let missing = usize::from(bars.width) - seconds.len();
    seconds.splice(0..0, std::iter::repeat_n(0, missing));
    let style = if look.colours {
        Style::new().fg(Color::Cyan)
    } else {
        Style::new()
    };
    let sparkline = Sparkline::default().data(seconds).bar_set(look.bars());
    frame.render_widget(sparkline.style(style), bars);
}

fn about_chosen(port: Option<&Port>, look: Look) -> Line<'static> {
    let Some(port) = port else {
        return Line::raw("");
    };
    let report = &port.report;
    let PortReport {
        port: name,
        oper,
        flaps,
        flaps_per_hour,
        ..
    } = report;
    let mut parts = vec![format!("{name} {oper}")];
    parts.extend(report.admin.iter().map(|admin| format!("admin {admin}")));
    parts.extend(report.mtu.map(|mtu| format!("mtu {mtu}")));
    parts.push(format!("flaps {flaps} ({flaps_per_hour:.1}/h)"));
    parts.extend(report.changed_ms.map(|at| format!("changed {}", ago(at))));
    let text = parts.join(", ");
    Line::styled(text, look.state(port))
}

fn key_line(board: &Board, width: u16) -> Line<'static> {
    if board.typing {
        return Line::raw(format!("filter: {}_  Enter: keep  Esc: none", board.filter));
    }
    let (sort, filter) = (board.sort.word(), &board.filter);
    if width < 60 {
        return Line::raw("q s / z arrows");
    }
    let filter = if filter.is_empty() {
        "/ filter".to_owned()
    } else {
        format!("/ filter: {filter} (Esc: none)")
    };
    let size = match board.size {
        Size::Auto => "auto",
        Size::Large => "large",
        Size::Small => "small",
        Size::Dot => "dots",
    };
    Line::raw(format!(
        "q quit  s sort: {sort}  {filter}  z size: {size}  arrows, PgUp, PgDn: choose"
    ))
}

/// Microseconds in the unit that reads best.
fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
