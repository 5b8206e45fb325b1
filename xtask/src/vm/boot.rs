//! Booting one of Debian's kernels with an initramfs of ours.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::console::{Guest, HARDWARE, Outcome};
use super::guest::{JOBS, Job, jobs_file};
use super::image::unpack;
use super::kernels::Kernel;
use super::qemu::Qemu;
use super::tree::Tree;
use crate::command::workspace_root;

/// The tap driver, and a bridge with what it needs, in the order of loading.
const MODULES: [&str; 4] = ["tun", "llc", "stp", "bridge"];

/// Boots `kernel` with what is in `tree`, runs `jobs` in it one after the other and
/// waits for its end. `told` sees every finished job at once.
pub(crate) fn boot(
    kernel: &Kernel,
    mut tree: Tree,
    jobs: &[Job],
    told: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    let qemu = Qemu::find(&workspace_root()?)?;
    let modules = add_modules(kernel, &mut tree)?;
    tree.program(Path::new("/init"), &std::env::current_exe()?)?;
    tree.file(Path::new(JOBS), jobs_file(&modules, jobs).as_bytes())?;
    let scratch = tempfile::tempdir()?;
    let initramfs = scratch.path().join("initramfs");
    fs::write(&initramfs, tree.finish()?)?;

    let mut command = qemu.command();
    command.args(HARDWARE).args(["-serial", "stdio"]);
    command.args(["-append", "console=ttyS0 panic=-1 quiet"]);
    command.arg("-kernel").arg(&kernel.image);
    command.arg("-initrd").arg(&initramfs);
    let guest = Guest::start(&mut command)?;

    guest.run_jobs(jobs, told)
}

/// Puts the modules that the kernel does not have built in into `tree`; where.
fn add_modules(kernel: &Kernel, tree: &mut Tree) -> Result<Vec<String>> {
    let builtin = fs::read_to_string(kernel.modules.join("modules.builtin"))
        .context("the kernel's modules.builtin")?;
    let mut places = Vec::new();
    for module in MODULES {
        let file = format!("{module}.ko");
        if builtin
            .lines()
            .any(|line| line.ends_with(&format!("/{file}")))
        {
            continue;
        }
        let found = find(&kernel.modules, &file)?;
        let found = found.with_context(|| format!("{} has no {file}", kernel.version))?;
        let mut bytes = fs::read(&found)?;
        if found.extension().is_some_and(|end| end == "xz") {
            bytes = unpack("xz", &bytes)?;
        }
        let place = format!("/modules/{file}");
        tree.file(Path::new(&place), &bytes)?;
        places.push(place);
    }
    Ok(places)
}

/// The module `name`, packed or not, below `directory`.
fn find(directory: &Path, name: &str) -> Result<Option<std::path::PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&entry.path(), name)? {
                return Ok(Some(found));
            }
        } else {
            let file = entry.file_name().to_string_lossy().into_owned();
            if file.strip_suffix(".xz").unwrap_or(&file) == name {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}
