//! `link.source = "auto"`: a start on a plain socket, then eBPF in its place.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, Commands, PATIENCE, Source, port_names};

/// The states that one port goes through are told in their order, each at most
/// once, whichever source tells of them.
#[test]
fn nothing_is_told_twice_or_late_in_a_storm() -> Result<()> {
    const LAST: u16 = 9000;
    Bed::run(Source::Auto, |bed| {
        let ports = port_names(32);
        bed.configure(&ports)?;
        let taps = bed.taps(&ports)?;
        taps.iter().try_for_each(|tap| tap.set_mtu(100))?;
        let commands = Commands::watch(bed.redis())?;
        let daemon = bed.daemon()?;
        let mut mtu = 100;
        // Until it has changed over, and then some more.
        let mut after = 0;
        wait_for("the change was made under a storm", PATIENCE, || {
            for _ in 0..20 {
                mtu += 1;
                taps.iter().try_for_each(|tap| tap.set_mtu(mtu % LAST))?;
            }
            after += usize::from(daemon.log().text().contains("link source"));
            Ok(after > 5)
        })?;
        bed.converge()?;
        let last = daemon.wait_for_log("link source source=")?;
        ensure!(
            last.contains("source=\"ebpf\"") || last.contains("auto: "),
            "{last}"
        );
        daemon.stop()?;
        let mut seen: BTreeMap<&str, u16> = BTreeMap::new();
        let written = commands.about("\"HSET\" \"PORT_TABLE|");
        for line in &written {
            let words: Vec<&str> = line.split('"').filter(|word| *word != " ").collect();
            let row = words[2];
            let number = words.iter().position(|word| *word == "mtu");
            let now: u16 = number.map_or(Ok(0), |at| words[at + 1].parse())?;
            let before = seen.insert(row, now).unwrap_or(0);
            ensure!(
                now >= before || mtu > LAST,
                "{row} went back from {before} to {now}"
            );
        }
        ensure!(seen.len() == 32, "{} ports were written", seen.len());
        Ok(())
    })
}

#[test]
fn a_host_that_refuses_ebpf_stays_on_the_socket() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let tap = bed.tap("Ethernet0")?;
        let without = "-bpf,-perfmon,-sys_admin";
        let config = bed
            .config()
            .through(&["setpriv", "--bounding-set", without]);
        let daemon = bed.start(config)?;
        let line = daemon.wait_for_log("link source source=")?;
        ensure!(
            line.contains("\"netlink\"") && line.contains("auto: "),
            "{line}"
        );
        tap.set_mtu(1400)?;
        bed.converge()?;
        daemon.stop()
    })
}
