//! `/metrics` and its companions: every name, what the numbers mean, and that they outlive the daemon.

use std::fs;
use std::ops::ControlFlow;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::http::{get, wait_for_answer};
use portsyncd_tests::redis_server::Keep;
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, Daemon, PATIENCE, Source, on_each_source, port_names, wait_until};
use serde_json::Value;

on_each_source!(what_happens_is_counted);

/// The names of INTERFACE, and their types.
const FAMILIES: &[(&str, &str)] = &[
    ("portsyncd_warm_restarts", "counter"),
    ("portsyncd_cold_starts", "counter"),
    ("portsyncd_eoiu_detected", "counter"),
    ("portsyncd_eoiu_timeouts", "counter"),
    ("portsyncd_state_recoveries", "counter"),
    ("portsyncd_corruptions_detected", "counter"),
    ("portsyncd_backups_created", "counter"),
    ("portsyncd_backups_cleaned", "counter"),
    ("portsyncd_last_warm_restart_timestamp", "gauge"),
    ("portsyncd_last_eoiu_detection_timestamp", "gauge"),
    ("portsyncd_last_state_recovery_timestamp", "gauge"),
    ("portsyncd_last_corruption_timestamp", "gauge"),
    ("portsyncd_health_score", "gauge"),
    ("portsyncd_queue_depth", "gauge"),
    ("portsyncd_initial_sync_duration_seconds", "histogram"),
    ("portsyncd_build_info", "gauge"),
    ("portsyncd_link_source_info", "gauge"),
    ("portsyncd_bpf_attached", "gauge"),
    ("portsyncd_redis_connected", "gauge"),
    ("portsyncd_link_events_total", "counter"),
    ("portsyncd_link_events_lost_total", "counter"),
    ("portsyncd_link_decode_errors_total", "counter"),
    ("portsyncd_resyncs_total", "counter"),
    ("portsyncd_linkwatch_syncs_total", "counter"),
    ("portsyncd_carrier_samples_total", "counter"),
    ("portsyncd_publish_latency_seconds", "histogram"),
    ("portsyncd_redis_write_seconds", "histogram"),
    ("portsyncd_redis_write_batch_ports", "histogram"),
    ("portsyncd_redis_errors_total", "counter"),
    ("portsyncd_redis_reconnects_total", "counter"),
    ("portsyncd_ports", "gauge"),
    ("portsyncd_port_oper_up", "gauge"),
    ("portsyncd_port_flaps_total", "counter"),
    ("portsyncd_port_init_done", "gauge"),
    ("process_cpu_seconds_total", "counter"),
    ("process_open_fds", "gauge"),
    ("process_max_fds", "gauge"),
    ("process_virtual_memory_bytes", "gauge"),
    ("process_resident_memory_bytes", "gauge"),
    ("process_start_time_seconds", "gauge"),
];

#[test]
fn every_family_has_its_type_and_help_and_a_sample() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(2))?;
        let _taps = bed.taps(&port_names(2))?;
        let daemon = bed.ready(bed.listening())?;
        let metrics = get(bed.namespace(), "/metrics")?;
        ensure!(
            metrics
                .head
                .contains("content-type: text/plain; version=0.0.4"),
            "{}",
            metrics.head
        );
        for (name, kind) in FAMILIES {
            let has = |line: &str| metrics.body.lines().any(|other| other.starts_with(line));
            ensure!(has(&format!("# TYPE {name} {kind}")), "no {kind} {name}");
            ensure!(has(&format!("# HELP {name} ")), "no help for {name}");
            let sampled = ["{", " ", "_bucket{"].map(|next| format!("{name}{next}"));
            ensure!(sampled.iter().any(|s| has(s)), "{name} has no sample");
        }
        let info = |series: &str| metrics.body.contains(series);
        ensure!(
            info("portsyncd_link_source_info{carrier_hook="),
            "no carrier hook is told"
        );
        ensure!(info("source=\"ebpf\"") || info("source=\"netlink\""));
        ensure!(metrics.sample("portsyncd_health_score")? >= 100.0);
        wait_for_answer(bed.namespace(), "/metrics", "PortInitDone is sent", |a| {
            a.sample("portsyncd_port_init_done")
                .is_ok_and(|done| done > 0.5)
        })?;
        daemon.stop()
    })
}

