//! Debian's kernels: downloaded by apt, unpacked and kept under `target/vm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::apt::Apt;
use crate::command::{find_program, read, run, target_dir};

/// A kernel that SONiC has, in the release of Debian that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release {
    /// What users call it.
    pub(crate) name: &'static str,
    /// Debian's code name.
    suite: &'static str,
    /// Debian still has what it lists of the suite's security updates.
    updated: bool,
    /// The package's name is this, a number, and [`tail`](Self::tail).
    head: &'static str,
    tail: &'static str,
}

/// 5.10 is SONiC's up to 202311, then 6.1, then 6.12.
pub(crate) const RELEASES: [Release; 3] = [
    Release {
        name: "5.10",
        suite: "bullseye",
        updated: false,
        head: "linux-image-5.10.0-",
        tail: "-cloud-amd64-unsigned",
    },
    Release {
        name: "6.1",
        suite: "bookworm",
        updated: true,
        head: "linux-image-6.1.0-",
        tail: "-cloud-amd64",
    },
    Release {
        name: "6.12",
        suite: "bookworm",
        updated: true,
        head: "linux-image-6.12.",
        tail: "+deb12-cloud-amd64",
    },
];

/// A kernel, unpacked.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// What `uname -r` says in it.
    pub(crate) version: String,
    /// The bootable image.
    pub(crate) image: PathBuf,
    /// The directory of its modules, `lib/modules/<version>`.
    pub(crate) modules: PathBuf,
}

impl Release {
    /// The releases of those names; all if there are none, or for "all".
    pub(crate) fn chosen(names: &[String]) -> Result<Vec<&'static Self>> {
        if names.is_empty() || names.iter().any(|name| name == "all") {
            return Ok(RELEASES.iter().collect());
        }
        names.iter().map(|name| Self::named(name)).collect()
    }

    /// The release of that name.
    pub(crate) fn named(name: &str) -> Result<&'static Self> {
        let release = RELEASES.iter().find(|release| release.name == name);
        release.with_context(|| {
            let names = RELEASES.map(|release| release.name).join(", ");
            format!("there is no kernel \"{name}\" here; there are {names}")
        })
    }

    /// The kernel, downloaded unless it has been.
    pub(crate) fn fetch(&self, root: &Path) -> Result<Kernel> {
        let kept = target_dir(root).join("vm").join(self.name);
        if let Ok(kernel) = unpacked(&kept) {
            return Ok(kernel);
        }
        for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
            ensure!(
                find_program(tool).is_some(),
                "Linux {} comes from Debian, and there is no {tool} here",
                self.name
            );
        }
        let apt = Apt::new(
            &target_dir(root).join("vm/apt"),
            self.suite,
            &[],
            self.updated,
            "amd64",
        )?;
        let package = newest(&apt, self.head, self.tail)?;
        let scratch = tempfile::tempdir_in(target_dir(root).join("vm"))
            .context("cannot make a directory to download into")?;
        run(apt
            .command("apt-get")
            .args(["--quiet=2", "download", &package])
            .current_dir(scratch.path()))?;
        let file = the_one(scratch.path(), |name| name.starts_with("linux-image-"))?;
        let tree = scratch.path().join("tree");
        run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&tree))?;
        // Whole or not at all: an interrupted download is not mistaken for a kernel.
        if kept.exists() {
            fs::remove_dir_all(&kept)?;
        }
        fs::rename(&tree, &kept)
            .with_context(|| format!("cannot move the kernel to {}", kept.display()))?;
        unpacked(&kept)
    }
}

fn unpacked(tree: &Path) -> Result<Kernel> {
    let image = the_one(&tree.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    // A package of Debian 13 or later has them below usr.
    let modules = ["lib/modules", "usr/lib/modules"]
        .iter()
        .find_map(|folder| the_one(&tree.join(folder), |_| true).ok());
    let modules = modules.with_context(|| format!("no modules in {}", tree.display()))?;
    let version = modules.file_name().context("modules without a version")?;
    Ok(Kernel {
        version: version.to_string_lossy().into_owned(),
        image,
        modules,
    })
}

/// The one entry of a directory whose name is right.
fn the_one(directory: &Path, right: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut found = None;
    for entry in entries {
        let entry = entry?;
        if right(&entry.file_name().to_string_lossy()) && found.replace(entry.path()).is_some() {
            bail!("{} has more than one such file", directory.display());
        }
    }
    found.with_context(|| format!("{} has no such file", directory.display()))
}

/// The package of the highest number between `head` and `tail`.
fn newest(apt: &Apt, head: &str, tail: &str) -> Result<String> {
    let names = read(apt.command("apt-cache").args(["pkgnames", head]))?;
    let newest = names
        .lines()
        .filter_map(|name| {
            let number = name.strip_prefix(head)?.strip_suffix(tail)?;
            Some((number.parse::<u32>().ok()?, name))
        })
        .max();
    let (_, name) = newest.with_context(|| format!("no package {head}N{tail} in the lists"))?;
    Ok(name.to_owned())
}
