//! The tarball: the package's files below one directory, for systems without dpkg.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::Build;
use super::files::{Files, Installed};
use crate::command::run;

/// Writes it into `output`; where.
pub(super) fn build(root: &Path, build: &Build, files: &Files, output: &Path) -> Result<PathBuf> {
    let name = format!(
        "portsyncd-{}-linux-{}",
        build.version,
        build.architecture.name()
    );
    let scratch = tempfile::tempdir()?;
    let tree = scratch.path().join(&name);
    let mut all = files.clone();
    all.0.push(Installed {
        place: "LICENSE".into(),
        mode: 0o644,
        bytes: std::fs::read(root.join("LICENSE"))?,
    });
    all.write(&tree, build.time)?;
    let tarball = output.join(format!("{name}.tar.gz"));
    run(Command::new("tar")
        .args(["--create", "--use-compress-program=gzip -9n"])
        .args(["--sort=name", "--format=gnu"])
        .args(["--owner=root:0", "--group=root:0", "--numeric-owner"])
        .arg(format!("--mtime=@{}", build.time))
        .arg("--directory")
        .arg(scratch.path())
        .arg("--file")
        .arg(&tarball)
        .arg(&name))?;
    Ok(tarball)
}
