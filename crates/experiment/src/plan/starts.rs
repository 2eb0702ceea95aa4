//! Whether what variants start from, and what of them stays, can be meant: by the variables of their models, before any is trained.

use super::budget::variable_shapes;
use super::distillations::check_distill;
use super::shared_gradients;
use crate::spec::{Configured, Experiment, Locator, Source, Variant, model_diagnostic};
use homebench_data::Schema;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_train::{PathError, PathKey, VariableShapes, check_frozen};
use std::collections::{BTreeMap, BTreeSet};

/// Of so many paths a refusal names the first.
const MOST_NAMED: usize = 12;

/// Checks every path of every variant that names variables, and that models share what a balance of gradients needs. Of a variant that is tuned, in each of its trials; what it starts from may
/// be any trial of the other.
///
/// # Errors
/// A path that names nothing, a model without what its balance needs, a variable of another shape, nothing left to train, each at its place.
pub fn check_starts(
    experiment: &Experiment,
    source: &Source,
    schema: &Schema,
) -> Result<(), Diagnostic> {
    let mut models = Models {
        schema,
        known: BTreeMap::new(),
    };
    for variant in &experiment.variants {
        // Trials that differ in training alone have the same variables.
        let mut checked = BTreeSet::new();
        for (place, configured) in configurations(variant) {
            let locator = match place {
                Some(trial) => variant.trial_locator(trial, source),
                None => variant.locator(source),
            };
            check_frozen_of(variant, configured, &mut models, locator)?;
            shared_gradients::check(variant, configured, schema, locator)?;
            check_distill(variant, configured, &experiment.variants, schema, locator)?;
            let Some(from) = &variant.start.init_from else {
                continue;
            };
            let mut all = experiment.variants.iter();
            let parent = all.find(|other| other.name == from.variant);
            let parent = parent.expect("the spec was checked");
            for (_, other) in configurations(parent) {
                let own = models.add(variant, configured, locator)?;
                let other = models.add(parent, other, locator)?;
                if checked.insert((own.clone(), other.clone())) {
                    let pair = (&models.known[&own], &models.known[&other]);
                    check_pair(variant, parent, pair, locator)?;
                }
            }
        }
    }
    Ok(())
}

/// What of a variant is trained: its trials, one of which its final cells have too, or itself where it isn't tuned.
pub(super) fn configurations(variant: &Variant) -> Vec<(Option<usize>, &Configured)> {
    match variant.trials.as_slice() {
        [] => vec![(None, &variant.configured)],
        trials => {
            let trials = trials.iter().enumerate();
            trials.map(|(place, trial)| (Some(place), trial)).collect()
        }
    }
}

/// Models that were built, so that configurations that differ in training alone are built once.
struct Models<'a> {
    schema: &'a Schema,
    known: BTreeMap<String, VariableShapes>,
}

impl Models<'_> {
    /// Builds a model that is not known yet; gives its key.
    fn add(
        &mut self,
        variant: &Variant,
        configured: &Configured,
        locator: Locator<'_>,
    ) -> Result<String, Diagnostic> {
        let (model, knobs) = (configured.model.name(), configured.model.knobs());
        let training = &configured.training;
        let (width, widths) = (training.embedding_dim, &training.embedding_dims);
        let attention = &training.attention;
        let key = format!("{model} {width} {widths:?} {attention:?} {knobs}");
        if !self.known.contains_key(&key) {
            let at = KeyPath::new(["variants", &variant.name]);
            let built = variable_shapes(configured, self.schema);
            let built = built.map_err(|error| model_diagnostic(&error, &at, locator))?;
            self.known.insert(key.clone(), built);
        }
        Ok(key)
    }
}

fn check_frozen_of(
    variant: &Variant,
    configured: &Configured,
    models: &mut Models<'_>,
    locator: Locator<'_>,
) -> Result<(), Diagnostic> {
    let freeze = &variant.start.freeze;
    if freeze.is_empty() {
        return Ok(());
    }
    let key = models.add(variant, configured, locator)?;
    let variables = &models.known[&key];
    check_frozen(freeze, variables)
        .map_err(|error| diagnostic(&error, variant, &variant.name, variables, locator))
}

fn check_pair(
    variant: &Variant,
    parent: &Variant,
    (own, other): (&VariableShapes, &VariableShapes),
    locator: Locator<'_>,
) -> Result<(), Diagnostic> {
    let Some(from) = &variant.start.init_from else {
        return Ok(());
    };
    let Err(error) = from.variables.sources(own, other) else {
        return Ok(());
    };
    let is_of_other = matches!(
        error,
        PathError::NamesNothing {
            key: PathKey::RenamedFrom,
            ..
        }
    );
    Err(match is_of_other {
        true => diagnostic(&error, variant, &parent.name, other, locator),
        false => diagnostic(&error, variant, &variant.name, own, locator),
    })
}

