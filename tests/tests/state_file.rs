//! `port_state.json` and `metrics.json`: what they keep over restarts and crashes, and what becomes of
//! bad files and bad disks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use portsyncd_tests::http::{get, wait_for_answer};
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, Daemon, DaemonConfig, PATIENCE, Source, port_names};
use serde_json::Value;
use tempfile::TempDir;

/// Directories that outlive the daemon.
struct Disk(TempDir);

impl Disk {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn config(&self, bed: &Bed) -> DaemonConfig {
        bed.listening()
            .set("metrics.storage_path", self.metrics().display().to_string())
            .set(
                "warm_restart.state_path",
                self.state().display().to_string(),
            )
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    fn metrics(&self) -> PathBuf {
        self.0.path().join("metrics")
    }

    fn state_file(&self) -> PathBuf {
        self.state().join("port_state.json")
    }

    fn ready(&self, bed: &Bed) -> Result<Daemon> {
        bed.ready(self.config(bed))
    }
}

fn port(bed: &Bed, name: &str) -> Result<Value> {
    let answer = get(bed.namespace(), &format!("/ports/{name}"))?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    Ok(serde_json::from_str(&answer.body)?)
}

fn flap(bed: &Bed, tap: &portsyncd_tests::Tap, times: u32) -> Result<()> {
    for _ in 0..times {
        tap.carrier(false)?;
        bed.wait_for_field(tap.name(), "netdev_oper_status", "down")?;
        tap.carrier(true)?;
        bed.wait_for_field(tap.name(), "netdev_oper_status", "up")?;
    }
    Ok(())
}

#[test]
fn history_outlives_the_daemon_and_counts_what_happened_meanwhile() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let disk = Disk::new()?;
        bed.configure(&port_names(2))?;
        let taps = bed.taps(&port_names(2))?;
        let daemon = disk.ready(bed)?;
        flap(bed, &taps[0], 3)?;
        let mode = fs::metadata(disk.state_file())?.permissions().mode() & 0o777;
        ensure!(mode == 0o640, "{mode:o}");
        daemon.stop()?;
        // Nobody looks; the kernel counts.
        taps[0].carrier(false)?;
        taps[0].carrier(true)?;
        taps[0].carrier(false)?;
        let daemon = disk.ready(bed)?;
        let found = port(bed, "Ethernet0")?;
        ensure!(found["flaps"] == 5 && found["oper"] == "down", "{found}");
        let journal = found["journal"].as_array().context("no journal")?;
        ensure!(journal.len() >= 8, "{found}");
        let last = &journal[journal.len() - 1];
        ensure!(
            last["was"]["oper"] == "up" && last["is"]["oper"] == "down",
            "{last}"
        );
        let quiet = port(bed, "Ethernet4")?;
        ensure!(
            quiet["journal"]
                .as_array()
                .is_some_and(|all| all.len() == 1),
            "a restart is no transition: {quiet}"
        );
        bed.converge()?;
        daemon.stop()
    })
}

#[test]
fn the_files_state_is_never_published() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let disk = Disk::new()?;
        bed.configure(&port_names(2))?;
        let mut taps = bed.taps(&port_names(2))?;
        disk.ready(bed)?.stop()?;
        taps.remove(0).delete()?;
        let daemon = disk.ready(bed)?;
        bed.converge()?;
        ensure!(bed.row("Ethernet0")?.is_empty());
        let list: Value = serde_json::from_str(&get(bed.namespace(), "/ports")?.body)?;
        ensure!(list["ports"][0]["oper"] == "missing", "{list}");
        daemon.stop()
    })
}

/// Ways to spoil a file.
fn spoil(way: usize, file: &Path) -> Result<()> {
    let good = fs::read(file)?;
    match way {
        0 => fs::write(file, b"")?,
        1 => fs::write(file, &good[..good.len() / 2])?,
        2 => {
            let mut bad = good;
            let middle = bad.len() / 2;
            bad[middle] ^= 0x10;
            fs::write(file, bad)?;
        }
        3 => fs::write(file, b"{\"format_version\":99}\n")?,
        4 => fs::write(file, vec![0xff; 4096])?,
        5 => std::os::unix::fs::chown(file, Some(65_534), Some(65_534))?,
        6 => {
            fs::remove_file(file)?;
            fs::create_dir(file)?;
        }
        _ => {
            fs::remove_file(file)?;
            std::os::unix::fs::symlink("/dev/zero", file)?;
        }
    }
    Ok(())
}

