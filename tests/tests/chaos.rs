//! Everything at once, at random: whatever happened, in the end `STATE_DB` says
//! what the kernel says.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use portsyncd_tests::bridge::Bridge;
use portsyncd_tests::config_db::remove_port;
use portsyncd_tests::redis_server::Keep;
use portsyncd_tests::{Bed, DaemonConfig, Source, Tap, on_each_source, port_names};

on_each_source!(
    random_changes_converge,
    random_changes_converge_with_the_smallest_buffer,
    random_changes_converge_while_redis_restarts,
);

/// So many changes between two looks.
const CHANGES: usize = 300;
const LOOKS: usize = 6;

fn random_changes_converge(bed: &Bed) -> Result<()> {
    chaos(bed, bed.config(), |_, _| Ok(()))
}

fn random_changes_converge_with_the_smallest_buffer(bed: &Bed) -> Result<()> {
    let config = match bed.source() {
        Source::Netlink => bed.config().set("link.netlink_rcvbuf_kb", 4),
        _ => bed.config().set("link.ring_buffer_kb", 4),
    };
    chaos(bed, config, |_, _| Ok(()))
}

fn random_changes_converge_while_redis_restarts(bed: &Bed) -> Result<()> {
    let config = bed.config().set("database.retry_interval_secs", 1);
    chaos(bed, config, |bed, random| {
        bed.redis().save()?;
        bed.redis().kill()?;
        // Some changes fall into the time without Redis.
        if random.bool() {
            let tap = bed.tap("Ethernet396")?;
            tap.set_mtu(1400)?;
            tap.delete()?;
        }
        bed.redis().start_again(Keep::Saved)
    })
}

fn chaos(
    bed: &Bed,
    config: DaemonConfig,
    mut disturb: impl FnMut(&Bed, &mut Rng) -> Result<()>,
) -> Result<()> {
    let seed = fastrand::u64(..);
    let mut random = Rng::with_seed(seed);
    let mut panel = Panel::new(bed)?;
    let mut daemon = bed.start(config)?;
    for look in 0..LOOKS {
        let mut play = || -> Result<()> {
            for _ in 0..CHANGES {
                panel.change(&mut random)?;
            }
            disturb(bed, &mut random)?;
            for _ in 0..CHANGES {
                panel.change(&mut random)?;
            }
            panel.configure_all()?;
            bed.converge()?;
            daemon.still_runs()
        };
        play().with_context(|| format!("seed {seed}, look {look}"))?;
    }
    daemon.stop()
}

/// Front-panel ports that come, change and go.
struct Panel<'a> {
    bed: &'a Bed,
    bridge: Bridge,
    names: Vec<String>,
    /// The netdevs that are there, by name.
    taps: BTreeMap<String, Tap>,
}

impl<'a> Panel<'a> {
    fn new(bed: &'a Bed) -> Result<Self> {
        let names = port_names(16);
        bed.configure(&names)?;
        let taps = bed.taps(&names[..12])?;
        Ok(Self {
            bed,
            bridge: Bridge::create(bed.namespace(), "Bridge")?,
            names,
            taps: taps
                .into_iter()
                .map(|tap| (tap.name().to_owned(), tap))
                .collect(),
        })
    }

    fn configure_all(&self) -> Result<()> {
        self.bed.configure(&self.names)
    }

    /// One random change of one random port.
    fn change(&mut self, random: &mut Rng) -> Result<()> {
        let name = self.names[random.usize(..self.names.len())].clone();
        let what = random.u8(..100);
        let Some(tap) = self.taps.get(&name) else {
            if what < 20 {
                let tap = Tap::create(self.bed.namespace(), &name)?;
                if random.bool() {
                    tap.up()?;
                }
                self.taps.insert(name, tap);
            }
            return Ok(());
        };
        match what {
            0..30 => tap.set_mtu(random.u16(1300..1400)),
            30..45 => tap.up(),
            45..55 => tap.down(),
            55..68 => tap.carrier(true),
            68..80 => tap.carrier(false),
            80..84 => {
                // Refused with EBUSY when it is a port already: no change then.
                if self.bridge.enslave(tap).is_err() {
                    self.bridge.release(tap)?;
                }
                Ok(())
            }
            84..88 => tap.promiscuous(random.bool()),
            88..92 => self.rename(&name, random),
            92..95 => self.change_configuration(&name, random),
            _ => {
                let tap = self.taps.remove(&name).context("the tap is there")?;
                tap.delete()
            }
        }
    }

    fn rename(&mut self, from: &str, random: &mut Rng) -> Result<()> {
        let to = &self.names[random.usize(..self.names.len())];
        if !self.taps.contains_key(to)
            && let Some(mut tap) = self.taps.remove(from)
        {
            tap.down()?;
            tap.rename(to)?;
            self.taps.insert(to.clone(), tap);
        }
        Ok(())
    }

    fn change_configuration(&self, name: &str, random: &mut Rng) -> Result<()> {
        ensure!(self.names.iter().any(|known| known == name));
        if random.bool() {
            remove_port(&mut self.bed.config_db()?, name)
        } else {
            self.bed.configure(&[name])
        }
    }
}
