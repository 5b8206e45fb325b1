//! One saved file with its backups: loading what is good, setting aside what is not, saving,
//! rotating.
//!
//! Everything here blocks: it runs before the listeners are opened, or on a thread for it.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::replace::{Unsaved, ensure_directory, replace, temporary};
use super::sealed::Broken;
use crate::clock::wall_ns;

/// A backup is made before a save when the last one is older.
const BACKUP_EVERY: Duration = Duration::from_hours(1);
/// Files set aside that are kept.
const CORRUPT_KEPT: usize = 3;

/// Where a file is and how long its backups live.
#[derive(Clone, Debug)]
pub(in crate::observe) struct Vault {
    /// The directory; `backups` is below it.
    pub(in crate::observe) directory: PathBuf,
    /// The file's name without `.json`.
    pub(in crate::observe) stem: &'static str,
    pub(in crate::observe) max_backups: usize,
    pub(in crate::observe) retention: Duration,
    /// A longer file is moved to the backups before the next save.
    pub(in crate::observe) max_bytes: u64,
}

/// What loading found.
#[derive(Debug, Default)]
pub(in crate::observe) struct Loaded<T> {
    /// What was saved; `None`: there is nothing to go by.
    pub(in crate::observe) content: Option<T>,
    /// Files that were set aside, and why.
    pub(in crate::observe) corrupt: Vec<String>,
    /// The backup that `content` is from.
    pub(in crate::observe) recovered: Option<PathBuf>,
}

/// What saving did beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::observe) struct Saved {
    pub(in crate::observe) backups_created: u64,
    pub(in crate::observe) backups_cleaned: u64,
}

impl Vault {
    fn name(&self) -> String {
        format!("{}.json", self.stem)
    }

    /// The file.
    pub(in crate::observe) fn path(&self) -> PathBuf {
        self.directory.join(self.name())
    }

    fn backups(&self) -> PathBuf {
        self.directory.join("backups")
    }

    /// Reads the file, else the newest backup that is good; what is not good is set aside.
    pub(in crate::observe) fn load<T>(
        &self,
        parse: impl Fn(&[u8]) -> Result<T, Broken>,
    ) -> Loaded<T> {
        let _ = fs::remove_file(temporary(&self.directory, &self.name()));
        let mut loaded = Loaded {
            content: None,
            corrupt: Vec::new(),
            recovered: None,
        };
        let candidates = std::iter::once((None, self.path())).chain(
            self.list_backups()
                .into_iter()
                .rev()
                .map(|(_, path)| (Some(()), path)),
        );
        for (backup, path) in candidates {
            let why = match self.read(&path) {
                Ok(None) => continue,
                Ok(Some(bytes)) => match parse(&bytes) {
                    Ok(content) => {
                        loaded.content = Some(content);
                        loaded.recovered = backup.map(|()| path);
                        break;
                    }
                    Err(broken) => broken.to_string(),
                },
                Err(why) => why,
            };
            let aside = self.set_aside(&path);
            loaded
                .corrupt
                .push(format!("{}: {why}; {aside}", path.display()));
        }
        loaded
    }

