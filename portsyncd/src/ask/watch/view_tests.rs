//! Pictures of boards, on ratatui's own backend.

use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use ratatui::style::Color;

use super::*;
use crate::ask::watch::feed::News;
use crate::ask::watch::keys::Key;
use crate::report::{PortEvent, PortReport};

const PLAIN: Look = Look {
    colours: false,
    unicode: false,
};

fn board(ports: usize) -> Board {
    let report = |number: usize| PortReport {
        port: format!("Ethernet{}", number * 4),
        oper: if number == 2 { "down" } else { "up" }.into(),
        admin: Some("up".into()),
        mtu: Some(9100),
        flaps: if number == 2 { 17 } else { 0 },
        flaps_per_hour: 1.5,
        changed_ms: Some(number as u64),
        configured: true,
    };
    let mut board = Board::default();
    let list = (0..ports).map(report).collect();
    board.take(News::Ports(list), Instant::now());
    board
}

fn event(port: &str, times: u32) -> PortEvent {
    let event = serde_json::json!({
        "seq": 1, "port": port, "at_ms": 1, "latency_us": 2500,
        "was": {"oper": "up", "admin": "up", "mtu": 9100},
        "is": {"oper": "down", "admin": "up", "mtu": 9100},
        "origin": "carrier", "times": times, "flaps": 3
    });
    serde_json::from_value(event).unwrap()
}

fn picture(board: &mut Board, look: Look, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, board, look)).unwrap();
    let buffer = terminal.backend().buffer();
    let cells: Vec<_> = buffer.content().iter().map(Cell::symbol).collect();
    cells
        .chunks(usize::from(width).max(1))
        .map(|row| row.concat().trim_end().to_owned())
        .collect()
}

#[test]
fn a_few_ports_have_their_names_and_flaps() {
    let rows = picture(&mut board(8), PLAIN, 80, 24);
    assert!(
        rows[0].starts_with("portsyncd") && rows[0].contains("up 7  down 1"),
        "{rows:#?}"
    );
    assert!(rows[5].contains("Ethernet0 +"), "{rows:#?}");
    assert!(rows[5].contains("Ethernet8 X 17"), "{rows:#?}");
    assert!(rows[22].starts_with("Ethernet0 up, admin up, mtu 9100, flaps 0 (1.5/h)"));
    assert!(rows[23].starts_with("q quit"));
}

#[test]
fn all_ports_of_the_largest_switch_are_on_one_screen() {
    let rows = picture(&mut board(514), PLAIN, 80, 24);
    let grid = rows[5..22].concat();
    assert_eq!(grid.matches('+').count(), 513, "{rows:#?}");
    assert_eq!(grid.matches('X').count(), 1);
    assert!(rows[6].starts_with("Ethernet256  +++"), "{rows:#?}");
}

#[test]
fn there_is_something_to_see_in_any_room() {
    for (width, height) in [(20, 5), (10, 3), (5, 2), (1, 1), (0, 0), (300, 90)] {
        for ports in [0, 1, 514] {
            let rows = picture(&mut board(ports), PLAIN, width, height);
            if (width, height, ports) == (20, 5, 514) {
                assert_eq!(rows[0], "h? +513 X1 ?0");
                assert_eq!(rows[4], "q s / z arrows");
                assert_eq!(rows[1], "++X+++++++++++++");
            }
        }
    }
}

#[test]
fn without_colours_there_are_none() {
    let colours = |look| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal
            .draw(|frame| draw(frame, &mut board(64), look))
            .unwrap();
        let buffer = terminal.backend().buffer().clone();
        let mut colours: Vec<_> = buffer.content().iter().map(|cell| cell.fg).collect();
        colours.dedup();
        colours.into_iter().any(|colour| colour != Color::Reset)
    };
    assert!(!colours(PLAIN));
    assert!(colours(Look {
        colours: true,
        unicode: true
    }));
}

#[test]
fn changes_are_shown_and_measured() {
    let mut board = board(64);
    let now = Instant::now();
    board.take(News::Change(Box::new(event("Ethernet0", 3))), now);
    board.take(News::Missed(7), now);
    board.tick();
    let rows = picture(&mut board, PLAIN, 80, 24);
    assert!(rows[0].contains("up 62  down 2"), "{rows:#?}");
    assert!(rows[2].contains("changes/s 10, most 10"), "{rows:#?}");
    assert!(rows[2].contains("kernel to Redis 2.5 ms"), "{rows:#?}");
    assert!(rows[3..5].concat().contains('#'), "{rows:#?}");
    board.take(News::Lost("refused".into()), now);
    let rows = picture(&mut board, PLAIN, 80, 24);
    assert!(rows[1].contains("trying again: refused"), "{rows:#?}");
}

#[test]
fn sort_and_filter_choose_and_the_chosen_port_stays_on_the_screen() {
    let mut board = board(514);
    let letters = |board: &mut Board, text: &str| {
        for letter in text.chars() {
            assert!(board.key(Key::Letter(letter)));
        }
    };
    letters(&mut board, "s");
    assert_eq!(
        board.shown()[0].report.port,
        "Ethernet8",
        "what is broken first"
    );
    letters(&mut board, "ss");
    assert_eq!(
        board.shown()[0].report.port,
        "Ethernet2052",
        "the last change first"
    );
    letters(&mut board, "s/down");
    assert_eq!(board.shown().len(), 1);
    board.key(Key::Enter);
    board.key(Key::Escape);
    letters(&mut board, "/net20q");
    assert_eq!(board.shown().len(), 0, "q is a letter while one types");
    board.key(Key::Rub);
    assert_eq!(board.shown().len(), 18);
    board.key(Key::Escape);
    letters(&mut board, "z");
    board.key(Key::Last);
    let rows = picture(&mut board, PLAIN, 80, 24);
    assert!(rows[21].contains("Ethernet2052"), "{rows:#?}");
    assert!(rows[22].starts_with("Ethernet2052 "), "{rows:#?}");
    board.key(Key::Move { rows: -1, ports: 0 });
    board.key(Key::Page(-1));
    board.key(Key::First);
    assert_eq!(board.chosen, 0);
    assert!(!board.key(Key::Letter('q')) && !board.key(Key::Leave));
}
