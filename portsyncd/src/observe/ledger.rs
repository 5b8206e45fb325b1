//! The counters that outlive the daemon: starts, dumps at start, files. They are saved in
//! `metrics.json` and loaded before the first scrape, so that none ever decreases.

use serde_json::{Map, Value, json};

use crate::clock::wall_ns;
use crate::db::StartKind;

/// Seconds from start to in step, upper bounds of the histogram.
const SYNC_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// One counter of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    WarmRestarts,
    ColdStarts,
    EoiuDetected,
    EoiuTimeouts,
    StateRecoveries,
    CorruptionsDetected,
    BackupsCreated,
    BackupsCleaned,
}

/// Name, older spelling, help, and the time of the last one: key in `metrics.json`, metric, help.
struct Kind {
    name: &'static str,
    older: &'static str,
    help: &'static str,
    last: Option<[&'static str; 3]>,
}

/// In the order of [`Count`].
const KINDS: [Kind; 8] = [
    Kind {
        name: "warm_restarts",
        older: "warm_restart_count",
        help: "Warm starts",
        last: Some([
            "last_warm_restart_secs",
            "portsyncd_last_warm_restart_timestamp",
            "When the daemon last started warm, seconds since 1970; 0: never",
        ]),
    },
    Kind {
        name: "cold_starts",
        older: "cold_start_count",
        help: "Cold starts",
        last: None,
    },
    Kind {
        name: "eoiu_detected",
        older: "eoiu_detected_count",
        help: "Initial dumps that ended complete (end of initial update)",
        last: Some([
            "last_eoiu_detection_secs",
            "portsyncd_last_eoiu_detection_timestamp",
            "When an initial dump last ended complete, seconds since 1970; 0: never",
        ]),
    },
    Kind {
        name: "eoiu_timeouts",
        older: "eoiu_timeout_count",
        help: "Initial dumps that did not end within warm_restart.eoiu_timeout_secs",
        last: None,
    },
    Kind {
        name: "state_recoveries",
        older: "state_recovery_count",
        help: "Files restored from a backup",
        last: Some([
            "last_state_recovery_secs",
            "portsyncd_last_state_recovery_timestamp",
            "When a file was last restored from a backup, seconds since 1970; 0: never",
        ]),
    },
    Kind {
        name: "corruptions_detected",
        older: "corruption_detected_count",
        help: "State and metrics files that were not as they were written",
        last: Some([
            "last_corruption_detected_secs",
            "portsyncd_last_corruption_timestamp",
            "When a file was last found corrupt, seconds since 1970; 0: never",
        ]),
    },
    Kind {
        name: "backups_created",
        older: "backup_created_count",
        help: "Backups made of the state and metrics files",
        last: None,
    },
    Kind {
        name: "backups_cleaned",
        older: "backup_cleanup_count",
        help: "Backups removed for their age or number",
        last: None,
    },
];

/// The counters. See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ledger {
    counts: [u64; KINDS.len()],
    /// Seconds since 1970.
    last: [Option<u64>; KINDS.len()],
    syncs: Syncs,
}

/// The initial synchronisations.
#[derive(Clone, Debug, Default, PartialEq)]
struct Syncs {
    buckets: [u64; SYNC_BUCKETS.len()],
    count: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
}

impl Ledger {
    /// Counts `count` by one, now.
    pub(super) fn count(&mut self, count: Count) {
        self.count_by(count, 1);
    }

    /// Counts `count` by `times`, now.
    pub(super) fn count_by(&mut self, count: Count, times: u64) {
        if times > 0 {
            self.counts[count as usize] += times;
            self.last[count as usize] = Some(wall_ns() / 1_000_000_000);
        }
    }

    /// A start of this kind.
    pub(super) fn started(&mut self, start: StartKind) {
        self.count(match start {
            StartKind::Cold => Count::ColdStarts,
            StartKind::Warm => Count::WarmRestarts,
        });
    }

    /// The initial synchronisation took this long.
    pub(super) fn in_step_after(&mut self, secs: f64) {
        let syncs = &mut self.syncs;
        if let Some(bucket) = SYNC_BUCKETS.iter().position(|upper| secs <= *upper) {
            syncs.buckets[bucket] += 1;
        }
        syncs.count += 1;
        syncs.sum += secs;
        syncs.min = Some(syncs.min.map_or(secs, |min| min.min(secs)));
        syncs.max = Some(syncs.max.map_or(secs, |max| max.max(secs)));
    }

