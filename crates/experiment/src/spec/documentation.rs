//! Keeps docs/experiments.md true: its keys, its defaults and its examples.

use super::resolved::resolved_toml;
use super::wire::{
    WireBudget, WireDataset, WireDistill, WireExperiment, WireIncluded, WireInitFrom, WireMetrics,
    WireRun, WireSelection, WireTuning,
};
use super::{Experiment, RunConfig, load};
use homebench_diagnostic::keys_of;
use homebench_train::{
    AttentionConfig, BalanceConfig, BalanceMethod, TrainingConfig, WrittenSchedule,
};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

const PAGE: &str = include_str!("../../../../docs/experiments.md");

/// What examples are put into: variants enough that a budget has another to be like, and a student a teacher.
const BASE: &str = "question = \"What is this?\"\nseeds = [1]\ndataset = { name = \"feed\" }\n\
    [variants.a]\nmodel = \"mmoe\"\n[variants.b]\nmodel = \"home\"\n[variants.single]\nmodel = \"single_task\"\n";

/// Keys that a type is read from.
fn known<T: DeserializeOwned>() -> BTreeSet<String> {
    keys_of::<T>().iter().map(|key| (*key).to_owned()).collect()
}

/// Rows of the tables of keys under a heading: key, default, example.
fn rows(heading: &str) -> Vec<[String; 3]> {
    let lines = PAGE.lines().skip_while(|line| *line != heading).skip(1);
    let section = lines.take_while(|line| !line.starts_with('#'));
    let of_keys = section
        .skip_while(|line| !line.starts_with("| key |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let rows = of_keys.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{line}");
        let key = cells[0].trim_matches('`');
        [key, cells[2], cells[4]].map(str::to_owned)
    });
    let rows: Vec<_> = rows.collect();
    assert!(!rows.is_empty(), "nothing under `{heading}`");
    rows
}

fn keys(heading: &str) -> BTreeSet<String> {
    let keys = rows(heading).into_iter().map(|[key, ..]| key);
    keys.collect()
}

#[test]
fn every_key_is_documented_and_no_other() {
    assert_eq!(keys("## The file itself"), known::<WireExperiment>());
    assert_eq!(keys("## `[dataset]`"), known::<WireDataset>());
    assert_eq!(keys("## `[training]`"), known::<TrainingConfig>());
    let schedule = keys("## `[training.schedule]`");
    assert_eq!(schedule, known::<WrittenSchedule>());
    assert_eq!(keys("## `[training.balance]`"), known::<BalanceConfig>());
    let attention = keys("## `[training.attention]`");
    assert_eq!(attention, known::<AttentionConfig>());
    assert_eq!(keys("### `budget`"), known::<WireBudget>());
    assert_eq!(keys("### `init_from`"), known::<WireInitFrom>());
    assert_eq!(keys("### `distill`"), known::<WireDistill>());
    assert_eq!(keys("## `[tuning]`"), known::<WireTuning>());
    assert_eq!(keys("## `[selection]`"), known::<WireSelection>());
    assert_eq!(keys("## `[metrics]`"), known::<WireMetrics>());
    assert_eq!(keys("## `[run]`"), known::<WireRun>());
    let of_programs = homebench_model::PROGRAM_KEYS.map(str::to_owned);
    assert_eq!(keys("### A program"), of_programs.into());
    let of_variants = super::wire::VARIANT_KEYS.map(str::to_owned);
    assert_eq!(keys("## `[variants.<name>]`"), of_variants.into());
    let included = known::<WireIncluded>();
    assert_eq!(included, ["include", "variants"].map(str::to_owned).into());
    assert_eq!(
        keys("## `[random]`"),
        ["n", "seed"].map(str::to_owned).into()
    );
}

