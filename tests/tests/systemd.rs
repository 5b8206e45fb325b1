//! What systemd hears from the daemon (`sd_notify(3)`), and SIGHUP.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::redis_server::Keep;
use portsyncd_tests::{Bed, PATIENCE, Source, port_names};
use tempfile::TempDir;

#[test]
fn readiness_comes_after_the_initial_synchronisation() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let ports = port_names(64);
        bed.configure(&ports)?;
        let _taps = bed.taps(&ports)?;
        let systemd = Systemd::new()?;
        let consumer = bed.consumer()?;
        let mut daemon = bed.start(bed.config().env("NOTIFY_SOCKET", &systemd.address()))?;
        systemd.wait_for("READY=1")?;
        let differences = bed.oracle()?.differences()?;
        ensure!(differences.is_empty(), "ready, but {differences:?}");
        consumer.wait_for("PortInitDone")?;
        daemon.signal(Signal::SIGTERM)?;
        systemd.wait_for("STOPPING=1")?;
        ensure!(daemon.wait(PATIENCE)?.success());
        Ok(())
    })
}

#[test]
fn the_status_line_follows() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0", "Ethernet4"])?;
        let tap = bed.tap("Ethernet0")?;
        let systemd = Systemd::new()?;
        let daemon = bed.start(bed.config().env("NOTIFY_SOCKET", &systemd.address()))?;
        systemd.wait_for("STATUS=1 up, 0 down; PortInitDone waits for 1")?;
        let _other = bed.tap("Ethernet4")?;
        systemd.wait_for("STATUS=in step: 2 up, 0 down")?;
        tap.carrier(false)?;
        systemd.wait_for("STATUS=in step: 1 up, 1 down")?;
        bed.redis().kill()?;
        systemd.wait_for("STATUS=waiting for STATE_DB")?;
        bed.redis().start_again(Keep::Nothing)?;
        daemon.stop()
    })
}

#[test]
fn sighup_reloads_and_a_bad_file_changes_nothing() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let tap = bed.tap("Ethernet0")?;
        let systemd = Systemd::new()?;
        let mut daemon = bed.start(bed.config().env("NOTIFY_SOCKET", &systemd.address()))?;
        systemd.wait_for("READY=1")?;
        bed.converge()?;

        let file = daemon.directory().join("portsyncd.conf");
        let good = fs::read_to_string(&file)?;
        fs::write(
            &file,
            format!("{good}\n[performance]\nmax_event_queue = 0\n"),
        )?;
        reload(&systemd, &daemon)?;
        daemon.wait_for_log("performance.max_event_queue")?;
        tap.set_mtu(1400)?;
        bed.wait_for_field("Ethernet0", "mtu", "1400")?;

        // What needs a restart is named, too.
        fs::write(
            &file,
            good.replace("[link]", "[link]\nextra_ports = [\"Ethernet-IB*\"]"),
        )?;
        reload(&systemd, &daemon)?;
        daemon.wait_for_log("[link]")?;
        tap.set_mtu(1500)?;
        bed.converge()?;
        daemon.still_runs()?;
        daemon.stop()
    })
}

fn reload(systemd: &Systemd, daemon: &portsyncd_tests::Daemon) -> Result<()> {
    daemon.signal(Signal::SIGHUP)?;
    let reloading = systemd.wait_for("RELOADING=1")?;
    ensure!(
        reloading.contains("MONOTONIC_USEC="),
        "systemd refuses {reloading:?}"
    );
    systemd.wait_for("READY=1")?;
    Ok(())
}

/// The socket on which systemd listens.
struct Systemd {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Systemd {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = UnixDatagram::bind(folder.path().join("notify"))?;
        Ok(Self { socket, folder })
    }

    fn address(&self) -> String {
        self.folder.path().join("notify").display().to_string()
    }

    /// Waits for a message with this line, and returns the whole message.
    fn wait_for(&self, line: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.socket
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let length = self
                .socket
                .recv(&mut buffer)
                .with_context(|| format!("waited {PATIENCE:?} for {line}, in vain"))?;
            let message = String::from_utf8_lossy(&buffer[..length]);
            if message.lines().any(|said| said == line) {
                return Ok(message.into_owned());
            }
        }
    }
}
