//! Writes what users read and their shells complete, all of it from the sources of
//! truth: the command line's definition and `portsyncd.conf.example`.
//!
//! `cargo run --package portsyncd --example pages -- DIRECTORY` writes `portsyncd.8`,
//! `portsyncd.conf.5` and the completions of bash, zsh and fish there; `cargo xtask
//! dist` packs them.

mod pages {
    pub(super) mod configuration;
    pub(super) mod daemon;
}

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use portsyncd::cli::Cli;

/// The reference that users are given.
const EXAMPLE: &str = include_str!("../../portsyncd.conf.example");

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from);
    let directory = directory.context("usage: pages DIRECTORY")?;
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    write(&directory.join("portsyncd.8"), &pages::daemon::page()?)?;
    let configuration = pages::configuration::page(EXAMPLE)?;
    write(
        &directory.join("portsyncd.conf.5"),
        configuration.as_bytes(),
    )?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "portsyncd", &directory)?;
    }
    Ok(())
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}
