//! `cargo xtask build-ebpf`: the eBPF object that is committed beside its sources.
//!
//! The object is built by compilers that most developers do not have, so it is
//! committed, and the same sources and compiler give the same bytes in any
//! checkout, cargo home and target directory: `--check` proves that they still do.
//! It has no BTF and no debugging information, which would hold the sources' text
//! and lines: a comment does not change it.

mod interface;
pub(crate) mod toolchain;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::command::{cargo, run as run_command, target_dir, workspace_root};
use crate::setup;
use interface::interface;
use toolchain::{Rustc, TARGET, Toolchain, nightly};

/// `cargo xtask build-ebpf`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Build beside it, and fail unless the committed object is the same
    #[arg(long)]
    pub(crate) check: bool,
}

/// The crate, within the tree.
const CRATE: &str = "portsyncd-ebpf";
const OBJECT: &str = "portsyncd-ebpf/portsyncd-ebpf.o";
const IDENTITY: &str = "portsyncd-ebpf/portsyncd-ebpf.o.toolchain";

/// `RUSTC_BOOTSTRAP`: the crates that may use inline assembly for BPF, which is
/// unstable. It is all that they need of a nightly compiler.
const UNSTABLE_IN: &str = "aya_ebpf,portsyncd_ebpf";

/// Builds the object into its place, or beside it to compare.
pub(crate) fn run(args: Args) -> Result<()> {
    let root = workspace_root()?;
    let toolchain = setup::ebpf_toolchain(&root)?;
    let identity = toolchain.identity()?;
    if args.check {
        return check(&root, &toolchain, &identity);
    }
    // Not locked: the version of a crate of ours may have changed.
    let object = build(&root, &toolchain, &target_dir(&root).join("ebpf"), None)?;
    write(&root.join(OBJECT), &object)?;
    write(&root.join(IDENTITY), identity.as_bytes())?;
    eprintln!("{OBJECT}: {} bytes", object.len());
    Ok(())
}

/// Rebuilds from nothing and compares with what is committed.
fn check(root: &Path, toolchain: &Toolchain, identity: &str) -> Result<()> {
    let committed = fs::read(root.join(OBJECT)).with_context(|| format!("cannot read {OBJECT}"))?;
    let built_by = fs::read_to_string(root.join(IDENTITY))
        .with_context(|| format!("cannot read {IDENTITY}"))?;
    let scratch = tempfile::tempdir().context("cannot make a scratch directory")?;
    let object = build(root, toolchain, scratch.path(), Some("--locked"))?;
    if built_by == identity {
        ensure!(
            object == committed,
            "{OBJECT} is not what its sources give: run `cargo xtask build-ebpf` and commit it"
        );
        eprintln!("{OBJECT}: rebuilt, the same {} bytes", object.len());
        return Ok(());
    }
    eprintln!(
        "{OBJECT} was built by\n{built_by}and here is\n{identity}\
         so the bytes cannot be compared; comparing programs and maps instead"
    );
    let (ours, theirs) = (interface(&object)?, interface(&committed)?);
    let difference: BTreeSet<_> = ours.symmetric_difference(&theirs).collect();
    ensure!(
        difference.is_empty(),
        "{OBJECT} is not what its sources give; these differ: {difference:#?}\n\
         run `cargo xtask build-ebpf` and commit it"
    );
    eprintln!("{OBJECT}: rebuilt, the same programs and maps");
    Ok(())
}

/// Builds the crate with everything under `target`; the object's bytes.
fn build(
    root: &Path,
    toolchain: &Toolchain,
    target: &Path,
    locked: Option<&str>,
) -> Result<Vec<u8>> {
    let directory = root.join(CRATE);
    let mut build = match &toolchain.rustc {
        Rustc::Packaged(rustc) => {
            let mut cargo = cargo(&directory);
            cargo.env("RUSTC", rustc).arg("build");
            cargo
        }
        Rustc::Nightly => {
            let mut cargo = nightly("cargo");
            cargo.current_dir(&directory).env_remove("RUSTC");
            cargo.args(["build", "-Zbuild-std=core"]);
            cargo
        }
    };
    build.args(["--release", "--target", TARGET, "--target-dir"]);
    build.arg(target);
    build.args(locked);
    build.env("RUSTC_BOOTSTRAP", UNSTABLE_IN);
    build.env(
        "CARGO_ENCODED_RUSTFLAGS",
        rustflags(toolchain).join("\u{1f}"),
    );
    // A developer's own settings must not show in the bytes.
    let profile = env::vars_os().map(|(name, _)| name);
    for name in profile.filter(|name| name.to_string_lossy().starts_with("CARGO_PROFILE_")) {
        build.env_remove(name);
    }
    for name in [
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_INCREMENTAL",
    ] {
        build.env_remove(name);
    }
    run_command(&mut build)?;
    let linked = target.join(TARGET).join("release").join(CRATE);
    fs::read(&linked).with_context(|| format!("cannot read {}", linked.display()))
}

fn rustflags(toolchain: &Toolchain) -> [String; 4] {
    [
        // aya wants one. The kprobes read registers of either, so one object fits all.
        r#"--cfg=bpf_target_arch="x86_64""#.to_owned(),
        // Without 32-bit registers: a verifier before 5.16 forgets what it knows of
        // a value that the compiler keeps in four bytes of the stack.
        "-Ctarget-cpu=v2".to_owned(),
        format!("-Clinker={}", toolchain.linker.display()),
        // Small copies and clearings as plain stores, not as calls of loops.
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
    ]
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}
