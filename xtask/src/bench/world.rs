//! Where it all happens: a namespace with ports, a Redis that knows them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use portsyncd_tests::config_db::port_fields;
use portsyncd_tests::redis_server::{APPL_DB, CONFIG_DB, STATE_DB};
use portsyncd_tests::{Bed, Source, Tap, port_names};
use tempfile::TempDir;

use super::PATIENCE;
use super::resp::{Redis, Subscriber, command};
use super::usage::CpuClock;
use crate::interrupt::Interrupt;

/// A namespace with tap ports that are up, and a Redis with their configuration.
pub(super) struct World {
    pub(super) bed: Bed,
    pub(super) taps: Vec<Tap>,
    pub(super) names: Vec<String>,
    /// The release daemon.
    pub(super) daemon: PathBuf,
    /// The command that starts another one.
    pub(super) against: Option<String>,
    /// For sockets of the measurement's own.
    pub(super) directory: TempDir,
    interrupt: Interrupt,
}

impl World {
    /// Makes one with so many ports.
    pub(super) fn new(ports: usize, daemon: &Path, interrupt: &Interrupt) -> Result<Self> {
        eprintln!("bench: {ports} taps and a Redis of their own");
        // The source is the bed's default; every start here names its own.
        let bed = Bed::new(Source::Auto)?;
        let names = port_names(ports);
        bed.namespace().run(turn_ipv6_off)??;
        let taps = bed.taps(&names)?;
        taps.iter().try_for_each(|tap| tap.set_mtu(MTU))?;
        let world = Self {
            bed,
            taps,
            names,
            daemon: daemon.to_owned(),
            against: None,
            directory: tempfile::tempdir().context("cannot make a directory")?,
            interrupt: interrupt.clone(),
        };
        world.wait_until_up()?;
        let mut metadata = Vec::new();
        command(
            &mut metadata,
            &[
                b"HSET",
                b"DEVICE_METADATA|localhost",
                b"switch_type",
                b"switch",
            ],
        );
        let mut config_db = world.redis(CONFIG_DB)?;
        config_db.pipeline(&metadata, 1)?;
        config_db.pipeline(&world.rows("PORT|", Self::config_fields), ports)?;
        Ok(world)
    }

    /// With a command that starts another daemon, where there is one.
    pub(super) fn against(mut self, command: Option<&str>) -> Result<Self> {
        if let Some(command) = command {
            self.against = Some(command.to_owned());
            // The C++ daemon publishes ports that it finds only on a DPU; elsewhere it
            // takes them for those of an earlier life (`portsyncd.cpp`, `LinkSync`).
            let row: [&[u8]; 4] = [
                b"HSET",
                b"DEVICE_METADATA|localhost",
                b"switch_type",
                b"dpu",
            ];
            self.redis(CONFIG_DB)?.call(&row)?;
        }
        Ok(self)
    }

    fn wait_until_up(&self) -> Result<()> {
        let mut rtnl = self.bed.namespace().rtnl()?;
        portsyncd_tests::wait::wait_for("every tap is up", PATIENCE, || {
            let netdevs = rtnl.dump()?;
            Ok(self.names.iter().all(|name| {
                netdevs
                    .get(name)
                    .is_some_and(portsyncd_tests::Netdev::oper_up)
            }))
        })
    }

    /// Tells what is being measured, and stops if somebody asked to.
    pub(super) fn say(&self, what: &str) -> Result<()> {
        eprintln!("bench: {what}");
        self.interrupt.check()
    }

    /// Fails if somebody asked to stop.
    pub(super) fn check(&self) -> Result<()> {
        self.interrupt.check()
    }

    /// A bare connection to one database.
    pub(super) fn redis(&self, db: u32) -> Result<Redis> {
        Redis::connect(self.bed.redis().socket(), db)
    }

    /// Empties what daemons write: `APPL_DB` and `STATE_DB`.
    pub(super) fn clear(&self) -> Result<()> {
        for db in [APPL_DB, STATE_DB] {
            self.redis(db)?.call(&[b"FLUSHDB", b"SYNC"])?;
        }
        Ok(())
    }

