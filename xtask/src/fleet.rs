//! `cargo xtask fleet-sim`: what many daemons cost one Prometheus.
//!
//! One real daemon with 64 tap ports is scraped once. A server on loopback then serves
//! that page for every daemon of the fleet, with counters that move and ports that
//! flap, and a real Prometheus (Debian's) scrapes them all, with the rules of the
//! deployment guide, in a namespace of its own. What Prometheus says of itself, and
//! `/proc` of it, are the figures of docs/fleet.md.

mod page;
mod server;
mod watcher;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use portsyncd_tests::child::Running;
use portsyncd_tests::http::get;
use portsyncd_tests::{Bed, Source, port_names};

use crate::build;
use crate::command::{find_program, is_root, this_as_root, workspace_root};
use crate::interrupt::Interrupt;
use page::Page;
use server::Server;
use watcher::Watcher;

/// `cargo xtask fleet-sim`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How many daemons
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    daemons: u32,

    /// Ports of each
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=514))]
    ports: u32,

    /// Seconds between two scrapes of a daemon
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    interval: u32,

    /// How many times each is scraped
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(3..))]
    scrapes: u32,

    /// A daemon that is already built, instead of this checkout's
    #[arg(long, value_name = "FILE")]
    daemon: Option<PathBuf>,
}

/// Captures, serves, scrapes and tells.
pub(crate) fn run(args: &Args) -> Result<()> {
    let daemon = build::daemon(args.daemon.as_deref())?;
    if !is_root() {
        return run_elsewhere(args, &daemon);
    }
    let interrupt = Interrupt::catch()?;
    let bed = Bed::new(Source::Auto)?;
    let page = capture(&bed, &daemon, args.ports)?;
    println!(
        "one daemon with {} ports: {} series, {} bytes a scrape",
        args.ports, page.series, page.bytes
    );
    let server = Server::start(bed.namespace(), page, args.daemons)?;
    simulate(args, &bed, &server, &interrupt)
}

fn run_elsewhere(args: &Args, daemon: &Path) -> Result<()> {
    let mut command = this_as_root("a fleet in a network namespace")?;
    command.arg("fleet-sim").arg("--daemon").arg(daemon);
    for (name, value) in [
        ("--daemons", args.daemons),
        ("--ports", args.ports),
        ("--interval", args.interval),
        ("--scrapes", args.scrapes),
    ] {
        command.args([name, &value.to_string()]);
    }
    crate::command::run(&mut command)
}

/// One real daemon's page, in step and with some traffic behind it.
fn capture(bed: &Bed, binary: &Path, ports: u32) -> Result<Page> {
    let names = port_names(usize::try_from(ports)?);
    bed.configure(&names)?;
    let taps = bed.taps(&names)?;
    let config = bed.config().binary(binary).set("metrics.enabled", true);
    let daemon = bed.ready(config)?;
    bed.converge()?;
    for tap in &taps {
        tap.set_mtu(9000)?;
    }
    bed.converge()?;
    let page = Page::new(&get(bed.namespace(), "/metrics")?.body);
    daemon.stop()?;
    page
}

fn simulate(args: &Args, bed: &Bed, server: &Server, interrupt: &Interrupt) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a directory")?;
    let configuration = folder.path().join("prometheus.yml");
    fs::write(folder.path().join("rules.yml"), rules()?)?;
    fs::write(&configuration, configuration_text(args, server)?)?;
    let program = find_program("prometheus").context("no prometheus: cargo xtask setup")?;
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={}", watcher::ADDRESS))
        .arg("--log.level=warn");
    let prometheus = Running::start(bed.namespace(), "prometheus", command)?;
    let watcher = Watcher::new(
        bed.namespace(),
        prometheus.pid(),
        folder.path().join("data"),
    );
    watcher
        .wait_until_ready()
        .with_context(|| prometheus.output().tail(20))?;
    // The first interval only spreads the scrapes; the rates are of the others.
    let interval = Duration::from_secs(args.interval.into());
    pass(interval * 2, interrupt)?;
    let before = watcher.usage()?;
    let scrapes_before = server.scrapes();
    pass(interval * (args.scrapes - 2), interrupt)?;
    let figures = watcher.figures(&before)?;
    let scrapes = server.scrapes() - scrapes_before;
    println!("{figures}");
    let expected = u64::from(args.daemons) * u64::from(args.scrapes - 2);
    println!("{scrapes} scrapes served meanwhile, {expected} were due");
    ensure!(
        scrapes * 100 >= expected * 97,
        "Prometheus did not keep up: {scrapes} scrapes of {expected}"
    );
    figures
        .check(args.daemons)
        .with_context(|| watcher.complaint().unwrap_or_default())
}

fn pass(time: Duration, interrupt: &Interrupt) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        interrupt.check()?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Each daemon is a target of its own: a path of the server, and the labels that a
/// fleet would have.
fn configuration_text(args: &Args, server: &Server) -> Result<String> {
    use std::fmt::Write;
    let seconds = args.interval;
    let mut text = format!(
        "global:\n  scrape_interval: {seconds}s\n  evaluation_interval: {seconds}s\n\
         rule_files: [rules.yml]\nscrape_configs:\n  - job_name: portsyncd\n    static_configs:\n"
    );
    for number in 0..args.daemons {
        writeln!(
            text,
            "      - targets: ['{}']\n        labels: {{__metrics_path__: '/daemon/{number}', \
             instance: 'switch{number}:9090', pod: 'pod{}'}}",
            server.address(),
            number / 50
        )?;
    }
    writeln!(
        text,
        "  - job_name: prometheus\n    static_configs: [{{targets: ['{}']}}]",
        watcher::ADDRESS
    )?;
    Ok(text)
}

/// The rules as the deployment guide has them.
fn rules() -> Result<String> {
    let guide = workspace_root()?.join("README_DEPLOYMENT.md");
    let text =
        fs::read_to_string(&guide).with_context(|| format!("cannot read {}", guide.display()))?;
    let begin = text
        .find("```yaml\ngroups:")
        .context("the guide has no rules")?
        + "```yaml\n".len();
    let end = text[begin..].find("```").context("the rules do not end")?;
    Ok(text[begin..begin + end].to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_guide_has_rules() {
        let rules = super::rules().expect("rules");
        assert!(rules.contains("alert: PortSyncdDown"), "{rules}");
    }
}
