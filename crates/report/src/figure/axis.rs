//! A linear or logarithmic axis: its range, its round ticks and their labels.

/// A range of values laid over a range of dots.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
    step: f64,
    /// Whether `low`, `high` and places are of logarithms to base 10.
    is_logarithmic: bool,
}

impl Axis {
    /// An axis around the values, with a margin, from dot `start` (the low end) to dot `end`.
    pub(super) fn around(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (low, high) = range(values);
        // One value alone, or equal ones, spread over nothing, and no axis could be divided by that.
        let spread = (high - low).max(1e-3 * low.abs());
        let spread = if spread > 0.0 { spread } else { 1e-6 };
        let middle = (low + high) / 2.0;
        // Eight per cent of the spread stay free at each end, so that no marker lies on the frame.
        let half = spread * 0.58;
        Self {
            low: middle - half,
            high: middle + half,
            start,
            end,
            step: 0.0,
            is_logarithmic: false,
        }
        .with_ticks(5)
    }

    /// A logarithmic axis around values above zero, with a margin.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (low, high) = range(values.filter(|value| *value > 0.0).map(libm::log10));
        let middle = (low + high) / 2.0;
        // The same room at the ends; at least a fifth of a power of ten, or the ticks' labels would need too many digits.
        let half = ((high - low) * 0.58).max(0.1);
        Self {
            low: middle - half,
            high: middle + half,
            start,
            end,
            step: 0.0,
            is_logarithmic: true,
        }
        .with_ticks(5)
    }

    /// An axis from zero to above the largest value.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (_, high) = range(values);
        // A bar that reached the frame would look cut off.
        let high = if high > 0.0 { high * 1.05 } else { 1.0 };
        Self {
            low: 0.0,
            high,
            start,
            end,
            step: 0.0,
            is_logarithmic: false,
        }
        .with_ticks(5)
    }

    /// The same axis with at most this many ticks (and at least two).
    pub(super) fn with_ticks(mut self, most: usize) -> Self {
        let even = (self.high - self.low) / most.max(2) as f64;
        self.step = if self.is_logarithmic {
            even
        } else {
            round_step(even)
        };
        self
    }

    /// Where a value lies, in dots.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic {
            libm::log10(value)
        } else {
            value
        };
        let share = (value - self.low) / (self.high - self.low);
        self.start + share * (self.end - self.start)
    }

    /// The dots of its low and its high end.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.start, self.end)
    }

    /// Values of the ticks, all within the axis.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.is_logarithmic {
            return self.logarithmic_ticks();
        }
        let first = (self.low / self.step).ceil() as i64;
        // A tick that only rounding puts beyond the end is still one.
        let last = (self.high / self.step + 1e-9).floor() as i64;
        (first..=last)
            .map(|index| index as f64 * self.step)
            .collect()
    }

    /// Powers of ten, with 2 and 5 times these or with 3 times these where there is room, as many as were asked for.
    fn logarithmic_ticks(&self) -> Vec<f64> {
        let most = ((self.high - self.low) / self.step).round().max(2.0) as usize;
        // Equal steps would have labels like 31,623; factors that are about evenly apart on a logarithmic axis have round ones.
        let sets: [&[f64]; 4] = [
            &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
            &[1.0, 2.0, 5.0],
            &[1.0, 3.0],
            &[1.0],
        ];
        let within = |factors: &[f64]| -> Vec<f64> {
            let powers = self.low.floor() as i32..=self.high.ceil() as i32;
            let all = powers.flat_map(|power| factors.iter().map(move |f| f * 10f64.powi(power)));
            all.filter(|tick| (self.low..=self.high).contains(&libm::log10(*tick)))
                .collect()
        };
        let fits = |ticks: &Vec<f64>| (2..=most).contains(&ticks.len());
        let mut all = sets.into_iter().map(within);
        let found = all.clone().find(fits);
        // Where no set has as few, the fewest; where a narrow axis has one power or none, its ends.
        let fewest = || all.rfind(|ticks| ticks.len() >= 2);
        found.or_else(fewest).unwrap_or_else(|| {
            let round = |log: f64| {
                let power = 10f64.powi(log.floor() as i32 - 2);
                (libm::pow(10.0, log) / power).round() * power
            };
            let inset = (self.high - self.low) * 0.1;
            vec![round(self.low + inset), round(self.high - inset)]
        })
    }

    /// A tick's label, with the digits that the step needs.
    pub(super) fn label(&self, value: f64) -> String {
        if self.is_logarithmic {
            return counted(value);
        }
        let largest = self.high.abs().max(self.low.abs());
        if self.step >= 5e11 || largest < 1e-4 {
            return by_power(value, self.step, libm::log10(largest).floor() as i32);
        }
        if largest >= 10_000.0 {
            return thousands(value, self.step);
        }
        let digits = decimals(self.step);
        let label = format!("{value:.digits$}");
        // A product that rounds to nothing may be below zero, and `-0.00` is no label.
        if label.trim_matches(['-', '0', '.']).is_empty() {
            label.replace('-', "")
        } else {
            label
        }
    }
}

