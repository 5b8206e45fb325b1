//! When the files are saved.
//!
//! The state file follows changes at a bounded rate, the metrics file its interval and what is
//! counted rarely. Nothing wakes up while nothing changes.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};

use super::replace::Unsaved;
use super::sealed::{FORMAT_VERSION, open_map, seal};
use super::state;
use super::vault::{Loaded, Saved, Vault};
use crate::clock::wall_ns;
use crate::config::Config;
use crate::observe::Observer;
use crate::observe::ledger::Count;
use crate::observe::picture::{FileStatus, Picture};

/// The shortest time between two saves of one file.
const SPACING: Duration = Duration::from_secs(1);
/// Bytes of the state file that are written in a second, at most: a switch's disk is flash.
const BYTES_A_SECOND: u64 = 64 << 10;
/// The longest pause between two attempts while the disk makes trouble.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
const STATE_MAX_BYTES: u64 = 64 << 20;

const STATE: &str = "port_state.json";
const METRICS: &str = "metrics.json";

/// Both files.
#[derive(Debug)]
pub(in crate::observe) struct Keepers {
    state: Vault,
    /// `None` with `metrics.enabled = false`.
    metrics: Option<Vault>,
    save_interval: Duration,
    boot_id: String,
}

impl Keepers {
    pub(in crate::observe) fn new(config: &Config) -> Self {
        let (metrics, warm) = (&config.metrics, &config.warm_restart);
        let retention = Duration::from_hours(24) * metrics.retention_days;
        let max_backups = warm.max_backups as usize;
        Self {
            state: Vault {
                directory: warm.state_path.clone(),
                stem: "port_state",
                max_backups,
                retention,
                max_bytes: STATE_MAX_BYTES,
            },
            metrics: metrics.enabled.then(|| Vault {
                directory: metrics.storage_path.clone(),
                stem: "metrics",
                max_backups,
                retention,
                max_bytes: u64::from(metrics.max_file_size_mb) << 20,
            }),
            save_interval: metrics.save_interval,
            boot_id: state::boot_id(),
        }
    }

    fn state_bytes(&self, picture: &mut Picture) -> Vec<u8> {
        picture.ports.dirty = false;
        state::write(&picture.ports, &self.boot_id)
    }

    /// Saves both for the last time; blocks.
    pub(in crate::observe) fn save_last(&self, picture: &mut Picture) {
        let bytes = self.state_bytes(picture);
        let saved = self.state.save(&bytes, true);
        settle(picture, STATE, &saved);
        if let Some(metrics) = &self.metrics {
            let bytes = metrics_bytes(picture);
            // Its backup would be one that it does not count.
            let saved = metrics.save(&bytes, false);
            settle(picture, METRICS, &saved);
        }
    }

    /// Saves the state file whenever something has changed. Never ends.
    pub(in crate::observe) async fn keep_state(&self, observer: &Rc<Observer>) {
        let mut pause = Pause::new();
        loop {
            observer.state_due.notified().await;
            sleep_until(pause.until).await;
            loop {
                let bytes = self.state_bytes(&mut observer.picture());
                let took = Duration::from_secs(bytes.len() as u64 / BYTES_A_SECOND);
                if save(observer, STATE, &self.state, bytes).await {
                    pause.saved(took);
                    break;
                }
                pause.failed();
                sleep_until(pause.until).await;
            }
        }
    }

    /// Saves the metrics file at its interval, and when something rare was counted. Never ends.
    pub(in crate::observe) async fn keep_metrics(&self, observer: &Rc<Observer>) {
        let Some(vault) = &self.metrics else {
            return std::future::pending().await;
        };
        let mut pause = Pause::new();
        let mut regular = Instant::now() + self.save_interval;
        loop {
            // Either way it is time.
            let _ = timeout_at(regular, observer.metrics_due.notified()).await;
            sleep_until(pause.until).await;
            let bytes = metrics_bytes(&mut observer.picture());
            if save(observer, METRICS, vault, bytes).await {
                pause.saved(Duration::ZERO);
                regular = Instant::now() + self.save_interval;
            } else {
                pause.failed();
                regular = pause.until;
            }
        }
    }
}

/// When a file may be saved next.
struct Pause {
    until: Instant,
    retry: Duration,
}

