//! Student's t distribution, and the power of the tests that use it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The value below which a t-distributed number of this many degrees of freedom lies with this probability.
pub(super) fn quantile(probability: f64, freedom: f64) -> f64 {
    if probability < 0.5 {
        return -quantile(1.0 - probability, freedom);
    }
    upper_quantile(1.0 - probability, freedom)
}

/// The value above which such a number lies with this probability, which is at most one half.
fn upper_quantile(probability: f64, freedom: f64) -> f64 {
    let mut low = 0.0;
    let mut high = 1.0;
    while two_sided(high, freedom) > 2.0 * probability {
        high *= 2.0;
    }
    // Halved until the ends are neighbours.
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if two_sided(middle, freedom) > 2.0 * probability {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// Probability of a value at least as far from zero as `t`.
pub(super) fn two_sided(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// Half the width of a 95 % interval of a mean of so many values, in standard errors.
pub(super) fn interval_factor(num_values: usize) -> f64 {
    // A report asks for thousands of intervals, but for few numbers of runs.
    static KEPT: Kept = Kept::new();
    KEPT.get((num_values, 0), || quantile(0.975, (num_values - 1) as f64))
}

/// The mean, in standard deviations, that a two-sided t-test of so many values at this level finds with probability .8.
/// From the noncentral t distribution, to about nine digits.
pub(super) fn detectable_mean(num_values: usize, level: f64) -> f64 {
    static KEPT: Kept = Kept::new();
    KEPT.get((num_values, level.to_bits()), || {
        let power = Power::new((num_values - 1) as f64, level);
        let (mut low, mut high) = (0.0, 1.0);
        while power.at(high) < POWER {
            high *= 2.0;
        }
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if power.at(middle) < POWER {
                low = middle;
            } else {
                high = middle;
            }
        }
        high / (num_values as f64).sqrt()
    })
}

/// How often an experiment of the smallest detectable effect finds it.
const POWER: f64 = 0.8;

/// Numbers that a report asks for thousands of times.
struct Kept(Mutex<BTreeMap<(usize, u64), f64>>);

impl Kept {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn get(&self, key: (usize, u64), compute: impl FnOnce() -> f64) -> f64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *kept.entry(key).or_insert_with(compute)
    }
}

/// Chances that a t-test rejects: an integral over the sample's standard deviation s (in units of the true one) of
/// P(|z + shift| > critical s), z standard normal.
struct Power {
    /// Values of s, each with the density there times the step (Simpson's rule).
    deviations: Vec<(f64, f64)>,
    critical: f64,
}

impl Power {
    fn new(freedom: f64, level: f64) -> Self {
        let critical = upper_quantile(level / 2.0, freedom);
        // s has a standard deviation of about 1 / sqrt(2 freedom); nothing lies beyond twelve of them.
        let reach = 12.0 / (2.0 * freedom).sqrt();
        let (low, high) = ((1.0 - reach).max(0.0), 1.0 + reach);
        // Steps small beside the width, 1 / critical, over which the chance rises.
        let num_steps = 2 * ((high - low) * 8.0 * critical).clamp(500.0, 50_000.0) as usize;
        let step = (high - low) / num_steps as f64;
        let scale = std::f64::consts::LN_2 + 0.5 * freedom * libm::log(0.5 * freedom)
            - log_gamma(0.5 * freedom);
        let density = |s: f64| {
            let log_power = if freedom > 1.0 {
                (freedom - 1.0) * libm::log(s)
            } else {
                0.0
            };
            libm::exp(scale + log_power - 0.5 * freedom * s * s)
        };
        let weight = |place: usize| match place {
            0 => 1.0,
            place if place == num_steps => 1.0,
            place if place % 2 == 1 => 4.0,
            _ => 2.0,
        };
        let at = |place: usize| {
            let s = low + step * place as f64;
            (s, weight(place) * step / 3.0 * density(s))
        };
        Self {
            deviations: (0..=num_steps).map(at).collect(),
            critical,
        }
    }

    /// Chance of a rejection where the true mean is `shift` standard errors.
    fn at(&self, shift: f64) -> f64 {
        let normal = |x: f64| 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        let terms = self.deviations.iter().map(|(s, weight)| {
            let edge = self.critical * s;
            weight * (normal(shift - edge) + normal(-shift - edge))
        });
        terms.sum()
    }
}

/// Regularised incomplete beta function, by its continued fraction (Numerical Recipes, section 6.4).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = libm::exp(
        log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * libm::log(x) + b * libm::log(1.0 - x),
    );
    if x < (a + 1.0) / (a + b + 2.0) {
        front * continued_fraction(x, a, b) / a
    } else {
        1.0 - front * continued_fraction(1.0 - x, b, a) / b
    }
}

fn continued_fraction(x: f64, a: f64, b: f64) -> f64 {
    let away_from_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + term * d);
            c = away_from_zero(1.0 + term / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// Logarithm of the gamma function of a positive number: Stirling's series, from an argument where it is exact enough.
fn log_gamma(x: f64) -> f64 {
    let mut shift = 0.0;
    let mut x = x;
    while x < 15.0 {
        shift += libm::log(x);
        x += 1.0;
    }
    let square = x * x;
    let series = (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square)
        / x;
    (x - 0.5) * libm::log(x) - x + 0.5 * libm::log(std::f64::consts::TAU) + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_scipy() {
        // scipy.stats.t.ppf
        for (probability, freedom, expected) in [
            (0.975, 1.0, 12.706204736174698),
            (0.975, 2.0, 4.302652729749462),
            (0.975, 4.0, 2.7764451051977934),
            (0.8, 4.0, 0.9409645772351816),
            (0.975, 30.0, 2.0422724563012373),
            (0.5, 3.0, 0.0),
            (0.2, 4.0, -0.9409645772351816),
        ] {
            let value = quantile(probability, freedom);
            assert!(
                (value - expected).abs() < 1e-9 * (1.0 + expected.abs()),
                "{probability} {freedom}: {value}"
            );
        }
    }

    #[test]
    fn a_test_of_no_effect_rejects_at_its_level() {
        for (freedom, level) in [(1.0, 0.05), (2.0, 0.05), (4.0, 0.001), (99.0, 0.05)] {
            let chance = Power::new(freedom, level).at(0.0);
            assert!((chance / level - 1.0).abs() < 1e-6, "{freedom}: {chance}");
        }
    }
}
