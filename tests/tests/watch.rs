//! `portsyncd watch`, on a real terminal and into a pipe.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::child::Running;
use portsyncd_tests::daemon::binary;
use portsyncd_tests::terminal::Terminal;
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, PATIENCE, Source, port_names};
use serde_json::Value;

/// `portsyncd watch` with this environment, as a shell command.
fn watch(environment: &str) -> Result<String> {
    Ok(format!("{environment} {} watch", binary()?.display()))
}

#[test]
fn the_grid_is_live_in_every_size_and_survives_the_daemon() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(65))?;
        let taps = bed.taps(&port_names(64))?;
        let daemon = bed.ready(bed.listening())?;
        let terminal = Terminal::run(bed.namespace(), (80, 24), &watch("")?)?;
        for part in [
            "up 64  down 0  missing 1",
            "Ethernet0 ●",
            "Ethernet256 ?",
            "changes/s",
            "kernel to Redis",
            "q quit",
        ] {
            terminal.wait_for(part)?;
        }
        taps[3].carrier(false)?;
        terminal.wait_for("Ethernet12 ▼ 1")?;
        terminal.press(&["s"])?;
        terminal.wait_for("sort: state")?;
        terminal.press(&["/", "t", "1", "2", "Enter"])?;
        terminal.wait_for("/ filter: t12")?;
        terminal.wait_for("Ethernet12 down, admin up, mtu 1500, flaps 1")?;
        terminal.wait_until("the others are gone", |screen| {
            !screen.contains("Ethernet16 ")
        })?;
        terminal.press(&["Escape"])?;

        terminal.resize(20, 5)?;
        terminal.wait_for("h100 +63 X1 ?1")?;
        terminal.wait_until("what is broken comes first", |screen| {
            let row = screen.lines().nth(1);
            row.is_some_and(|row| row.starts_with("▼?●"))
        })?;
        terminal.resize(80, 24)?;

        daemon.kill()?;
        terminal.wait_for("trying again: ")?;
        let daemon = bed.ready(bed.listening())?;
        terminal.wait_for("link source")?;
        taps[3].carrier(true)?;
        terminal.wait_for("up 64  down 0  missing 1")?;
        terminal.press(&["q"])?;
        terminal.wait_for("ended with 0")?;
        terminal.wait_until("the screen is given back", |screen| {
            !screen.contains("quit")
        })?;
        daemon.stop()
    })
}

#[test]
fn colours_are_for_those_who_want_them() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(2))?;
        let _taps = bed.taps(&port_names(2))?;
        let daemon = bed.ready(bed.listening())?;
        // The sequences of a foreground colour begin with ESC [3 or ESC [9 (ECMA-48, SGR).
        let colours = |environment: &str| -> Result<bool> {
            let terminal = Terminal::run(bed.namespace(), (80, 24), &watch(environment)?)?;
            // Drawn last.
            terminal.wait_for("q quit")?;
            // 39 is the terminal's own colour.
            let screen = terminal.screen(true)?.replace("\u{1b}[39m", "");
            Ok(["\u{1b}[3", "\u{1b}[9"]
                .iter()
                .any(|begin| screen.contains(begin)))
        };
        ensure!(colours("TERM=screen-256color")?);
        ensure!(!colours("NO_COLOR=1")?);
        // Where no cursor can be moved there are lines.
        let terminal = Terminal::run(bed.namespace(), (80, 24), &watch("TERM=dumb")?)?;
        let links = bed.namespace().links()?;
        wait_for("a change is a line", PATIENCE, || {
            links.set_mtu("Ethernet0", 1400)?;
            links.set_mtu("Ethernet0", 1500)?;
            Ok(terminal
                .screen(false)?
                .contains("Ethernet0 mtu 1400 -> 1500"))
        })?;
        daemon.stop()
    })
}

/// `portsyncd watch` into a pipe, once it tells what happens.
fn piped(bed: &Bed, words: &[&str]) -> Result<Running> {
    let mut command = Command::new(binary()?);
    command.arg("watch").args(words).env("TERM", "xterm");
    let running = Running::start(bed.namespace(), "watch", command)?;
    let links = bed.namespace().links()?;
    wait_for("it tells a change", PATIENCE, || {
        links.set_mtu("Ethernet4", 1400)?;
        links.set_mtu("Ethernet4", 1500)?;
        Ok(running.output().text().contains("Ethernet4"))
    })?;
    Ok(running)
}

#[test]
fn into_a_pipe_a_change_is_a_line() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(2))?;
        let taps = bed.taps(&port_names(2))?;
        let daemon = bed.ready(bed.listening())?;
        let (text, json) = (piped(bed, &[])?, piped(bed, &["--json"])?);
        taps[0].carrier(false)?;
        let line = text
            .output()
            .wait_for("Ethernet0 oper up -> down", PATIENCE)?;
        ensure!(line.contains(" us, 1 flaps"), "{line}");
        let line = json.output().wait_for("\"Ethernet0\"", PATIENCE)?;
        let event: Value = serde_json::from_str(&line)?;
        ensure!(
            event["is"]["oper"] == "down" && event["was"]["oper"] == "up",
            "{line}"
        );

        daemon.kill()?;
        text.output().wait_for("trying again", PATIENCE)?;
        let daemon = bed.ready(bed.listening())?;
        wait_for("it follows the daemon that came back", PATIENCE, || {
            taps[0].carrier(true)?;
            taps[0].carrier(false)?;
            Ok(text.output().text().contains("connected again"))
        })?;
        for running in [&text, &json] {
            let said = running.output().text();
            let control = said.chars().find(|char| char.is_control() && *char != '\n');
            ensure!(control.is_none(), "{control:?} in {said:?}");
        }
        text.signal(Signal::SIGTERM)?;
        daemon.stop()
    })
}

#[test]
fn a_daemon_that_is_not_there_is_said_before_the_screen_is_taken() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let terminal = Terminal::run(bed.namespace(), (80, 24), &watch("")?)?;
        let screen = terminal.wait_for("ended with 69")?;
        ensure!(screen.contains("cannot be reached"), "{screen}");
        let mut head = Command::new("sh");
        bed.configure(&port_names(1))?;
        let tap = bed.tap("Ethernet0")?;
        let daemon = bed.ready(bed.listening())?;
        // A reader that has seen enough ends it, as every other program of a pipe.
        let binary = binary()?;
        head.arg("-c")
            .arg(format!("{} watch | head -n 1", binary.display()));
        let mut head = Running::start(bed.namespace(), "head", head)?;
        wait_for("both have ended", PATIENCE, || {
            tap.set_mtu(1400)?;
            tap.set_mtu(1500)?;
            Ok(head.ended()?.is_some())
        })?;
        let said = head.output().text();
        let lines: Vec<_> = said.lines().collect();
        let [line] = lines[..] else {
            anyhow::bail!("{said:?}")
        };
        ensure!(line.contains("Ethernet0"), "{line}");
        let status = head.ended()?.context("it has ended")?;
        ensure!(status.success(), "{status}");
        daemon.stop()
    })
}
