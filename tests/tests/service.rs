//! The daemon as a process: its command line, configuration, signals, privileges
//! and log.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::daemon::binary;
use portsyncd_tests::namespace::NamedNamespace;
use portsyncd_tests::{Bed, DaemonConfig, Namespace, PATIENCE, Source, Tap, port_names};
use redis::Commands;
use tempfile::TempDir;

/// The capabilities that SONiC's swss container has from release 202505 on.
const NET_ADMIN_ONLY: [&str; 4] = ["setpriv", "--bounding-set", "-all,+net_admin", "--"];

#[test]
fn version_names_program_version_and_revision() -> Result<()> {
    let output = Command::new(binary()?).arg("--version").output()?;
    ensure!(output.status.success());
    let text = String::from_utf8(output.stdout)?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let [name, version, revision] = words[..] else {
        anyhow::bail!("{text:?}");
    };
    ensure!(
        name == "portsyncd" && version.split('.').count() == 3,
        "{text:?}"
    );
    ensure!(
        revision.starts_with('(') && revision.ends_with(')'),
        "{text:?}"
    );
    Ok(())
}

#[test]
fn a_valid_configuration_is_called_valid() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let good = DaemonConfig::empty().set("link.source", "netlink").text()?;
    let output = validate(&folder, &good)?;
    ensure!(output.status.code() == Some(0), "{}", said(&output));
    ensure!(
        said(&output).trim() == "Configuration valid",
        "{}",
        said(&output)
    );
    Ok(())
}

/// A bad configuration ends with 64, and every problem is said.
fn refused(output: &Output, problems: &[&str]) -> Result<()> {
    let said = said(output);
    ensure!(
        output.status.code() == Some(64),
        "{}: {said}",
        output.status
    );
    for problem in problems {
        ensure!(said.contains(problem), "{problem:?} is not in:\n{said}");
    }
    Ok(())
}

#[test]
fn every_problem_of_a_configuration_is_listed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (text, problems) = bad_configuration();
    let output = validate(&folder, &text)?;
    refused(&output, &problems)?;
    ensure!(!said(&output).contains("Configuration valid"));
    Ok(())
}

/// Nobody is connected to, and nothing is written.
#[test]
fn a_bad_configuration_has_no_effect() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("redis.sock");
    let listener = UnixListener::bind(&socket)?;
    listener.set_nonblocking(true)?;
    let (bad, problems) = bad_configuration();
    let text = format!(
        "{bad}\n[database]\nredis_socket = \"{}\"\n",
        socket.display()
    );
    let file = folder.path().join("portsyncd.conf");
    fs::write(&file, text)?;
    let output = Command::new(binary()?)
        .arg("--config")
        .arg(&file)
        .output()?;
    refused(&output, &problems)?;
    let nobody = listener.accept().err().context("it connected to Redis")?;
    ensure!(nobody.kind() == ErrorKind::WouldBlock, "{nobody}");
    ensure!(fs::read_dir(folder.path())?.count() == 2, "files were made");
    Ok(())
}

#[test]
fn usage_errors_end_with_64() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let not_toml = folder.path().join("not.toml");
    fs::write(&not_toml, "[link\nsource = \"auto\"")?;
    let not_toml = not_toml.display().to_string();
    let absent = folder.path().join("absent.conf").display().to_string();
    for arguments in [
        &["--config", &absent][..],
        &["--config", &not_toml],
        &["--validate-config", "--config", &absent],
        &["--log-level", "loud"],
        &["--no-such-option"],
    ] {
        let output = Command::new(binary()?).args(arguments).output()?;
        ensure!(
            output.status.code() == Some(64),
            "{arguments:?}: {}",
            output.status
        );
        let culprit = arguments.last().context("arguments")?;
        ensure!(
            said(&output).contains(culprit),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    Ok(())
}

#[test]
fn sigterm_and_sigint_end_it_with_0() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(4))?;
        let _taps = bed.taps(&port_names(4))?;
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let mut daemon = bed.daemon()?;
            // The rows of the first one are still there when the second one starts.
            daemon.wait_for_log("PortInitDone")?;
            daemon.signal(signal)?;
            let status = daemon.wait(PATIENCE)?;
            ensure!(status.code() == Some(0), "{signal}: {status}");
            // The rows stay: a restart must not look like the loss of every port.
            bed.converge()?;
        }
        Ok(())
    })
}

#[test]
fn it_ends_though_redis_hangs_or_is_away() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let tap = bed.tap("Ethernet0")?;
        let daemon = bed.daemon()?;
        bed.converge()?;
        bed.redis().pause()?;
        tap.down()?;
        daemon.stop().context("while Redis hangs")?;
        bed.redis().resume()?;
        bed.redis().kill()?;
        let daemon = bed.daemon()?;
        daemon.wait_for_log(&bed.redis().socket().display().to_string())?;
        daemon.stop().context("while Redis is away")
    })
}

#[test]
fn the_process_is_named_portsyncd() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let daemon = bed.daemon()?;
        daemon.wait_for_log("started")?;
        let name = fs::read_to_string(format!("/proc/{}/comm", daemon.pid()))?;
        ensure!(name.trim() == "portsyncd", "{name:?}");
        daemon.stop()
    })
}

#[test]
fn auto_says_which_source_it_took_and_why() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let daemon = bed.daemon()?;
        let line = daemon.wait_for_log("ebpf")?;
        ensure!(
            line.contains("auto"),
            "{line:?} does not say that it was chosen"
        );
        daemon.stop()
    })
}