    /// Adds what an earlier daemon saved to what has been counted since the start.
    pub(super) fn load(&mut self, saved: &Map<String, Value>) {
        let number = |key: &str| saved.get(key).and_then(Value::as_u64);
        let secs = |key: &str| saved.get(key).and_then(Value::as_f64);
        for (index, kind) in KINDS.iter().enumerate() {
            let before = number(kind.name).or_else(|| number(kind.older));
            self.counts[index] = self.counts[index].saturating_add(before.unwrap_or(0));
            if let Some([key, ..]) = kind.last {
                self.last[index] = self.last[index].or_else(|| number(key));
            }
        }
        let syncs = &mut self.syncs;
        let buckets = saved.get("initial_sync_buckets").and_then(Value::as_array);
        for (bucket, before) in syncs.buckets.iter_mut().zip(buckets.into_iter().flatten()) {
            *bucket += before.as_u64().unwrap_or(0);
        }
        syncs.count += number("initial_sync_count").unwrap_or(0);
        syncs.sum += secs("initial_sync_sum_secs").unwrap_or(0.0);
        let (min, max) = (
            secs("min_initial_sync_duration_secs"),
            secs("max_initial_sync_duration_secs"),
        );
        syncs.min = syncs.min.into_iter().chain(min).reduce(f64::min);
        syncs.max = syncs.max.into_iter().chain(max).reduce(f64::max);
    }

    /// What `metrics.json` says.
    pub(super) fn document(&self) -> Map<String, Value> {
        let mut map = Map::new();
        for (index, kind) in KINDS.iter().enumerate() {
            map.insert(kind.name.into(), json!(self.counts[index]));
            map.insert(kind.older.into(), json!(self.counts[index]));
            if let Some([key, ..]) = kind.last {
                map.insert(key.into(), json!(self.last[index]));
            }
        }
        let syncs = &self.syncs;
        #[expect(clippy::cast_precision_loss, reason = "nobody starts 2^53 times")]
        let average = (syncs.count > 0).then(|| syncs.sum / syncs.count as f64);
        map.insert("avg_initial_sync_duration_secs".into(), json!(average));
        map.insert("min_initial_sync_duration_secs".into(), json!(syncs.min));
        map.insert("max_initial_sync_duration_secs".into(), json!(syncs.max));
        map.insert("initial_sync_count".into(), json!(syncs.count));
        map.insert("initial_sync_sum_secs".into(), json!(syncs.sum));
        map.insert("initial_sync_buckets".into(), json!(syncs.buckets));
        map
    }

    /// The counters: name, help, value.
    pub(super) fn counters(&self) -> impl Iterator<Item = (String, &'static str, u64)> {
        KINDS
            .iter()
            .zip(self.counts)
            .map(|(kind, count)| (format!("portsyncd_{}", kind.name), kind.help, count))
    }

    /// The times of the last of some: name, help, seconds since 1970 or 0.
    pub(super) fn timestamps(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        KINDS.iter().zip(self.last).filter_map(|(kind, last)| {
            let [_, name, help] = kind.last?;
            Some((name, help, last.unwrap_or(0)))
        })
    }

    /// The histogram of initial synchronisations: cumulative buckets, sum, count.
    pub(super) fn initial_syncs(&self) -> (impl Iterator<Item = (f64, u64)>, f64, u64) {
        let mut below = 0;
        let buckets = SYNC_BUCKETS.iter().zip(self.syncs.buckets);
        let cumulative = buckets.map(move |(upper, count)| {
            below += count;
            (*upper, below)
        });
        (cumulative, self.syncs.sum, self.syncs.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_added_and_never_lost() {
        let mut first = Ledger::default();
        first.started(StartKind::Cold);
        first.count(Count::EoiuDetected);
        first.in_step_after(0.2);
        first.in_step_after(4.0);
        let mut second = Ledger::default();
        second.started(StartKind::Warm);
        second.load(&first.document());
        second.in_step_after(1000.0);
        let document = second.document();
        for (key, value) in [
            ("cold_starts", json!(1)),
            ("cold_start_count", json!(1)),
            ("warm_restarts", json!(1)),
            ("eoiu_detected", json!(1)),
            ("eoiu_timeouts", json!(0)),
            ("last_state_recovery_secs", Value::Null),
            ("min_initial_sync_duration_secs", json!(0.2)),
            ("max_initial_sync_duration_secs", json!(1000.0)),
            ("initial_sync_count", json!(3)),
        ] {
            assert_eq!(document[key], value, "{key}");
        }
        assert!(document["last_warm_restart_secs"].is_u64());
        let (buckets, _, count) = second.initial_syncs();
        assert_eq!((buckets.last(), count), (Some((300.0, 2)), 3));
    }

    #[test]
    fn the_order_of_the_counters_is_that_of_their_names() {
        let mut ledger = Ledger::default();
        ledger.count_by(Count::BackupsCleaned, 7);
        ledger.count_by(Count::CorruptionsDetected, 5);
        let document = ledger.document();
        assert_eq!(document["backups_cleaned"], 7);
        assert_eq!(document["corruption_detected_count"], 5);
    }
}