impl Pause {
    fn new() -> Self {
        Self {
            until: Instant::now(),
            retry: SPACING,
        }
    }

    fn saved(&mut self, took: Duration) {
        self.until = Instant::now() + took.max(SPACING);
        self.retry = SPACING;
    }

    fn failed(&mut self) {
        self.until = Instant::now() + self.retry;
        self.retry = (self.retry * 2).min(LONGEST_RETRY);
    }
}

/// Saves on a thread of its own; false where that failed.
async fn save(observer: &Rc<Observer>, name: &'static str, vault: &Vault, bytes: Vec<u8>) -> bool {
    let vault = vault.clone();
    let saving = tokio::task::spawn_blocking(move || vault.save(&bytes, false));
    let Ok(saved) = saving.await else {
        return false;
    };
    let picture = &mut observer.picture();
    let saved = settle(picture, name, &saved);
    if picture.ledger_dirty {
        observer.metrics_due.notify_one();
    }
    saved
}

/// Notes how a save went; trouble is said once, and its end.
fn settle(picture: &mut Picture, name: &'static str, saved: &Result<Saved, Unsaved>) -> bool {
    let trouble = match saved {
        Ok(_) => None,
        Err(error) => Some(format!("cannot save {name}: {error}")),
    };
    if let Some(file) = picture.files.get_mut(name) {
        match (&file.trouble, &trouble) {
            (None, Some(trouble)) => warn!("{trouble}; it is tried again until it works"),
            (Some(_), None) => info!("{name} is saved again"),
            _ => {}
        }
        file.trouble = trouble;
        if saved.is_ok() {
            file.saved_ns = wall_ns();
        }
    }
    let Ok(saved) = saved else {
        return false;
    };
    picture.count(Count::BackupsCreated, saved.backups_created);
    picture.count(Count::BackupsCleaned, saved.backups_cleaned);
    true
}

/// What `metrics.json` says now.
pub(in crate::observe) fn metrics_document(
    picture: &mut Picture,
) -> serde_json::Map<String, serde_json::Value> {
    let (score, _) = picture.judge();
    let mut document = picture.ledger.document();
    document.insert("format_version".into(), json!(FORMAT_VERSION));
    document.insert("saved_at_secs".into(), json!(wall_ns() / 1_000_000_000));
    document.insert("health_score".into(), json!(score));
    let depth = picture.meters.queue_depth.get();
    document.insert("portsyncd_queue_depth".into(), json!(depth));
    document
}

/// `metrics.json` as it stands, sealed.
pub(in crate::observe) fn metrics_bytes(picture: &mut Picture) -> Vec<u8> {
    picture.ledger_dirty = false;
    let document = metrics_document(picture);
    seal(serde_json::to_vec_pretty(&document).unwrap_or_default())
}

/// Loads both files into `picture`; blocks.
pub(in crate::observe) fn restore(keepers: &Keepers, picture: &mut Picture) {
    let file = |path: PathBuf| FileStatus {
        path: path.display().to_string(),
        saved_ns: 0,
        trouble: None,
    };
    if let Some(vault) = &keepers.metrics {
        picture.files.insert(METRICS, file(vault.path()));
        let loaded = vault.load(open_map);
        if let Some(saved) = account(picture, loaded) {
            picture.ledger.load(&saved);
        }
    }
    let vault = &keepers.state;
    picture.files.insert(STATE, file(vault.path()));
    let loaded = vault.load(|bytes| state::read(bytes, &keepers.boot_id));
    if let Some(saved) = account(picture, loaded) {
        picture.ports.restore(saved.ports, saved.outages);
    }
}

/// Logs and counts what loading found.
fn account<T>(picture: &mut Picture, loaded: Loaded<T>) -> Option<T> {
    for corrupt in &loaded.corrupt {
        warn!("corrupt file {corrupt}");
        picture.count(Count::CorruptionsDetected, 1);
    }
    if let Some(backup) = &loaded.recovered {
        info!("restored from {}", backup.display());
        picture.count(Count::StateRecoveries, 1);
    } else if loaded.content.is_none() && !loaded.corrupt.is_empty() {
        warn!("no backup is good either: it starts empty");
    }
    loaded.content
}
