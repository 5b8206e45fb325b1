//! What a set of measured values says.

use std::time::Duration;

/// Counts far below 2⁵² are exact.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2⁵²"
)]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

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
        self.per_mille(percent * 10)
    }

    /// The same by the thousand.
    pub(super) fn per_mille(&self, per_mille: usize) -> f64 {
        let rank = (self.0.len() * per_mille).div_ceil(1000).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// The smallest value that no more than this share of all exceed; NaN when there is none.
    pub(super) fn above(&self, share: f64) -> f64 {
        let most = share * as_f64(self.0.len() as u64);
        let above = (0..self.0.len())
            .rev()
            .take_while(|index| as_f64((self.0.len() - index) as u64) <= most);
        let above = above.count();
        let index = self.0.len().saturating_sub(above + 1);
        self.0.get(index).copied().unwrap_or(f64::NAN)
    }

    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self::of_values(self.0.into_iter().chain(other.0))
    }

    /// The sum by the number; NaN when there is none.
    pub(super) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / as_f64(self.0.len() as u64)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
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
        assert_eq!(
            [three.mean(), three.per_mille(999)].map(|v| v.to_string()),
            ["2", "3"]
        );
        let above = [0.0, 0.34, 1.0].map(|share| three.above(share).to_string());
        assert_eq!(above, ["3", "2", "1"]);
        assert!(Samples::default().median().is_nan());
    }
}