/// What is wrong at its place; `variables` are those of the variant `of`, which a path was to name.
fn diagnostic(
    error: &PathError,
    variant: &Variant,
    of: &str,
    variables: &VariableShapes,
    locator: Locator<'_>,
) -> Diagnostic {
    let table = KeyPath::new(["variants", &variant.name]);
    let start = table.join("init_from");
    let from = variant.start.init_from.as_ref();
    let parent = from.map_or("", |from| from.variant.as_str());
    let refuse = |path: &KeyPath, what: String| locator.at_value(path, format!("`{path}`: {what}"));
    match error {
        PathError::NamesNothing { path, key } => {
            let place = place_of(path, *key, variant, &table);
            let said = format!("`{of}` has no variable at or below `{path}`");
            let said = refuse(&place, said).hint(format!(
                "its variables are below: {}",
                below(variables).join(", ")
            ));
            said.did_you_mean(path, variables.paths())
        }
        PathError::Missing { path, source_path } => {
            let what = match path == source_path {
                true => format!("`{parent}` has no variable `{path}`"),
                false => format!(
                    "`{parent}` has no variable `{source_path}`, as which `{path}` was to begin"
                ),
            };
            refuse(&start, what)
                .hint("name in `paths` what both have, or say by `rename` as what it begins")
        }
        PathError::Shape {
            path,
            dims,
            source_path,
            source_dims,
        } => {
            let of_parent = match path == source_path {
                true => String::new(),
                false => format!("`{source_path}` "),
            };
            refuse(
                &start,
                format!(
                    "`{path}` is {dims:?} in `{}`, and {of_parent}{source_dims:?} in `{parent}`",
                    variant.name
                ),
            )
            .hint("give both the same knobs and the same `embedding_dim`, or leave the variable out of `paths`")
        }
        PathError::Nothing => refuse(&start, error.to_string()).hint("leave `init_from` out"),
        PathError::AllFrozen => refuse(&table.join("freeze"), error.to_string())
            .hint("leave out what is to be trained, such as the tower of a task"),
    }
}

/// Where a path stands in the variant's table.
fn place_of(path: &str, key: PathKey, variant: &Variant, table: &KeyPath) -> KeyPath {
    let start = table.join("init_from");
    let variables = variant.start.init_from.as_ref().map(|from| &from.variables);
    let place_in = |paths: &[String]| {
        let place = paths.iter().position(|one| one == path);
        place.unwrap_or_default().to_string()
    };
    match key {
        PathKey::Freeze => table.join("freeze").join(place_in(&variant.start.freeze)),
        PathKey::Paths => {
            let paths = variables.and_then(|variables| variables.paths.as_deref());
            start
                .join("paths")
                .join(place_in(paths.unwrap_or_default()))
        }
        PathKey::RenamedFrom => start.join("rename").join(path),
        PathKey::RenamedTo => {
            let mut renamed = variables
                .into_iter()
                .flat_map(|variables| &variables.rename);
            let from = renamed
                .find(|(_, to)| *to == path)
                .map(|(from, _)| from.as_str());
            start.join("rename").join(from.unwrap_or_default())
        }
    }
}