/// A number above zero as it is said: 1.5 M, 20 k, 7.
fn counted(value: f64) -> String {
    if !(1e-4..1e12).contains(&value) {
        let power = libm::log10(value).floor() as i32;
        let factor = value / 10f64.powi(power);
        // Of one digit or two, as the ticks of a logarithmic axis are.
        let is_whole = (factor - factor.round()).abs() < 1e-6;
        let last = if is_whole { power } else { power - 1 };
        return by_power(value, 10f64.powi(last), power);
    }
    let (factor, letter) = match value {
        value if value >= 1e9 => (1e9, " G"),
        value if value >= 1e6 => (1e6, " M"),
        value if value >= 1e3 => (1e3, " k"),
        _ => (1.0, ""),
    };
    let scaled = value / factor;
    // Whatever is left of a product's rounding is no digit.
    let text = format!("{scaled:.4}");
    let digits = text.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}{letter}")
}

/// The smallest and the largest value, or 0 and 1 of none.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let ends = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if ends.0 <= ends.1 { ends } else { (0.0, 1.0) }
}

/// The smallest of 1, 2, 2.5 or 5 times a power of ten that is at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powi(libm::log10(least).floor() as i32);
    // The tolerance keeps a power's rounding from pushing a step that fits to the next larger one.
    let factor = [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// Digits after the point that a step of 1, 2, 2.5 or 5 times a power of ten has.
fn decimals(step: f64) -> usize {
    (0..12)
        .find(|&digits| {
            let scaled = step * 10f64.powi(digits as i32);
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        })
        .unwrap_or(12)
}

/// A number as a product with a power of ten, `3×10¹⁷`, with the digits that the step needs.
fn by_power(value: f64, step: f64, power: i32) -> String {
    // Divided by a power of half the exponent twice: ten to the 308th is more than there is for the smallest numbers.
    let scaled = |number: f64| {
        let half = power / 2;
        number / 10f64.powi(half) / 10f64.powi(power - half)
    };
    let digits = decimals(scaled(step)).min(6);
    let text = format!("{:.digits$}", scaled(value));
    if text.trim_matches(['-', '0', '.']).is_empty() {
        return "0".to_owned();
    }
    let raised = power.to_string();
    let raised = raised.chars().map(|letter| match letter {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        _ => '⁰',
    });
    format!("{text}×10{}", raised.collect::<String>())
}

fn thousands(value: f64, step: f64) -> String {
    // By the step and not the value, so that every label of an axis has the same unit.
    let (factor, letter) = match step {
        step if step >= 5e8 => (1e9, " G"),
        step if step >= 500_000.0 => (1e6, " M"),
        _ => (1e3, " k"),
    };
    let digits = decimals(step / factor);
    match value {
        0.0 => "0".to_owned(),
        _ => format!("{:.digits$}{letter}", value / factor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks()
            .into_iter()
            .map(|tick| axis.label(tick))
            .collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::around([0.9412, 0.9561].into_iter(), 0.0, 100.0);
        assert_eq!(labels(&axis), ["0.945", "0.950", "0.955"]);
        assert!(
            axis.ticks()
                .iter()
                .all(|&tick| (0.0..=100.0).contains(&axis.place(tick)))
        );
        let axis = Axis::from_zero([63_000.0].into_iter(), 0.0, 100.0);
        assert_eq!(labels(&axis), ["0", "20 k", "40 k", "60 k"]);
        let axis = Axis::from_zero([7.0].into_iter(), 0.0, 100.0);
        assert_eq!(labels(&axis), ["0", "2", "4", "6"]);
        let axis = Axis::around([-0.1, 0.1].into_iter(), 0.0, 100.0);
        assert_eq!(labels(&axis), ["-0.10", "-0.05", "0.00", "0.05", "0.10"]);
    }

    #[test]
    fn one_value_no_value_and_a_tiny_spread_have_an_axis_with_ticks() {
        for values in [vec![0.95], vec![], vec![0.0], vec![0.95, 0.950_000_1]] {
            let axis = Axis::around(values.iter().copied(), 0.0, 100.0);
            assert!(axis.ticks().len() >= 2, "{values:?}: {axis:?}");
            assert!(
                values
                    .iter()
                    .all(|&value| (0.0..=100.0).contains(&axis.place(value)))
            );
            let mut labels = labels(&axis);
            labels.dedup();
            assert_eq!(
                labels.len(),
                axis.ticks().len(),
                "labels differ: {labels:?}"
            );
        }
    }

    #[test]
    fn very_large_and_very_small_numbers_are_powers_of_ten_of_one_power() {
        let axis = Axis::around([0.7, 3e17].into_iter(), 0.0, 100.0);
        assert_eq!(labels(&axis), ["0", "1×10¹⁷", "2×10¹⁷", "3×10¹⁷"]);
        let axis = Axis::around([1e-7, 3e-7].into_iter(), 0.0, 100.0);
        assert_eq!(
            labels(&axis),
            ["1.0×10⁻⁷", "1.5×10⁻⁷", "2.0×10⁻⁷", "2.5×10⁻⁷", "3.0×10⁻⁷"]
        );
        let axis = Axis::around([-1.6e10, 0.0].into_iter(), 0.0, 100.0);
        assert_eq!(labels(&axis), ["-15 G", "-10 G", "-5 G", "0"]);
        let axis = Axis::logarithmic([1e15, 1e20].into_iter(), 0.0, 100.0);
        assert!(
            labels(&axis).contains(&"1×10¹⁷".to_owned()),
            "{:?}",
            labels(&axis)
        );
        for values in [
            [1e300, 3e300],
            [1e-300, 3e-300],
            [5e11, 5.001e11],
            [0.0, 1e-12],
        ] {
            let axis = Axis::around(values.into_iter(), 0.0, 100.0);
            let mut labels = labels(&axis);
            assert!((2..8).contains(&labels.len()), "{values:?} {labels:?}");
            let count = labels.len();
            labels.dedup();
            assert_eq!(labels.len(), count, "{values:?} {labels:?}");
        }
    }

    #[test]
    fn a_logarithmic_axis_has_round_ticks_at_any_width() {
        let axis = Axis::logarithmic([40_000.0, 2.2e6].into_iter(), 0.0, 100.0);
        assert_eq!(labels(&axis.clone().with_ticks(3)), ["100 k", "1 M"]);
        assert_eq!(labels(&axis), ["30 k", "100 k", "300 k", "1 M", "3 M"]);
        assert!(
            (axis.place(1e5) - axis.place(1e4) - axis.place(1e6) + axis.place(1e5)).abs() < 1e-9
        );
        for values in [vec![7.0], vec![], vec![100.0, 101.0], vec![1.0, 1e12]] {
            for most in 2..7 {
                let axis = Axis::logarithmic(values.iter().copied(), 0.0, 100.0).with_ticks(most);
                let mut labels = labels(&axis);
                assert!((2..=13).contains(&labels.len()), "{values:?} {labels:?}");
                labels.dedup();
                assert_eq!(labels.len(), axis.ticks().len(), "{values:?} {labels:?}");
                let inside = |tick: &f64| (0.0..=100.0).contains(&axis.place(*tick));
                assert!(axis.ticks().iter().all(inside), "{values:?} {labels:?}");
            }
        }
    }

    #[test]
    fn a_reversed_range_of_dots_turns_the_axis() {
        let axis = Axis::from_zero([10.0].into_iter(), 100.0, 0.0);
        assert!(axis.place(10.0) < axis.place(0.0));
    }
}
