//! Building for release: the daemon exactly as it is deployed, or this program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command::{cargo, workspace_root};

/// The daemon that is named, as an absolute path; without a name this checkout's, built.
pub(crate) fn daemon(named: Option<&Path>) -> Result<PathBuf> {
    let Some(named) = named else {
        return release("portsyncd");
    };
    named
        .canonicalize()
        .with_context(|| format!("there is no {}", named.display()))
}

/// Builds one package; cargo says where its executable is.
pub(crate) fn release(package: &str) -> Result<PathBuf> {
    eprintln!("building {package}, release");
    let output: Output = build(package)?
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cargo build --release --package {package}: {}",
        output.status
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built no executable named {package}"))
}

fn build(package: &str) -> Result<Command> {
    let mut command = cargo(&workspace_root()?);
    command
        .args(["build", "--release", "--quiet", "--package", package])
        .args(["--message-format", "json-render-diagnostics"]);
    Ok(command)
}
