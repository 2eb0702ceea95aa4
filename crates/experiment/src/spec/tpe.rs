//! The tree-structured Parzen estimator: Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization", NIPS 2011,
//! section 4.
//!
//! Of n trials the best γ n make a density l(x), the others g(x) (their equation 2). Expected improvement grows with l(x) / g(x)
//! (equation 3), so values are drawn from l and the ones with the largest ratio are tried. Settings are independent of each other. Of a
//! range, a density is a mixture of a uniform one and of normal ones around the observed values, equally weighted, each as wide as the
//! distance to its farther neighbour (section 4.2); of choices, their counts plus one.
//!
//! Ranges are looked at as the line from 0 to 1 on which draws are uniform. What is random is a function of the seed and of the
//! trial's number. Elementary functions are `libm`'s, so that every machine suggests the same.

use super::draw::{draw, position, value_at};
use super::setting::{Chosen, in_name};
use super::space::{Domain, RandomSpace};
use homebench_diagnostic::Diagnostic;
use homebench_random::Philox;
use std::collections::BTreeSet;
use toml::Value;

/// Share of trials that count as good: γ. The paper has .15; .25 is that of its implementation, hyperopt.
const GOOD_SHARE: f64 = 0.25;
/// Values drawn from l for a suggestion.
const CANDIDATES: u64 = 24;
/// Draws after which a suggestion that nobody tried is given up.
const MOST_DRAWS: u64 = 10_000;
/// No normal density is narrower than 1 over this, or over two more than the trials that it is made of.
const MOST_NARROW: f64 = 100.0;

/// A trial: what it set, and what it came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observed {
    /// Values of the settings that are searched.
    pub(crate) chosen: Vec<Chosen>,
    /// Larger is better; absent where it failed, which counts as worst.
    pub(crate) score: Option<f64>,
}

/// Settings for the next trial, from those of the first `num_ended`; the others of `observed` are under way, and none is tried twice. What
/// `configure` refuses is passed over.
///
/// # Errors
/// The last refusal, where everything was refused; a space of which everything was tried.
pub(crate) fn suggest<T>(
    space: &RandomSpace,
    observed: &[Observed],
    num_ended: usize,
    configure: impl Fn(Vec<Chosen>) -> Result<T, Diagnostic>,
) -> Result<(T, Vec<Chosen>), Diagnostic> {
    let names = |chosen: &[Chosen]| -> Vec<String> {
        chosen.iter().map(|one| in_name(&one.value)).collect()
    };
    let tried: BTreeSet<Vec<String>> = observed.iter().map(|one| names(&one.chosen)).collect();
    let model = Model::new(space, &observed[..num_ended]);
    let trial = observed.len() as u64;
    let mut refusal = None;
    let mut candidates: Vec<(f64, Vec<Chosen>)> = (0..CANDIDATES)
        .map(|index| model.candidate(trial, index))
        .collect();
    // Stable, so that of equal ones the first drawn comes first.
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
    let candidates = candidates.into_iter().map(|(_, chosen)| chosen);
    // A small space is soon all tried near its best: then anything that was not.
    let seed = space.seed.unwrap_or(0);
    let others = (0..MOST_DRAWS).map(|index| {
        let index = (trial << 32) + index;
        space.with_values(|axis| draw(&axis.domain, seed, &axis.setting.to_string(), index))
    });
    for chosen in candidates.chain(others) {
        if tried.contains(&names(&chosen)) {
            continue;
        }
        match configure(chosen.clone()) {
            Ok(made) => return Ok((made, chosen)),
            Err(said) => refusal = Some(said),
        }
    }
    Err(refusal.unwrap_or_else(|| {
        let message = format!("no settings are left after {trial} trials that were not tried");
        Diagnostic::new("tuning", message).hint("ask for fewer `trials`, or draw from more values")
    }))
}

/// The two densities of every setting.
struct Model<'a> {
    space: &'a RandomSpace,
    good: Vec<Density>,
    others: Vec<Density>,
}

impl<'a> Model<'a> {
    fn new(space: &'a RandomSpace, observed: &[Observed]) -> Self {
        let mut order: Vec<usize> = (0..observed.len()).collect();
        let score = |trial: usize| observed[trial].score.unwrap_or(f64::NEG_INFINITY);
        // Stable: of equal scores the earlier trial is the better one, as everywhere.
        order.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        let num_good = (GOOD_SHARE * observed.len() as f64).ceil() as usize;
        let (good, others) = order.split_at(num_good.min(observed.len()));
        let densities = |trials: &[usize]| {
            let axes = space.axes.iter().enumerate();
            let density = |(place, axis): (usize, &super::space::Axis)| {
                let values = trials
                    .iter()
                    .map(|trial| &observed[*trial].chosen[place].value);
                Density::new(&axis.domain, values)
            };
            axes.map(density).collect()
        };
        Self {
            space,
            good: densities(good),
            others: densities(others),
        }
    }

