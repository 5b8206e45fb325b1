//! From the kernel's timestamp to Redis's acknowledgement: how long it takes.

use std::fmt;

/// Four buckets per doubling: a quantile is right to within 19 %.
const PER_DOUBLING: u32 = 4;
/// From 1 µs to about 18 minutes.
const BUCKETS: usize = 120;

/// A histogram of latencies, with a fixed size.
#[derive(Clone)]
pub(crate) struct Latency {
    buckets: [u64; BUCKETS],
    count: u64,
    max_ns: u64,
}

impl Latency {
    pub(crate) fn new() -> Self {
        Self {
            buckets: [0; BUCKETS],
            count: 0,
            max_ns: 0,
        }
    }

    /// Counts one latency, in nanoseconds.
    pub(crate) fn count(&mut self, ns: u64) {
        self.buckets[bucket(ns)] += 1;
        self.count += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// The latency, in microseconds, that `per_mille` of all are at most.
    pub(crate) fn quantile_us(&self, per_mille: u64) -> u64 {
        let rank = (self.count * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, in_bucket) in self.buckets.iter().enumerate() {
            seen += in_bucket;
            if seen >= rank {
                return upper_us(index).min(self.max_us());
            }
        }
        self.max_us()
    }

    /// The longest, in microseconds.
    pub(crate) fn max_us(&self) -> u64 {
        self.max_ns.div_ceil(1000)
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency")
            .field("count", &self.count)
            .field("max_us", &self.max_us())
            .finish_non_exhaustive()
    }
}

/// The bucket is the exponent of the microseconds and their next two bits.
fn bucket(ns: u64) -> usize {
    let us = (ns / 1000).max(1);
    let exponent = us.ilog2();
    let fraction = if exponent >= 2 {
        us >> (exponent - 2)
    } else {
        us << (2 - exponent)
    } & 3;
    let index = u64::from(exponent * PER_DOUBLING) + fraction;
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The least number of microseconds that falls into the next bucket.
fn upper_us(index: usize) -> u64 {
    let (exponent, fraction) = (index / 4, index as u64 % 4);
    ((5 + fraction) << exponent) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_the_truth() {
        let mut latency = Latency::new();
        for us in 1..=1000_u64 {
            latency.count(us * 1000);
        }
        for (per_mille, truth) in [(500, 500), (990, 990), (1000, 1000)] {
            let found = latency.quantile_us(per_mille);
            assert!(
                found >= truth && found <= truth * 13 / 10,
                "{per_mille}: {found}"
            );
        }
        assert_eq!(latency.max_us(), 1000);
    }

    #[test]
    fn buckets_grow_with_the_latency_and_never_end() {
        let mut last = 0;
        for shift in 0..64 {
            let index = bucket(1 << shift);
            assert!(index >= last && index < BUCKETS);
            last = index;
        }
        assert_eq!(Latency::new().quantile_us(500), 0, "no latency at all");
    }
}