/// Values of a page's defaults; absent where a default is told in words.
fn defaults(heading: &str) -> BTreeMap<String, Option<Value>> {
    let value = |text: &str| -> Option<Value> {
        let text = text.strip_prefix('`')?.strip_suffix('`')?;
        let table: Table = format!("value = {text}").parse().ok()?;
        table.get("value").cloned()
    };
    let rows = rows(heading).into_iter();
    rows.map(|[key, default, _]| (key, value(&default)))
        .collect()
}

#[test]
fn the_defaults_are_those_of_the_program() {
    let mut table = Table::try_from(TrainingConfig::default()).unwrap();
    // Left out where the optimiser has no use for it.
    table.insert(
        "momentum".into(),
        Value::Float(TrainingConfig::default().momentum),
    );
    for (key, default) in defaults("## `[training]`") {
        assert_eq!(default.as_ref(), table.get(&key), "{key}");
    }
    let attention = Table::try_from(AttentionConfig::default()).unwrap();
    for (key, default) in defaults("## `[training.attention]`") {
        assert_eq!(default.as_ref(), attention.get(&key), "{key}");
    }
    let run = RunConfig::default();
    let documented = defaults("## `[run]`");
    let seconds = Value::Integer(run.checkpoint_every.as_secs() as i64);
    assert_eq!(documented["checkpoint_every_seconds"], Some(seconds));
    assert_eq!(
        documented["retries"],
        Some(Value::Integer(run.retries as i64))
    );
    let device = run.device.to_string();
    assert_eq!(documented["device"], Some(Value::String(device)));
    let schedule = |text: &str| {
        homebench_train::Schedule::from(toml::from_str::<WrittenSchedule>(text).unwrap())
    };
    for (key, default) in defaults("## `[training.schedule]`") {
        let (Some(default), Some(kind)) = (
            default,
            match key.as_str() {
                "warm_up_steps" | "final_share" => Some("kind = \"cosine\""),
                "factor" => Some("kind = \"step\"\nevery_steps = 3"),
                _ => None,
            },
        ) else {
            continue;
        };
        let explicit = format!("{kind}\n{key} = {default}");
        assert_eq!(schedule(kind), schedule(&explicit), "{key}");
    }
}

