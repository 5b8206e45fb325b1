//! How values grow with the number of ports.

use crate::soak::slope::Line;

/// Of values at five sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    /// Of the power law through the last three.
    pub(super) exponent: f64,
    /// What one more port costs between the last two, by what it costs between the first
    /// and the fourth.
    pub(super) late_by_early: f64,
}

impl Growth {
    pub(super) fn of(ports: &[f64; 5], values: &[f64]) -> Self {
        let late = ports.iter().zip(values).skip(2);
        let late: Vec<_> = late
            .map(|(ports, value)| (ports.ln(), value.ln()))
            .collect();
        let slope = |from: usize, to: usize| {
            let value = |index| values.get(index).copied().unwrap_or(f64::NAN);
            (value(to) - value(from)) / (ports[to] - ports[from])
        };
        Self {
            exponent: Line::through(&late).map_or(f64::NAN, |line| line.slope),
            late_by_early: slope(3, 4) / slope(0, 3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laws_are_told_apart() {
        let ports = [64.0, 256.0, 514.0, 1028.0, 4096.0];
        let near = |value: f64, wanted: f64| assert!((value - wanted).abs() < 1e-9, "{value}");
        let of = |law: fn(f64) -> f64| Growth::of(&ports, &ports.map(law));
        near(of(|ports| 3.0 * ports).exponent, 1.0);
        near(of(|ports| ports * ports).exponent, 2.0);
        // A fixed part hides in the exponent, not in what one more port costs.
        let fixed = of(|ports| 5000.0 + 3.0 * ports);
        assert!(fixed.exponent < 0.7);
        near(fixed.late_by_early, 1.0);
        assert!(of(|ports| 1e6 + ports * ports).late_by_early > 4.0);
    }
}
