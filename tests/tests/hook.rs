//! The daemon's carrier hook: in place once the daemon is in step, said once, and
//! the reason where there is none.
//!
//! `PORTSYNCD_CARRIER_HOOKS` names the ways that must attach here, as "fentry kprobe".

use std::env;

use anyhow::{Context, Result, ensure};
use portsyncd_tests::{Bed, Daemon, Source, port_names};

const PORTS: usize = 4;

fn must_attach(way: &str) -> bool {
    let ways = env::var("PORTSYNCD_CARRIER_HOOKS").unwrap_or_default();
    ways.split_whitespace().any(|word| word == way)
}

/// What the log says of the hook, after a loss on every port was published.
fn said_of(bed: &Bed, mode: &str) -> Result<(Daemon, String)> {
    let ports = port_names(PORTS);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let config = bed.config().set("link.carrier_hook", mode);
    let daemon = bed.start(config)?;
    bed.converge()?;
    let line = daemon.wait_for_log("carrier_hook=")?;
    for (tap, port) in taps.iter().zip(&ports) {
        tap.carrier(false)?;
        bed.wait_for_field(port, "netdev_oper_status", "down")?;
    }
    bed.converge()?;
    Ok((daemon, line))
}

/// The carrier changes of the daemon's closing account.
fn carrier_changes(daemon: Daemon) -> Result<usize> {
    let log = daemon.log().clone();
    daemon.stop()?;
    let text = log.text();
    let said = text.matches("carrier_hook=").count();
    ensure!(said == 1, "said {said} times:\n{text}");
    let account = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix("carrier_changes="));
    Ok(account.context("the daemon left no account")?.parse()?)
}

fn one_way(way: &str) -> Result<()> {
    Bed::run(Source::Ebpf, |bed| {
        let (daemon, line) = said_of(bed, way)?;
        let attached = line.contains(&format!("carrier_hook=\"{way}\""));
        ensure!(attached || !must_attach(way), "{line}");
        ensure!(
            attached || line.contains(&format!("reason={way}: ")),
            "{line}"
        );
        let changes = carrier_changes(daemon)?;
        ensure!(changes == if attached { PORTS } else { 0 }, "{changes}");
        Ok(())
    })
}

#[test]
fn fentry_or_why_not() -> Result<()> {
    one_way("fentry")
}

#[test]
fn kprobe_or_why_not() -> Result<()> {
    one_way("kprobe")
}

#[test]
fn auto_takes_fentry_first_and_names_both_refusals() -> Result<()> {
    Bed::run(Source::Ebpf, |bed| {
        let (daemon, line) = said_of(bed, "auto")?;
        let off = line.contains("carrier_hook=\"off\"");
        ensure!(!(off && must_attach("fentry")), "{line}");
        ensure!(
            !must_attach("fentry") || line.contains("\"fentry\""),
            "{line}"
        );
        ensure!(
            !off || (line.contains("fentry: ") && line.contains("kprobe: "))
                || line.contains("BTF"),
            "{line}"
        );
        let changes = carrier_changes(daemon)?;
        ensure!(changes == if off { 0 } else { PORTS }, "{changes}");
        Ok(())
    })
}

#[test]
fn off_is_off() -> Result<()> {
    Bed::run(Source::Ebpf, |bed| {
        let (daemon, line) = said_of(bed, "off")?;
        ensure!(line.contains("carrier_hook=\"off\""), "{line}");
        ensure!(carrier_changes(daemon)? == 0);
        Ok(())
    })
}

#[test]
fn without_a_ring_there_is_no_hook() -> Result<()> {
    Bed::run(Source::Netlink, |bed| {
        let (daemon, line) = said_of(bed, "auto")?;
        ensure!(line.contains("only the eBPF link source"), "{line}");
        ensure!(carrier_changes(daemon)? == 0);
        Ok(())
    })
}
