//! The longest outages of all ports: a list of fixed length.

use portsyncd_common::IfName;

/// Outages kept.
const KEPT: usize = 16;

/// A time in which a port was down though it was meant to be up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::observe) struct Outage {
    /// The port.
    pub(in crate::observe) name: IfName,
    /// From when on, nanoseconds since 1970.
    pub(in crate::observe) since_ns: u64,
    /// Until when.
    pub(in crate::observe) until_ns: u64,
}

impl Outage {
    /// How long it lasted.
    pub(in crate::observe) fn ns(&self) -> u64 {
        self.until_ns.saturating_sub(self.since_ns)
    }
}

/// The longest ones, longest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::observe) struct Outages {
    longest: Vec<Outage>,
}

impl Outages {
    /// Takes one that is over; the shortest goes when there are too many.
    pub(in crate::observe) fn note(&mut self, outage: Outage) {
        let behind = self
            .longest
            .partition_point(|other| other.ns() >= outage.ns());
        if behind < KEPT {
            self.longest.insert(behind, outage);
            self.longest.truncate(KEPT);
        }
    }

    /// Longest first.
    pub(in crate::observe) fn longest(&self) -> &[Outage] {
        &self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_stay_in_order() {
        let mut outages = Outages::default();
        for ns in (0..100).map(|i| i * 37 % 100) {
            outages.note(Outage {
                name: "Ethernet0".parse().unwrap(),
                since_ns: 1000,
                until_ns: 1000 + ns,
            });
        }
        let kept: Vec<_> = outages.longest().iter().map(Outage::ns).collect();
        assert_eq!(kept, (84..100).rev().collect::<Vec<_>>());
    }
}