/// The guide's own names have no unit or `_total` at their end.
const THE_GUIDES: [&str; 12] = [
    "portsyncd_warm_restarts",
    "portsyncd_cold_starts",
    "portsyncd_eoiu_detected",
    "portsyncd_eoiu_timeouts",
    "portsyncd_state_recoveries",
    "portsyncd_corruptions_detected",
    "portsyncd_backups_created",
    "portsyncd_backups_cleaned",
    "portsyncd_last_warm_restart_timestamp",
    "portsyncd_last_eoiu_detection_timestamp",
    "portsyncd_last_state_recovery_timestamp",
    "portsyncd_last_corruption_timestamp",
];

#[test]
fn promtool_finds_fault_with_the_guides_names_only() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(2))?;
        let _taps = bed.taps(&port_names(2))?;
        let daemon = bed.ready(bed.listening())?;
        let metrics = get(bed.namespace(), "/metrics")?;
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("promtool is in Debian's package prometheus: cargo xtask setup")?;
        let mut input = promtool.stdin.take().context("no stdin")?;
        std::io::Write::write_all(&mut input, metrics.body.as_bytes())?;
        drop(input);
        let output = promtool.wait_with_output()?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let others: Vec<_> = said
            .lines()
            .filter(|line| !THE_GUIDES.iter().any(|name| line.starts_with(name)))
            .collect();
        ensure!(others.is_empty(), "{others:#?}");
        daemon.stop()
    })
}

fn what_happens_is_counted(bed: &Bed) -> Result<()> {
    let names = port_names(4);
    bed.configure(&names)?;
    let mut taps = bed.taps(&names[..3])?;
    let daemon = bed.ready(bed.listening())?;
    let metrics = || get(bed.namespace(), "/metrics");
    let before = metrics()?;
    for (state, count) in [("up", 3.0), ("down", 0.0), ("missing", 1.0)] {
        let series = format!("portsyncd_ports{{state=\"{state}\"}}");
        ensure!((before.sample(&series)? - count).abs() < 0.1, "{series}");
    }
    for _ in 0..3 {
        taps[0].carrier(false)?;
        bed.wait_for_field(&names[0], "netdev_oper_status", "down")?;
        taps[0].carrier(true)?;
        bed.wait_for_field(&names[0], "netdev_oper_status", "up")?;
    }
    let flaps = format!("portsyncd_port_flaps_total{{device=\"{}\"}}", names[0]);
    let after = wait_for_answer(
        bed.namespace(),
        "/metrics",
        "three flaps are counted",
        |a| {
            a.sample(&flaps)
                .is_ok_and(|flaps| (flaps - 3.0).abs() < 0.1)
        },
    )?;
    let grown =
        |series: &str| -> Result<f64> { Ok(after.sample(series)? - before.sample(series)?) };
    // A loss may be found by a dump first.
    ensure!(grown("portsyncd_link_events_total{origin=\"link_message\"}")? >= 3.0);
    ensure!(grown("portsyncd_publish_latency_seconds_count{origin=\"link_message\"}")? >= 3.0);
    ensure!(grown("portsyncd_redis_writes_total{result=\"ok\"}")? >= 6.0);
    ensure!(grown("portsyncd_redis_write_batch_ports_count")? >= 1.0);

    // A port that is gone has no series.
    let gone = format!("device=\"{}\"", names[1]);
    ensure!(after.body.contains(&gone));
    taps.remove(1).delete()?;
    redis::Commands::del::<_, ()>(&mut bed.config_db()?, format!("PORT|{}", names[1]))?;
    wait_for_answer(bed.namespace(), "/metrics", "its series are gone", |a| {
        !a.body.contains(&gone)
    })?;
    daemon.stop()
}

/// A saved document, without its checksum.
fn document(daemon: &Daemon) -> Result<Value> {
    let file = daemon.directory().join("metrics/metrics.json");
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

#[test]
fn the_saved_counters_outlive_the_daemon() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = || {
            bed.listening()
                .set("metrics.storage_path", path("metrics"))
                .set("warm_restart.state_path", path("state"))
        };
        let series = "portsyncd_cold_starts";
        for start in 1..=4_u32 {
            let daemon = bed.ready(config())?;
            let answer = get(bed.namespace(), "/metrics")?;
            ensure!(answer.sample(series)? >= f64::from(start), "start {start}");
            ensure!(answer.sample("portsyncd_eoiu_detected")? >= f64::from(start));
            if start % 2 == 0 {
                // A crash loses at most a second of what is counted rarely.
                let file = folder.path().join("metrics/metrics.json");
                wait_for("the start is saved", PATIENCE, || {
                    let text = fs::read(&file)?;
                    let saved: Value = serde_json::from_slice(&text)?;
                    Ok(saved["cold_starts"] == start && saved["initial_sync_count"] == start)
                })?;
                daemon.kill()?;
            } else {
                daemon.stop()?;
            }
        }
        Ok(())
    })
}