/// What variables are below, for whoever knows no path.
fn below(variables: &VariableShapes) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    for (path, _) in variables.all() {
        let above = path.rsplit_once('.').map_or(path, |(above, _)| above);
        if all.last() != Some(&above) {
            all.push(above);
        }
    }
    if all.len() > MOST_NAMED {
        all.truncate(MOST_NAMED);
        all.push("...");
    }
    all
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::spec::load;
    use homebench_data::{CategoricalFeature, Task, TaskKind};

    pub(in crate::plan) fn schema() -> Schema {
        let task = |name: &str| Task {
            name: name.into(),
            group: 0,
            kind: TaskKind::default(),
            after: None,
        };
        Schema {
            categorical: vec![CategoricalFeature {
                name: "author".into(),
                vocabulary_size: 50,
            }],
            lists: Vec::new(),
            numeric: vec!["age".into()],
            tasks: vec![task("click"), task("like")],
            groups: vec!["watch".into()],
            user: None,
            weight: None,
            scenario: None,
            tables: Default::default(),
        }
    }

    const SPEC: &str = "question = \"What is this?\"\nseeds = [1]\ndataset = { name = \"feed\" }\n\
        [defaults]\nexpert_dims = [4]\ntower_dims = []\nnum_experts = 2\n\
        [variants.base]\nmodel = \"mmoe\"\n[variants.single]\nmodel = \"single_task\"\n[variants.child]\nmodel = \"mmoe\"\n";

    fn checked(lines: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spec.toml");
        std::fs::write(&path, format!("{SPEC}{lines}\n")).unwrap();
        let (experiment, source) = load(&path, &[]).unwrap_or_else(|said| panic!("{said}"));
        check_starts(&experiment, &source, &schema()).map_err(|said| {
            let (line, hint) = (said.location.unwrap().line, said.hint.unwrap_or_default());
            format!("line {line}: {} ({hint})", said.message)
        })
    }

    #[test]
    fn paths_that_name_variables_of_the_same_shape_are_taken() {
        for lines in [
            "init_from = { variant = \"base\" }",
            "init_from = { variant = \"base\", paths = [\"shared.expert\", \"embedding\"] }\nfreeze = [\"embedding\", \"shared\"]",
            "init_from = { variant = \"base\", paths = [], rename = { \"task.like.gate\" = \"task.click.gate\" } }",
            "freeze = [\"shared.expert.0.weight\"]",
            "[variants.single.init_from]\nvariant = \"child\"\npaths = [\"task.like.tower\"]",
            "[variants.other]\nmodel = \"single_task\"\nfreeze = [\"embedding\"]",
        ] {
            checked(lines).unwrap_or_else(|said| panic!("{lines}: {said}"));
        }
    }

    #[test]
    fn others_are_refused_at_their_place_with_the_nearest_path() {
        let found = [
            "freeze = [\"embedding\", \"shared.exprt\"]",
            "freeze = [\"everything\"]",
            "freeze = [\"embedding\", \"shared\", \"task\"]",
            "init_from = { variant = \"base\", paths = [\"task.click\", \"task.lik\"] }",
            "init_from = { variant = \"base\", rename = { \"task.lik.gate\" = \"task.click.gate\" } }",
            "init_from = { variant = \"base\", rename = { \"task.like.gate\" = \"task.clik.gate\" } }",
            "init_from = { variant = \"base\", rename = { \"task.like.gate\" = \"task.click.tower\" } }",
            "init_from = { variant = \"single\" }",
            "init_from = { variant = \"base\" }\nexpert_dims = [5]",
            "init_from = { variant = \"base\" }\n[variants.child.training]\nembedding_dim = 3",
            "init_from = { variant = \"base\", paths = [\"shared\"] }\n[tuning]\nseeds = [9]\ngrid = { num_experts = [2, 3] }\n\
             [variants.single.tuning.grid]\n\"training.patience\" = [1, 2]",
        ]
        .map(|lines| checked(lines).unwrap_err());
        insta::assert_snapshot!(found.join("\n"), @r#"
        line 14: `variants.child.freeze.1`: `child` has no variable at or below `shared.exprt` (did you mean `shared.expert`?)
        line 14: `variants.child.freeze.0`: `child` has no variable at or below `everything` (its variables are below: embedding.author, shared.expert.0, task.click.gate, task.click.tower.0, task.like.gate, task.like.tower.0)
        line 14: `variants.child.freeze`: every variable is frozen, so that there is nothing to train (leave out what is to be trained, such as the tower of a task)
        line 14: `variants.child.init_from.paths.1`: `child` has no variable at or below `task.lik` (did you mean `task.like`?)
        line 14: `variants.child.init_from.rename."task.lik.gate"`: `base` has no variable at or below `task.lik.gate` (did you mean `task.like.gate`?)
        line 14: `variants.child.init_from.rename."task.like.gate"`: `child` has no variable at or below `task.clik.gate` (did you mean `task.click.gate`?)
        line 14: `variants.child.init_from`: `base` has no variable `task.like.gate.0.bias`, as which `task.click.tower.0.bias` was to begin (name in `paths` what both have, or say by `rename` as what it begins)
        line 14: `variants.child.init_from`: `single` has no variable `embedding.author.weight` (name in `paths` what both have, or say by `rename` as what it begins)
        line 14: `variants.child.init_from`: `shared.expert.0.bias` is [2, 5] in `child`, and [2, 4] in `base` (give both the same knobs and the same `embedding_dim`, or leave the variable out of `paths`)
        line 14: `variants.child.init_from`: `embedding.author.weight` is [50, 3] in `child`, and [50, 8] in `base` (give both the same knobs and the same `embedding_dim`, or leave the variable out of `paths`)
        line 14: `variants.child.init_from`: `shared.expert.0.bias` is [2, 4] in `child`, and [3, 4] in `base` (give both the same knobs and the same `embedding_dim`, or leave the variable out of `paths`)
        "#);
    }
}