    /// The bytes of a file that is ours; `None` where there is none.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot be opened: {error}")),
        };
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        check(&metadata)?;
        let mut bytes = Vec::new();
        match Read::take(file, self.max_bytes + 1).read_to_end(&mut bytes) {
            Ok(read) if read as u64 > self.max_bytes => {
                Err(format!("it is longer than {} bytes", self.max_bytes))
            }
            Ok(_) => Ok(Some(bytes)),
            Err(error) => Err(format!("cannot be read: {error}")),
        }
    }

    /// Renames to `<file>.corrupt`; the last few of those are kept. Says what became of it.
    fn set_aside(&self, path: &Path) -> String {
        let numbered = |number: usize| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let number = if number == 0 {
                String::new()
            } else {
                format!(".{number}")
            };
            self.directory.join(format!("{name}{number}.corrupt"))
        };
        for number in (0..CORRUPT_KEPT - 1).rev() {
            let _ = fs::rename(numbered(number), numbered(number + 1));
        }
        let aside = numbered(0);
        let moved = fs::rename(path, &aside);
        self.bound_corrupt();
        match moved {
            Ok(()) => format!("set aside as {}", aside.display()),
            Err(error) => format!("it cannot be renamed to {}: {error}", aside.display()),
        }
    }

    /// Backups that were set aside have names of their own: all together they are bounded.
    fn bound_corrupt(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        let mut corrupt: Vec<_> = entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with(self.stem) && name.ends_with(".corrupt")
            })
            .filter_map(|entry| Some((entry.metadata().ok()?.ctime(), entry.path())))
            .collect();
        corrupt.sort_unstable();
        for (_, path) in corrupt.iter().rev().skip(2 * CORRUPT_KEPT) {
            let _ = fs::remove_file(path);
        }
    }

    /// Replaces the file. `last` is the daemon's last save: what it leaves is backed up, too.
    pub(in crate::observe) fn save(&self, bytes: &[u8], last: bool) -> Result<Saved, Unsaved> {
        let mut saved = Saved::default();
        let path = self.path();
        ensure_directory(&self.directory)?;
        let too_long = fs::metadata(&path).is_ok_and(|m| m.len() > self.max_bytes);
        let newest = self.list_backups().last().map_or(0, |(secs, _)| *secs);
        let due = now_secs().saturating_sub(newest) >= BACKUP_EVERY.as_secs();
        if (due || too_long) && path.exists() {
            saved.backups_created += self.back_up(&path)?;
        }
        replace(&self.directory, &self.name(), bytes)?;
        if last {
            saved.backups_created += self.back_up(&path)?;
        }
        saved.backups_cleaned = self.clean();
        Ok(saved)
    }

    /// Copies the file to the backups. A second name for it would not do: whatever spoils the file
    /// in place would spoil the backup.
    fn back_up(&self, path: &Path) -> Result<u64, Unsaved> {
        let name = format!("{}_{}.json", self.stem, now_secs());
        let bytes = fs::read(path).map_err(Unsaved::at("read", path))?;
        replace(&self.backups(), &name, &bytes)?;
        Ok(1)
    }

    /// Removes backups that are too many or too old; the newest one stays.
    fn clean(&self) -> u64 {
        let backups = self.list_backups();
        let oldest = now_secs().saturating_sub(self.retention.as_secs());
        let newer = backups.len().saturating_sub(1);
        let mut cleaned = 0;
        for (index, (secs, path)) in backups.iter().enumerate() {
            let too_many = index + self.max_backups < backups.len();
            let too_old = *secs < oldest && index < newer;
            if (too_many || too_old) && fs::remove_file(path).is_ok() {
                cleaned += 1;
            }
        }
        cleaned
    }

    /// Backups by their time in seconds since 1970, oldest first.
    fn list_backups(&self) -> Vec<(u64, PathBuf)> {
        let Ok(entries) = fs::read_dir(self.backups()) else {
            return Vec::new();
        };
        let prefix = format!("{}_", self.stem);
        let mut backups: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let secs = name
                    .to_str()?
                    .strip_prefix(&prefix)?
                    .strip_suffix(".json")?;
                Some((secs.parse().ok()?, entry.path()))
            })
            .collect();
        backups.sort_unstable();
        backups
    }
}

/// Only a regular file of our own is believed.
fn check(metadata: &Metadata) -> Result<(), String> {
    let us = geteuid().as_raw();
    if !metadata.is_file() {
        return Err("it is no regular file".into());
    }
    if metadata.uid() != us {
        return Err(format!("it belongs to uid {}, not to {us}", metadata.uid()));
    }
    Ok(())
}

fn now_secs() -> u64 {
    wall_ns() / 1_000_000_000
}
