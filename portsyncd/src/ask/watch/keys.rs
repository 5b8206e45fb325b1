//! Keys and what they mean.

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

/// What a key means to the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Ctrl-C, Ctrl-D: whatever is being typed.
    Leave,
    /// A letter: a command, or part of a filter.
    Letter(char),
    /// The last letter goes.
    Rub,
    /// The filter is as it should be.
    Enter,
    /// No filter.
    Escape,
    /// To another port.
    Move {
        /// Rows down.
        rows: isize,
        /// Ports to the right.
        ports: isize,
    },
    /// Screens down.
    Page(isize),
    /// The first port.
    First,
    /// The last port.
    Last,
}

/// The meaning of a terminal's event, if it has one.
pub(super) fn read(event: &Event) -> Option<Key> {
    let Event::Key(key) = event else {
        return None;
    };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let step = |rows, ports| Some(Key::Move { rows, ports });
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(Key::Leave)
        }
        KeyCode::Char(letter) => Some(Key::Letter(letter)),
        KeyCode::Backspace => Some(Key::Rub),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Escape),
        KeyCode::Up => step(-1, 0),
        KeyCode::Down => step(1, 0),
        KeyCode::Left => step(0, -1),
        KeyCode::Right => step(0, 1),
        KeyCode::PageUp => Some(Key::Page(-1)),
        KeyCode::PageDown => Some(Key::Page(1)),
        KeyCode::Home => Some(Key::First),
        KeyCode::End => Some(Key::Last),
        _ => None,
    }
}
