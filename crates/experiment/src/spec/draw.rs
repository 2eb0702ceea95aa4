//! Random draws of settings: the `index`-th value of a setting is a function of the seed, the setting's name and the index,
//! so it depends neither on the order of keys nor on what else is drawn, and variants share the draws of what they share.

use super::space::Domain;
use homebench_random::Philox;
use toml::Value;

/// The `index`-th draw from `domain` for the setting of this name.
pub(super) fn draw(domain: &Domain, seed: u64, name: &str, index: u64) -> Value {
    // The purpose keys the stream: with another word every random search would draw other settings, hence other cells.
    let stream = Philox::new(seed, "random search", name);
    match domain {
        Domain::Choices(values) => {
            let chosen = stream.below(index, values.len() as u32);
            values[chosen as usize].clone()
        }
        Domain::Integers { .. } | Domain::Reals { .. } => value_at(domain, unit(&stream, index)),
    }
}

/// The value at a share, from 0 to below 1, of the line on which draws are uniform.
pub(super) fn value_at(domain: &Domain, share: f64) -> Value {
    match domain {
        Domain::Choices(values) => {
            let chosen = (share * values.len() as f64) as usize;
            values[chosen.min(values.len() - 1)].clone()
        }
        Domain::Integers { low, high, log } => {
            let value = match log {
                // Each whole number as likely as its piece of the logarithm's line.
                true => {
                    let (from, to) = (libm::log(*low as f64), libm::log(*high as f64 + 1.0));
                    libm::exp(from + share * (to - from)).floor()
                }
                false => (*low as f64 + share * ((high - low) as f64 + 1.0)).floor(),
            };
            // The rounding of exp and ln may step over either end.
            Value::Integer((value as i64).clamp(*low, *high))
        }
        Domain::Reals { low, high, log } => {
            let value = match log {
                true => {
                    let (from, to) = (libm::log(*low), libm::log(*high));
                    libm::exp(from + share * (to - from))
                }
                false => low + share * (high - low),
            };
            Value::Float(three_digits(value).clamp(*low, *high))
        }
    }
}

/// Where on that line a value is; a whole number in the middle of its piece.
pub(super) fn position(domain: &Domain, value: &Value) -> f64 {
    let number = match value {
        Value::Integer(integer) => *integer as f64,
        Value::Float(float) => *float,
        _ => 0.0,
    };
    let share = match domain {
        Domain::Choices(values) => {
            let place = values.iter().position(|other| other == value);
            (place.unwrap_or(0) as f64 + 0.5) / values.len() as f64
        }
        Domain::Integers { low, high, log } => {
            let (low, end) = (*low as f64, *high as f64 + 1.0);
            match log {
                true => {
                    let middle = (libm::log(number) + libm::log(number + 1.0)) / 2.0;
                    (middle - libm::log(low)) / (libm::log(end) - libm::log(low))
                }
                false => (number + 0.5 - low) / (end - low),
            }
        }
        Domain::Reals { low, high, log } => match log {
            true => (libm::log(number) - libm::log(*low)) / (libm::log(*high) - libm::log(*low)),
            false => (number - low) / (high - low),
        },
    };
    share.clamp(0.0, 1.0)
}

/// Draws of a setting in a Latin hypercube: one in each of `n` strata, in a random order.
pub(super) struct Strata {
    order: Vec<u32>,
    jitter: Philox,
}

impl Strata {
    pub(super) fn new(seed: u64, name: &str, n: usize) -> Self {
        let order = Philox::new(seed, "latin hypercube", name).permutation(n as u32);
        let jitter = Philox::new(seed, "latin hypercube jitter", name);
        Self { order, jitter }
    }

    /// The `index`-th draw; nothing beyond the strata.
    pub(super) fn draw(&self, domain: &Domain, index: u64) -> Option<Value> {
        let stratum = *self.order.get(usize::try_from(index).ok()?)?;
        let share = (f64::from(stratum) + unit(&self.jitter, index)) / self.order.len() as f64;
        Some(value_at(domain, share))
    }
}

/// How many different values can be drawn, at most.
pub(super) fn num_distinct(domain: &Domain) -> u64 {
    match domain {
        Domain::Choices(values) => values.len() as u64,
        Domain::Integers { low, high, .. } => high.abs_diff(*low).saturating_add(1),
        Domain::Reals { low, high, .. } if *low > 0.0 => between(*low, *high),
        Domain::Reals { low, high, .. } if *high < 0.0 => between(-high, -low),
        // Towards 0 there are ever smaller ones.
        Domain::Reals { .. } => u64::MAX,
    }
}

/// Numbers of three digits from `low` to `high`, both above 0, and the ends, to which draws are clamped.
fn between(low: f64, high: f64) -> u64 {
    let below = |number: f64| {
        let decade = libm::log10(number).floor();
        // 900 numbers of three digits in every decade.
        900.0 * decade + (number / libm::pow(10.0, decade) * 100.0).floor()
    };
    (below(high) - below(low)) as u64 + 3
}

/// Uniform in [0, 1) with 53 bits.
fn unit(stream: &Philox, index: u64) -> f64 {
    let [high, low, ..] = stream.u32x4(index);
    // An f64 holds 53 bits: 32 of the first word, 21 of the second.
    let bits = (u64::from(high) << 21) | (u64::from(low) >> 11);
    bits as f64 / (1u64 << 53) as f64
}

