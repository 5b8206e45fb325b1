//! `cargo xtask btf-fixtures`: the kernels' type information, cut down to what the
//! carrier hook reads, for the tests of its reader.
//!
//! The kernels are Debian's and, if it has BTF, the one that runs here. A fixture
//! has whole what the reader follows, and the rest as hollow as the format allows:
//! a few kilobytes of several megabytes.

mod cut;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object as _, ObjectSection as _};

use crate::command::workspace_root;
use crate::vm::image::vmlinux;
use crate::vm::kernels::RELEASES;
use cut::cut;

/// Where the fixtures are.
const FIXTURES: &str = "portsyncd/src/link/btf/fixtures";

/// Makes every fixture anew.
pub(crate) fn run() -> Result<()> {
    let root = workspace_root()?;
    for release in &RELEASES {
        let kernel = release.fetch(&root)?;
        let elf = vmlinux(&kernel.image)?;
        let elf = object::File::parse(&*elf).context("the kernel is no ELF file")?;
        let btf = elf
            .section_by_name(".BTF")
            .with_context(|| format!("Linux {} has no BTF", kernel.version))?;
        write(&root, release.name, &kernel.version, btf.data()?)?;
    }
    match fs::read("/sys/kernel/btf/vmlinux") {
        Ok(btf) => {
            let version = fs::read_to_string("/proc/sys/kernel/osrelease")?;
            let version = version.trim();
            let name = version.split('.').take(2).collect::<Vec<_>>().join(".");
            if RELEASES.iter().all(|release| release.name != name) {
                write(&root, &name, version, &btf)?;
            }
        }
        Err(error) => {
            eprintln!("no fixture of the running kernel: /sys/kernel/btf/vmlinux: {error}");
        }
    }
    Ok(())
}

fn write(root: &Path, name: &str, version: &str, btf: &[u8]) -> Result<()> {
    let fixture = cut(btf).with_context(|| format!("BTF of Linux {version}"))?;
    let file = root.join(FIXTURES).join(format!("{name}.btf"));
    fs::write(&file, &fixture).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!(
        "{FIXTURES}/{name}.btf: {} bytes of Linux {version}'s {}",
        fixture.len(),
        btf.len()
    );
    Ok(())
}
