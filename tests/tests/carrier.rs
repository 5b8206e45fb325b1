//! Carriers that linkwatch holds back: a failure of many ports is known early.
//!
//! Linkwatch tells the first lost carrier at once and the others up to seconds
//! later. What is claimed here is an order, not a time: which came first, the row
//! in Redis or the kernel's own word.

use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use portsyncd_tests::redis_server::STATE_DB;
use portsyncd_tests::{Bed, Monitor, PATIENCE, Tap, on_each_source, port_names};

on_each_source!(
    a_failure_of_many_ports_is_known_before_the_kernel_tells,
    with_all_of_it_off_the_kernel_comes_first,
    the_kernel_is_asked_to_settle_lost_carriers,
);

const PORTS: usize = 64;
/// More than a listener that is slow to wake; linkwatch holds back for longer.
const MARGIN: Duration = Duration::from_millis(100);

fn a_failure_of_many_ports_is_known_before_the_kernel_tells(bed: &Bed) -> Result<()> {
    let (early, log) = fail(bed, "auto", "off")?;
    ensure!(
        early > PORTS / 2,
        "only {early} of {PORTS} rows came before the kernel's own word\n{log}"
    );
    Ok(())
}

fn with_all_of_it_off_the_kernel_comes_first(bed: &Bed) -> Result<()> {
    let (early, log) = fail(bed, "off", "off")?;
    ensure!(early == 0, "{early} of {PORTS} rows were early");
    ensure!(counter(&log, "settled")? == 0 && !log.contains("reason=\"sample\""));
    Ok(())
}

fn the_kernel_is_asked_to_settle_lost_carriers(bed: &Bed) -> Result<()> {
    let (_, log) = fail(bed, "auto", "auto")?;
    let (settled, unsettled) = (counter(&log, "settled")?, counter(&log, "unsettled")?);
    ensure!(settled + unsettled > 0, "the kernel was never asked");
    // Before 6.5 the kernel does not do it, and the daemon finds out.
    ensure!(
        settled > unsettled || log.contains("does not settle"),
        "{settled} settled, {unsettled} not"
    );
    Ok(())
}

/// Takes the carrier of many ports and counts the rows that were down before the
/// kernel announced it. Also returns the daemon's log.
fn fail(bed: &Bed, sampling: &str, sync: &str) -> Result<(usize, String)> {
    let ports = port_names(PORTS);
    bed.configure(&ports)?;
    let taps = bed.taps(&ports)?;
    let config = bed
        .config()
        .set("link.carrier_hook", "off")
        .set("link.carrier_sampling", sampling)
        .set("link.linkwatch_sync", sync)
        .arg("--log-level")
        .arg("info");
    let daemon = bed.start(config)?;
    bed.converge()?;
    let announced = watch_the_kernel(bed)?;
    let events = bed.events(&[(STATE_DB, "PORT_TABLE|*")])?;
    // Once linkwatch has told the first one, it holds the others back for a second.
    taps[0].carrier(false)?;
    bed.wait_for_field(&ports[0], "netdev_oper_status", "down")?;
    let from = events.count();
    taps[1..]
        .iter()
        .try_for_each(|tap: &Tap| tap.carrier(false))?;
    bed.converge()?;
    let announced = announced
        .join()
        .map_err(|_| anyhow!("the kernel's listener panicked"))??;
    bed.converge()?;
    let log = daemon.log().clone();
    daemon.stop()?;
    let mut early = 0;
    let rows = events.all();
    for port in &ports[1..] {
        let key = format!("PORT_TABLE|{port}");
        let row = rows[from..].iter().find(|event| event.key == key);
        let row = row.with_context(|| format!("{port} was not written"))?;
        early += usize::from(row.at + MARGIN < announced[port]);
    }
    Ok((early, log.text()))
}

/// When the kernel announced each port's lost carrier, to an ordinary listener.
fn watch_the_kernel(bed: &Bed) -> Result<JoinHandle<Result<BTreeMap<String, Instant>>>> {
    let mut monitor = bed.namespace().run(Monitor::open)??;
    Ok(thread::spawn(move || {
        let mut announced = BTreeMap::new();
        let deadline = Instant::now() + PATIENCE;
        while announced.len() < PORTS {
            if Instant::now() > deadline {
                bail!("the kernel announced {} of {PORTS} ports", announced.len());
            }
            for message in monitor.next(Duration::from_millis(100))? {
                if message.netdev.running() {
                    continue;
                }
                announced.entry(message.netdev.name).or_insert(message.at);
            }
        }
        Ok(announced)
    }))
}

/// A counter of the daemon's closing line.
fn counter(log: &str, name: &str) -> Result<u64> {
    let line = log.lines().rfind(|line| line.contains("portsyncd stopped"));
    let line = line.context("the daemon left no account")?;
    let value = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    Ok(value
        .with_context(|| format!("no {name} in {line}"))?
        .parse()?)
}