/// The table of methods of docs/training.md: a row each, with every key and default.
#[test]
fn every_method_of_balancing_is_documented_with_its_keys_and_defaults() {
    let page = include_str!("../../../../docs/training.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let mut documented = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let name = cells[0].trim_matches('`');
        if BalanceMethod::ALL
            .iter()
            .any(|method| method.name() == name)
        {
            assert_eq!(cells.len(), 5, "{row}");
            let keys = cells[4].split('`').skip(1).step_by(2);
            documented.insert(
                name.to_owned(),
                keys.map(str::to_owned).collect::<BTreeSet<_>>(),
            );
        }
    }
    for method in BalanceMethod::ALL {
        let written = toml::to_string(&method.defaults()).unwrap();
        let mut expected: BTreeSet<String> = written
            .lines()
            .filter(|line| {
                !["method", "normalise", "balance_at"]
                    .iter()
                    .any(|key| line.starts_with(key))
            })
            .map(str::to_owned)
            .collect();
        // Those that follow something else where nothing is said.
        let more = ["every_steps", "main_task"].into_iter();
        expected.extend(
            more.filter(|key| method.keys().contains(key))
                .map(str::to_owned),
        );
        assert_eq!(
            documented.get(method.name()),
            Some(&expected),
            "{}",
            method.name()
        );
    }
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(there)), Value::Table(value)) => merge(there, value),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Loads a spec, and what it resolves to, which has to ask the same.
#[track_caller]
fn check(text: &str) -> Experiment {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (experiment, _) =
        load(&write("spec.toml", text), &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let resolved = resolved_toml(&experiment, "all");
    let again = load(&write("again.toml", &resolved), &[])
        .unwrap_or_else(|error| panic!("{error}\n{resolved}"));
    assert_eq!(again.0.variants.len(), experiment.variants.len());
    assert_eq!(again.0.scoring, experiment.scoring);
    experiment
}

#[test]
fn every_example_loads_and_changes_something_or_says_the_default() {
    for (heading, place) in [
        ("## The file itself", ""),
        ("## `[dataset]`", "dataset"),
        ("## `[training]`", "training"),
        ("## `[training.schedule]`", "training.schedule"),
        ("## `[training.balance]`", "training.balance"),
        ("## `[training.attention]`", "training.attention"),
        ("## `[variants.<name>]`", "variants.a"),
        ("### A program", "variants.program"),
        ("### `budget`", "variants.a.budget"),
        ("### `init_from`", "variants.a.init_from"),
        ("### `distill`", "variants.a.distill"),
        ("## `[tuning]`", "tuning"),
        ("## `[selection]`", "selection"),
        ("## `[metrics]`", "metrics"),
        ("## `[run]`", "run"),
    ] {
        for [key, _, example] in rows(heading) {
            let lines: Vec<&str> = example.split('`').skip(1).step_by(2).collect();
            let has_key = lines
                .iter()
                .any(|line| line.starts_with(&format!("{key} = ")));
            assert!(has_key, "{heading} {key}: {example}");
            let header = match place {
                "" => String::new(),
                place => format!("[{place}]\n"),
            };
            let example: Table = toml::from_str(&format!("{header}{}", lines.join("\n"))).unwrap();
            let mut spec: Table = toml::from_str(BASE).unwrap();
            merge(&mut spec, example);
            check(&toml::to_string(&spec).unwrap());
        }
    }
    for [_, _, example] in rows("## `[random]`") {
        let lines: Vec<&str> = example.split('`').skip(1).step_by(2).collect();
        let drawn = "\"training.learning_rate\" = { log_range = [1e-4, 1e-2] }";
        let experiment = check(&format!("{BASE}[random]\n{}\n{drawn}\n", lines.join("\n")));
        assert_eq!(experiment.variants.len(), 3 * 3);
    }
}

#[test]
fn every_cohort_of_the_page_loads() {
    let lines = PAGE.lines().skip_while(|line| *line != "## `[cohorts]`");
    let rows = lines
        .skip_while(|line| !line.starts_with("| value |"))
        .skip(2);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 5);
    for row in rows {
        let example = row.split('`').rev().nth(1).unwrap();
        let experiment = check(&format!("{BASE}[cohorts]\n{example}\n"));
        assert_eq!(experiment.scoring.cohorts.len(), 1, "{row}");
    }
}

#[test]
fn whole_specs_and_domains_of_the_page_load() {
    let blocks: Vec<&str> = PAGE
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 8);
    let tuned = check(blocks[0]);
    assert!(
        tuned
            .variants
            .iter()
            .all(|variant| variant.trials.len() == 4)
    );
    let pretrained = check(blocks[1]).variants;
    let tables = pretrained
        .iter()
        .map(|variant| variant.configured.training.pretrained.len());
    assert!(tables.eq([0, 1, 1]));
    let starting = check(blocks[2]).variants;
    assert!(starting[1].start.init_from.is_some() && starting[1].start.freeze.len() == 5);
    assert!(check(blocks[3]).variants[2].start.distill.is_some());
    assert_eq!(check(blocks[4]).variants.len(), 6);
    assert!(check(blocks[5]).selection.metric.is_some());
    let scored = check(blocks[6]).scoring;
    assert_eq!((scored.metrics.extra.len(), scored.cohorts.len()), (3, 2));
    toml::from_str::<WireIncluded>(blocks[7]).unwrap();
    let domains = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `{ ")?.split('`').next());
    let domains: Vec<String> = domains.map(|domain| format!("{{ {domain}")).collect();
    assert_eq!(domains.len(), 4);
    for (domain, setting) in domains.iter().zip([
        "num_experts",
        "\"training.embedding_dropout\"",
        "\"training.learning_rate\"",
        "expert_dims",
    ]) {
        check(&format!(
            "{BASE}[variants.a.random]\nn = 2\n{setting} = {domain}\n"
        ));
    }
}
