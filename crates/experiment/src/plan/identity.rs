//! Ids of cells by their properties, on random specs: what a cell is decides its id, how its spec is written does not.
//!
//! A spec is drawn as content, and written down several times: keys in another order, tables as headers, inline or dotted, numbers and
//! texts spelt otherwise, comments between, variants in an included file, shared knobs in `[defaults]`, defaults written out,
//! values set from the command line. Then one thing of the content is changed.

mod content;
mod starts;
mod writing;

use super::cells::Plan;
use super::cells_there::CellsThere;
use super::planned_cell::PlannedCell;
use crate::spec::{self, Override};
use content::{Content, Draws, Spec, drawn};
use homebench_data::{DatasetRef, Origin, Schema, SplitSummary, Summary};
use homebench_results::{ResultsFolder, Winners};
use homebench_train::Device;
use std::collections::BTreeMap;
use std::path::Path;
use writing::{Written, written};

/// Random specs of a test.
const CASES: u64 = 60;
/// Ways in which each is written.
const WRITINGS: u64 = 4;

/// A plan that knows no data finds each cell of one that does, and takes none for another.
#[track_caller]
fn assert_found(blind: &Plan, plan: &Plan) {
    let labels = |plan: &Plan| plan.cells().map(PlannedCell::label).collect::<Vec<_>>();
    assert_eq!(labels(blind), labels(plan));
    let there: Vec<_> = plan.cells().map(|cell| cell.content.clone()).collect();
    let there: Vec<_> = there.into_iter().map(PlannedCell::new).collect();
    for cell in blind.cells() {
        let found: Vec<_> = there
            .iter()
            .filter(|there| cell.is_elsewhere(there))
            .collect();
        assert_eq!(found.len(), 1, "{}", cell.label());
        assert_eq!(found[0].content.seed, cell.content.seed);
    }
}

/// Ids of all cells by their labels.
#[track_caller]
fn ids(written: &Written) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spec.toml");
    std::fs::write(&path, &written.main).unwrap();
    std::fs::write(folder.path().join("included.toml"), &written.included).unwrap();
    let overrides = written
        .overrides
        .iter()
        .map(|text| text.parse::<Override>().unwrap());
    let overrides: Vec<Override> = overrides.collect();
    let text = || {
        format!(
            "{}\n--- included\n{}\n{overrides:?}",
            written.main, written.included
        )
    };
    let loaded = spec::load(&path, &overrides);
    let (experiment, source) = loaded.unwrap_or_else(|error| panic!("{error}\n{}", text()));
    let split = SplitSummary {
        rows: 100,
        positives: vec![10],
        observed: vec![100],
        numbers: vec![None],
    };
    let summary = Summary {
        name: "feed".into(),
        protocol: "all".into(),
        split_seed: None,
        content_hash: "aa".into(),
        schema: Schema {
            categorical: Vec::new(),
            lists: Vec::new(),
            numeric: Vec::new(),
            tasks: Vec::new(),
            groups: Vec::new(),
            user: None,
            weight: None,
            scenario: None,
            tables: Default::default(),
        },
        train: split.clone(),
        validation: split,
        test_rows: 100,
        origin: Origin::Made,
        pretrained: Default::default(),
        warnings: Vec::new(),
        split_digests: Default::default(),
        hold: Default::default(),
    };
    let data = [(
        DatasetRef {
            ..experiment.dataset.clone()
        },
        summary,
    )];
    let mut plan = Plan::new(&experiment, &data, Device::Cpu)
        .unwrap_or_else(|error| panic!("{error}\n{}", text()));
    let results = ResultsFolder::new(Path::new("no-such-folder"));
    let mut blind = Plan::without_data(
        &experiment,
        &source,
        &Winners::default(),
        &CellsThere::default(),
        &results,
    )
    .unwrap();
    for arm in plan.arms.iter_mut().chain(&mut blind.arms) {
        if arm.is_tuned() {
            arm.freeze(2);
        }
    }
    // Cells that start from those of winners are known by these.
    plan.settle();
    blind.settle();
    assert_found(&blind, &plan);
    plan.cells()
        .map(|cell| (cell.label(), cell.id.clone()))
        .collect()
}

#[test]
fn the_same_content_has_the_same_ids_however_it_is_written() {
    let mut known = BTreeMap::<String, String>::new();
    for case in 0..CASES {
        let spec = drawn(&mut Draws::new(case, "content"));
        let of =
            |writing: u64| written(&spec, &mut Draws::new(case, &format!("writing {writing}")));
        let (first, expected) = (of(0), ids(&of(0)));
        assert!(!expected.is_empty());
        for writing in 1..WRITINGS {
            let other = of(writing);
            assert_eq!(
                ids(&other),
                expected,
                "case {case}\n{}\n--- and\n{}",
                first.main,
                other.main
            );
        }
        // One id never is two contents of one spec.
        for (label, id) in expected {
            let place = format!("{case} {label}");
            if let Some(before) = known.insert(id, place.clone()) {
                assert!(
                    !before.starts_with(&format!("{case} ")),
                    "{before} and {place}"
                );
            }
        }
    }
}

#[test]
fn any_change_of_content_changes_the_ids_of_what_it_touches_and_no_other() {
    let (all, none) = (|_: &str| true, |_: &str| false);
    for case in 0..CASES {
        let spec = drawn(&mut Draws::new(case, "content"));
        let mut draws = Draws::new(case, "change");
        let before = ids(&written(&spec, &mut draws));
        let mut compare = |changed: &Spec, what: &str, is_touched: &dyn Fn(&str) -> bool| {
            let written = written(changed, &mut draws);
            let after = ids(&written);
            for (label, id) in &before {
                let variant = label.split(['/', '[']).next().unwrap_or_default();
                let is_there = after.values().any(|other| other == id);
                assert_eq!(
                    is_there,
                    !is_touched(variant),
                    "case {case}, {what}: {label}\n{}",
                    written.main
                );
            }
        };
        compare(&spec, "nothing", &none);
        for (name, (_, knobs, _)) in &spec.variants {
            for (knob, value) in knobs {
                let mut changed = spec.clone();
                let value = match value {
                    Content::List(values) => Content::List(values.iter().rev().cloned().collect()),
                    Content::Whole(whole) => Content::Whole(whole + 1),
                    other => panic!("{other:?}"),
                };
                if let Some((_, knobs, _)) = changed.variants.get_mut(name) {
                    knobs.insert(knob.clone(), value);
                }
                compare(&changed, &format!("{name}.{knob}"), &|variant| {
                    variant == name
                });
            }
        }
        let changed = |change: &dyn Fn(&mut Spec)| {
            let mut changed = spec.clone();
            change(&mut changed);
            changed
        };
        compare(&changed(&|spec| spec.rows += 1), "rows", &all);
        let l2 = changed(&|spec| {
            drop(
                spec.training
                    .insert("embedding_l2".into(), Content::Real(3, -7)),
            )
        });
        compare(&l2, "training", &all);
        if spec.random.is_some() {
            let seed = changed(&|spec| spec.random.as_mut().expect("it is there").1 += 1);
            compare(&seed, "seed of draws", &all);
        }
        // Seeds in another order are the same cells; another seed is another cell.
        compare(
            &changed(&|spec| spec.seeds.reverse()),
            "order of seeds",
            &none,
        );
    }
}
