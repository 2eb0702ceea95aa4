//! `[tuning]`: the trials of every variant, as many for each, with seeds of their own.

use super::check_method;
use super::configure::Configured;
use super::expand::{check_distinct, check_draws, check_settings, combinations, draws};
use super::method::{self, Method, Sampling};
use super::source::Source;
use super::space::Space;
use super::wire::WireTuning;
use super::{Base, Variant};
use homebench_diagnostic::{Diagnostic, KeyPath};

/// How hyper-parameters are chosen before anything is tested.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// How, where the spec says it; else random draws for a variant with ranges and a grid for one with lists.
    pub method: Option<Method>,
    /// How draws are spread.
    pub sampling: Sampling,
    /// Trials of each variant.
    pub trials: usize,
    /// Seeds that each trial is trained with: none of those of final cells.
    pub seeds: Vec<u64>,
    /// What is searched, of every variant that has it.
    pub space: Space,
}

const TABLE: &str = "tuning";

/// Checks the table and gives every variant its trials.
///
/// # Errors
/// Seeds of final cells among those of trials, a variant without anything to tune, or with another number of trials than
/// the others, each at its place.
pub(super) fn tune(
    wire: &WireTuning,
    seeds: Vec<u64>,
    final_seeds: &[u64],
    bases: &[Base],
    variants: &mut [Variant],
    source: &Source,
) -> Result<Tuning, Diagnostic> {
    let at = KeyPath::new([TABLE]);
    if let Some(place) = seeds.iter().position(|seed| final_seeds.contains(seed)) {
        let seed = seeds[place];
        let message = format!("`tuning.seeds`: {seed} is one of `seeds` as well");
        let at = at.join("seeds").join(place.to_string());
        return Err(source.at_value(&at, message).hint(
            "what is reported is trained with fresh seeds: a winner is partly lucky with the seeds that chose it",
        ));
    }
    if wire.trials == Some(0) {
        let message = "`tuning.trials`: expected a whole number, 1 or more, found 0";
        return Err(source.at_value(&at.join("trials"), message));
    }
    let space = Space::read(wire.grid.as_ref(), wire.random.as_ref(), &at, false, source)?;
    check_settings(bases, &space, |base| &base.tuning, source)?;
    check_draws(bases, &space, Some(TABLE), source)?;
    let (method, sampling) = method::read(wire, source)?;
    let of_variant = |variant: &Variant| {
        let base = bases.iter().find(|base| base.name == variant.base);
        let own = base.map(|base| &base.tuning).cloned().unwrap_or_default();
        space.with(&own, |axis| {
            base.is_some_and(|base| base.has(&axis.setting))
        })
    };
    let spaces: Vec<Space> = variants.iter().map(of_variant).collect();
    if let Some(method) = &method {
        let of_variants: Vec<(&Variant, Space)> = variants.iter().zip(spaces.clone()).collect();
        check_method::check(method, wire.trials, &of_variants, source)?;
    }
    if wire.sampling.is_some() && spaces.iter().all(|space| space.random.axes.is_empty()) {
        return Err(method::nothing_drawn(source));
    }
    let search = (method, sampling);
    for (variant, space) in variants.iter_mut().zip(spaces) {
        variant.trials = trials(variant, &space, wire.trials, search, source)?;
        variant.space = space.random;
    }
    // Those that are drawn at first have to be as many as asked for; the others come one by one.
    let num_drawn = wire.trials.map(|trials| match &method {
        Some(method) => method.num_drawn(trials),
        None => trials,
    });
    let drawn = equal_number(num_drawn, variants, source)?;
    Ok(Tuning {
        method,
        sampling,
        trials: wire.trials.unwrap_or(drawn),
        seeds,
        space,
    })
}

fn trials(
    variant: &Variant,
    space: &Space,
    number: Option<usize>,
    (method, sampling): (Option<Method>, Sampling),
    source: &Source,
) -> Result<Vec<Configured>, Diagnostic> {
    let at = KeyPath::new([TABLE]);
    let of_variant = KeyPath::new(["variants", &variant.base]);
    // A variant that is not tuned beside tuned ones would lose by that alone.
    if space.is_empty() {
        let message = format!(
            "`{}` has none of the settings to tune, and the others would be tuned without it",
            variant.base
        );
        return Err(source.at_key(&of_variant, message).hint(format!(
            "give it settings of its own in [{of_variant}.tuning.random] or [{of_variant}.tuning.grid], such as \"training.learning_rate\""
        )));
    }
    // Every grid point with every draw would be more trials than `trials` says.
    if let (Some(_), Some(axis)) = (space.grid.first(), space.random.axes.first()) {
        let message = format!(
            "`{}`: `{}` has both a grid and random draws to tune",
            axis.place, variant.base
        );
        return Err(source.at_key(&axis.place, message).hint(
            "make the grid's lists `choices` of the random search, or the other way around",
        ));
    }
    let swept = space.axes().find(|axis| {
        let mut swept = variant.configured.settings.iter();
        swept.any(|one| one.setting == axis.setting)
    });
    if let Some(axis) = swept {
        let message = format!(
            "`{}`: the setting is swept as well, so that it can't be tuned",
            axis.place
        );
        return Err(source
            .at_key(&axis.place, message)
            .hint("compare its values in [grid] or [random], or let tuning choose one"));
    }
    let chosen = match (space.random.axes.is_empty(), number) {
        (true, _) => combinations(&space.grid, vec![Vec::new()], source)?,
        (false, Some(number)) => {
            let drawn = method.map_or(number, |method| method.num_drawn(number));
            if drawn < number {
                check_distinct(&space.random, number, &at, source)?;
            }
            draws(&space.random, drawn, sampling, &at, source)?
        }
        (false, None) => {
            return Err(source
                .at_key(&at, "the key `trials` is missing in [tuning]")
                .hint("add `trials = ...`, how many settings are tried for each variant"));
        }
    };
    let configured = chosen.into_iter().map(|chosen| {
        variant
            .configured
            .with(chosen, &variant.name, &variant.base, source)
    });
    configured.collect()
}

/// The number of trials, which is that of every variant.
fn equal_number(
    asked: Option<usize>,
    variants: &[Variant],
    source: &Source,
) -> Result<usize, Diagnostic> {
    let first = variants.first();
    let (number, whose) = match (asked, first) {
        (Some(number), _) => (number, "`tuning.trials` says"),
        (None, Some(first)) => (first.trials.len(), first.name.as_str()),
        (None, None) => (0, ""),
    };
    let Some(other) = variants.iter().find(|v| v.trials.len() != number) else {
        return Ok(number);
    };
    let whose = match asked {
        Some(_) => format!("{whose} {number}"),
        None => format!("`{whose}` has {number}"),
    };
    let message = format!(
        "every variant is tuned with the same number of trials: the grid of `{}` makes {}, {whose}",
        other.name,
        other.trials.len()
    );
    // The grid to blame is its own where it has one.
    let own = KeyPath::new(["variants", &other.base, TABLE]);
    let has_own = other.trials.iter().flat_map(|trial| &trial.settings);
    let at = match has_own
        .into_iter()
        .any(|one| one.place.keys().starts_with(own.keys()))
    {
        true => own,
        false => KeyPath::new([TABLE, "grid"]),
    };
    Err(source.at_key(&at, message).hint(format!(
        "draw them: [tuning.random] with `choices`, and `trials = ...`; or give `{}` a grid of its own in [{}.grid]",
        other.base,
        KeyPath::new(["variants", &other.base, TABLE])
    )))
}
