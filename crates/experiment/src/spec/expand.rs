//! Sweeps: from the variants of a spec to every configuration that `[grid]` and `[random]` make of them.

use super::draw::{Strata, draw, num_distinct};
use super::method::Sampling;
use super::setting::{Chosen, Setting, in_name};
use super::source::Source;
use super::space::{Axis, Domain, RandomSpace, Space};
use super::{Base, Variant};
use homebench_diagnostic::{Diagnostic, KeyPath};
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use toml::Value;

/// More configurations of one variant than this are a slip of the pen.
const MOST_CONFIGURATIONS: usize = 100_000;

/// A name longer than this ends in a hash of its settings instead.
// Names are used in file names, which most file systems end at 255 bytes.
const LONGEST_NAME: usize = 120;

/// Training settings of how embedding tables are updated, and of nothing else.
pub(super) const OF_TABLES: [&str; 3] = [
    "embedding_learning_rate",
    "embedding_optimizer",
    "embedding_l2",
];

/// Every configuration of every variant, in the order of the spec.
///
/// # Errors
/// A setting that no variant has, and whatever a value makes wrong, at its place.
pub(super) fn variants(
    bases: &[Base],
    shared: &Space,
    source: &Source,
) -> Result<Vec<Variant>, Diagnostic> {
    check_settings(bases, shared, |base| &base.sweep, source)?;
    check_draws(bases, shared, None, source)?;
    let mut variants = Vec::with_capacity(bases.len());
    for base in bases {
        let space = shared.with(&base.sweep, |axis| base.has(&axis.setting));
        // Where a missing number of draws is told: in the table that asks for draws.
        let at = match base.sweep.random.axes.is_empty() && base.sweep.random.n.is_none() {
            true => KeyPath::default(),
            false => KeyPath::new(["variants", &base.name]),
        };
        let draws = match space.random.axes.is_empty() {
            true => vec![Vec::new()],
            false => draws(
                &space.random,
                count(&space.random, &at, source)?,
                Sampling::Independent,
                &at,
                source,
            )?,
        };
        for chosen in combinations(&space.grid, draws, source)? {
            variants.push(base.configuration(chosen, source)?);
        }
    }
    check_names(&variants, source)?;
    Ok(variants)
}

impl Base {
    /// Whether a sweep can set this: a knob that the model has, or what its training does not leave unused.
    pub(super) fn has(&self, setting: &Setting) -> bool {
        let model = &self.configured.model;
        let has_knob = setting.knob().is_none_or(|knob| model.has_knob(knob));
        has_knob && self.why_unused(setting).is_none()
    }

    /// Why a training setting changes nothing here; absent where it may.
    fn why_unused(&self, setting: &Setting) -> Option<String> {
        let key = setting.in_training()?.first()?.as_str();
        let (name, model) = (&self.name, &self.configured.model);
        if model.unused_settings().contains(&key) {
            let model = model.name();
            return Some(format!(
                "`{setting}` changes nothing in `{name}`, a {model}"
            ));
        }
        let is_of_frozen = self.start.freezes_tables(model) && OF_TABLES.contains(&key);
        is_of_frozen.then(|| {
            format!(
                "`{setting}` changes nothing in `{name}`, whose `freeze` has all embedding tables"
            )
        })
    }

    fn configuration(&self, chosen: Vec<Chosen>, source: &Source) -> Result<Variant, Diagnostic> {
        let variant = |name, configured| Variant {
            name,
            base: self.name.clone(),
            configured,
            budget: self.budget.clone(),
            start: self.start.clone(),
            trials: Vec::new(),
            space: RandomSpace::default(),
        };
        if chosen.is_empty() {
            return Ok(variant(self.name.clone(), self.configured.clone()));
        }
        // Its name needs its values; should they make nothing, they are told by what is written.
        let written: Vec<_> = chosen
            .iter()
            .map(|one| (one.setting.clone(), one.value.clone()))
            .collect();
        let configured =
            self.configured
                .with(chosen, &name(&self.name, &written), &self.name, source)?;
        let values = configured.chosen_values();
        let settings = configured.settings.iter().map(|one| one.setting.clone());
        let values = settings.zip(values.into_iter().map(|(_, value)| value));
        let name = name(&self.name, &values.collect::<Vec<_>>());
        Ok(variant(name, configured))
    }
}