/// Rounded to three significant digits: enough for a search, short in names and tables, and the same on every machine
/// whatever its logarithm's last bit.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(domain: &Domain, name: &str) -> Vec<f64> {
        let number = |value: Value| match value {
            Value::Integer(integer) => integer as f64,
            Value::Float(float) => float,
            other => panic!("{other}"),
        };
        let draws = (0..2000).map(|index| draw(domain, 0, name, index));
        draws.map(number).collect()
    }

    #[test]
    fn draws_stay_inside_their_range_and_are_spread_over_it() {
        for log in [false, true] {
            let (low, high) = (1e-4, 1e-1);
            let drawn = numbers(&Domain::Reals { low, high, log }, "a");
            assert!(drawn.iter().all(|value| (low..=high).contains(value)));
            let below = drawn.iter().filter(|value| **value < 1e-2).count() as f64 / 2000.0;
            let expected = if log { 2.0 / 3.0 } else { 0.1 };
            assert!((below - expected).abs() < 0.04, "{log}: {below}");
        }
    }

    #[test]
    fn whole_numbers_reach_both_ends_and_small_ones_are_as_likely_as_their_logarithm_says() {
        let (low, high) = (2, 9);
        for log in [false, true] {
            let drawn = numbers(&Domain::Integers { low, high, log }, "a");
            let count = |wanted: i64| drawn.iter().filter(|v| **v == wanted as f64).count();
            assert_eq!((low..=high).map(count).sum::<usize>(), 2000);
            assert!((low..=high).all(|value| count(value) > 60));
            assert_eq!(count(2) > 2 * count(9), log);
        }
    }

    #[test]
    fn a_latin_hypercube_has_one_draw_in_each_stratum_of_every_setting() {
        let (low, high) = (1e-4, 1e-1);
        let domain = Domain::Reals {
            low,
            high,
            log: true,
        };
        let strata = Strata::new(5, "a", 12);
        let mut taken: Vec<usize> = (0..12)
            .map(|index| (12.0 * position(&domain, &strata.draw(&domain, index).unwrap())) as usize)
            .collect();
        assert_ne!(taken, (0..12).collect::<Vec<_>>());
        taken.sort_unstable();
        assert_eq!(taken, (0..12).collect::<Vec<_>>());
        assert!(strata.draw(&domain, 12).is_none());
        // Another setting has another order, and another seed too.
        assert_ne!(strata.order, Strata::new(5, "b", 12).order);
        assert_ne!(strata.order, Strata::new(6, "a", 12).order);
        let choices = Domain::Choices((0..3).map(Value::Integer).collect());
        let drawn = |index| strata.draw(&choices, index).unwrap();
        let count = |value| {
            (0..12)
                .filter(|index| drawn(*index) == Value::Integer(value))
                .count()
        };
        assert_eq!([count(0), count(1), count(2)], [4, 4, 4]);
    }

    #[test]
    fn a_value_has_the_position_that_gives_it() {
        for log in [false, true] {
            let (low, high) = (2, 50);
            let domain = Domain::Integers { low, high, log };
            for value in low..=high {
                let value = Value::Integer(value);
                assert_eq!(value_at(&domain, position(&domain, &value)), value);
            }
        }
        let domain = Domain::Choices(
            ["a", "b"]
                .map(|text| Value::String(text.to_owned()))
                .to_vec(),
        );
        let b = Value::String("b".to_owned());
        assert_eq!(value_at(&domain, position(&domain, &b)), b);
    }

    #[test]
    fn a_draw_depends_on_seed_name_and_index_alone() {
        let domain = Domain::Choices((0..100).map(Value::Integer).collect());
        let drawn =
            |seed, name| -> Vec<Value> { (0..20).map(|i| draw(&domain, seed, name, i)).collect() };
        assert_eq!(drawn(1, "a"), drawn(1, "a"));
        assert_ne!(drawn(1, "a"), drawn(2, "a"));
        assert_ne!(drawn(1, "a"), drawn(1, "b"));
    }

    #[test]
    fn no_more_values_are_drawn_than_are_counted() {
        let integers = Domain::Integers {
            low: -3,
            high: 12,
            log: false,
        };
        assert_eq!(num_distinct(&integers), 16);
        let all = Domain::Integers {
            low: i64::MIN,
            high: i64::MAX,
            log: false,
        };
        assert_eq!(num_distinct(&all), u64::MAX);
        assert_eq!(
            num_distinct(&Domain::Choices(vec![Value::Integer(1); 3])),
            3
        );
        for (low, high, log) in [
            (1e-4, 1e-1, true),
            (0.999, 1.012, false),
            (1.0, 1.001, false),
            (-2.5, -2.37, false),
            (99.95, 1013.4, true),
        ] {
            let domain = Domain::Reals { low, high, log };
            let mut drawn: Vec<String> = (0..200_000)
                .map(|index| draw(&domain, 0, "a", index).to_string())
                .collect();
            drawn.sort();
            drawn.dedup();
            let counted = num_distinct(&domain);
            let drawn = drawn.len() as u64;
            assert!(
                drawn <= counted && counted <= drawn + 4,
                "{low} {high}: {drawn} {counted}"
            );
        }
    }

    #[test]
    fn drawn_numbers_have_three_digits() {
        assert_eq!(three_digits(0.003_719_28), 0.003_72);
        assert_eq!(three_digits(123_456.0), 123_000.0);
    }
}
