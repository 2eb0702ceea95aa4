//! How `[tuning]` searches: its method, that method's own keys, and how draws are spread.

use super::source::Source;
use super::wire::WireTuning;
use homebench_diagnostic::{Diagnostic, KeyPath};

/// How settings are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Every trial is drawn, whatever the others came to.
    Random,
    /// Every combination.
    Grid,
    /// Drawn trials are trained for a few epochs; the best go on for more.
    SuccessiveHalving(Halving),
    /// Drawn trials, then such as those before them suggest.
    Tpe(Tpe),
}

/// Of successive halving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halving {
    /// One in so many trials goes to the next rung, for so many times the epochs.
    pub eta: usize,
    /// Least epochs of the first rung.
    pub min_epochs: usize,
}

/// Of TPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tpe {
    /// Trials that are drawn before the first is suggested.
    pub startup_trials: usize,
    /// Trials that are suggested at a time, from all before them.
    pub generation_size: usize,
}

/// How draws are spread over their ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Each by itself.
    Independent,
    /// One in each of as many strata of every setting as there are draws (McKay, Beckman and Conover, 1979).
    LatinHypercube,
}

impl Method {
    const NAMES: [&str; 4] = ["random", "grid", "successive_halving", "tpe"];

    /// As a spec writes it.
    pub fn name(&self) -> &'static str {
        let [random, grid, halving, tpe] = Self::NAMES;
        match self {
            Self::Random => random,
            Self::Grid => grid,
            Self::SuccessiveHalving(_) => halving,
            Self::Tpe(_) => tpe,
        }
    }

    /// Its own keys with their values.
    pub(super) fn keys(&self) -> Vec<(&'static str, usize)> {
        match self {
            Self::Random | Self::Grid => Vec::new(),
            Self::SuccessiveHalving(Halving { eta, min_epochs }) => {
                vec![("eta", *eta), ("min_epochs", *min_epochs)]
            }
            Self::Tpe(tpe) => vec![
                ("startup_trials", tpe.startup_trials),
                ("generation_size", tpe.generation_size),
            ],
        }
    }

    /// Trials that are drawn before anything is known, of so many.
    pub(super) fn num_drawn(&self, trials: usize) -> usize {
        match self {
            Self::Tpe(tpe) => tpe.startup_trials,
            _ => trials,
        }
    }
}

impl Halving {
    /// Epochs, from the beginning, at the end of each rung; the last is `max_epochs`. Each is the next one over eta, rounded down, as
    /// long as that is `min_epochs` or more.
    pub fn rungs(self, max_epochs: usize) -> Vec<usize> {
        let mut rungs = vec![max_epochs];
        let mut scale = self.eta;
        while max_epochs / scale >= self.min_epochs.max(1) {
            rungs.push(max_epochs / scale);
            scale = scale.saturating_mul(self.eta);
        }
        rungs.reverse();
        rungs
    }

    /// How many of so many trials are on a rung, from 0.
    pub fn kept(self, trials: usize, rung: usize) -> usize {
        (0..rung).fold(trials, |left, _| left / self.eta)
    }

    /// Epochs that so many trials train together.
    pub fn epochs(self, trials: usize, max_epochs: usize) -> usize {
        let mut before = 0;
        let rungs = self.rungs(max_epochs).into_iter().enumerate();
        let each = rungs.map(|(rung, epochs)| {
            let more = epochs - std::mem::replace(&mut before, epochs);
            self.kept(trials, rung) * more
        });
        each.sum()
    }
}

impl Sampling {
    const NAMES: [&str; 2] = ["independent", "latin_hypercube"];

    /// As a spec writes it.
    pub fn name(self) -> &'static str {
        let [independent, hypercube] = Self::NAMES;
        match self {
            Self::Independent => independent,
            Self::LatinHypercube => hypercube,
        }
    }
}

const TABLE: &str = "tuning";
const DEFAULT_ETA: usize = 3;
const DEFAULT_STARTUP_TRIALS: usize = 10;
const DEFAULT_GENERATION_SIZE: usize = 4;

/// A key of the table.
pub(super) fn at(key: &str) -> KeyPath {
    KeyPath::new([TABLE, key])
}

/// The method, where the spec names one, and how draws are spread.
///
/// # Errors
/// A name that there is not, numbers that make no search, keys of another method.
pub(super) fn read(
    wire: &WireTuning,
    source: &Source,
) -> Result<(Option<Method>, Sampling), Diagnostic> {
    let method = match wire.method.as_deref() {
        None => None,
        Some(name) => Some(named(name, wire, source)?),
    };
    refuse_foreign_keys(method.as_ref(), wire, source)?;
    let is_grid = method == Some(Method::Grid);
    let sampling = match wire.sampling.as_deref() {
        None if matches!(method, Some(Method::SuccessiveHalving(_) | Method::Tpe(_))) => {
            Sampling::LatinHypercube
        }
        None => Sampling::Independent,
        Some(_) if is_grid => return Err(nothing_drawn(source)),
        Some(name) => match Sampling::NAMES.iter().position(|known| *known == name) {
            Some(0) => Sampling::Independent,
            Some(_) => Sampling::LatinHypercube,
            None => return Err(unknown("sampling", name, &Sampling::NAMES, source)),
        },
    };
    Ok((method, sampling))
}

