//! The daemon's carrier hook: in place once the daemon is in step, said once, and
//! the reason where there is none.
//!
//! `PORTSYNCD_CARRIER_HOOKS` names the ways that must attach here, as "fentry kprobe".

use std::env;
use std::fs;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::{Bed, Daemon, Source, Tap, on_each_source, port_names};

on_each_source!(
    a_netdev_that_goes_with_its_carrier_event_unread_leaves_no_row,
    an_ifindex_that_is_used_again_is_another_port_s,
);

/// What is mounted over the kernel's BTF, in a mount namespace of the daemon's own.
const HIDE_BTF: &str = r#"mount --bind "$0" /sys/kernel/btf/vmlinux && exec "$@""#;
const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

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

/// Everything happens while nobody reads, so the daemon finds it in one batch.
fn a_netdev_that_goes_with_its_carrier_event_unread_leaves_no_row(bed: &Bed) -> Result<()> {
    let ports = port_names(PORTS);
    bed.configure(&ports)?;
    let mut taps = bed.taps(&ports)?;
    let mut daemon = hooked(bed)?;
    daemon.signal(Signal::SIGSTOP)?;
    taps.iter().try_for_each(|tap| tap.carrier(false))?;
    taps.remove(0).delete()?;
    daemon.signal(Signal::SIGCONT)?;
    bed.wait_for_no_row(&ports[0])?;
    for port in &ports[1..] {
        bed.wait_for_field(port, "netdev_oper_status", "down")?;
    }
    bed.converge()?;
    daemon.still_runs()?;
    daemon.stop()
}

fn an_ifindex_that_is_used_again_is_another_port_s(bed: &Bed) -> Result<()> {
    let ports = port_names(2);
    bed.configure(&ports)?;
    let first = bed.tap(&ports[0])?;
    let ifindex = first.ifindex()?;
    let mut daemon = hooked(bed)?;
    daemon.signal(Signal::SIGSTOP)?;
    first.carrier(false)?;
    first.delete()?;
    let second = Tap::create_as(bed.namespace(), &ports[1], ifindex)?;
    ensure!(second.ifindex()? == ifindex, "another ifindex");
    second.up()?;
    daemon.signal(Signal::SIGCONT)?;
    bed.wait_for_no_row(&ports[0])?;
    bed.wait_for_field(&ports[1], "netdev_oper_status", "up")?;
    // And its own carrier is believed.
    second.carrier(false)?;
    bed.wait_for_field(&ports[1], "netdev_oper_status", "down")?;
    bed.converge()?;
    daemon.still_runs()?;
    daemon.stop()
}

/// A daemon that is in step and has said what became of its hook.
fn hooked(bed: &Bed) -> Result<Daemon> {
    let daemon = bed.daemon()?;
    bed.converge()?;
    daemon.wait_for_log("carrier_hook=")?;
    Ok(daemon)
}

/// The hook is off, the log says that it is the BTF's fault, the rest works.
fn without_this_btf(btf: &[u8], words: &str) -> Result<()> {
    Bed::run(Source::Ebpf, |bed| {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(&file, btf)?;
        let place = file.path().to_str().context("a path that is not UTF-8")?;
        let ports = port_names(PORTS);
        bed.configure(&ports)?;
        let taps = bed.taps(&ports)?;
        let config = bed
            .config()
            .through(&["unshare", "--mount", "sh", "-c", HIDE_BTF, place]);
        let daemon = bed.start(config)?;
        bed.converge()?;
        let line = daemon.wait_for_log("carrier_hook=")?;
        ensure!(line.contains("carrier_hook=\"off\""), "{line}");
        ensure!(line.contains("BTF") && line.contains(words), "{line}");
        taps.iter().try_for_each(|tap| tap.carrier(false))?;
        bed.converge()?;
        ensure!(carrier_changes(daemon)? == 0);
        Ok(())
    })
}

#[test]
fn a_kernel_whose_btf_is_empty_has_no_hook() -> Result<()> {
    without_this_btf(b"", "")
}

#[test]
fn btf_that_is_cut_short_gives_no_hook() -> Result<()> {
    let btf = fs::read(VMLINUX_BTF).context(VMLINUX_BTF)?;
    without_this_btf(&btf[..btf.len() / 2], "")
}

#[test]
fn btf_without_a_field_gives_no_hook_and_names_the_field() -> Result<()> {
    let mut btf = fs::read(VMLINUX_BTF).context(VMLINUX_BTF)?;
    let name = b"\0carrier_down_count\0";
    let at = btf.windows(name.len()).position(|window| window == name);
    let at = at.context("the kernel's own BTF has no carrier_down_count")?;
    btf[at + 1] = b'b';
    without_this_btf(&btf, "carrier_down_count")
}

#[test]
fn btf_that_is_something_else_gives_no_hook() -> Result<()> {
    without_this_btf(&[0x5a; 4096], "")
}
