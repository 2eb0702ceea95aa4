//! `spec.resolved.toml`: an experiment with every default written out, itself a spec that gives the same cells.

use super::balance::BALANCE;
use super::training::written;
use super::{Base, Domain, Experiment, KeyPath, Method, Sampling, Space, Variant};
use homebench_data::RowSubset;
use homebench_model::PROGRAM_SCRIPTS;
use homebench_train::{BalanceConfig, SelectionConfig, TrainingConfig};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The resolved spec; how cells are run is not in it, because no number depends on that. Sweeps and the search stay as they
/// are, so that what was asked can be read; included files and `[defaults]` are part of each variant.
pub fn resolved_toml(experiment: &Experiment, protocol: &str) -> String {
    let mut text = String::from(
        "# The experiment with every default written out. It is a spec: running it gives the same cells.\n\n",
    );
    // A value's own text quotes what has to be quoted.
    let question = toml::Value::String(experiment.question.clone());
    let _ = writeln!(text, "question = {question}");
    if let Some(outcome) = &experiment.outcome {
        let outcome = toml::Value::String(outcome.clone());
        let _ = writeln!(text, "outcome = {outcome}");
    }
    let _ = writeln!(text, "seeds = {}", list(&experiment.seeds));
    if !experiment.split_seeds.is_empty() {
        let _ = writeln!(text, "split_seeds = {}", list(&experiment.split_seeds));
    }
    if let Some(baseline) = &experiment.baseline {
        let baseline = toml::Value::String(baseline.clone());
        let _ = writeln!(text, "baseline = {baseline}");
    }
    text.push('\n');
    dataset(&mut text, experiment, protocol);
    training(&mut text, &experiment.training);
    selection(&mut text, &experiment.selection);
    text += &super::scores::written(&experiment.scoring);
    space(&mut text, &experiment.sweep, &KeyPath::default(), true);
    if let Some(tuning) = &experiment.tuning {
        let (trials, seeds) = (tuning.trials, list(&tuning.seeds));
        let _ = writeln!(text, "[tuning]");
        if let Some(method) = &tuning.method {
            let _ = writeln!(text, "method = \"{}\"", method.name());
            for (key, value) in method.keys() {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        // Left out where it is what it was before there were others, so that a spec resolves to the text that it had.
        let is_drawn = tuning.method.is_some_and(|method| method != Method::Grid);
        if is_drawn || tuning.sampling != Sampling::Independent {
            let _ = writeln!(text, "sampling = \"{}\"", tuning.sampling.name());
        }
        let _ = writeln!(text, "trials = {trials}\nseeds = {seeds}\n");
        space(&mut text, &tuning.space, &KeyPath::new(["tuning"]), false);
    }
    for base in &experiment.bases {
        variant(&mut text, base, experiment);
    }
    text
}

fn list(seeds: &[u64]) -> String {
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    format!("[{}]", seeds.join(", "))
}

fn dataset(text: &mut String, experiment: &Experiment, protocol: &str) {
    let name = toml::Value::String(experiment.dataset.name.clone());
    let protocol = toml::Value::String(protocol.to_owned());
    let _ = writeln!(text, "[dataset]\nname = {name}\nprotocol = {protocol}");
    let rows = match experiment.dataset.rows {
        RowSubset::All => None,
        RowSubset::TrainRows(rows) => Some(rows.to_string()),
        RowSubset::Fraction(share) => Some(toml::Value::Float(share).to_string()),
    };
    if let Some(rows) = rows {
        let _ = writeln!(text, "rows = {rows}");
    }
    if !experiment.dataset.knobs.is_empty() {
        let knobs = toml::Value::Table(experiment.dataset.knobs.clone());
        let _ = writeln!(text, "knobs = {knobs}");
    }
    text.push('\n');
}

fn training(text: &mut String, config: &TrainingConfig) {
    let root = BTreeMap::from([("training", config)]);
    let _ = writeln!(text, "{}", in_toml(&root));
}

fn selection(text: &mut String, config: &SelectionConfig) {
    let metric = config
        .metric
        .map_or(SelectionConfig::MAIN, |metric| metric.name());
    let combine = config.combine.name();
    let _ = writeln!(
        text,
        "[selection]\nmetric = \"{metric}\"\ncombine = \"{combine}\""
    );
    if !config.tasks.is_empty() {
        let _ = writeln!(text, "\n[selection.tasks]");
    }
    for (task, weight) in &config.tasks {
        let weight = toml::Value::Float(*weight);
        let _ = writeln!(text, "{} = {weight}", KeyPath::new([task.as_str()]));
    }
    text.push('\n');
}

fn in_toml(table: &impl Serialize) -> String {
    toml::to_string(table).expect("training is plain TOML")
}

/// The tables `grid` and `random` of the table at `at`.
fn space(text: &mut String, space: &Space, at: &KeyPath, has_n: bool) {
    let key = |setting: &super::Setting| KeyPath::new([setting.to_string()]);
    if !space.grid.is_empty() {
        let _ = writeln!(text, "[{}]", at.join("grid"));
        for axis in &space.grid {
            if let Domain::Choices(values) = &axis.domain {
                let values = toml::Value::Array(values.clone());
                let _ = writeln!(text, "{} = {values}", key(&axis.setting));
            }
        }
        text.push('\n');
    }
    let random = &space.random;
    if random.axes.is_empty() && random.n.is_none() && random.seed.is_none() {
        return;
    }
    let _ = writeln!(text, "[{}]", at.join("random"));
    if let Some(n) = random.n.filter(|_| has_n) {
        let _ = writeln!(text, "n = {n}");
    }
    // A variant's own draws have the shared seed unless they say otherwise.
    let is_shared = at.keys().first().is_none_or(|key| key == "tuning");
    if let Some(seed) = random.seed.or(is_shared.then_some(0)) {
        let _ = writeln!(text, "seed = {seed}");
    }
    for axis in &random.axes {
        let _ = writeln!(text, "{} = {}", key(&axis.setting), axis.domain);
    }
    text.push('\n');
}

fn variant(text: &mut String, base: &Base, experiment: &Experiment) {
    let table = KeyPath::new(["variants", &base.name]);
    let only = only_one(base, experiment);
    let model = only.map_or(&base.configured.model, |variant| &variant.configured.model);
    let _ = writeln!(text, "[{table}]");
    if !model.is_program() {
        let _ = writeln!(text, "model = \"{}\"", model.name());
    }
    for (key, name) in base.relations.keys() {
        let _ = writeln!(text, "{key} = {}", toml::Value::String(name.to_owned()));
    }
    for (key, value) in base.start.keys() {
        let _ = writeln!(text, "{key} = {value}");
    }
    match (&base.budget, only) {
        (Some(goal), Some(_)) => {
            let _ = writeln!(text, "# expert_dims was solved for {goal}.");
        }
        // Every configuration has a width of its own to be solved.
        (Some(goal), None) => {
            let like = toml::Value::String(goal.like.clone());
            let tolerance = toml::Value::Float(goal.tolerance);
            let key = goal.quantity.key();
            let _ = writeln!(text, "budget = {{ like = {like}, {key} = {tolerance} }}");
        }
        (None, _) => {}
    }
    // Digests are of the files as they are, and no part of what is asked.
    let knobs = model.knobs().iter();
    for (knob, value) in knobs.filter(|(knob, _)| *knob != PROGRAM_SCRIPTS) {
        let _ = writeln!(text, "{} = {value}", KeyPath::new([knob.as_str()]));
    }
    text.push('\n');
    // A whole table, though it may differ in one key: what a variant leaves out it has from [training].
    if base.configured.training != experiment.training {
        let of_variant = BTreeMap::from([("training", &base.configured.training)]);
        let of_variants = BTreeMap::from([(&base.name, of_variant)]);
        let root = BTreeMap::from([("variants", of_variants)]);
        let _ = writeln!(text, "{}", in_toml(&root));
        // Tables that are not written at their defaults, which say another thing here than what [training] has.
        let [own, shared] = [&base.configured.training, &experiment.training].map(written);
        for key in shared
            .iter()
            .filter(|(_, value)| value.is_table())
            .map(|(key, _)| key)
        {
            if !own.contains_key(key) {
                let _ = writeln!(text, "[{}]", table.join("training").join(key));
                // Equal weights have a name; other tables are empty.
                if key == BALANCE {
                    let _ = writeln!(text, "{}", in_toml(&BalanceConfig::default()).trim_end());
                }
                text.push('\n');
            }
        }
    }
    space(text, &base.sweep, &table, true);
    space(text, &base.tuning, &table.join("tuning"), false);
}

/// The one configuration of a variant that is neither swept nor tuned.
fn only_one<'a>(base: &Base, experiment: &'a Experiment) -> Option<&'a Variant> {
    let mut all = experiment.variants.iter();
    all.find(|variant| variant.name == base.name && variant.trials.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::resolved_toml;

    #[test]
    fn a_variant_that_takes_a_table_of_training_back_still_does() {
        for (shared, back) in [
            (
                "balance = { method = \"uw\" }",
                "balance = { method = \"ew\" }",
            ),
            (
                "attention = { lists = { seen = \"item\" } }",
                "attention = {}",
            ),
            ("embedding_dims = { item = 4 }", "embedding_dims = {}"),
            ("pretrained = { item = \"frozen\" }", "pretrained = {}"),
            ("task_weights = { like = 2.0 }", "task_weights = {}"),
            ("positive_weights = { like = 2.0 }", "positive_weights = {}"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("spec.toml");
            let read = |text: &str| {
                std::fs::write(&path, text).unwrap();
                load(&path, &[])
                    .unwrap_or_else(|said| panic!("{said:?}: {text}"))
                    .0
            };
            let asked = read(&format!(
                "question = \"?\"\nseeds = [1]\ndataset = {{ name = \"feed\" }}\n[training]\n{shared}\n\
                 [variants.all]\nmodel = \"mmoe\"\n[variants.other]\nmodel = \"mmoe\"\ntraining = {{ {back} }}\n"
            ));
            let [all, other] =
                [0, 1].map(|place| asked.variants[place].configured.training.clone());
            assert_ne!(all, other, "{shared}");
            let again = read(&resolved_toml(&asked, "all"));
            assert_eq!(again.variants[0].configured.training, all, "{shared}");
            assert_eq!(again.variants[1].configured.training, other, "{shared}");
        }
    }
}
