//! `spec.resolved.toml`: an experiment with every default written out, itself a spec that gives the same cells.

use super::{CellTraining, Experiment, KeyPath, Variant};
use crate::data::RowSubset;
use crate::train::TrainingConfig;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The resolved spec; how cells are run is not in it, because no number depends on that.
pub fn resolved_toml(experiment: &Experiment, protocol: &str) -> String {
    let mut text = String::from(
        "# The experiment with every default written out. It is a spec: running it gives the same cells.\n\n",
    );
    let question = toml::Value::String(experiment.question.clone());
    let seeds: Vec<String> = experiment.seeds.iter().map(u64::to_string).collect();
    let _ = writeln!(
        text,
        "question = {question}\nseeds = [{}]\n",
        seeds.join(", ")
    );
    dataset(&mut text, experiment, protocol);
    training(&mut text, &experiment.training);
    for item in &experiment.variants {
        variant(&mut text, item, &experiment.training);
    }
    text
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
    text.push('\n');
}

fn training(text: &mut String, config: &TrainingConfig) {
    let root = BTreeMap::from([("training", CellTraining::written_out(config))]);
    let _ = writeln!(text, "{}", in_toml(&root));
}

fn in_toml(table: &impl Serialize) -> String {
    toml::to_string(table).expect("training is plain TOML")
}

fn variant(text: &mut String, variant: &Variant, shared: &TrainingConfig) {
    let table = KeyPath::new(["variants", &variant.name]);
    let _ = writeln!(text, "[{table}]\nmodel = \"{}\"", variant.model.name());
    if let Some(goal) = &variant.budget {
        let _ = writeln!(text, "# expert_dims was solved for {goal}.");
    }
    for (knob, value) in variant.model.knobs() {
        let _ = writeln!(text, "{} = {value}", KeyPath::new([knob.as_str()]));
    }
    text.push('\n');
    if variant.training != *shared {
        let cell = CellTraining::written_out(&variant.training);
        let of_variant = BTreeMap::from([("training", cell)]);
        let of_variants = BTreeMap::from([(&variant.name, of_variant)]);
        let root = BTreeMap::from([("variants", of_variants)]);
        let _ = writeln!(text, "{}", in_toml(&root));
    }
}
