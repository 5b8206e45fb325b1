//! The daemon's files, which outlive it, and what is done to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// What the daemon writes before it renames it.
const TEMPORARY: &str = ".port_state.json.tmp";
const STATE: &str = "port_state.json";
/// Saves are at most a second apart; in an outage there are none.
const SAVE_WITHIN: Duration = Duration::from_millis(1200);

/// The directories of one world.
pub(crate) struct Files {
    directory: TempDir,
    /// The state file was cut, and the next start has to say so.
    cut: bool,
    /// It was cut at least once.
    ever_cut: bool,
    /// Temporary files that were seen just before a SIGKILL.
    saves_met: u32,
}

impl Files {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            directory: tempfile::tempdir().context("a directory for the daemon's files")?,
            cut: false,
            ever_cut: false,
            saves_met: 0,
        })
    }

    /// `warm_restart.state_path`.
    pub(crate) fn state(&self) -> String {
        self.path("state").display().to_string()
    }

    /// `metrics.storage_path`.
    pub(crate) fn metrics(&self) -> String {
        self.path("metrics").display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Waits for the moment in which the state file is being written, if it comes.
    pub(crate) fn await_a_save(&mut self) {
        let temporary = self.path("state").join(TEMPORARY);
        let deadline = Instant::now() + SAVE_WITHIN;
        // The moment is shorter than any sleep.
        while Instant::now() < deadline {
            if temporary.exists() {
                self.saves_met += 1;
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// Cuts the state file in half, if there is one.
    pub(crate) fn cut(&mut self) -> Result<()> {
        let file = self.path("state").join(STATE);
        if let Ok(metadata) = fs::metadata(&file) {
            let half = fs::OpenOptions::new().write(true).open(&file)?;
            half.set_len(metadata.len() / 2)?;
            (self.cut, self.ever_cut) = (true, true);
        }
        Ok(())
    }

    /// Whether the start after a cut has something to say.
    pub(crate) fn take_cut(&mut self) -> bool {
        std::mem::take(&mut self.cut)
    }

    /// The directory of the state file is not there.
    pub(crate) fn hide(&self) -> Result<()> {
        let state = self.path("state");
        if state.exists() {
            fs::rename(&state, self.path("hidden")).context("the state directory")?;
        }
        Ok(())
    }

    /// It is there again; what the daemon has made in its place goes.
    pub(crate) fn show(&self) -> Result<()> {
        let (state, hidden) = (self.path("state"), self.path("hidden"));
        if !hidden.exists() {
            return Ok(());
        }
        let made = self.path("made meanwhile");
        if state.exists() {
            fs::rename(&state, &made)?;
        }
        fs::rename(&hidden, &state).context("the state directory")?;
        if made.exists() {
            fs::remove_dir_all(&made)?;
        }
        Ok(())
    }

    /// SIGKILL at whatever instant leaves no file that is not whole.
    pub(crate) fn check(&self) -> Result<()> {
        if self.ever_cut {
            return Ok(());
        }
        for directory in ["state", "metrics"] {
            let corrupt = corrupt(&self.path(directory));
            ensure!(corrupt.is_empty(), "set aside: {corrupt:?}");
        }
        Ok(())
    }

    /// How often SIGKILL came while the state file was written.
    pub(crate) fn saves_met(&self) -> u32 {
        self.saves_met
    }
}

fn corrupt(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".corrupt"))
        .collect()
}
