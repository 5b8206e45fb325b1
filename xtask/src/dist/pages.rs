//! The manual pages and the shells' completions, which the daemon's own crate writes.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::command::{cargo, run};

/// Writes them into `directory`; gives it back.
pub(super) fn write(root: &Path, directory: &Path) -> Result<PathBuf> {
    run(cargo(root)
        .args(["run", "--quiet", "--locked", "--package", "portsyncd"])
        .args(["--example", "pages", "--"])
        .arg(directory))?;
    ensure!(directory.join("portsyncd.8").is_file());
    Ok(directory.to_owned())
}
