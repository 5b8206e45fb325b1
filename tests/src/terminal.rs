//! A real terminal, tmux's, in a test's namespace: what a program draws, and the keys it gets.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::child::Running;
use crate::namespace::Namespace;
use crate::wait::{PATIENCE, wait_for, wait_until};

/// A tmux server with one window; killed, with what runs in it, when dropped.
pub struct Terminal {
    // Dropped first: the server must be gone before its directory.
    _server: Running,
    directory: TempDir,
}

impl Terminal {
    /// Runs a shell command in a window of this size. When the command has ended the window says
    /// `ended with CODE`.
    pub fn run(namespace: &Namespace, size: (u16, u16), command: &str) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("portsyncd-terminal-")
            .tempdir()
            .context("cannot make a directory for tmux")?;
        let mut server = Command::new("tmux");
        server.arg("-S").arg(directory.path().join("socket"));
        server.args(["-f", "/dev/null", "-D"]);
        // Bars and dots are drawn by who can show them.
        server.env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
        let server = Running::start(namespace, "tmux", server)
            .context("Debian's package tmux: cargo xtask setup")?;
        let terminal = Self {
            _server: server,
            directory,
        };
        wait_for("tmux has its socket", PATIENCE, || {
            Ok(terminal.directory.path().join("socket").exists())
        })?;
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        let command = format!("{command}; echo \"ended with $?\"; exec sleep 3600");
        terminal.tmux(&["new-session", "-d", "-x", &columns, "-y", &rows, &command])?;
        Ok(terminal)
    }

    /// What the window shows; with `colours` the escape sequences of colours are kept.
    pub fn screen(&self, colours: bool) -> Result<String> {
        let mut words = vec!["capture-pane", "-p"];
        if colours {
            words.push("-e");
        }
        let output = self.tmux(&words)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until the window shows `part`, and returns all of it. What is drawn after it may still
    /// be missing.
    pub fn wait_for(&self, part: &str) -> Result<String> {
        let what = format!("the terminal shows {part:?}");
        self.wait_until(&what, |screen| screen.contains(part))
    }

    /// Waits until what the window shows is as `holds` wants it.
    pub fn wait_until(&self, what: &str, holds: impl Fn(&str) -> bool) -> Result<String> {
        wait_until(what, PATIENCE, || {
            let screen = self.screen(false)?;
            Ok(if holds(&screen) {
                std::ops::ControlFlow::Break(screen)
            } else {
                std::ops::ControlFlow::Continue(screen)
            })
        })
    }

    /// Presses keys, by tmux' names.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        let words: Vec<_> = ["send-keys"].iter().chain(keys).copied().collect();
        self.tmux(&words).map(|_| ())
    }

    /// Gives the window another size.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &rows])
            .map(|_| ())
    }

    fn tmux(&self, words: &[&str]) -> Result<Output> {
        let socket = self.directory.path().join("socket");
        let mut command = Command::new("tmux");
        command.arg("-S").arg(socket).args(words);
        let output = command.output().context("tmux")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tmux {words:?}: {error}");
        Ok(output)
    }
}
