//! Latencies by kind of change.

use std::time::Duration;

/// The kinds of change that are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `IFF_UP` set or cleared.
    Admin,
    /// Another MTU.
    Mtu,
    /// One port's carrier, nothing else going on.
    CarrierAlone,
    /// One of 32 ports that lose their carrier together.
    CarrierLostTogether,
    /// One of 32 ports that get their carrier back together.
    CarrierGainedTogether,
}

impl Kind {
    /// All kinds, in the order in which they are shown.
    pub(super) const ALL: [Self; 5] = [
        Self::Admin,
        Self::Mtu,
        Self::CarrierAlone,
        Self::CarrierLostTogether,
        Self::CarrierGainedTogether,
    ];

    /// What a person calls it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Admin => "admin up / down",
            Self::Mtu => "MTU",
            Self::CarrierAlone => "carrier, one port",
            Self::CarrierLostTogether => "carrier lost on 32 ports",
            Self::CarrierGainedTogether => "carrier back on 32 ports",
        }
    }
}

/// One timed change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// What changed.
    pub(super) kind: Kind,
    /// From before the system call to the keyspace event of the new row.
    pub(super) to_redis: Duration,
    /// From before the system call to the kernel's own `RTM_NEWLINK`, as a second
    /// listener heard it; none if it had not come by then.
    pub(super) to_netlink: Option<Duration>,
}

/// What is shown of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    pub(super) count: usize,
    pub(super) median: Duration,
    pub(super) p99: Duration,
    /// The median of the time until the kernel told its listeners.
    pub(super) kernel: Option<Duration>,
    /// The median of the time from there to Redis.
    pub(super) daemon: Option<Duration>,
}

/// The figures of one kind; none before the first sample.
pub(super) fn figures(samples: &[Sample], kind: Kind) -> Option<Figures> {
    let of_kind = || samples.iter().filter(move |sample| sample.kind == kind);
    let to_redis = sorted(of_kind().map(|sample| sample.to_redis));
    let kernel = sorted(of_kind().filter_map(|sample| sample.to_netlink));
    let daemon = sorted(
        of_kind().filter_map(|sample| Some(sample.to_redis.saturating_sub(sample.to_netlink?))),
    );
    Some(Figures {
        count: to_redis.len(),
        median: percentile(&to_redis, 50)?,
        p99: percentile(&to_redis, 99)?,
        kernel: percentile(&kernel, 50),
        daemon: percentile(&daemon, 50),
    })
}

fn sorted(durations: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut durations: Vec<Duration> = durations.collect();
    durations.sort_unstable();
    durations
}

/// The nearest-rank percentile of sorted values.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Three significant digits at most: "0.42 ms", "12.3 ms", "1.02 s".
pub(super) fn text(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1e3;
    if millis < 9.995 {
        format!("{millis:.2} ms")
    } else if millis < 99.95 {
        format!("{millis:.1} ms")
    } else if millis < 999.5 {
        format!("{millis:.0} ms")
    } else {
        format!("{:.2} s", millis / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let millis: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&millis, 50), Some(Duration::from_millis(50)));
        assert_eq!(percentile(&millis, 99), Some(Duration::from_millis(99)));
        assert_eq!(percentile(&millis[..1], 99), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn kinds_are_kept_apart() {
        let sample = |kind, millis| Sample {
            kind,
            to_redis: Duration::from_millis(millis),
            to_netlink: None,
        };
        let samples = [
            sample(Kind::Mtu, 3),
            sample(Kind::Admin, 9),
            sample(Kind::Mtu, 1),
        ];
        let mtu = figures(&samples, Kind::Mtu).expect("two samples");
        assert_eq!(
            (mtu.count, mtu.median.as_millis(), mtu.p99.as_millis()),
            (2, 1, 3)
        );
        assert_eq!((mtu.kernel, mtu.daemon), (None, None));
        assert_eq!(figures(&samples, Kind::CarrierAlone), None);
    }

    #[test]
    fn durations_have_three_digits() {
        for (micros, shown) in [
            (420, "0.42 ms"),
            (9_996, "10.0 ms"),
            (12_340, "12.3 ms"),
            (123_400, "123 ms"),
            (1_020_000, "1.02 s"),
        ] {
            assert_eq!(text(Duration::from_micros(micros)), shown);
        }
    }
}
