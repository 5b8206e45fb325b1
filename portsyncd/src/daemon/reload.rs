//! SIGHUP: the configuration read again, what can change live applied.

use std::path::PathBuf;

use tracing::{error, info, warn};

use crate::config::Config;
use crate::privileges;

/// Keeps the configuration in force and where it came from.
#[derive(Debug)]
pub(super) struct Reloader {
    config: Config,
    file: Option<PathBuf>,
}

impl Reloader {
    pub(super) fn new(config: Config, file: Option<PathBuf>) -> Self {
        Self { config, file }
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Reads the file again. What cannot change live is named in the log and
    /// stays; a bad file changes nothing.
    pub(super) fn reload(&mut self) {
        let new = match Config::load(self.file.as_deref()) {
            Ok(new) => new,
            Err(error) => {
                error!(%error, "configuration not reloaded, the old one stays in force");
                return;
            }
        };
        // The new file's secrets are in memory, if only to be compared.
        if new.holds_secrets()
            && let Err(error) = privileges::hide_memory()
        {
            error!(%error, "memory not hidden");
        }
        let old = &mut self.config;
        let interval = new.link.resync_interval;
        let link_otherwise = {
            let mut link = new.link.clone();
            link.resync_interval = old.link.resync_interval;
            link
        };
        let fixed = [
            ("[database]", old.database != new.database),
            ("[link]", old.link != link_otherwise),
            ("[health]", old.health != new.health),
            ("[metrics]", old.metrics != new.metrics),
            ("[warm_restart]", old.warm_restart != new.warm_restart),
        ];
        for (section, _) in fixed.iter().filter(|(_, changed)| *changed) {
            warn!("{section} changed: takes effect with a restart");
        }
        old.link.resync_interval = interval;
        old.performance = new.performance;
        info!("configuration reloaded");
    }
}
