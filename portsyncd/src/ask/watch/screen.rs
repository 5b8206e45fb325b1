//! The terminal: taken over, drawn on, given back however this ends.

use std::io;
use std::time::{Duration, Instant};

use crossterm::event::EventStream;
use futures_util::StreamExt;
use ratatui::DefaultTerminal;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::{self, MissedTickBehavior, interval, sleep_until};

use super::board::Board;
use super::feed::{self, News, Wanted};
use super::keys;
use super::view::{self, Look};
use crate::ask::AskError;
use crate::ask::client::Client;

/// Between two pictures in a storm: quick to the eye, and little to a slow line.
const BETWEEN_PICTURES: Duration = Duration::from_millis(150);

/// Shows the ports until the user leaves.
pub(super) async fn run(client: Client) -> Result<(), AskError> {
    let (to, mut news) = mpsc::channel(256);
    let feed = feed::run(&client, Wanted::Picture, &to);
    tokio::pin!(feed);
    // A daemon that is not there is said before the screen is taken.
    let first = tokio::select! {
        result = &mut feed => return result,
        first = news.recv() => first,
    };
    let mut board = Board::default();
    if let Some(first) = first {
        board.take(first, Instant::now());
    }
    let mut ends = Ends::new().map_err(|e| no_terminal(&e))?;
    let terminal = ratatui::try_init().map_err(|e| no_terminal(&e))?;
    let result = tokio::select! {
        // Both may end the other; the screen is given back in either case.
        result = &mut feed => result,
        result = show(terminal, &mut board, &mut news) => result.map_err(|e| no_terminal(&e)),
        () = ends.wait() => Ok(()),
    };
    let restored = ratatui::try_restore().map_err(|e| no_terminal(&e));
    result.and(restored)
}

fn no_terminal(error: &io::Error) -> AskError {
    AskError::Unreachable(format!(
        "the terminal: {error}; `portsyncd watch | cat` prints lines instead"
    ))
}

async fn show(
    mut terminal: DefaultTerminal,
    board: &mut Board,
    news: &mut Receiver<News>,
) -> io::Result<()> {
    let look = Look::of_this_terminal();
    let mut events = EventStream::new();
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Burst);
    terminal.draw(|frame| view::draw(frame, board, look))?;
    let mut drawn = time::Instant::now();
    let mut due = false;
    loop {
        tokio::select! {
            event = events.next() => {
                let Some(event) = event else { return Ok(()) };
                if let Some(key) = keys::read(&event?) && !board.key(key) {
                    return Ok(());
                }
                // A key is answered at once, and so is a new size.
                terminal.draw(|frame| view::draw(frame, board, look))?;
            }
            each = news.recv() => {
                let Some(each) = each else { return Ok(()) };
                board.take(each, Instant::now());
                due = true;
            }
            _ = seconds.tick() => {
                board.tick();
                due = true;
            }
            () = sleep_until(drawn + BETWEEN_PICTURES), if due => {
                due = false;
                drawn = time::Instant::now();
                terminal.draw(|frame| view::draw(frame, board, look))?;
            }
        }
    }
}

/// Signals that end a program, which must not leave the terminal as it is.
struct Ends {
    terminate: Signal,
    hangup: Signal,
}

impl Ends {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
