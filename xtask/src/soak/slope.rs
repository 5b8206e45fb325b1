//! Whether a series of samples grows: a straight line through them by least squares.

/// One thing that is sampled, and how much of growth it may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// As the table calls it.
    pub(super) name: &'static str,
    /// Of the mean, over the whole time that is judged.
    pub(super) share: f64,
    /// Less than this is none, whatever the mean is.
    pub(super) least: f64,
}

/// A line through samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    /// How many samples.
    pub(super) samples: usize,
    pub(super) mean: f64,
    /// In units per second.
    pub(super) slope: f64,
    /// The standard error of the slope.
    pub(super) error: f64,
    /// From the first to the last sample, in seconds.
    pub(super) span: f64,
}

impl Line {
    /// Through samples of (seconds, value); `None` for fewer than three.
    #[expect(clippy::cast_precision_loss, reason = "some thousands of samples")]
    pub(super) fn through(samples: &[(f64, f64)]) -> Option<Self> {
        let [(first, _), .., (last, _)] = samples else {
            return None;
        };
        let count = samples.len() as f64;
        if count < 3.0 || last <= first {
            return None;
        }
        let mean_of =
            |value: fn(&(f64, f64)) -> f64| samples.iter().map(value).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean_of(|s| s.0), mean_of(|s| s.1));
        let spread: f64 = samples.iter().map(|s| (s.0 - mean_x).powi(2)).sum();
        let common: f64 = samples
            .iter()
            .map(|s| (s.0 - mean_x) * (s.1 - mean_y))
            .sum();
        let slope = common / spread;
        let off = |s: &(f64, f64)| (s.1 - mean_y - slope * (s.0 - mean_x)).powi(2);
        let residual: f64 = samples.iter().map(off).sum();
        Some(Self {
            samples: samples.len(),
            mean: mean_y,
            slope,
            error: (residual / (count - 2.0) / spread).sqrt(),
            span: last - first,
        })
    }

    /// What the line gains over its span.
    pub(super) fn growth(&self) -> f64 {
        self.slope * self.span
    }

    /// Twice the standard error of the growth: 95 of 100 lines through such samples are
    /// within it.
    pub(super) fn doubt(&self) -> f64 {
        2.0 * self.error * self.span
    }

    /// The growth that is let pass.
    pub(super) fn allowed(&self, limit: Limit) -> f64 {
        (self.mean * limit.share).max(limit.least)
    }

    /// Whether it grows beyond the limit and beyond doubt.
    pub(super) fn grows(&self, limit: Limit) -> bool {
        self.growth() - self.doubt() > self.allowed(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit {
        name: "x",
        share: 0.03,
        least: 0.0,
    };

    fn line(value: impl Fn(f64) -> f64) -> Line {
        let samples: Vec<_> = (0..100).map(f64::from).map(|t| (t, value(t))).collect();
        Line::through(&samples).expect("enough samples")
    }

    #[test]
    fn a_leak_is_found_under_noise_and_noise_is_no_leak() {
        let noise = |t: f64| 50.0 * (t * 2.1).sin();
        let flat = line(|t| 8000.0 + noise(t));
        assert!(!flat.grows(LIMIT), "{flat:?}");
        let leak = line(|t| 8000.0 + 5.0 * t + noise(t));
        assert!(leak.grows(LIMIT), "{leak:?}");
        assert!((leak.slope - 5.0).abs() < 0.5, "{leak:?}");
        let shrinks = line(|t| 8000.0 - 50.0 * t);
        assert!(!shrinks.grows(LIMIT));
    }

    #[test]
    fn the_line_is_exact_where_the_samples_are() {
        let exact = line(|t| 3.0 + 2.0 * t);
        assert!((exact.slope - 2.0).abs() < 1e-9 && exact.error < 1e-6);
        assert!((exact.growth() - 198.0).abs() < 1e-6);
        assert_eq!(Line::through(&[(0.0, 1.0), (1.0, 1.0)]), None);
    }
}
