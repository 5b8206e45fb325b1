//! What builds the eBPF object: a compiler with a `core` for BPF, and a linker.
//!
//! Finds them; never installs them (`setup` does) and never runs a build.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{find_program, read, try_read};

/// The only target of the eBPF crate: little-endian, as every SONiC switch is.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// A compiler that can build for BPF.
#[derive(Clone, Debug)]
pub(crate) enum Rustc {
    /// A distribution's compiler, by its path, whose `core` is compiled already.
    Packaged(PathBuf),
    /// rustup's nightly, with the sources of `core` for `-Zbuild-std`.
    Nightly,
}

/// A compiler and a linker that fit together.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    pub(crate) rustc: Rustc,
    pub(crate) linker: PathBuf,
}

/// A program that cargo installs, at the version that we use.
pub(crate) struct CargoTool {
    name: &'static str,
    pub(crate) version: &'static str,
}

/// Links LLVM bitcode into one BPF object, and writes its BTF.
pub(crate) const BPF_LINKER: CargoTool = CargoTool {
    name: "bpf-linker",
    version: "0.13.0",
};

impl CargoTool {
    /// The tool on `PATH`, or where `cargo install` puts it.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        find_program(self.name).or_else(|| {
            let home = env::var_os("CARGO_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(env::home_dir()?.join(".cargo")))?;
            let file = home.join("bin").join(self.name);
            file.is_file().then_some(file)
        })
    }
}

/// Whether the linker runs and is of the version that we use.
pub(crate) fn linker_is_right(linker: &Path) -> bool {
    try_read(Command::new(linker).arg("--version")).is_some_and(|version| {
        version.trim() == format!("{} {}", BPF_LINKER.name, BPF_LINKER.version)
    })
}

impl Rustc {
    /// The compiler that is here: the packaged one first, which needs no network.
    pub(crate) fn find() -> Option<Self> {
        let packaged = PathBuf::from("/usr/bin/rustc");
        if has_bpf_core(&packaged) {
            return Some(Self::Packaged(packaged));
        }
        let sources = nightly_sources()?;
        sources
            .join("core/Cargo.toml")
            .is_file()
            .then_some(Self::Nightly)
    }

    /// The compiler itself.
    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Packaged(rustc) => Command::new(rustc),
            Self::Nightly => nightly("rustc"),
        }
    }
}

impl Toolchain {
    /// What decides the object's bytes besides its sources, a line each.
    pub(crate) fn identity(&self) -> Result<String> {
        let rustc = read(self.rustc.command().arg("--version"))?;
        let llvm = llvm_version(&mut self.rustc.command())?;
        let linker = read(Command::new(&self.linker).arg("--version"))?;
        Ok(format!(
            "{}\nLLVM {llvm}\n{}\n",
            rustc.trim(),
            linker.trim()
        ))
    }
}

/// A program of rustup's nightly toolchain.
pub(crate) fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]);
    command
}

/// The `library` directory of the rust-src component of rustup's nightly.
pub(crate) fn nightly_sources() -> Option<PathBuf> {
    let sysroot = try_read(nightly("rustc").args(["--print", "sysroot"]))?;
    Some(Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library"))
}

/// The version of the LLVM that a compiler writes bitcode with.
pub(crate) fn llvm_version(rustc: &mut Command) -> Result<String> {
    let version = read(rustc.arg("-vV"))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))
        .map(str::to_owned)
        .with_context(|| format!("{} names no LLVM version", rustc.get_program().display()))
}

fn has_bpf_core(rustc: &Path) -> bool {
    let libraries =
        try_read(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]))
            .and_then(|directory| fs::read_dir(directory.trim()).ok());
    libraries.is_some_and(|libraries| {
        libraries.flatten().any(|library| {
            library
                .file_name()
                .to_string_lossy()
                .starts_with("libcore-")
        })
    })
}