    /// Values drawn from l, with the logarithm of l(x) / g(x).
    fn candidate(&self, trial: u64, index: u64) -> (f64, Vec<Chosen>) {
        let seed = self.space.seed.unwrap_or(0);
        let mut place = 0;
        let mut ratio = 0.0;
        let chosen = self.space.with_values(|axis| {
            let name = axis.setting.to_string();
            let stream = Philox::new(seed, "tpe", &format!("{name} {trial} {index}"));
            let (good, others) = (&self.good[place], &self.others[place]);
            place += 1;
            let value = good.draw(&axis.domain, &stream);
            ratio += libm::log(good.at(&axis.domain, &value) / others.at(&axis.domain, &value));
            value
        });
        (ratio, chosen)
    }
}

/// A density of a setting's values.
enum Density {
    /// Of each choice.
    Choices(Vec<f64>),
    /// A uniform density from 0 to 1 and normal ones within it: means and deviations.
    Mixture(Vec<(f64, f64)>),
}

impl Density {
    fn new<'a>(domain: &Domain, values: impl Iterator<Item = &'a Value>) -> Self {
        if let Domain::Choices(choices) = domain {
            let mut counts = vec![1.0; choices.len()];
            for value in values {
                let place = choices
                    .iter()
                    .position(|choice| in_name(choice) == in_name(value));
                place.into_iter().for_each(|place| counts[place] += 1.0);
            }
            let total: f64 = counts.iter().sum();
            return Self::Choices(counts.into_iter().map(|count| count / total).collect());
        }
        let mut means: Vec<f64> = values.map(|value| position(domain, value)).collect();
        means.sort_by(f64::total_cmp);
        let narrowest = 1.0 / MOST_NARROW.min(means.len() as f64 + 2.0);
        let deviation = |place: usize| {
            let before = if place == 0 { 0.0 } else { means[place - 1] };
            let after = means.get(place + 1).copied().unwrap_or(1.0);
            (means[place] - before)
                .max(after - means[place])
                .clamp(narrowest, 1.0)
        };
        let normals = (0..means.len()).map(|place| (means[place], deviation(place)));
        Self::Mixture(normals.collect())
    }

    fn draw(&self, domain: &Domain, stream: &Philox) -> Value {
        match self {
            Self::Choices(shares) => {
                let share = f64::from(stream.uniform(0));
                let mut sum = 0.0;
                let chosen = shares.iter().position(|one| {
                    sum += one;
                    share < sum
                });
                let Domain::Choices(choices) = domain else {
                    unreachable!("a density of choices is of choices");
                };
                choices[chosen.unwrap_or(choices.len() - 1)].clone()
            }
            Self::Mixture(normals) => {
                let part = stream.below(0, normals.len() as u32 + 1) as usize;
                let share = match normals.get(part) {
                    None => f64::from(stream.uniform(4)),
                    Some((mean, deviation)) => normal_within(stream, *mean, *deviation),
                };
                value_at(domain, share)
            }
        }
    }

    fn at(&self, domain: &Domain, value: &Value) -> f64 {
        match (self, domain) {
            (Self::Choices(shares), Domain::Choices(choices)) => {
                let place = choices
                    .iter()
                    .position(|choice| in_name(choice) == in_name(value));
                place.map_or(0.0, |place| shares[place])
            }
            (Self::Choices(_), _) => 0.0,
            (Self::Mixture(normals), _) => {
                let x = position(domain, value);
                let sum: f64 = normals
                    .iter()
                    .map(|normal| normal_density(x, *normal))
                    .sum();
                (1.0 + sum) / (normals.len() as f64 + 1.0)
            }
        }
    }
}

/// A draw of the normal distribution that is from 0 to below 1.
fn normal_within(stream: &Philox, mean: f64, deviation: f64) -> f64 {
    // A mean within the line leaves each draw a chance of a third at least.
    let draws = (8..512).map(|index| mean + deviation * f64::from(stream.normal(index)));
    draws
        .into_iter()
        .find(|share| (0.0..1.0).contains(share))
        .unwrap_or(mean.min(1.0 - f64::EPSILON))
}

/// Of the normal distribution that is cut off at 0 and 1.
fn normal_density(x: f64, (mean, deviation): (f64, f64)) -> f64 {
    let below = |x: f64| 0.5 * libm::erfc((mean - x) / (deviation * std::f64::consts::SQRT_2));
    let scaled = (x - mean) / deviation;
    let whole = deviation * libm::sqrt(2.0 * std::f64::consts::PI);
    libm::exp(-0.5 * scaled * scaled) / whole / (below(1.0) - below(0.0))
}

#[cfg(test)]
mod tests;
