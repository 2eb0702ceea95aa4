//! The variants of a spec as their tables have them, with `[defaults]` underneath.

use super::check::{check_batch_norm, model_diagnostic};
use super::expand::OF_TABLES;
use super::source::{Locator, Source};
use super::wire::WireVariant;
use super::{Base, Configured, Space, budget_goal, start, training};
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_model::{ModelConfig, bottoms, registry};
use homebench_train::TrainingConfig;
use std::collections::{BTreeMap, BTreeSet};
use toml::Table;

// Sweeps put their settings behind it, and all of it has to fit into file names.
const LONGEST_NAME: usize = 64;

/// Every variant, in the order of the spec.
pub(super) fn bases(
    mut wire: BTreeMap<String, WireVariant>,
    defaults: &Table,
    shared: &TrainingConfig,
    source: &Source,
) -> Result<Vec<Base>, Diagnostic> {
    let path = KeyPath::new(["variants"]);
    if wire.is_empty() {
        return Err(source
            .at_key(
                &path,
                "`variants`: expected at least one variant, found none",
            )
            .hint("add one: `[variants.mmoe]` with `model = \"mmoe\"`"));
    }
    check_defaults(defaults, &wire, source)?;
    let mut bases = Vec::with_capacity(wire.len());
    for name in source.variant_order() {
        if let Some(variant) = wire.remove(&name) {
            bases.push(base(&name, variant, defaults, shared, source)?);
        }
    }
    // Whatever way a variant came in, none is left out silently.
    for (name, variant) in wire {
        bases.push(base(&name, variant, defaults, shared, source)?);
    }
    Ok(bases)
}

fn base(
    name: &str,
    mut wire: WireVariant,
    defaults: &Table,
    shared: &TrainingConfig,
    source: &Source,
) -> Result<Base, Diagnostic> {
    let path = KeyPath::new(["variants", name]);
    if !is_file_name(name) {
        return Err(source
            .at_key(&path, format!("`{name}` is no name for a variant: expected 1 to {LONGEST_NAME} letters, digits, `-`, `_` or `.`, beginning with a letter or digit"))
            .hint("names of variants are used in file names"));
    }
    // A default of a knob that this model hasn't is of the others; one that no model has was refused before.
    let known = knobs(&wire, defaults);
    for (knob, value) in defaults {
        if known.contains(knob.as_str()) && !wire.knobs.contains_key(knob) {
            wire.knobs.insert(knob.clone(), value.clone());
        }
    }
    let locator = Locator::new(source);
    let model = ModelConfig::from_table(&wire.model, &wire.knobs)
        .map_err(|error| model_diagnostic(&error, &path, locator))?;
    let of_training = path.join("training");
    let training = training::resolve(&wire.training, shared, &of_training, locator)?;
    let batch_size = match wire.training.contains_key("batch_size") {
        true => of_training.join("batch_size"),
        false => KeyPath::new(["training", "batch_size"]),
    };
    check_batch_norm(&model, &training, &batch_size, &path, locator)?;
    let (grid, random) = (wire.grid.as_ref(), wire.random.as_ref());
    let tuning = &wire.tuning;
    let base = Base {
        sweep: Space::read(grid, random, &path, true, source)?,
        tuning: Space::read(
            tuning.grid.as_ref(),
            tuning.random.as_ref(),
            &path.join("tuning"),
            false,
            source,
        )?,
        budget: wire
            .budget
            .as_ref()
            .map(|wire| budget_goal::resolve(wire, &model, &path.join("budget"), source))
            .transpose()?,
        start: start::resolve(
            (
                wire.init_from.take(),
                wire.freeze.take(),
                wire.distill.take(),
            ),
            &model,
            &path,
            source,
        )?,
        name: name.to_owned(),
        relations: wire.relations,
        configured: Configured {
            model,
            training,
            settings: Vec::new(),
        },
    };
    check_frozen(&base, &wire.training, shared, source)?;
    Ok(base)
}