/// `home[rank=8]`: settings in the order of their names, each by its last key where no other has the same.
fn name(base: &str, values: &[(Setting, Value)]) -> String {
    let last = |setting: &Setting| setting.path().last().unwrap_or_default().to_owned();
    let parts: Vec<String> = values
        .iter()
        .map(|(setting, value)| {
            let short = last(setting);
            let is_shared = values
                .iter()
                .filter(|(other, _)| last(other) == short)
                .count()
                > 1;
            let key = if is_shared {
                setting.to_string()
            } else {
                short
            };
            format!("{key}={}", in_name(value))
        })
        .collect();
    let name = format!("{base}[{}]", parts.join(","));
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "-_.,=+()[]".contains(c);
    if name.len() <= LONGEST_NAME && name.chars().all(is_fit) {
        return name;
    }
    // 48 bits: among 100,000 names two are alike with a chance of 1 in 50,000, and those are refused by `check_names`.
    let digest = blake3::hash(parts.join("\n").as_bytes()).to_hex();
    format!("{base}[{}]", &digest.as_str()[..12])
}

/// Refuses settings that nothing has.
pub(super) fn check_settings(
    bases: &[Base],
    shared: &Space,
    own: impl Fn(&Base) -> &Space,
    source: &Source,
) -> Result<(), Diagnostic> {
    for axis in shared.axes() {
        if !bases.iter().any(|base| base.has(&axis.setting)) {
            return Err(unknown(axis, bases, source));
        }
    }
    for base in bases {
        if let Some(axis) = own(base).axes().find(|axis| !base.has(&axis.setting)) {
            return Err(unknown(axis, std::slice::from_ref(base), source));
        }
    }
    Ok(())
}

/// Refuses a number of draws, or their seed, where no setting is drawn: in `[random]`, or in that of `table`.
pub(super) fn check_draws(
    bases: &[Base],
    shared: &Space,
    table: Option<&str>,
    source: &Source,
) -> Result<(), Diagnostic> {
    let own = |base: &Base| match table {
        Some(_) => base.tuning.clone(),
        None => base.sweep.clone(),
    };
    let refuse = |at: KeyPath| {
        let at = at.join("random");
        let message = format!("`{at}`: expected at least one setting to draw, found none");
        Err(source.at_key(&at, message).hint(
            "add one, such as `training.learning_rate = { log_range = [1e-4, 1e-2] }`, or leave the table out",
        ))
    };
    let draws = |random: &RandomSpace| random.n.is_some() || random.seed.is_some();
    let is_drawn = |base: &Base| {
        let space = shared.with(&own(base), |axis| base.has(&axis.setting));
        !space.random.axes.is_empty()
    };
    if draws(&shared.random) && !bases.iter().any(is_drawn) {
        return refuse(KeyPath::new(table));
    }
    for base in bases {
        if draws(&own(base).random) && !is_drawn(base) {
            let at = KeyPath::new(["variants", &base.name]);
            return refuse(table.iter().fold(at, |at, table| at.join(*table)));
        }
    }
    Ok(())
}

fn unknown(axis: &Axis, bases: &[Base], source: &Source) -> Diagnostic {
    let setting = axis.setting.to_string();
    let unused = bases.iter().find_map(|base| base.why_unused(&axis.setting));
    if let Some(why) = unused {
        let message = format!("`{}`: {why}", axis.place);
        return source
            .at_key(&axis.place, message)
            .hint("leave it out: all of its values would give the same numbers");
    }
    let names = bases
        .iter()
        .flat_map(|base| base.configured.model.knobs().keys());
    let mut knobs: BTreeSet<&str> = names.map(String::as_str).collect();
    // A model without one doesn't write it, and can be given one.
    let bottom = "bottom";
    let can_have = |base: &Base| base.configured.model.has_knob(bottom);
    knobs.extend(bases.iter().any(can_have).then_some(bottom));
    let who = match bases {
        [only] => format!("`{}` has no knob `{setting}`", only.name),
        _ => format!("no variant has a knob `{setting}`"),
    };
    let list: Vec<&str> = knobs.iter().copied().collect();
    let message = format!("`{}`: {who}; there are: {}", axis.place, list.join(", "));
    let said = source.at_key(&axis.place, message);
    if super::training::has_key(&setting) {
        return said.hint(format!("did you mean \"training.{setting}\"?"));
    }
    said.did_you_mean(&setting, knobs)
}

/// How many draws there are to be.
fn count(random: &RandomSpace, at: &KeyPath, source: &Source) -> Result<usize, Diagnostic> {
    random.n.ok_or_else(|| {
        let at = at.join("random");
        let message = format!("the key `n` is missing in [{at}]");
        source
            .at_key(&at, message)
            .hint("add `n = ...`, how many settings are drawn")
    })
}