#[test]
fn a_bad_file_is_set_aside_counted_and_the_backup_used() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let disk = Disk::new()?;
        bed.configure(&port_names(1))?;
        let taps = bed.taps(&port_names(1))?;
        let daemon = disk.ready(bed)?;
        flap(bed, &taps[0], 2)?;
        daemon.stop()?;
        for way in 0..8 {
            spoil(way, &disk.state_file()).with_context(|| format!("way {way}"))?;
            let daemon = disk.ready(bed)?;
            let answer = get(bed.namespace(), "/metrics")?;
            let expected = f64::from(u32::try_from(way)? + 1);
            for series in [
                "portsyncd_corruptions_detected",
                "portsyncd_state_recoveries",
            ] {
                let found = answer.sample(series)?;
                ensure!(
                    (found - expected).abs() < 0.1,
                    "way {way}: {series} {found}"
                );
            }
            ensure!(answer.sample("portsyncd_last_corruption_timestamp")? > 1e9);
            ensure!(
                port(bed, "Ethernet0")?["flaps"] == 2,
                "way {way}: no backup"
            );
            bed.converge()?;
            daemon.stop()?;
        }
        let aside = fs::read_dir(disk.state())?
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".corrupt"))
            .count();
        ensure!((1..=6).contains(&aside), "{aside} files set aside");
        Ok(())
    })
}

#[test]
fn with_every_file_bad_it_starts_empty() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let disk = Disk::new()?;
        bed.configure(&port_names(1))?;
        let taps = bed.taps(&port_names(1))?;
        let daemon = disk.ready(bed)?;
        flap(bed, &taps[0], 1)?;
        daemon.stop()?;
        for directory in [disk.state(), disk.metrics()] {
            let backups = fs::read_dir(directory.join("backups"))
                .into_iter()
                .flatten();
            for file in fs::read_dir(&directory)?.chain(backups) {
                let file = file?.path();
                if file.is_file() {
                    fs::write(file, "rubbish")?;
                }
            }
        }
        let daemon = disk.ready(bed)?;
        let answer = get(bed.namespace(), "/metrics")?;
        ensure!(answer.sample("portsyncd_corruptions_detected")? >= 3.0);
        ensure!(answer.sample("portsyncd_state_recoveries")? < 0.5);
        ensure!(answer.sample("portsyncd_cold_starts")? < 1.5);
        ensure!(port(bed, "Ethernet0")?["flaps"] == 0);
        bed.converge()?;
        daemon.stop()
    })
}

#[test]
fn backups_are_bounded_by_number_and_age() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let disk = Disk::new()?;
        let backups = disk.state().join("backups");
        let daemon = disk.ready(bed)?;
        // A slow disk may not have the last save.
        wait_for("the state is saved", PATIENCE, || {
            Ok(disk.state_file().exists())
        })?;
        daemon.stop()?;
        fs::create_dir_all(&backups)?;
        for secs in 1000..1020 {
            let old = backups.join(format!("port_state_{secs}.json"));
            fs::copy(disk.state_file(), old)?;
        }
        let config = disk
            .config(bed)
            .set("warm_restart.max_backups", 3)
            .set("metrics.retention_days", 1);
        let daemon = bed.start(config)?;
        let cleaned = |least: f64| {
            wait_for_answer(bed.namespace(), "/metrics", "old backups go", move |a| {
                a.sample("portsyncd_backups_cleaned")
                    .is_ok_and(|n| n >= least)
            })
        };
        cleaned(18.0)?;
        daemon.stop()?;
        let left: Vec<_> = fs::read_dir(&backups)?
            .flatten()
            .map(|e| e.file_name())
            .collect();
        ensure!((1..=3).contains(&left.len()), "{left:?}");
        Ok(())
    })
}

#[test]
fn a_crash_at_any_moment_leaves_whole_files() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let disk = Disk::new()?;
        let names = port_names(32);
        bed.configure(&names)?;
        let taps = bed.taps(&names)?;
        // From here on every port is in the file.
        disk.ready(bed)?.stop()?;
        let mut flaps = 0;
        for round in 0..12_u32 {
            let daemon = disk.ready(bed)?;
            for tap in &taps {
                tap.carrier(false)?;
                tap.carrier(true)?;
            }
            // At a moment of its own in each round, around the saves.
            let patience = std::time::Duration::from_millis(u64::from(round) * 97);
            let begun = std::time::Instant::now();
            while begun.elapsed() < patience {
                taps[0].set_mtu(1400 + u16::try_from(begun.elapsed().as_millis() % 100)?)?;
            }
            daemon.kill()?;
            let text = fs::read(disk.state_file())?;
            let saved: Value = serde_json::from_slice(&text).context("a torn state file")?;
            let found = saved["ports"]["Ethernet0"]["flaps"].as_u64().unwrap_or(0);
            ensure!(found >= flaps, "{found} flaps saved, {flaps} before");
            flaps = found;
        }
        let daemon = disk.ready(bed)?;
        let answer = get(bed.namespace(), "/metrics")?;
        ensure!(answer.sample("portsyncd_corruptions_detected")? < 0.5);
        // The kernel's count has what the crashes took.
        ensure!(
            port(bed, "Ethernet0")?["flaps"] == 12,
            "{}",
            port(bed, "Ethernet0")?
        );
        bed.converge()?;
        daemon.stop()
    })
}

