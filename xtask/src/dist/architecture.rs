//! The architectures that SONiC's switches have, and how the daemon is built for them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cross;
use crate::command::{cargo, run, target_dir};

/// As Debian calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Architecture {
    /// x86-64.
    Amd64,
    /// `ARMv8` with 64 bits.
    Arm64,
}

impl Architecture {
    /// Debian's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The release daemon, built if it is not there, without its debugging information,
    /// in `directory`.
    pub(super) fn daemon(self, root: &Path, directory: &Path) -> Result<PathBuf> {
        let (built, strip) = match self {
            Self::Amd64 => {
                run(cargo(root).args([
                    "build",
                    "--release",
                    "--locked",
                    "--package",
                    "portsyncd",
                ]))?;
                (target_dir(root).join("release/portsyncd"), "strip")
            }
            Self::Arm64 => (cross::daemon(root)?, cross::STRIP),
        };
        let stripped = directory.join("portsyncd");
        let status = Command::new(strip)
            .args(["--strip-unneeded", "--remove-section=.comment", "-o"])
            .arg(&stripped)
            .arg(&built)
            .status()
            .with_context(|| format!("cannot run `{strip}`, of binutils"))?;
        ensure!(status.success(), "strip of {}: {status}", built.display());
        Ok(stripped)
    }
}
