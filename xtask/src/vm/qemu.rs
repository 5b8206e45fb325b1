//! QEMU: the machine's own, or else Debian's, downloaded by apt, unpacked and kept
//! under `target/vm`.
//!
//! Nothing is installed: QEMU's packages conflict with other versions of each
//! other, and a machine may have some for purposes of its own. QEMU finds its
//! firmware and modules from where it stands.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::{find_program, run, target_dir};

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";
/// What dpkg knows of installed packages (dpkg-query(1)).
const STATUS: &str = "/var/lib/dpkg/status";

/// A QEMU that can be run.
pub(crate) struct Qemu {
    program: PathBuf,
    /// Where it was unpacked, if it is not the system's.
    unpacked: Option<PathBuf>,
}

impl Qemu {
    /// Finds it; downloads it where there is none.
    pub(crate) fn find(root: &Path) -> Result<Self> {
        if let Some(program) = find_program(PROGRAM) {
            return Ok(Self {
                program,
                unpacked: None,
            });
        }
        let kept = target_dir(root).join("vm/qemu");
        let program = kept.join("usr/bin").join(PROGRAM);
        if !program.is_file() {
            fetch(&target_dir(root).join("vm"), &kept)
                .with_context(|| format!("no {PROGRAM} here: install {PACKAGE} by hand"))?;
        }
        Ok(Self {
            program,
            unpacked: Some(kept),
        })
    }

    /// A command that runs it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(tree) = &self.unpacked {
            let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
            let libraries = libraries.map(|place| tree.join(place).display().to_string());
            command.env("LD_LIBRARY_PATH", libraries.join(":"));
        }
        command
    }
}

/// Downloads the package and what it needs and this machine lacks; unpacks it.
fn fetch(directory: &Path, kept: &Path) -> Result<()> {
    eprintln!(
        "setup: downloading {PACKAGE}, which stays in {}",
        kept.display()
    );
    let apt = directory.join("apt/qemu");
    fs::create_dir_all(apt.join("lists/partial"))?;
    fs::create_dir_all(apt.join("cache/archives/partial"))?;
    let status = fs::read_to_string(STATUS).context(STATUS)?;
    fs::write(apt.join("status"), without_qemu(&status))?;
    let command = || {
        let mut command = Command::new("apt-get");
        for (key, value) in [
            ("Dir::State::lists", apt.join("lists")),
            ("Dir::State::status", apt.join("status")),
            ("Dir::Cache", apt.join("cache")),
            ("APT::Sandbox::User", PathBuf::from("root")),
            // dpkg's own lock is for who installs.
            ("Debug::NoLocking", PathBuf::from("true")),
        ] {
            command.arg("-o").arg(format!("{key}={}", value.display()));
        }
        command.arg("--quiet=2");
        command
    };
    run(command().arg("update"))?;
    run(command()
        .args([
            "install",
            "--download-only",
            "--yes",
            "--no-install-recommends",
        ])
        .arg(PACKAGE))?;
    let scratch = tempfile::tempdir_in(directory).context("cannot make a directory")?;
    let tree = scratch.path().join("tree");
    let mut packages = 0;
    for entry in fs::read_dir(apt.join("cache/archives"))? {
        let file = entry?.path();
        if file.extension().is_some_and(|end| end == "deb") {
            let unpacked = Command::new("dpkg-deb")
                .arg("-x")
                .arg(&file)
                .arg(&tree)
                .status();
            let unpacked = unpacked.context("cannot run dpkg-deb")?;
            ensure!(
                unpacked.success(),
                "dpkg-deb -x {}: {unpacked}",
                file.display()
            );
            packages += 1;
        }
    }
    ensure!(packages > 0, "apt downloaded no package");
    // Whole or not at all: an interrupted download is not mistaken for QEMU.
    if kept.exists() {
        fs::remove_dir_all(kept)?;
    }
    fs::rename(&tree, kept).with_context(|| format!("cannot move QEMU to {}", kept.display()))
}

/// dpkg's status without QEMU's packages: apt plans as if none were installed.
fn without_qemu(status: &str) -> String {
    let packages = status.split("\n\n").filter(|package| {
        let name = package.trim_start().lines().next().unwrap_or_default();
        !name.starts_with("Package: qemu")
    });
    packages.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_qemu_s_packages_are_left_out() {
        let status = "Package: bash\nStatus: x\n\nPackage: qemu-utils\nStatus: x\n\nPackage: zsh\n";
        let left = "Package: bash\nStatus: x\n\nPackage: zsh\n";
        assert_eq!(without_qemu(status), left);
    }
}
