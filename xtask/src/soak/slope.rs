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
pub(crate) struct Line {
    /// How many samples.
    pub(super) samples: usize,
    pub(super) mean: f64,
    /// In units per second.
    pub(crate) slope: f64,
    /// The standard error of the slope.
    pub(super) error: f64,
    /// From the first to the last sample, in seconds.
    pub(super) span: f64,
}

impl Line {
    /// Through samples of (seconds, value); `None` for fewer than three.
    pub(crate) fn through(samples: &[(f64, f64)]) -> Option<Self> {
        let [(first, _), .., (last, _)] = samples else {
            return None;
        };
        Self::fit(samples, last - first)
    }

    /// The same for values that go with something else as well, of which there is one for each:
    /// how they change in time where that stays as it is (the theorem of Frisch and Waugh).
    pub(super) fn beside(samples: &[(f64, f64)], other: &[f64]) -> Option<Self> {
        let [(first, _), .., (last, _)] = samples else {
            return None;
        };
        let along = |of: fn(&(f64, f64)) -> f64| -> Vec<(f64, f64)> {
            other.iter().copied().zip(samples.iter().map(of)).collect()
        };
        let (times, values) = (along(|s| s.0), along(|s| s.1));
        let (Some(time), Some(value)) = (Self::fit(&times, 1.0), Self::fit(&values, 1.0)) else {
            // It stays as it is.
            return Self::through(samples);
        };
        let centre = other.iter().sum::<f64>() / count(other);
        let freed = times.iter().zip(&values).map(|((at, t), (_, v))| {
            let away = at - centre;
            (t - time.slope * away, v - value.slope * away)
        });
        Self::fit(&freed.collect::<Vec<_>>(), last - first)
    }

    fn fit(samples: &[(f64, f64)], span: f64) -> Option<Self> {
        let count = count(samples);
        if count < 3.0 || span <= 0.0 {
            return None;
        }
        let mean_of =
            |value: fn(&(f64, f64)) -> f64| samples.iter().map(value).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean_of(|s| s.0), mean_of(|s| s.1));
        let spread: f64 = samples.iter().map(|s| (s.0 - mean_x).powi(2)).sum();
        if spread <= 0.0 {
            return None;
        }
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
            span,
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

#[expect(clippy::cast_precision_loss, reason = "some thousands of samples")]
fn count<T>(samples: &[T]) -> f64 {
    samples.len() as f64
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
    fn what_goes_with_the_load_is_no_growth_and_growth_is_found_beside_it() {
        // A load that comes in the second half and stays.
        let load: Vec<f64> = (0..100)
            .map(|t| if t < 50 { 1.0 } else { 9.0 } + f64::from(t % 7) / 7.0)
            .collect();
        let samples = |leak: f64| -> Vec<(f64, f64)> {
            let at = (0..100).map(f64::from).zip(&load);
            at.map(|(t, load)| (t, 1000.0 + 200.0 * load + leak * t + 20.0 * (t * 2.1).sin()))
                .collect()
        };
        let (flat, leaks) = (samples(0.0), samples(10.0));
        assert!(Line::through(&flat).expect("enough").grows(LIMIT));
        let flat = Line::beside(&flat, &load).expect("enough");
        assert!(!flat.grows(LIMIT), "{flat:?}");
        let leaks = Line::beside(&leaks, &load).expect("enough");
        assert!(leaks.grows(LIMIT), "{leaks:?}");
        assert!((leaks.slope - 10.0).abs() < 1.0, "{leaks:?}");
        let even = Line::beside(&samples(10.0), &[3.0; 100]).expect("enough");
        assert_eq!(Some(even), Line::through(&samples(10.0)));
    }

    #[test]
    fn the_line_is_exact_where_the_samples_are() {
        let exact = line(|t| 3.0 + 2.0 * t);
        assert!((exact.slope - 2.0).abs() < 1e-9 && exact.error < 1e-6);
        assert!((exact.growth() - 198.0).abs() < 1e-6);
        assert_eq!(Line::through(&[(0.0, 1.0), (1.0, 1.0)]), None);
    }
}