    /// Ten fields, as a platform's `port_config.ini` and an operator give them.
    pub(super) fn config_fields(port: usize) -> Vec<(String, String)> {
        let mut fields = port_fields(port);
        fields.push(("pfc_asym".into(), "off".into()));
        fields.push((
            "description".into(),
            format!("spine{}:Ethernet{port}", port % 8),
        ));
        fields
    }

    /// The four fields that portsyncd writes.
    pub(super) fn state_fields(_port: usize) -> Vec<(String, String)> {
        [
            ("state", "ok".to_owned()),
            ("netdev_oper_status", "up".to_owned()),
            ("admin_status", "up".to_owned()),
            ("mtu", MTU.to_string()),
        ]
        .map(|(field, value)| (field.to_owned(), value))
        .to_vec()
    }

    /// One HSET for each port, of `prefix` and its name.
    pub(super) fn rows(
        &self,
        prefix: &str,
        fields: impl Fn(usize) -> Vec<(String, String)>,
    ) -> Vec<u8> {
        let mut request = Vec::new();
        for (port, name) in self.names.iter().enumerate() {
            hset(&mut request, &format!("{prefix}{name}"), &fields(port));
        }
        request
    }

    /// What orchagent would have made of the configuration, for the baseline.
    pub(super) fn fill_appl_db(&self) -> Result<()> {
        let rows = self.rows("PORT_TABLE:", Self::config_fields);
        self.redis(APPL_DB)?.pipeline(&rows, self.names.len())
    }

    /// Hears of PortConfigDone and PortInitDone.
    pub(super) fn done_events(&self) -> Result<Subscriber> {
        let channel = |key| format!("__keyspace@{APPL_DB}__:_PORT_TABLE:{key}");
        let (config, init) = (channel("PortConfigDone"), channel("PortInitDone"));
        Subscriber::new(self.bed.redis().socket(), &[&config, &init])
    }

    /// The server's processor time.
    pub(super) fn redis_cpu(&self) -> Result<CpuClock> {
        CpuClock::of(self.redis_pid()?)
    }

    /// The server's process id.
    pub(super) fn redis_pid(&self) -> Result<u32> {
        let info = self.redis(0)?.call(&[b"INFO", b"server"])?.text();
        let pid = info
            .lines()
            .find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok());
        pid.context("INFO server has no process_id")
    }

    /// How many HSETs the server has carried out.
    pub(super) fn hsets(&self) -> Result<u64> {
        let info = self.redis(0)?.call(&[b"INFO", b"commandstats"])?.text();
        Ok(info
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_hset:calls=")?.split(',').next())
            .map_or(Ok(0), str::parse)?)
    }

    /// How many ports' rows differ from the kernel now.
    pub(super) fn wrong_ports(&self) -> Result<usize> {
        Ok(self.bed.oracle()?.differences()?.len())
    }

    /// The kernel's index of each port.
    pub(super) fn ifindexes(&self) -> Result<Vec<u32>> {
        self.taps.iter().map(Tap::ifindex).collect()
    }

    /// Fails unless the namespace has the ports that it should have.
    pub(super) fn has(&self, netdevs: usize) -> Result<()> {
        ensure!(
            netdevs > self.names.len(),
            "a dump of {netdevs} netdevs; the namespace has {} ports and lo",
            self.names.len()
        );
        Ok(())
    }
}

/// With IPv6 every change of a netdev walks all IPv6 routes of the namespace: of
/// 256 taps that is two thirds of the kernel's time for a link message, and the
/// sender could make only a third of the messages.
fn turn_ipv6_off() -> Result<()> {
    for scope in ["all", "default"] {
        let file = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
        match fs::write(&file, "1") {
            // A kernel without IPv6 has nothing to turn off.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            written => written.with_context(|| format!("cannot write {file}"))?,
        }
    }
    Ok(())
}

/// Appends one HSET.
pub(super) fn hset(out: &mut Vec<u8>, key: &str, fields: &[(String, String)]) {
    let mut parts: Vec<&[u8]> = vec![b"HSET", key.as_bytes()];
    for (field, value) in fields {
        parts.extend([field.as_bytes(), value.as_bytes()]);
    }
    command(out, &parts);
}

/// What every port's MTU is before a scenario, in bytes.
pub(super) const MTU: u16 = 9100;

/// How long a daemon that was just disturbed is left alone before the next
/// isolated event.
pub(super) const REST: Duration = Duration::from_millis(3);
