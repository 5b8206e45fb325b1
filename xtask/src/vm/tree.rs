//! The file system that a guest starts with: an initramfs, in the newc format of
//! cpio (`Documentation/driver-api/early-userspace/buffer-format.rst`), written
//! without root and without cpio.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::read;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An initramfs in the making.
pub(crate) struct Tree {
    bytes: Vec<u8>,
    placed: BTreeSet<PathBuf>,
}

impl Tree {
    /// Directories to mount on, and the console that the kernel opens for init.
    pub(crate) fn new() -> Result<Self> {
        let mut tree = Self {
            bytes: vec![],
            placed: BTreeSet::new(),
        };
        for directory in ["proc", "sys", "dev", "tmp", "run", "root"] {
            tree.directory(Path::new(directory))?;
        }
        tree.entry(Path::new("dev/console"), CHARACTER_DEVICE, &[], (5, 1))?;
        Ok(tree)
    }

    /// A file at an absolute path of the guest's.
    pub(crate) fn file(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let path = relative(path);
        if self.placed.contains(&path) {
            return Ok(());
        }
        if let Some(directory) = path.parent() {
            self.directory(directory)?;
        }
        self.entry(&path, PROGRAM, bytes, (0, 0))
    }

    /// A program, and the shared libraries that it is linked with, at the places
    /// where it looks for them.
    pub(crate) fn program(&mut self, path: &Path, program: &Path) -> Result<()> {
        self.file(path, &stripped(program)?)?;
        let libraries = read(Command::new("ldd").arg(program))?;
        for line in libraries.lines() {
            // "name => /path (address)", or for the loader "/path (address)".
            let file = line.split_whitespace().find(|word| word.starts_with('/'));
            if let Some(file) = file.map(Path::new) {
                let bytes = fs::read(file);
                let bytes = bytes.with_context(|| format!("cannot read {}", file.display()))?;
                self.file(file, &bytes)?;
            }
        }
        Ok(())
    }

    /// The initramfs.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        self.placed.clear();
        self.entry(Path::new("TRAILER!!!"), 0, &[], (0, 0))?;
        Ok(self.bytes)
    }

    fn directory(&mut self, path: &Path) -> Result<()> {
        let mut above = PathBuf::new();
        for part in path {
            above.push(part);
            if !self.placed.contains(&above) {
                self.entry(&above, DIRECTORY, &[], (0, 0))?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, mode: u32, bytes: &[u8], device: (u32, u32)) -> Result<()> {
        let name = path.to_str().context("a path that is not UTF-8")?;
        self.placed.insert(path.to_owned());
        let fields = [
            u32::try_from(self.placed.len())?,
            mode,
            0, // owner
            0, // group
            1, // links
            0, // time
            u32::try_from(bytes.len())?,
            0, // the device that it is on
            0,
            device.0,
            device.1,
            u32::try_from(name.len() + 1)?,
            0, // no checksum
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(bytes);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }
}

fn relative(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

/// A program without its debugging information, which is most of it.
fn stripped(program: &Path) -> Result<Vec<u8>> {
    let scratch = tempfile::tempdir()?;
    let small = scratch.path().join("stripped");
    let status = Command::new("strip")
        .args(["--strip-debug", "-o"])
        .arg(&small)
        .arg(program)
        .status()
        .context("cannot run `strip`, of binutils")?;
    ensure!(status.success(), "strip of {}: {status}", program.display());
    fs::read(&small).context("cannot read what strip wrote")
}