/// Of a grid.
pub(super) fn nothing_drawn(source: &Source) -> Diagnostic {
    let place = at("sampling");
    let message = format!("`{place}`: a grid has every combination, so nothing is drawn");
    source
        .at_key(&place, message)
        .hint("leave the key out, or draw: `method = \"random\"` with [tuning.random]")
}

fn unknown(key: &str, name: &str, known: &[&'static str], source: &Source) -> Diagnostic {
    let place = at(key);
    let message = format!(
        "`{place}`: expected one of `{}`, found `{name}`",
        known.join("`, `")
    );
    let said = source.at_value(&place, message);
    said.did_you_mean(name, known.iter().copied())
}

fn named(name: &str, wire: &WireTuning, source: &Source) -> Result<Method, Diagnostic> {
    let least = |key: &str, value: Option<usize>, default: usize, least: usize, why: &str| {
        let value = value.unwrap_or(default);
        if value >= least {
            return Ok(value);
        }
        let place = at(key);
        let message = format!("`{place}`: expected a whole number, {least} or more, found {value}");
        Err(source.at_value(&place, message).hint(why))
    };
    Ok(
        match Method::NAMES.iter().position(|known| *known == name) {
            Some(0) => Method::Random,
            Some(1) => Method::Grid,
            Some(2) => Method::SuccessiveHalving(Halving {
                eta: least(
                    "eta",
                    wire.eta,
                    DEFAULT_ETA,
                    2,
                    "one in `eta` trials goes to the next rung: 3 is usual",
                )?,
                min_epochs: least(
                    "min_epochs",
                    wire.min_epochs,
                    1,
                    1,
                    "a trial is scored after a whole epoch at the earliest",
                )?,
            }),
            Some(_) => Method::Tpe(Tpe {
                startup_trials: least(
                    "startup_trials",
                    wire.startup_trials,
                    DEFAULT_STARTUP_TRIALS,
                    2,
                    "good trials are told from the others once there are two",
                )?,
                generation_size: least(
                    "generation_size",
                    wire.generation_size,
                    DEFAULT_GENERATION_SIZE,
                    1,
                    "1 learns most from each trial; more let as many jobs work at once",
                )?,
            }),
            None => return Err(unknown("method", name, &Method::NAMES, source)),
        },
    )
}

fn refuse_foreign_keys(
    method: Option<&Method>,
    wire: &WireTuning,
    source: &Source,
) -> Result<(), Diagnostic> {
    let own: Vec<&str> = method
        .map(|method| method.keys().into_iter().map(|(key, _)| key).collect())
        .unwrap_or_default();
    for (key, value, whose) in [
        ("eta", wire.eta, "successive_halving"),
        ("min_epochs", wire.min_epochs, "successive_halving"),
        ("startup_trials", wire.startup_trials, "tpe"),
        ("generation_size", wire.generation_size, "tpe"),
    ] {
        if value.is_none() || own.contains(&key) {
            continue;
        }
        let place = at(key);
        let found = match method {
            Some(method) => format!("the method is `{}`", method.name()),
            None => "no method is named".to_owned(),
        };
        let message = format!("`{place}`: a key of the method `{whose}`, and {found}");
        return Err(source
            .at_key(&place, message)
            .hint(format!("leave it out, or write `method = \"{whose}\"`")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_end_at_all_epochs_and_every_one_has_eta_times_the_epochs_of_the_one_before() {
        let of = |eta, min_epochs, max| Halving { eta, min_epochs }.rungs(max);
        assert_eq!(of(3, 1, 9), [1, 3, 9]);
        assert_eq!(of(3, 1, 10), [1, 3, 10]);
        assert_eq!(of(3, 2, 9), [3, 9]);
        assert_eq!(of(2, 1, 5), [1, 2, 5]);
        assert_eq!(of(4, 3, 8), [8]);
    }

    #[test]
    fn one_in_eta_goes_on_and_the_epochs_are_counted_once() {
        let halving = Halving {
            eta: 3,
            min_epochs: 1,
        };
        let kept: Vec<usize> = (0..3).map(|rung| halving.kept(10, rung)).collect();
        assert_eq!(kept, [10, 3, 1]);
        // Ten for one, three for two more, one for six more.
        assert_eq!(halving.epochs(10, 9), 10 + 3 * 2 + 6);
    }
}
