//! `[warm_restart]`: the state file.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Section;

/// The keys of `[warm_restart]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmRestart {
    /// Absolute path of a directory. Default `/var/lib/sonic/portsyncd`.
    pub state_path: PathBuf,
    /// Backups of the state file that are kept, 1 to 1000. Default 10.
    pub max_backups: u32,
    /// `eoiu_timeout_secs`: the longest the end of the initial dump is waited for, 1 s to 600 s.
    /// Default 10 s.
    pub eoiu_timeout: Duration,
}

impl Default for WarmRestart {
    fn default() -> Self {
        Self {
            state_path: PathBuf::from("/var/lib/sonic/portsyncd"),
            max_backups: 10,
            eoiu_timeout: Duration::from_secs(10),
        }
    }
}

impl WarmRestart {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            state_path: section.directory("state_path", default.state_path),
            max_backups: section.integer("max_backups", default.max_backups, 1..=1000),
            eoiu_timeout: section.seconds("eoiu_timeout_secs", default.eoiu_timeout, 1..=600),
        }
    }
}
