//! The daemon for ARM64, built on x86-64 by what Debian has: its newer compiler
//! (`rustc-web`), that compiler's standard library for ARM64, and the GNU cross
//! toolchain. The standard library is unpacked under `target`; dpkg is not told of a
//! second architecture.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::apt::{Apt, own_suite};
use crate::command::{cargo, find_program, read, run, target_dir};
use crate::ebpf::toolchain::Rustc;
use crate::setup;

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
pub(super) const STRIP: &str = "aarch64-linux-gnu-strip";
const CROSS_PACKAGES: [&str; 2] = ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"];
const COMPILER_PACKAGE: &str = "rustc-web";
const LIBRARY_PACKAGE: &str = "libstd-rust-web-dev";

/// The release daemon for ARM64.
pub(super) fn daemon(root: &Path) -> Result<PathBuf> {
    if find_program(LINKER).is_none() {
        setup::install(&CROSS_PACKAGES)?;
    }
    let Rustc::Packaged(rustc) = setup::ebpf_toolchain(root)?.rustc else {
        anyhow::bail!(
            "only Debian's {COMPILER_PACKAGE} has a standard library for ARM64 here: apt-get install {COMPILER_PACKAGE}"
        );
    };
    let directory = target_dir(root).join("arm64");
    let sysroot = sysroot(&directory)?;
    run(cargo(root)
        .args(["build", "--release", "--locked", "--package", "portsyncd"])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&directory)
        .env("RUSTC", rustc)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER)
        .env(
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
            format!("--sysroot={}", sysroot.display()),
        ))?;
    Ok(directory.join(TARGET).join("release/portsyncd"))
}

/// Where the compiler finds ARM64's standard library, of the compiler's own version.
fn sysroot(directory: &Path) -> Result<PathBuf> {
    let mut query = Command::new("dpkg-query");
    let version = read(query.args(["--show", "--showformat=${Version}", COMPILER_PACKAGE]))?;
    let kept = directory.join("std").join(version.replace(':', "_"));
    let sysroot = kept.join("sysroot");
    if sysroot.is_dir() {
        return Ok(sysroot);
    }
    let suite = own_suite().context("only Debian has this toolchain")?;
    let apt = Apt::new(&directory.join("apt"), &suite, &[], true, "arm64")?;
    fs::create_dir_all(&kept)?;
    let scratch = tempfile::tempdir_in(&kept)?;
    run(apt
        .command("apt-get")
        .args([
            "--quiet=2",
            "download",
            &format!("{LIBRARY_PACKAGE}={version}"),
        ])
        .current_dir(scratch.path()))?;
    let mut packages = fs::read_dir(scratch.path())?;
    let package = packages.next().context("apt downloaded nothing")??.path();
    let tree = kept.join("tree");
    run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&tree))?;
    let library = tree.join("usr/lib/rustlib").join(TARGET);
    ensure!(library.is_dir(), "{LIBRARY_PACKAGE} has no {TARGET}");
    // Whole or not at all: the last step makes it what the next run finds.
    let unfinished = scratch.path().join("sysroot");
    fs::create_dir_all(unfinished.join("lib/rustlib"))?;
    symlink(&library, unfinished.join("lib/rustlib").join(TARGET))?;
    fs::rename(&unfinished, &sysroot)?;
    Ok(sysroot)
}
