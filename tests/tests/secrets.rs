//! A password is in its file and in the daemon's memory, and nowhere else that anybody
//! without `CAP_SYS_PTRACE` could look.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::daemon::binary;
use portsyncd_tests::http::get;
use portsyncd_tests::redis_server::APPL_DB;
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, Daemon, DaemonConfig, PATIENCE, Source};
use tempfile::TempDir;

const PASSWORD: &str = "p4ss-n0t-to-be-seen";
const WRONG: &str = "wr0ng-n0t-to-be-seen";

/// A Redis that asks for the password, and what a daemon has to be told.
fn asked_for(bed: &Bed, password: &str) -> Result<(DaemonConfig, TempDir)> {
    let user = ["SETUSER", "port-user", "on", "~*", "&*", "+@all"];
    let mut redis = bed.redis().connect(APPL_DB)?;
    redis::cmd("ACL")
        .arg(&user)
        .arg(format!(">{PASSWORD}"))
        .exec(&mut redis)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("password");
    fs::write(&file, format!("{password}\n"))?;
    let config = bed
        .listening()
        .set("metrics.save_interval_secs", 1)
        .set("database.retry_interval_secs", 1)
        .set("database.redis_username", "port-user")
        .set("database.redis_password_file", file.display().to_string());
    Ok((config, folder))
}

fn run(bed: &Bed, mut command: Command) -> Result<Output> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(bed.namespace().spawn(command)?.wait_with_output()?)
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Every file below, by its path.
fn files(directory: &Path, found: &mut Vec<(String, String)>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else {
            let bytes = fs::read(&path)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
    Ok(())
}

/// What the daemon, and whoever asks it, says and leaves behind.
fn everything_said(bed: &Bed, daemon: &Daemon) -> Result<Vec<(String, String)>> {
    let mut said = vec![("the log".to_owned(), daemon.log().text())];
    for path in [
        "/status",
        "/metrics",
        "/metrics.json",
        "/ports",
        "/readyz",
        "/",
    ] {
        said.push((path.to_owned(), get(bed.namespace(), path)?.body));
    }
    let file = daemon.directory().join("portsyncd.conf");
    for words in [
        &["status", "--json"][..],
        &["doctor"],
        &["--validate-config"],
    ] {
        let mut command = Command::new(binary()?);
        command.args(words).arg("--config").arg(&file);
        said.push((words.join(" "), text(&run(bed, command)?)));
    }
    for name in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{}/{name}", daemon.pid()))?;
        said.push((name.into(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    files(daemon.directory(), &mut said)?;
    Ok(said)
}

#[test]
fn a_password_is_nowhere_to_be_read() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let _tap = bed.tap("Ethernet0")?;
        for password in [PASSWORD, WRONG] {
            let (config, _folder) = asked_for(bed, password)?;
            let daemon = bed.start(config.arg("--log-level").arg("debug"))?;
            if password == PASSWORD {
                daemon.wait_for_log("PortInitDone")?;
            } else {
                daemon.wait_for_log("redis_password_file must be")?;
            }
            let saved = daemon.directory().join("metrics/metrics.json");
            wait_for("the metrics are saved", PATIENCE, || Ok(saved.exists()))?;
            daemon.signal(Signal::SIGHUP)?;
            daemon.wait_for_log("configuration reloaded")?;
            let said = everything_said(bed, &daemon)?;
            ensure!(said.len() > 12, "{} things were looked at", said.len());
            for (what, text) in said {
                ensure!(!text.is_empty() || what == "environ", "{what} is empty");
                ensure!(
                    !text.contains(password),
                    "the password is in {what}: {text}"
                );
            }
            daemon.stop()?;
        }
        Ok(())
    })
}

/// Whether the same user, without any capability, may look into the daemon.
fn can_look_into(bed: &Bed, daemon: &Daemon) -> Result<bool> {
    let mut command = Command::new("setpriv");
    command.args([
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--ambient-caps=-all",
    ]);
    // Like mem and a debugger, it takes the rights of ptrace(2); unlike them it needs no
    // leave of the Yama module.
    command
        .arg("cat")
        .arg(format!("/proc/{}/environ", daemon.pid()));
    let output = run(bed, command)?;
    let said = text(&output);
    ensure!(
        output.status.success() || said.contains("Permission denied"),
        "{said}"
    );
    Ok(output.status.success())
}

/// Has the daemon end as after a fault, wherever the kernel puts cores.
fn dumps_core(mut daemon: Daemon) -> Result<bool> {
    daemon.signal(Signal::SIGABRT)?;
    let status = daemon.wait(PATIENCE)?;
    ensure!(status.signal() == Some(Signal::SIGABRT as i32), "{status}");
    Ok(status.core_dumped())
}

#[test]
fn memory_with_a_secret_in_it_is_nobodys() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let _tap = bed.tap("Ethernet0")?;
        let cores = tempfile::tempdir()?;
        let directory = cores.path().display().to_string();
        let script = format!("cd {directory} && {{ ulimit -c unlimited || true; }} && exec \"$@\"");
        let dumping = |config: DaemonConfig| config.through(&["sh", "-c", &script, "sh"]);

        let (config, _folder) = asked_for(bed, PASSWORD)?;
        let daemon = bed.start(dumping(config))?;
        daemon.wait_for_log("every capability given up")?;
        // It still may look at itself.
        let metrics = get(bed.namespace(), "/metrics")?.body;
        for name in ["process_open_fds ", "process_resident_memory_bytes "] {
            let line = metrics.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split(' ').nth(1));
            let value: f64 = value.with_context(|| format!("no {name}"))?.parse()?;
            ensure!(value > 0.0, "{name}{value}");
        }
        ensure!(!can_look_into(bed, &daemon)?, "its memory can be read");
        ensure!(!dumps_core(daemon)?, "a core was dumped");
        ensure!(fs::read_dir(cores.path())?.next().is_none(), "a core file");

        // Without a secret a core may be had, for whoever looks for a fault.
        let daemon = bed.start(dumping(bed.config()))?;
        daemon.wait_for_log("every capability given up")?;
        ensure!(can_look_into(bed, &daemon)?, "this test sees nothing");
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern")?;
        let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid()))?;
        let limit = limits.lines().find(|line| line.contains("core file size"));
        // Where this machine lets anybody have one.
        let expected = limit.is_some_and(|line| line.contains("unlimited"))
            && !pattern.starts_with(['|', '/']);
        ensure!(
            dumps_core(daemon)? || !expected,
            "no core, with core_pattern {pattern}"
        );
        Ok(())
    })
}

/// A password that comes with a reload is hidden as well.
#[test]
fn a_reload_hides_what_it_reads() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let daemon = bed.start(bed.config())?;
        daemon.wait_for_log("every capability given up")?;
        ensure!(can_look_into(bed, &daemon)?);
        let folder = tempfile::tempdir()?;
        let secret = folder.path().join("password");
        fs::write(&secret, PASSWORD)?;
        let file = daemon.directory().join("portsyncd.conf");
        let text = fs::read_to_string(&file)?;
        let key = format!(
            "[database]\nredis_password_file = {:?}",
            secret.display().to_string()
        );
        fs::write(&file, text.replace("[database]", &key))?;
        daemon.signal(Signal::SIGHUP)?;
        daemon.wait_for_log("configuration reloaded")?;
        ensure!(!can_look_into(bed, &daemon)?, "its memory can be read");
        daemon.stop()
    })
}