/// `n` draws, each with other values than those before.
pub(super) fn draws(
    random: &RandomSpace,
    n: usize,
    sampling: Sampling,
    at: &KeyPath,
    source: &Source,
) -> Result<Vec<Vec<Chosen>>, Diagnostic> {
    if n >= MOST_CONFIGURATIONS {
        let place = match at.last() {
            Some("tuning") => at.join("trials"),
            _ => at.join("random").join("n"),
        };
        let message =
            format!("`{place}`: expected fewer than {MOST_CONFIGURATIONS} draws, found {n}");
        return Err(source.at_value(&place, message).hint(
            "every draw is trained, and a random search of some hundreds finds what there is",
        ));
    }
    check_distinct(random, n, at, source)?;
    let seed = random.seed.unwrap_or(0);
    let strata: Vec<Strata> = match sampling {
        Sampling::Independent => Vec::new(),
        Sampling::LatinHypercube => {
            let axes = random.axes.iter();
            axes.map(|axis| Strata::new(seed, &axis.setting.to_string(), n))
                .collect()
        }
    };
    // Few values are soon all drawn; without a bound, asking for more settings than there are would never end.
    let enough = 100 * n as u64 + 1000;
    let mut draws: Vec<Vec<Chosen>> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut index = 0;
    while draws.len() < n {
        if index == enough {
            let at = at.join("random");
            let message = format!(
                "`{at}`: {n} different settings are asked for, and {enough} draws gave {}",
                draws.len()
            );
            return Err(source
                .at_key(&at, message)
                .hint("ask for fewer, or draw from more values"));
        }
        let mut strata = strata.iter();
        let chosen = random.with_values(|axis| {
            let stratified = strata
                .next()
                .and_then(|strata| strata.draw(&axis.domain, index));
            // Beyond the strata, in place of draws that came twice, and where there are none.
            stratified.unwrap_or_else(|| draw(&axis.domain, seed, &axis.setting.to_string(), index))
        });
        index += 1;
        // Compared as names have them: 1 and 1.0 would be two configurations of one name.
        let values: Vec<String> = chosen.iter().map(|one| in_name(&one.value)).collect();
        if seen.insert(values) {
            draws.push(chosen);
        }
    }
    Ok(draws)
}

/// Refuses more different settings than there are.
pub(super) fn check_distinct(
    random: &RandomSpace,
    n: usize,
    at: &KeyPath,
    source: &Source,
) -> Result<(), Diagnostic> {
    let distinct = random.axes.iter();
    let distinct = distinct.fold(1u64, |product, axis| {
        product.saturating_mul(num_distinct(&axis.domain))
    });
    if n as u64 <= distinct {
        return Ok(());
    }
    let at = at.join("random");
    let message =
        format!("`{at}`: {n} different settings are asked for, and at most {distinct} exist");
    Err(source
        .at_key(&at, message)
        .hint("ask for fewer, or draw from more values"))
}

/// Every combination of the values of `grid` with each of `draws`; the last setting changes fastest.
pub(super) fn combinations(
    grid: &[Axis],
    draws: Vec<Vec<Chosen>>,
    source: &Source,
) -> Result<Vec<Vec<Chosen>>, Diagnostic> {
    let mut lists = grid.iter().map(|axis| match &axis.domain {
        Domain::Choices(values) => values.len(),
        Domain::Integers { .. } | Domain::Reals { .. } => 1,
    });
    // Multiplied before anything is built: a few long lists are more than any memory.
    let total = lists.try_fold(draws.len(), usize::checked_mul);
    if let (None | Some(MOST_CONFIGURATIONS..), Some(axis)) = (total, grid.last()) {
        let table = axis.place.parent();
        let found = total.map_or("more than can be counted".to_owned(), |t| t.to_string());
        let message = format!(
            "`{table}`: expected fewer than {MOST_CONFIGURATIONS} combinations of one variant, found {found}"
        );
        return Err(source
            .at_key(&table, message)
            .hint("draw some of them: [random] with `choices`"));
    }
    let mut all = draws;
    for axis in grid {
        let Domain::Choices(values) = &axis.domain else {
            continue;
        };
        let mut longer = Vec::with_capacity(all.len() * values.len());
        for chosen in &all {
            for (index, value) in values.iter().enumerate() {
                let mut chosen = chosen.clone();
                chosen.push(Chosen {
                    setting: axis.setting.clone(),
                    value: value.clone(),
                    place: axis.place.join(index.to_string()),
                });
                longer.push(chosen);
            }
        }
        all = longer;
    }
    Ok(all)
}

/// Refuses two configurations of one name.
fn check_names(variants: &[Variant], source: &Source) -> Result<(), Diagnostic> {
    let mut seen: BTreeMap<&str, &Variant> = BTreeMap::new();
    for variant in variants {
        match seen.entry(&variant.name) {
            Entry::Vacant(place) => {
                place.insert(variant);
            }
            Entry::Occupied(_) => {
                let path = KeyPath::new(["variants", &variant.name]);
                let message = format!("two configurations are `{}`", variant.name);
                return Err(variant
                    .locator(source)
                    .at_key(&path, message)
                    .hint("two of the values that are swept mean the same; leave one out"));
            }
        }
    }
    Ok(())
}
