//! The guest's disk before anything of ours is on it: Debian with systemd, a kernel and
//! Redis with SONiC's settings, made by debootstrap once and kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt::{mirrors, own_suite};
use crate::command::{as_root, find_program, run};
use crate::setup;

/// What is in the guest besides Debian's minimum.
const PACKAGES: [&str; 14] = [
    "systemd-sysv",
    "dbus",
    "udev",
    "kmod",
    "linux-image-cloud-amd64",
    "redis-server",
    "redis-tools",
    "iproute2",
    "curl",
    "jq",
    "sudo",
    "procps",
    "ca-certificates",
    "libgcc-s1",
];
/// Which Debian: the one that the daemon is built for, so that its C library is there.
const DEFAULT_SUITE: &str = "bookworm";
const SETTLE: &str = include_str!("base.sh");

/// The disk and what boots it.
pub(super) struct Base {
    pub(super) disk: PathBuf,
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
}

/// The base below `directory`, made unless it is there and of the same recipe.
pub(super) fn provide(directory: &Path) -> Result<Base> {
    let suite = own_suite().unwrap_or_else(|| DEFAULT_SUITE.to_owned());
    let base = directory.join(&suite);
    let recipe = format!("{suite}\n{}\n{SETTLE}", PACKAGES.join(","));
    if fs::read_to_string(base.join("recipe")).is_ok_and(|made| made == recipe) {
        return Ok(Base::at(&base));
    }
    for (program, package) in [("debootstrap", "debootstrap"), ("mkfs.ext4", "e2fsprogs")] {
        if find_program(program).is_none() {
            setup::install(&[package])?;
        }
    }
    let mirrors = mirrors()?;
    let mirror = mirrors.iter().find(|mirror| !mirror.contains("security"));
    let mirror = mirror.context("apt has no mirror of Debian's main component")?;
    fs::create_dir_all(&base)?;
    eprintln!("the guest's disk: Debian {suite}, some minutes");
    run(as_root("sh", "debootstrap")?
        .args(["-euc", SETTLE, "base.sh"])
        .args([&*suite, mirror, &PACKAGES.join(",")])
        .arg(&base))?;
    fs::write(base.join("recipe"), recipe)?;
    Ok(Base::at(&base))
}

impl Base {
    fn at(directory: &Path) -> Self {
        Self {
            disk: directory.join("disk.ext4"),
            kernel: directory.join("vmlinuz"),
            initrd: directory.join("initrd.img"),
        }
    }
}
