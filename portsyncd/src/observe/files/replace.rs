//! Replacing a file so that whoever reads it, now or after a crash, finds the old one or the new
//! one whole: a temporary file beside it, fsync, rename, fsync of the directory.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Owner reads and writes, group reads.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

/// A step that failed; the old file is as it was.
#[derive(Debug, thiserror::Error)]
#[error("{step} {}: {source}", path.display())]
pub(in crate::observe) struct Unsaved {
    step: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Unsaved {
    pub(super) fn at(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            step,
            path: path.to_owned(),
            source,
        }
    }
}

/// Puts `bytes` in the place of `directory/name`; makes the directory where it is missing.
pub(super) fn replace(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), Unsaved> {
    ensure_directory(directory)?;
    let temporary = temporary(directory, name);
    let written = write(&temporary, bytes).and_then(|()| {
        let path = directory.join(name);
        fs::rename(&temporary, &path).map_err(Unsaved::at("rename to", &path))
    });
    if written.is_err() {
        // What is there of it takes up the room that was lacking.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_directory(directory)
}

/// The file that [`replace`] writes to first; a crash may leave one behind.
pub(super) fn temporary(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!(".{name}.tmp"))
}

/// Makes `directory` and those above it, unless they are there.
pub(super) fn ensure_directory(directory: &Path) -> Result<(), Unsaved> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(Unsaved::at("make directory", directory))
}

fn sync_directory(directory: &Path) -> Result<(), Unsaved> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(Unsaved::at("fsync", directory))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Unsaved> {
    // Whatever stands there is a crash's leftover, or a link that nobody should follow.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Unsaved::at("remove", path)(error));
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(Unsaved::at("create", path))?;
    // The umask may have taken the group's right.
    file.set_permissions(Permissions::from_mode(FILE_MODE))
        .map_err(Unsaved::at("chmod", path))?;
    file.write_all(bytes).map_err(Unsaved::at("write", path))?;
    file.sync_all().map_err(Unsaved::at("fsync", path))
}
