//! Which configuration each configuration starts from or learns from, once all of them are known.

use super::distill::{DISTILL, TEACHER};
use super::source::Source;
use super::start::ParentVariant;
use super::{Base, Variant};
use homebench_diagnostic::{Diagnostic, KeyPath};
use std::collections::BTreeMap;

/// Finds the configuration that each configuration starts from or learns from, and refuses what can't be: no such variant, a program,
/// a teacher of several tasks at once, a circle, a seed that no cell has.
pub(super) fn settle(
    bases: &[Base],
    variants: &mut [Variant],
    seeds: &[u64],
    is_tuned: bool,
    source: &Source,
) -> Result<(), Diagnostic> {
    let mut found = BTreeMap::new();
    for variant in variants.iter() {
        let Some(from) = variant.start.parent() else {
            continue;
        };
        let parent = parent(variant, from, bases, variants, source)?;
        let model = &parent.configured.model;
        if model.is_program() {
            let message = format!(
                "`{}` is a program, which keeps no weights here",
                parent.name
            );
            return Err(refuse(variant, from, from.key, &message, source)
                .hint("name a variant with a `model`"));
        }
        if from.table == DISTILL && model.name() != TEACHER {
            let message = format!(
                "teachers are networks of one task, and `{}` is of the model `{}`",
                parent.name,
                model.name()
            );
            return Err(refuse(variant, from, from.key, &message, source)
                .hint(format!("name a variant with model = \"{TEACHER}\"")));
        }
        check_seed(variant, from, seeds, is_tuned, source)?;
        found.insert(variant.name.clone(), parent.name.clone());
    }
    check_circles(variants, &found, source)?;
    for variant in variants {
        if let Some(parent) = found.get(&variant.name) {
            variant.start.set_parent(parent);
        }
    }
    Ok(())
}

fn refuse(
    variant: &Variant,
    from: ParentVariant<'_>,
    key: &str,
    message: &str,
    source: &Source,
) -> Diagnostic {
    let path = KeyPath::new(["variants", &variant.name, from.table, key]);
    let locator = variant.locator(source);
    locator.at_value(&path, format!("`{path}`: {message}"))
}

/// The configuration of the name; of a variant that is swept, the one that has every value which it sets from the same sweep.
fn parent<'a>(
    variant: &Variant,
    from: ParentVariant<'_>,
    bases: &[Base],
    variants: &'a [Variant],
    source: &Source,
) -> Result<&'a Variant, Diagnostic> {
    if let Some(parent) = variants.iter().find(|other| other.name == from.variant) {
        return Ok(parent);
    }
    let own = variant.configured.chosen_values();
    let mut swept = variants.iter().filter(|other| other.base == from.variant);
    let alike = |other: &&Variant| {
        let values = other.configured.chosen_values();
        values.iter().all(|value| own.contains(value))
    };
    if let Some(parent) = swept.clone().find(alike) {
        return Ok(parent);
    }
    if let Some(one) = swept.next() {
        let message = format!(
            "`{}` is swept, and no configuration of it has the values of `{}`",
            from.variant, variant.name
        );
        return Err(
            refuse(variant, from, from.key, &message, source).hint(format!(
                "sweep the same settings in both, or name one configuration, such as `{}`",
                one.name
            )),
        );
    }
    let names: Vec<&str> = bases.iter().map(|base| base.name.as_str()).collect();
    let message = format!(
        "no variant is called `{}`; there are: {}",
        from.variant,
        names.join(", ")
    );
    Err(refuse(variant, from, from.key, &message, source).did_you_mean(from.variant, names))
}

fn check_seed(
    variant: &Variant,
    from: ParentVariant<'_>,
    seeds: &[u64],
    is_tuned: bool,
    source: &Source,
) -> Result<(), Diagnostic> {
    let Some(seed) = from.seed else {
        return Ok(());
    };
    if is_tuned {
        let message = format!(
            "trials and final cells have no seed in common, so that {seed} can't be of both"
        );
        return Err(refuse(variant, from, "seed", &message, source)
            .hint("leave it out: each cell starts from the cell of its own seed"));
    }
    if !seeds.contains(&seed) {
        let known: Vec<String> = seeds.iter().map(u64::to_string).collect();
        let message = format!("{seed} is none of `seeds`: {}", known.join(", "));
        return Err(refuse(variant, from, "seed", &message, source)
            .hint("write one of them, or leave it out for the seed of each cell"));
    }
    Ok(())
}

fn check_circles(
    variants: &[Variant],
    parents: &BTreeMap<String, String>,
    source: &Source,
) -> Result<(), Diagnostic> {
    for variant in variants {
        let Some(from) = variant.start.parent() else {
            continue;
        };
        let mut passed: Vec<&str> = Vec::new();
        let mut next = parents.get(&variant.name);
        // A circle that this one only leads to is reported at one that is in it.
        while let Some(name) = next.filter(|name| **name != variant.name) {
            if passed.contains(&name.as_str()) {
                break;
            }
            passed.push(name);
            next = parents.get(name);
        }
        if next == Some(&variant.name) {
            let way = match passed.as_slice() {
                [] => String::new(),
                between => format!(", by way of `{}`", between.join("`, `")),
            };
            let what = match from.table {
                DISTILL => "learn from",
                _ => "start from",
            };
            let message = format!("`{}` would {what} itself{way}", variant.name);
            return Err(refuse(variant, from, from.key, &message, source)
                .hint("the first variant of the chain has to be one without `init_from`"));
        }
    }
    Ok(())
}
