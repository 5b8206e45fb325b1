//! The terminal: the port table as `STATE_DB` has it, the latencies, a progress
//! line. 80 columns, at most 24 rows, redrawn in place; one line per act where
//! the output is no terminal.

mod frame;

use std::io::{IsTerminal, Write, stdout};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::acts::ACTS;
use super::stage::Stage;
use frame::{Frame, HEIGHT};

/// The pause between two pictures.
const REDRAW: Duration = Duration::from_millis(100);

/// Where the show is shown.
pub(super) struct Screen {
    live: bool,
    frame: Frame,
    act: usize,
    act_begun: Instant,
    begun: Instant,
    drawn: Option<Instant>,
}

impl Screen {
    /// A live table if the output is a terminal that is large enough.
    pub(super) fn open(plain: bool) -> Self {
        let live = !plain && stdout().is_terminal() && rows().is_none_or(|rows| rows > HEIGHT);
        let colour = live && std::env::var_os("NO_COLOR").is_none();
        if live {
            print!("\x1b[?25l");
        }
        let now = Instant::now();
        Self {
            live,
            frame: Frame::new(colour),
            act: 0,
            act_begun: now,
            begun: now,
            drawn: None,
        }
    }

    /// An act begins.
    pub(super) fn begin(&mut self, act: usize) {
        self.act = act;
        self.act_begun = Instant::now();
        if !self.live {
            println!("[{}/{}] {}", act + 1, ACTS.len(), ACTS[act].title);
        }
    }

    /// What the daemon said about its link source.
    pub(super) fn link_source(&mut self, text: &str) {
        text.clone_into(&mut self.frame.link_source);
        if !self.live {
            println!("      {text}");
        }
    }

    /// Draws, if the last picture is old enough.
    pub(super) fn draw(&mut self, stage: &Stage) {
        if self.live && self.drawn.is_none_or(|at| at.elapsed() >= REDRAW) {
            self.paint(stage, self.progress());
        }
    }

    /// The last picture: all done.
    pub(super) fn done(&mut self, stage: &Stage) {
        if self.live {
            self.act = ACTS.len();
            self.paint(stage, 1.0);
        } else {
            for line in self.frame.latencies(stage) {
                println!("{line}");
            }
        }
    }

    /// Leaves the terminal as it was, the last picture above the cursor.
    pub(super) fn close(&mut self) {
        if self.live {
            print!("\x1b[?25h");
            flush();
            self.live = false;
        }
    }

    fn paint(&mut self, stage: &Stage, progress: f64) {
        let title = ACTS.get(self.act).map_or("done", |act| act.title);
        let lines = self
            .frame
            .lines(stage, progress, self.act, title, self.begun.elapsed());
        // Back to the first line of the last picture.
        let mut picture = match self.drawn {
            Some(_) => format!("\x1b[{}A", lines.len()),
            None => String::new(),
        };
        for line in &lines {
            picture.push_str(line);
            picture.push_str("\x1b[K\n");
        }
        print!("{picture}");
        flush();
        self.drawn = Some(Instant::now());
    }

    /// How much of the show is over, by the plan: 0 to 1.
    fn progress(&self) -> f64 {
        let planned =
            |acts: &[super::acts::Act]| -> Duration { acts.iter().map(|act| act.planned).sum() };
        let now = ACTS.get(self.act).map_or(Duration::ZERO, |act| {
            self.act_begun.elapsed().min(act.planned)
        });
        let past = planned(&ACTS[..self.act.min(ACTS.len())]) + now;
        past.as_secs_f64() / planned(&ACTS).as_secs_f64()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

/// Shows what was printed.
fn flush() {
    // A terminal that is gone cannot be told so.
    drop(stdout().flush());
}

/// The terminal's height; none if stty cannot tell.
fn rows() -> Option<usize> {
    let output = Command::new("stty")
        .arg("size")
        .stdin(Stdio::inherit())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let rows = text.split_whitespace().next()?.parse().ok()?;
    // 0 is what a terminal without a size says.
    (rows > 0).then_some(rows)
}
