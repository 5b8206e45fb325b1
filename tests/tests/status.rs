//! `portsyncd status`, `ports` and `doctor`: what they show, and how they end.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use portsyncd_tests::daemon::binary;
use portsyncd_tests::http::wait_for_answer;
use portsyncd_tests::{Bed, Source, port_names};
use serde_json::Value;

/// Runs portsyncd with `words` in the bed's namespace: code, stdout, stderr.
fn run(bed: &Bed, words: &[&str]) -> Result<(Option<i32>, String, String)> {
    let mut command = Command::new(binary()?);
    command
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = bed.namespace().spawn(command)?.wait_with_output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    ))
}

#[test]
fn status_shows_what_operators_ask_for() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(11))?;
        let _taps = bed.taps(&port_names(10))?;
        let daemon = bed.ready(bed.listening())?;
        // By then `auto` has changed over.
        daemon.wait_for_log("carrier_hook=")?;
        let (code, text, error) = run(bed, &["status"])?;
        ensure!(code == Some(0), "{error}");
        for part in [
            "health        100 of 100",
            "ready         yes",
            "link source   ebpf (auto: the host allows it)",
            "carrier hook",
            "STATE_DB      connected",
            "ports         10 up, 0 down, 1 missing",
            "latency       p50",
            " complete, the last ",
            "PortInitDone",
            "127.0.0.1:9090",
        ] {
            ensure!(text.contains(part), "no {part:?} in\n{text}");
        }
        let (code, text, _) = run(bed, &["status", "--json"])?;
        let status: Value = serde_json::from_str(&text)?;
        ensure!(code == Some(0) && status["ports"]["up"] == 10, "{text}");
        bed.redis().kill()?;
        wait_for_answer(bed.namespace(), "/readyz", "it is not ready", |a| {
            a.status == 503
        })?;
        let (code, text, _) = run(bed, &["status"])?;
        ensure!(
            code == Some(0) && text.contains("-40 STATE_DB takes no writes"),
            "{text}"
        );
        daemon.stop()
    })
}

#[test]
fn ports_are_a_table_and_one_port_has_its_journal() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(3))?;
        let taps = bed.taps(&port_names(2))?;
        let daemon = bed.ready(bed.listening())?;
        taps[0].carrier(false)?;
        bed.wait_for_field("Ethernet0", "netdev_oper_status", "down")?;
        wait_for_answer(bed.namespace(), "/ports/Ethernet0", "it is told", |a| {
            a.body.contains("\"flaps\":1")
        })?;
        let (code, text, error) = run(bed, &["ports"])?;
        ensure!(code == Some(0), "{error}");
        let words: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        ensure!(words[0][..4] == ["PORT", "OPER", "ADMIN", "MTU"], "{text}");
        ensure!(
            words[1][..5] == ["Ethernet0", "down", "up", "1500", "1"],
            "{text}"
        );
        ensure!(
            words[2][..5] == ["Ethernet4", "up", "up", "1500", "0"],
            "{text}"
        );
        ensure!(
            words[3][..4] == ["Ethernet8", "missing", "-", "-"],
            "{text}"
        );
        let (code, text, _) = run(bed, &["ports", "Ethernet0"])?;
        ensure!(
            code == Some(0) && text.contains("oper up -> down") && text.contains(" us"),
            "{text}"
        );
        let (code, text, _) = run(bed, &["ports", "--json", "Ethernet0"])?;
        let port: Value = serde_json::from_str(&text)?;
        ensure!(
            code == Some(0) && port["journal"].as_array().is_some_and(|j| j.len() == 2),
            "{text}"
        );
        let (code, _, error) = run(bed, &["ports", "Ethernet99"])?;
        ensure!(
            code == Some(64) && error.contains("no such port"),
            "{error}"
        );
        daemon.stop()
    })
}

#[test]
fn a_daemon_that_is_not_there_is_69_and_bad_words_are_64() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let (code, _, error) = run(bed, &["status"])?;
        ensure!(code == Some(69), "{code:?} {error}");
        for part in [
            "cannot be reached",
            "http://127.0.0.1:9090",
            "http://[::1]:9090",
        ] {
            ensure!(error.contains(part), "no {part:?} in {error}");
        }
        for words in [
            &["status", "--endpoint", "ftp://x"][..],
            &["status", "--jsonn"],
            &["ports", "a", "b"],
            &["status", "--cert", "/nonexistent"],
        ] {
            let (code, _, error) = run(bed, words)?;
            ensure!(code == Some(64), "{words:?}: {code:?} {error}");
        }
        let (code, _, error) = run(bed, &["ports", "--endpoint", "http://127.0.0.1:1"])?;
        ensure!(code == Some(69) && error.contains("127.0.0.1:1"), "{error}");
        Ok(())
    })
}

#[test]
fn doctor_says_what_follows() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("portsyncd.conf");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = bed
            .config()
            .set("metrics.enabled", true)
            .set("metrics.storage_path", path("metrics"))
            .set("warm_restart.state_path", path("state"));
        std::fs::write(&file, config.text()?)?;
        let words = ["doctor", "--config", &file.display().to_string()];
        let (code, text, error) = run(bed, &words)?;
        ensure!(code == Some(0), "{text}{error}");
        for what in [
            "kernel",
            "capabilities",
            "BTF",
            "socket filter",
            "netlink socket",
            "fentry",
            "kprobe",
            "STATE_DB",
            "CONFIG_DB",
            "APPL_DB",
            "keyspace events",
            "state_path",
            "storage_path",
        ] {
            ensure!(text.contains(what), "no {what} in\n{text}");
        }
        ensure!(text.contains("followed live"), "{text}");
        ensure!(!folder.path().join("state").exists(), "it left a directory");
        bed.redis().kill()?;
        let (code, text, _) = run(bed, &words)?;
        ensure!(
            code == Some(69) && text.contains("BAD   STATE_DB"),
            "{text}"
        );
        Ok(())
    })
}