#[test]
fn the_file_says_what_is_served() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let daemon = bed.ready(bed.listening().set("metrics.save_interval_secs", 1))?;
        let keys = [
            "warm_restarts",
            "cold_starts",
            "eoiu_detected",
            "eoiu_timeouts",
            "state_recoveries",
            "corruptions_detected",
            "backups_created",
            "backups_cleaned",
            "health_score",
            "avg_initial_sync_duration_secs",
            "max_initial_sync_duration_secs",
            "min_initial_sync_duration_secs",
            "last_warm_restart_secs",
            "last_eoiu_detection_secs",
            "last_state_recovery_secs",
            "last_corruption_detected_secs",
            "portsyncd_queue_depth",
            "warm_restart_count",
            "cold_start_count",
            "eoiu_detected_count",
            "eoiu_timeout_count",
            "state_recovery_count",
            "corruption_detected_count",
            "backup_created_count",
            "backup_cleanup_count",
            "format_version",
            "checksum",
        ];
        wait_until("the file is what is served", PATIENCE, || {
            let live = get(bed.namespace(), "/metrics.json")?;
            let live: Value = serde_json::from_str(&live.body)?;
            let Ok(saved) = document(&daemon) else {
                return Ok(ControlFlow::Continue("no file".into()));
            };
            for key in keys {
                ensure!(live.get(key).is_some(), "no {key}");
            }
            let same = keys.iter().filter(|key| **key != "checksum");
            let other: Vec<_> = same.filter(|key| live[**key] != saved[**key]).collect();
            Ok(if other.is_empty() && saved["health_score"] == 100 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(format!("{other:?} differ"))
            })
        })?;
        let saved_at = document(&daemon)?["saved_at_secs"].clone();
        wait_for("it is saved again", PATIENCE, || {
            Ok(document(&daemon)?["saved_at_secs"] != saved_at)
        })?;
        let mode = fs::metadata(daemon.directory().join("metrics/metrics.json"))?.permissions();
        let mode = std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777;
        ensure!(mode == 0o640, "{mode:o}");
        daemon.stop()
    })
}

#[test]
fn redis_away_is_measured() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(2))?;
        let _taps = bed.taps(&port_names(2))?;
        let daemon = bed.ready(bed.listening())?;
        bed.redis().kill()?;
        wait_for_answer(bed.namespace(), "/readyz", "it is not ready", |a| {
            a.status == 503 && a.body.contains("STATE_DB")
        })?;
        let answer = get(bed.namespace(), "/metrics")?;
        ensure!(answer.sample("portsyncd_redis_connected{db=\"STATE_DB\"}")? < 0.5);
        ensure!(answer.sample("portsyncd_redis_errors_total")? >= 1.0);
        ensure!(answer.sample("portsyncd_health_score")? <= 60.0);
        ensure!(
            get(bed.namespace(), "/healthz")?.status == 200,
            "it is alive"
        );
        bed.redis().start_again(Keep::Nothing)?;
        let answer = wait_for_answer(bed.namespace(), "/metrics", "it is connected again", |a| {
            a.sample("portsyncd_redis_connected{db=\"STATE_DB\"}")
                .is_ok_and(|up| up > 0.5)
        })?;
        ensure!(answer.sample("portsyncd_redis_reconnects_total")? >= 1.0);
        wait_for_answer(bed.namespace(), "/readyz", "it is ready again", |a| {
            a.status == 200
        })?;
        daemon.stop()
    })
}

#[test]
fn without_metrics_there_is_no_listener_and_no_file() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(1))?;
        let _taps = bed.taps(&port_names(1))?;
        let daemon = bed.daemon()?;
        bed.converge()?;
        ensure!(
            get(bed.namespace(), "/metrics").is_err(),
            "somebody listens"
        );
        let directory = daemon.directory().to_owned();
        daemon.signal(Signal::SIGHUP)?;
        daemon.wait_for_log("configuration reloaded")?;
        let state = directory.join("state/port_state.json");
        wait_for("the state file is there", PATIENCE, || Ok(state.exists()))?;
        ensure!(!directory.join("metrics").exists(), "a metrics file");
        daemon.stop()
    })
}
