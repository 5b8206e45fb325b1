//! `cargo xtask setup`: installs what building and testing need and this machine
//! lacks, and says so. Where nothing is missing it changes nothing.
//!
//! Packages come from apt, through sudo for a user; `bpf-linker` from crates.io,
//! into the user's own cargo directory. No service is left running or enabled.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{
    as_root, cargo, find_program, run as run_command, target_dir, workspace_root,
};
use crate::ebpf::toolchain::{BPF_LINKER, Rustc, Toolchain, linker_is_right};

/// `cargo xtask setup`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Also what building the eBPF object needs
    #[arg(long)]
    pub(crate) ebpf: bool,
}

/// A program that the tests run, and Debian's package of it.
const PROGRAMS: [(&str, &str); 10] = [
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("ip", "iproute2"),
    ("promtool", "prometheus"),
    ("prometheus", "prometheus"),
    ("openssl", "openssl"),
    ("tmux", "tmux"),
    // For libFuzzer.
    ("c++", "g++"),
    ("valgrind", "valgrind"),
    // `cargo xtask bench` counts system calls with it.
    ("strace", "strace"),
];

/// The newer Rust compiler that Debian keeps for its browsers, and its `core` for BPF.
const BPF_RUST_PACKAGES: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];

/// Installs packages with every service kept from starting: `invoke-rc.d` and
/// `deb-systemd-invoke` ask policy-rc.d(8) first. The administrator's own policy,
/// if there is one, is back in its place afterwards, whatever happens.
const INSTALL: &str = r#"
set -e
policy=/usr/sbin/policy-rc.d
aside=$policy.before-xtask
restore() { rm -f "$policy"; [ ! -e "$aside" ] || mv -f "$aside" "$policy"; }
trap restore EXIT
trap 'exit 130' HUP INT TERM
[ -e "$aside" ] || [ ! -e "$policy" ] || mv "$policy" "$aside"
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-remove --no-install-recommends "$@"
"#;

/// Sets this machine up.
pub(crate) fn run(args: Args) -> Result<()> {
    install_programs()?;
    if args.ebpf {
        ebpf_toolchain(&workspace_root()?)?;
    }
    eprintln!("setup: everything is there");
    Ok(())
}

fn install_programs() -> Result<()> {
    let missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| find_program(program).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    install(&packages)?;
    for (program, package) in missing {
        find_program(program)
            .with_context(|| format!("package {package} is installed, but has no `{program}`"))?;
        match *program {
            "redis-server" => keep_from_booting("redis-server.service")?,
            "promtool" => keep_from_booting("prometheus.service")?,
            _ => {}
        }
    }
    Ok(())
}

/// Finds the BPF toolchain; installs what of it is missing.
///
/// # Errors
/// Says what to install by hand where apt cannot.
pub(crate) fn ebpf_toolchain(root: &Path) -> Result<Toolchain> {
    let rustc = match Rustc::find() {
        Some(rustc) => rustc,
        None => install_bpf_rust()?,
    };
    let linker = match BPF_LINKER.find().filter(|linker| linker_is_right(linker)) {
        Some(linker) => linker,
        None => install_bpf_linker(root, &rustc)?,
    };
    Ok(Toolchain { rustc, linker })
}

fn install_bpf_rust() -> Result<Rustc> {
    let by_hand = "install one of the two by hand:\n  \
         rustup toolchain install nightly --profile minimal --component rust-src\n  \
         apt-get install rustc-web libstd-rust-web-dev-bpf   (Debian 12 and later)";
    install(&BPF_RUST_PACKAGES)
        .with_context(|| format!("no Rust compiler for BPF is here; {by_hand}"))?;
    Rustc::find().with_context(|| {
        format!("the packages brought no `core` for bpfel-unknown-none; {by_hand}")
    })
}

/// Builds `bpf-linker` against the compiler's own LLVM: an older one cannot read
/// the compiler's bitcode.
fn install_bpf_linker(root: &Path, rustc: &Rustc) -> Result<PathBuf> {
    let mut install = cargo(root);
    install.args(["install", "bpf-linker", "--locked", "--force", "--version"]);
    install.arg(BPF_LINKER.version);
    // Half the time to build, and nobody will debug it.
    install.env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    if let Rustc::Packaged(rustc) = rustc {
        let (major, library) = packaged_llvm(rustc)?;
        let prefix = target_dir(root).join("llvm");
        link_library(&library, &prefix.join("lib/libLLVM.so"))?;
        install.env("LLVM_PREFIX", prefix);
        install.args(["--no-default-features", "--features"]);
        install.arg(format!("llvm-{major}"));
    }
    eprintln!(
        "setup: building bpf-linker {}, about a minute",
        BPF_LINKER.version
    );
    run_command(&mut install)?;
    BPF_LINKER
        .find()
        .filter(|linker| linker_is_right(linker))
        .context("bpf-linker was installed, but is not on PATH nor in cargo's bin directory")
}

/// The LLVM that the packaged compiler is linked with: its major version, its file.
fn packaged_llvm(rustc: &Path) -> Result<(u32, PathBuf)> {
    let version = crate::ebpf::toolchain::llvm_version(&mut Command::new(rustc))?;
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let name = format!("libLLVM.so.{major}.{minor}");
    let libraries = crate::command::read(
        Command::new("ldconfig")
            .arg("-p")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin"),
    )?;
    let library = libraries
        .lines()
        .filter_map(|line| line.trim().split_once(" => "))
        .find(|(library, _)| library.split(' ').next() == Some(&name))
        .map(|(_, file)| PathBuf::from(file))
        .with_context(|| {
            format!(
                "{} uses LLVM {version}, but {name} is not there",
                rustc.display()
            )
        })?;
    let major = major
        .parse()
        .with_context(|| format!("LLVM version `{version}` of {}", rustc.display()))?;
    Ok((major, library))
}

/// What llvm's development package would bring, and nothing else of it is needed.
fn link_library(library: &Path, link: &Path) -> Result<()> {
    let directory = link.parent().context("a link needs a directory")?;
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    match std::fs::remove_file(link) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", link.display()));
        }
        _ => {}
    }
    std::os::unix::fs::symlink(library, link)
        .with_context(|| format!("cannot make {}", link.display()))
}

/// Installs packages by apt, as root.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if find_program("apt-get").is_none() {
        bail!(
            "missing: {}; this is no Debian: install them by hand",
            packages.join(", ")
        );
    }
    let purpose = format!("installing {}", packages.join(", "));
    eprintln!("setup: {purpose}");
    let mut script = as_root("sh", &purpose)?;
    script.args(["-c", INSTALL, "xtask-setup"]).args(packages);
    run_command(&mut script)
}

/// A server that came in as ours shall not start with the machine either.
fn keep_from_booting(unit: &str) -> Result<()> {
    if find_program("systemctl").is_none() {
        return Ok(());
    }
    eprintln!("setup: {unit} stays off; `systemctl enable --now {unit}` turns it on");
    let purpose = format!("disabling {unit}");
    run_command(as_root("systemctl", &purpose)?.args(["--quiet", "disable", unit]))
}