/// Refuses what a variant's own table says of how embedding tables are updated where all of them are frozen. What it repeats of `[training]`
/// is taken: a resolved spec repeats all of it.
fn check_frozen(
    base: &Base,
    own: &Table,
    shared: &TrainingConfig,
    source: &Source,
) -> Result<(), Diagnostic> {
    let Configured {
        model, training, ..
    } = &base.configured;
    if !base.start.freezes_tables(model) {
        return Ok(());
    }
    let [of_variant, shared] = [training, shared].map(training::written);
    let is_new = |key: &&str| own.contains_key(*key) && of_variant.get(*key) != shared.get(*key);
    let Some(key) = OF_TABLES.into_iter().find(|key| is_new(key)) else {
        return Ok(());
    };
    let path = KeyPath::new(["variants", &base.name, "training", key]);
    let message =
        format!("`{path}`: `freeze` has all embedding tables, so that none of them is updated");
    Err(source
        .at_key(&path, message)
        .hint("leave it out, or leave `embedding` out of `freeze`"))
}

/// Names of the knobs that a variant's model has with these defaults, those of its bottom too; none of a model that there is not, which is
/// refused where it stands.
fn knobs(variant: &WireVariant, defaults: &Table) -> BTreeSet<&'static str> {
    const BOTTOM: &str = "bottom";
    let entries = registry();
    let Some(entry) = entries.iter().find(|entry| entry.name == variant.model) else {
        return BTreeSet::new();
    };
    let mut names: BTreeSet<&str> = entry.knobs.iter().map(|knob| knob.name).collect();
    if entry.no_bottom.is_none() {
        names.insert(BOTTOM);
        let chosen = variant.knobs.get(BOTTOM).or_else(|| defaults.get(BOTTOM));
        let chosen = chosen.and_then(toml::Value::as_str);
        let bottoms = bottoms().into_iter();
        let of_bottom = bottoms.filter(|bottom| Some(bottom.name) == chosen);
        names.extend(
            of_bottom
                .flat_map(|bottom| bottom.knobs)
                .map(|knob| knob.name),
        );
    }
    names
}

/// Refuses a default that no variant has a knob for.
fn check_defaults(
    defaults: &Table,
    variants: &BTreeMap<String, WireVariant>,
    source: &Source,
) -> Result<(), Diagnostic> {
    if defaults.is_empty() {
        return Ok(());
    }
    let variants = variants.values();
    let all: BTreeSet<&str> = variants
        .flat_map(|variant| knobs(variant, defaults))
        .collect();
    for knob in defaults.keys() {
        if all.contains(knob.as_str()) {
            continue;
        }
        let path = KeyPath::new(["defaults", knob]);
        let list: Vec<&str> = all.iter().copied().collect();
        let message = format!(
            "`{path}`: no variant has a knob `{knob}`; there are: {}",
            list.join(", ")
        );
        let said = source.at_key(&path, message);
        return Err(match knob.as_str() {
            key if key == "training" || training::has_key(key) => {
                said.hint("settings of training that variants share belong in [training]")
            }
            _ => said.did_you_mean(knob, all),
        });
    }
    Ok(())
}

/// Refuses what a variant says of tuning where nothing is tuned.
pub(super) fn check_no_tuning(bases: &[Base], source: &Source) -> Result<(), Diagnostic> {
    let Some(base) = bases.iter().find(|base| !base.tuning.is_empty()) else {
        return Ok(());
    };
    let path = KeyPath::new(["variants", &base.name, "tuning"]);
    let message = format!("`{path}`: there is no [tuning], so nothing is tuned");
    Err(source
        .at_key(&path, message)
        .hint("add [tuning] with `seeds`, or leave this out"))
}

/// Whether a name stays itself as a part of a file name on every system.
fn is_file_name(name: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fit)
}