/// A file system of one megabyte.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path)?;
        mount(
            Some("tmpfs"),
            &path,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=256k"),
        )?;
        Ok(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if umount2(&self.0, MntFlags::MNT_DETACH).is_err() {
            eprintln!("{} was not mounted", self.0.display());
        }
    }
}

fn health(bed: &Bed) -> Result<Value> {
    let status: Value = serde_json::from_str(&get(bed.namespace(), "/status")?.body)?;
    Ok(status["health"].clone())
}

#[test]
fn a_full_disk_costs_health_and_nothing_else() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let disk = Disk::new()?;
        bed.configure(&port_names(1))?;
        let taps = bed.taps(&port_names(1))?;
        let small = Small::mount(disk.state())?;
        let daemon = disk.ready(bed)?;
        wait_for("the file is there", PATIENCE, || {
            Ok(disk.state_file().exists())
        })?;
        let filler = disk.state().join("filler");
        // As much as there is room for.
        let _ = fs::write(&filler, vec![0; 1 << 20]);
        let before = fs::read(disk.state_file())?;
        flap(bed, &taps[0], 1)?;
        wait_for("health falls", PATIENCE, || Ok(health(bed)?["score"] == 95))?;
        let lost = health(bed)?["lost"][0]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        ensure!(
            lost.contains("port_state.json") && lost.contains("No space left"),
            "{lost}"
        );
        serde_json::from_slice::<Value>(&fs::read(disk.state_file())?)
            .context("the old file is whole")?;
        flap(bed, &taps[0], 1)?;
        bed.converge()?;
        fs::remove_file(&filler)?;
        wait_for("it is saved again", PATIENCE, || {
            Ok(health(bed)?["score"] == 100 && fs::read(disk.state_file())? != before)
        })?;
        let log = daemon.log().text();
        ensure!(
            log.matches("cannot save port_state.json").count() == 1,
            "said more than once"
        );
        ensure!(log.contains("port_state.json is saved again"));
        daemon.stop()?;
        drop(small);
        Ok(())
    })
}

#[test]
fn a_read_only_disk_and_a_missing_directory_are_survived() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let disk = Disk::new()?;
        bed.configure(&port_names(1))?;
        let taps = bed.taps(&port_names(1))?;
        let small = Small::mount(disk.state())?;
        let remount = |flags| {
            mount(
                None::<&str>,
                &disk.state(),
                None::<&str>,
                MsFlags::MS_REMOUNT | flags,
                Some("size=256k"),
            )
        };
        remount(MsFlags::MS_RDONLY)?;
        let daemon = disk.ready(bed)?;
        wait_for("health falls", PATIENCE, || Ok(health(bed)?["score"] == 95))?;
        flap(bed, &taps[0], 1)?;
        remount(MsFlags::empty())?;
        wait_for("health is back", PATIENCE, || {
            Ok(health(bed)?["score"] == 100)
        })?;
        // The whole directory goes: it is made again.
        let metrics = disk.metrics();
        wait_for("both are there", PATIENCE, || {
            Ok(metrics.join("metrics.json").exists())
        })?;
        drop(small);
        fs::remove_dir_all(disk.state())?;
        flap(bed, &taps[0], 1)?;
        wait_for("the directory is there again", PATIENCE, || {
            Ok(disk.state_file().exists())
        })?;
        bed.converge()?;
        daemon.stop()
    })
}

#[test]
fn a_forbidden_directory_costs_health_only() -> Result<()> {
    Bed::run(Source::Netlink, |bed| {
        let disk = Disk::new()?;
        bed.configure(&port_names(1))?;
        let _taps = bed.taps(&port_names(1))?;
        fs::create_dir(disk.state())?;
        fs::create_dir(disk.metrics())?;
        std::os::unix::fs::chown(disk.metrics(), Some(65_534), None)?;
        // Root without the right to override modes.
        let drop_rights = ["setpriv", "--bounding-set", "-all,+net_admin", "--"];
        for directory in [disk.state(), disk.metrics()] {
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o500))?;
        }
        let daemon = bed.start(disk.config(bed).through(&drop_rights))?;
        bed.converge()?;
        wait_for_answer(bed.namespace(), "/status", "both are told", |a| {
            a.body.contains("cannot save port_state.json")
                && a.body.contains("cannot save metrics.json")
        })?;
        ensure!(health(bed)?["score"] == 90, "{}", health(bed)?);
        daemon.stop()?;
        Ok(())
    })
}

/// Without the program the tests above cannot make a user's daemon.
#[test]
fn setpriv_is_there() -> Result<()> {
    ensure!(
        Command::new("setpriv")
            .arg("--version")
            .output()?
            .status
            .success()
    );
    Ok(())
}
