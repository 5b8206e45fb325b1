//! `cargo xtask dist`: what a switch installs. A Debian package and a tarball of the
//! same files, both in `target/dist`, the same bytes for the same commit.

mod architecture;
mod cross;
mod debian;
pub(crate) mod files;
mod pages;
mod tarball;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::command::{
    cargo, find_program, read, run as run_command, target_dir, try_read, workspace_root,
};
use crate::setup;
use architecture::Architecture;
use files::Files;

/// `cargo xtask dist`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// amd64, or arm64 by Debian's cross toolchain
    #[arg(long, value_name = "ARCHITECTURE", default_value = "amd64")]
    arch: Architecture,
    /// Run lintian on the package; what is excepted is in packaging/lintian-overrides
    #[arg(long)]
    lintian: bool,
}

/// What was made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) package: PathBuf,
    pub(crate) tarball: PathBuf,
}

/// Makes both and says where they are.
pub(crate) fn run(args: &Args) -> Result<()> {
    let made = make(args.arch)?;
    for file in [&made.package, &made.tarball] {
        let bytes = fs::metadata(file)?.len();
        println!("{} ({} KiB)", file.display(), bytes / 1024);
    }
    if args.lintian {
        if find_program("lintian").is_none() {
            setup::install(&["lintian"])?;
        }
        run_command(
            std::process::Command::new("lintian")
                .args(["--fail-on", "error,warning", "--tag-display-limit", "0"])
                .arg("--allow-root")
                .arg(&made.package),
        )?;
    }
    Ok(())
}

/// Makes both for the architecture of this machine.
pub(crate) fn for_this_machine() -> Result<Made> {
    make(Architecture::Amd64)
}

fn make(architecture: Architecture) -> Result<Made> {
    let root = workspace_root()?;
    let output = target_dir(&root).join("dist");
    let build = Build {
        version: version(&root)?,
        time: commit_time(&root),
        architecture,
    };
    let scratch = tempfile::tempdir()?;
    let daemon = architecture.daemon(&root, scratch.path())?;
    let pages = pages::write(&root, &scratch.path().join("pages"))?;
    let files = Files::of(&root, &daemon, &pages)?;
    fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
    Ok(Made {
        package: debian::build(&root, &build, &files, &output)?,
        tarball: tarball::build(&root, &build, &files, &output)?,
    })
}

/// What is the same for both.
struct Build {
    version: String,
    /// Seconds since 1970: no file is younger, so that the bytes do not depend on the
    /// time of the build.
    time: u64,
    architecture: Architecture,
}

/// The workspace's version.
fn version(root: &Path) -> Result<String> {
    let id = read(cargo(root).args(["pkgid", "--package", "portsyncd"]))?;
    let (_, version) = id.trim().rsplit_once(['#', '@']).context("cargo pkgid")?;
    Ok(version.to_owned())
}

/// The time of the commit that is checked out, or that a distribution's build sets.
fn commit_time(root: &Path) -> u64 {
    let set = std::env::var("SOURCE_DATE_EPOCH").ok();
    let git = || {
        let mut git = std::process::Command::new("git");
        try_read(git.current_dir(root).args(["log", "-1", "--format=%ct"]))
    };
    let time = set.or_else(git).unwrap_or_default();
    // A tarball of the sources, without git: the year in which SONiC began.
    time.trim().parse().unwrap_or(1_451_606_400)
}

/// What a package must have, looked at from outside.
///
/// # Errors
/// Names what is missing or wrong.
pub(crate) fn check(root: &Path, made: &Made) -> Result<()> {
    let list = read(
        std::process::Command::new("dpkg-deb")
            .arg("--contents")
            .arg(&made.package),
    )?;
    for (place, mode) in [
        ("./usr/bin/portsyncd", "-rwxr-xr-x"),
        ("./lib/systemd/system/portsyncd.service", "-rw-r--r--"),
        ("./lib/systemd/system/portsyncd@.service", "-rw-r--r--"),
        ("./etc/sonic/portsyncd.conf", "-rw-r--r--"),
        ("./usr/share/man/man8/portsyncd.8.gz", "-rw-r--r--"),
        ("./usr/share/man/man5/portsyncd.conf.5.gz", "-rw-r--r--"),
    ] {
        let line = list.lines().find(|line| line.ends_with(place));
        let line = line.with_context(|| format!("the package has no {place}"))?;
        ensure!(
            line.starts_with(&format!("{mode} root/root ")),
            "in the package: {line}"
        );
    }
    // What differs between the two units is what has to.
    let unit = |name: &str| {
        fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"))
    };
    let (switch, asic) = (unit("portsyncd.service")?, unit("portsyncd@.service")?);
    for line in switch
        .lines()
        .filter(|line| line.contains('=') && !line.starts_with('#'))
    {
        let (key, _) = line.split_once('=').context("a setting")?;
        ensure!(
            asic.lines().any(|other| other == line) || OF_ASIC.contains(&key),
            "portsyncd@.service lacks {line}"
        );
    }
    Ok(())
}

/// What the template has in its own way.
const OF_ASIC: [&str; 10] = [
    "Description",
    "After",
    "Wants",
    "PartOf",
    "ExecStart",
    "StateDirectory",
    "AmbientCapabilities",
    "CapabilityBoundingSet",
    "RestrictNamespaces",
    "WantedBy",
];
