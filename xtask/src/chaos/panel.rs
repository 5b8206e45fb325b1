//! The front panel: ports that come, change and go, and how often each went.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use fastrand::Rng;
use portsyncd_tests::config_db::remove_port;
use portsyncd_tests::{Bed, Tap, port_names};

/// How many ports are configured.
const PORTS: usize = 24;

/// The ports of one world.
pub(crate) struct Panel {
    pub(crate) names: Vec<String>,
    /// The netdevs that are there, by name.
    taps: BTreeMap<String, Tap>,
    /// Names that lost a netdev since the round began.
    departures: BTreeSet<String>,
    /// In the round before. A port that went and came back as it was looks right
    /// while its deletion is still under way.
    before: BTreeSet<String>,
}

impl Panel {
    pub(crate) fn new(bed: &Bed) -> Result<Self> {
        let names = port_names(PORTS);
        bed.configure(&names)?;
        let taps = bed.taps(&names)?;
        Ok(Self {
            names,
            taps: (taps.into_iter())
                .map(|tap| (tap.name().to_owned(), tap))
                .collect(),
            departures: BTreeSet::new(),
            before: BTreeSet::new(),
        })
    }

    /// A round begins.
    pub(crate) fn begin_round(&mut self) {
        self.before = std::mem::take(&mut self.departures);
    }

    /// Whether the row of `name` may have been deleted in this round.
    pub(crate) fn may_have_gone(&self, name: &str) -> bool {
        self.departures.contains(name) || self.before.contains(name)
    }

    /// So many random changes.
    pub(crate) fn changes(
        &mut self,
        bed: &Bed,
        count: u16,
        redis_answers: bool,
        random: &mut Rng,
    ) -> Result<()> {
        (0..count).try_for_each(|_| self.change(bed, redis_answers, random))
    }

    /// Carrier, flags and MTU of every port, as fast as one thread can.
    pub(crate) fn storm(&self, rounds: u16) -> Result<()> {
        for round in 0..rounds {
            for (number, tap) in (0..).zip(self.taps.values()) {
                tap.set_mtu(1400 + (round + number) % 100)?;
                match (round + number) % 4 {
                    0 => tap.down()?,
                    1 => tap.up()?,
                    2 => tap.carrier(false)?,
                    _ => tap.carrier(true)?,
                }
            }
        }
        Ok(())
    }

    /// Every configured port gets a netdev again.
    pub(crate) fn complete(&mut self, bed: &Bed) -> Result<()> {
        for name in self.names.clone() {
            if !self.taps.contains_key(&name) {
                self.create(bed, &name)?;
            }
        }
        Ok(())
    }

    /// Every port is set up administratively.
    pub(crate) fn all_up(&self) -> Result<()> {
        self.taps.values().try_for_each(Tap::up)
    }

    /// A link message of every port that changes nothing.
    pub(crate) fn tell_all(&self) -> Result<()> {
        for tap in self.taps.values() {
            tap.promiscuous(true)?;
            tap.promiscuous(false)?;
        }
        Ok(())
    }

    fn create(&mut self, bed: &Bed, name: &str) -> Result<()> {
        let tap = Tap::create(bed.namespace(), name)?;
        tap.up()?;
        self.taps.insert(name.to_owned(), tap);
        Ok(())
    }

    fn change(&mut self, bed: &Bed, redis_answers: bool, random: &mut Rng) -> Result<()> {
        let name = self.names[random.usize(..self.names.len())].clone();
        let what = random.u8(..100);
        let Some(tap) = self.taps.get(&name) else {
            return if what < 30 {
                self.create(bed, &name)
            } else {
                Ok(())
            };
        };
        match what {
            0..32 => tap.set_mtu(random.u16(1300..1400)),
            32..48 => tap.up(),
            48..58 => tap.down(),
            58..72 => tap.carrier(true),
            72..86 => tap.carrier(false),
            86..90 => tap.promiscuous(random.bool()),
            90..94 => self.rename(&name, random),
            94..97 if redis_answers => {
                reconfigure(bed, &name);
                Ok(())
            }
            94..97 => Ok(()),
            _ => {
                self.departed(&name);
                let tap = self.taps.remove(&name).context("the tap is there")?;
                tap.delete()
            }
        }
    }

    fn rename(&mut self, from: &str, random: &mut Rng) -> Result<()> {
        let to = self.names[random.usize(..self.names.len())].clone();
        if !self.taps.contains_key(&to)
            && let Some(mut tap) = self.taps.remove(from)
        {
            self.departed(from);
            tap.down()?;
            tap.rename(&to)?;
            self.taps.insert(to, tap);
        }
        Ok(())
    }

    fn departed(&mut self, name: &str) {
        self.departures.insert(name.to_owned());
    }
}

/// Taken out of CONFIG_DB and put back, as far as Redis is there to hear of it.
fn reconfigure(bed: &Bed, name: &str) {
    let changed = bed.config_db().and_then(|mut config_db| {
        remove_port(&mut config_db, name)?;
        bed.configure(&[name])
    });
    // In an outage it fails; the round's end writes the configuration anyway.
    drop(changed);
}