#[test]
fn without_bpf_auto_takes_netlink() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(4))?;
        let taps = bed.taps(&port_names(4))?;
        let daemon = bed.start(bed.config().through(&NET_ADMIN_ONLY))?;
        let line = daemon.wait_for_log("netlink")?;
        ensure!(
            line.contains("auto"),
            "{line:?} does not say that it was chosen"
        );
        bed.converge()?;
        taps[0].down()?;
        bed.wait_for_field("Ethernet0", "admin_status", "down")?;
        daemon.stop()
    })
}

#[test]
fn without_bpf_the_ebpf_source_is_refused() -> Result<()> {
    Bed::run(Source::Ebpf, |bed| {
        let mut daemon = bed.start(bed.config().through(&NET_ADMIN_ONLY))?;
        let status = daemon.wait(PATIENCE)?;
        ensure!(status.code() == Some(77), "{status}, not 77 (permission)");
        ensure!(
            daemon.log().text().contains("link.source"),
            "the remedy is not named"
        );
        Ok(())
    })
}

#[test]
fn it_works_in_the_namespace_that_netns_names() -> Result<()> {
    for source in [Source::Ebpf, Source::Netlink] {
        Bed::run(source, |bed| {
            let inside = Namespace::new()?;
            let named = NamedNamespace::new(&inside)?;
            bed.configure(&["Ethernet0", "Ethernet4"])?;
            // The netdev of the same name where the daemon starts is another one.
            let outside = bed.tap("Ethernet0")?;
            let tap = Tap::create(&inside, "Ethernet0")?;
            tap.set_mtu(1400)?;
            let daemon = bed.start(bed.config().set("link.netns", named.name()))?;
            bed.wait_for_field("Ethernet0", "mtu", "1400")?;
            outside.set_mtu(1300)?;
            tap.set_mtu(1410)?;
            let _late = Tap::create(&inside, "Ethernet4")?;
            bed.wait_for_field("Ethernet4", "state", "ok")?;
            portsyncd_tests::Oracle::new(&inside, bed.redis())?.converge(PATIENCE)?;
            daemon.stop()
        })?;
    }
    Ok(())
}

#[test]
fn a_namespace_that_is_not_there_is_named() -> Result<()> {
    Bed::run(Source::Netlink, |bed| {
        let mut daemon = bed.start(bed.config().set("link.netns", "no-such-netns"))?;
        let status = daemon.wait(PATIENCE)?;
        ensure!(status.code().is_some_and(|code| code != 0), "{status}");
        ensure!(
            daemon.log().text().contains("no-such-netns"),
            "the namespace is not named"
        );
        Ok(())
    })
}

#[test]
fn the_log_level_is_written_when_absent_and_followed() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let tap = bed.tap("Ethernet0")?;
        let daemon = bed.daemon()?;
        bed.converge()?;
        let logger = |field: &str| -> Result<Option<String>> {
            Ok(bed.config_db()?.hget("LOGGER|portsyncd", field)?)
        };
        ensure!(logger("LOGLEVEL")?.as_deref() == Some("NOTICE"));
        ensure!(logger("LOGOUTPUT")?.as_deref() == Some("SYSLOG"));
        let set = |level: &str| -> Result<()> {
            Ok(bed
                .config_db()?
                .hset("LOGGER|portsyncd", "LOGLEVEL", level)?)
        };
        // At NOTICE a change of one port says nothing; at DEBUG it must.
        tap.set_mtu(1400)?;
        bed.wait_for_field("Ethernet0", "mtu", "1400")?;
        ensure!(
            !daemon.log().text().contains("DEBUG"),
            "NOTICE shows debug lines"
        );
        set("DEBUG")?;
        portsyncd_tests::wait::wait_for("a debug line shows", PATIENCE, || {
            tap.down()?;
            tap.up()?;
            Ok(daemon.log().text().contains("DEBUG"))
        })?;
        daemon.stop()?;

        // What the operator has set is left as it is.
        set("ERROR")?;
        let daemon = bed.daemon()?;
        tap.set_mtu(1500)?;
        bed.converge()?;
        ensure!(logger("LOGLEVEL")?.as_deref() == Some("ERROR"));
        daemon.stop()
    })
}

fn validate(folder: &TempDir, text: &str) -> Result<Output> {
    let file = folder.path().join("portsyncd.conf");
    fs::write(&file, text)?;
    let mut command = Command::new(binary()?);
    command.arg("--validate-config").arg("--config").arg(&file);
    command.output().context("cannot run portsyncd")
}

/// A file with many problems, and what must be said about them.
fn bad_configuration() -> (String, Vec<&'static str>) {
    let text = r#"
[link]
source = "tracepoint"
ring_buffer_kb = 3
extra_portz = ["Ethernet-IB*"]

[performance]
min_success_rate = 101.0
max_event_queue = "many"

[health]
max_stall_seconds = -1

[metric]
enabled = true
"#;
    let problems = vec![
        "portsyncd.conf",
        "link.source",
        "tracepoint",
        "netlink",
        "link.ring_buffer_kb",
        "extra_portz",
        "performance.min_success_rate",
        "101",
        "performance.max_event_queue",
        "many",
        "health.max_stall_seconds",
        "metric",
    ];
    (text.to_owned(), problems)
}

fn said(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}
