//! What a set of measured values says.

use std::time::Duration;

/// Values in ascending order; never empty when it is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    /// From durations, in seconds.
    pub(super) fn of(durations: impl IntoIterator<Item = Duration>) -> Self {
        Self::of_values(durations.into_iter().map(|d| d.as_secs_f64()))
    }

    /// From any values.
    pub(super) fn of_values(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value that the given share of all does not exceed (nearest rank); NaN
    /// when there is none.
    pub(super) fn quantile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// The middle one.
    pub(super) fn median(&self) -> f64 {
        self.quantile(50)
    }

    /// The smallest.
    pub(super) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    /// The largest.
    pub(super) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let samples = Samples::of((1..=300).rev().map(Duration::from_secs));
        let told = [
            samples.min(),
            samples.median(),
            samples.quantile(99),
            samples.max(),
        ]
        .map(|v| v.to_string());
        assert_eq!(told, ["1", "150", "297", "300"]);
        let three = Samples::of_values([3.0, 1.0, 2.0]);
        let told = [three.median(), three.quantile(99)].map(|value| value.to_string());
        assert_eq!(told, ["2", "3"]);
        assert!(Samples::default().median().is_nan());
    }
}
