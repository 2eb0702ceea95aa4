//! Ids of cells by their properties, on random specs: what a cell is decides its id, how its spec is written does not.
//!
//! A spec is drawn as content, and written down several times: keys in another order, tables as headers, inline or dotted, numbers and
//! texts spelt otherwise, comments between, variants in an included file, shared knobs in `[defaults]`, defaults written out,
//! values set from the command line. Then one thing of the content is changed.

mod starts;

use super::cells::Plan;
use super::planned_cell::PlannedCell;
use crate::spec::{self, Override};
use homebench_data::{DatasetRef, Origin, Schema, SplitSummary, Summary};
use homebench_random::Philox;
use homebench_results::{ResultsFolder, Winners};
use homebench_train::Device;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Random specs of a test.
const CASES: u64 = 60;
/// Ways in which each is written.
const WRITINGS: u64 = 4;

/// A value of a spec by its content.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    Whole(i64),
    /// Mantissa and decimal exponent.
    Real(i64, i32),
    Text(&'static str),
    List(Vec<Content>),
    Table(Table),
}

type Table = BTreeMap<String, Content>;

/// An experiment by its content.
#[derive(Clone, Debug)]
struct Spec {
    seeds: Vec<i64>,
    rows: i64,
    training: Table,
    /// Model, knobs and own training.
    variants: BTreeMap<String, (&'static str, Table, Table)>,
    grid: Table,
    random: Option<(i64, i64, Table)>,
    tuning: Option<(i64, Table)>,
}

struct Draws {
    stream: Philox,
    drawn: u64,
}

impl Draws {
    fn new(case: u64, purpose: &str) -> Self {
        let stream = Philox::new(case, "identity", purpose);
        Self { stream, drawn: 0 }
    }

    fn below(&mut self, end: usize) -> usize {
        self.drawn += 1;
        self.stream.below(self.drawn, end as u32) as usize
    }

    fn whole(&mut self, low: i64, high: i64) -> Content {
        Content::Whole(low + self.below((high - low + 1) as usize) as i64)
    }

    fn is_so(&mut self) -> bool {
        self.below(2) == 0
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn shuffled<T>(&mut self, of: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut left: Vec<T> = of.into_iter().collect();
        let mut all = Vec::new();
        while !left.is_empty() {
            all.push(left.swap_remove(self.below(left.len())));
        }
        all
    }
}

// What a spec is.

fn widths(draws: &mut Draws) -> Content {
    // Never one width twice, so that another order is another list.
    let widths = [vec![16, 8], vec![8, 16], vec![32, 8, 4], vec![4, 32]];
    let list = draws.one_of(&widths).into_iter().map(Content::Whole);
    Content::List(list.collect())
}

fn rate(draws: &mut Draws) -> Content {
    Content::Real(1 + draws.below(9) as i64, -(1 + draws.below(5) as i32))
}

fn table<const N: usize>(entries: [(&str, Content); N]) -> Table {
    entries.map(|(key, value)| (key.to_owned(), value)).into()
}

fn range(key: &str, ends: [Content; 2]) -> Content {
    Content::Table(table([(key, Content::List(ends.into()))]))
}

fn drawn(draws: &mut Draws) -> Spec {
    let mut variants = BTreeMap::new();
    for (name, model) in [
        ("bottom", "shared_bottom"),
        ("many", "mmoe"),
        ("other-many", "mmoe"),
        ("home", "home"),
    ] {
        let mut knobs = table([
            ("expert_dims", widths(draws)),
            ("tower_dims", widths(draws)),
        ]);
        match model {
            "mmoe" => drop(knobs.insert("num_experts".into(), draws.whole(2, 5))),
            "home" => drop(knobs.insert("rank".into(), draws.whole(1, 4))),
            _ => {}
        }
        let own = match draws.is_so() {
            true => table([("learning_rate", rate(draws))]),
            false => Table::new(),
        };
        if variants.is_empty() || draws.below(4) > 0 {
            variants.insert(name.to_owned(), (model, knobs, own));
        }
    }
    let training = table([
        ("batch_size", draws.whole(64, 512)),
        ("learning_rate", rate(draws)),
        ("embedding_l2", rate(draws)),
    ]);
    let grid = match draws.below(3) {
        0 => Table::new(),
        1 => table([(
            "training.patience",
            Content::List(vec![Content::Whole(3), draws.whole(4, 9)]),
        )]),
        _ => table([
            ("training.patience", Content::List(vec![draws.whole(1, 9)])),
            (
                "training.schedule",
                Content::List(vec![
                    Content::Table(table([
                        ("kind", Content::Text("cosine")),
                        ("final_share", rate(draws)),
                    ])),
                    Content::Table(table([("kind", Content::Text("constant"))])),
                ]),
            ),
        ]),
    };
    let random = draws.is_so().then(|| {
        let low = Content::Real(1, -6);
        let axes = table([(
            "training.embedding_dropout",
            range("range", [low, Content::Real(5, -1)]),
        )]);
        (2, draws.below(100) as i64, axes)
    });
    let tuning = draws.is_so().then(|| {
        let low = Content::Real(1 + draws.below(9) as i64, -5);
        let axes = table([
            (
                "training.weight_decay",
                range("log_range", [low, Content::Real(1, -1)]),
            ),
            (
                "training.optimizer",
                Content::Table(table([(
                    "choices",
                    Content::List(vec![Content::Text("adamw"), Content::Text("sgd")]),
                )])),
            ),
        ]);
        (3, axes)
    });
    Spec {
        seeds: draws.shuffled([1, 2, 17]),
        rows: 100 + draws.below(900) as i64,
        training,
        variants,
        grid,
        random,
        tuning,
    }
}

// How it is written.

fn number(mantissa: i64, exponent: i32, draws: &mut Draws) -> String {
    let scaled = |digits: i32| format!("{mantissa}{}", "0".repeat(digits as usize));
    match draws.below(4) {
        0 => format!("{mantissa}e{exponent}"),
        1 => format!("{}.0E{}", scaled(1), exponent - 1),
        2 => format!("+{mantissa}.00e{exponent}"),
        // As a plain decimal: mantissas here have one digit.
        _ => format!("0.{}{mantissa}0", "0".repeat((-exponent - 1) as usize)),
    }
}

fn inline(value: &Content, draws: &mut Draws) -> String {
    match value {
        Content::Whole(whole) => match draws.below(4) {
            0 => format!("{whole:#x}"),
            1 => format!("+{whole}"),
            _ => whole.to_string(),
        },
        Content::Real(mantissa, exponent) => number(*mantissa, *exponent, draws),
        Content::Text(text) => match draws.is_so() {
            true => format!("\"{text}\""),
            false => format!("'{text}'"),
        },
        Content::List(values) => {
            let (open, close) =
                draws.one_of(&[("[", "]"), ("[ ", ", ]"), ("[ # a list\n  ", "\n]")]);
            let values: Vec<String> = values.iter().map(|value| inline(value, draws)).collect();
            format!("{open}{}{close}", values.join(", "))
        }
        Content::Table(table) => {
            let mut entries = Vec::new();
            for (key, value) in draws.shuffled(table) {
                entries.push(format!(
                    "{} = {}",
                    quoted(key, draws),
                    inline(value, draws)
                        .replace('\n', " ")
                        .replace("# a list", "")
                ));
            }
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

fn quoted(key: &str, draws: &mut Draws) -> String {
    match draws.below(if key.contains('.') { 2 } else { 4 }) {
        0 => format!("\"{key}\""),
        1 => format!("'{key}'"),
        _ => key.to_owned(),
    }
}

/// A table as lines, its tables with headers of their own, inline or dotted.
fn write(table: &Table, at: &str, text: &mut String, draws: &mut Draws) {
    let mut later = Vec::new();
    for (key, value) in draws.shuffled(table) {
        if draws.below(4) == 0 {
            text.push_str("# a comment, = [of] \"nothing\"\n\n");
        }
        let key = quoted(key, draws);
        match value {
            Content::Table(inner) if !inner.is_empty() => match draws.below(3) {
                0 => {
                    for (below, value) in draws.shuffled(inner) {
                        let below = quoted(below, draws);
                        let _ = writeln!(text, "{key} . {below} = {}", inline(value, draws));
                    }
                }
                1 => {
                    let _ = writeln!(text, "{key} = {} # inline", inline(value, draws));
                }
                _ => later.push((key, inner)),
            },
            _ => {
                let _ = writeln!(text, "{key}={}", inline(value, draws));
            }
        }
    }
    for (key, inner) in later {
        let at = match at {
            "" => key,
            at => format!("{at}.{key}"),
        };
        let _ = writeln!(text, "[ {at} ]");
        write(inner, &at, text, draws);
    }
}

/// Settings below `training` as quoted paths, or as tables in a table.
fn settings(axes: &Table, draws: &mut Draws) -> Table {
    let mut table = Table::new();
    for (setting, value) in axes {
        match setting.split_once('.') {
            Some((first, rest)) if draws.is_so() => {
                let holder = table.entry(first.to_owned());
                let holder = holder.or_insert_with(|| Content::Table(Table::new()));
                if let Content::Table(holder) = holder {
                    holder.insert(rest.to_owned(), value.clone());
                }
            }
            _ => drop(table.insert(setting.clone(), value.clone())),
        }
    }
    table
}

/// A spec as files and overrides.
struct Written {
    main: String,
    included: String,
    overrides: Vec<String>,
}

fn written(spec: &Spec, draws: &mut Draws) -> Written {
    let whole = |values: &[i64]| Content::List(values.iter().map(|v| Content::Whole(*v)).collect());
    let mut root = table([
        ("question", Content::Text("What is it?")),
        ("seeds", whole(&spec.seeds)),
        (
            "dataset",
            Content::Table(table([
                ("name", Content::Text("feed")),
                ("rows", Content::Whole(spec.rows)),
            ])),
        ),
    ]);
    let mut overrides = Vec::new();
    let mut training = spec.training.clone();
    if draws.is_so() {
        training.insert("max_epochs".into(), Content::Whole(10));
    }
    if draws.is_so() {
        let decay = training.insert("embedding_l2".into(), Content::Real(9, -9));
        let decay = decay.map(|decay| inline(&decay, draws));
        overrides.extend(decay.map(|decay| format!("training.embedding_l2={decay}")));
    }
    root.insert("training".into(), Content::Table(training));
    let mut variants = spec.variants.clone();
    // Every model has these two, and every variant sets them, so the shared value takes from nobody.
    for knob in ["expert_dims", "tower_dims"] {
        if draws.is_so() {
            let shared = variants["bottom"].1[knob].clone();
            for (_, knobs, _) in variants.values_mut() {
                if knobs[knob] == shared && draws.below(4) > 0 {
                    knobs.remove(knob);
                }
            }
            let defaults = root
                .entry("defaults".into())
                .or_insert_with(|| Content::Table(Table::new()));
            if let Content::Table(defaults) = defaults {
                defaults.insert(knob.into(), shared);
            }
        }
    }
    let (mut here, mut there) = (Table::new(), Table::new());
    for (name, (model, mut knobs, mut own)) in variants {
        if draws.is_so() {
            own.entry("batch_size".into())
                .or_insert(spec.training["batch_size"].clone());
        }
        knobs.insert("model".into(), Content::Text(model));
        if !own.is_empty() {
            knobs.insert("training".into(), Content::Table(own));
        }
        let place = if draws.is_so() { &mut here } else { &mut there };
        place.insert(name, Content::Table(knobs));
    }
    if !here.is_empty() {
        root.insert("variants".into(), Content::Table(here));
    }
    if !there.is_empty() {
        let path = Content::Text("included.toml");
        let path = if draws.is_so() {
            path
        } else {
            Content::List(vec![path])
        };
        root.insert("include".into(), path);
    }
    if !spec.grid.is_empty() {
        root.insert("grid".into(), Content::Table(settings(&spec.grid, draws)));
    }
    if let Some((n, seed, axes)) = &spec.random {
        let mut random = settings(axes, draws);
        random.extend(table([
            ("n", Content::Whole(*n)),
            ("seed", Content::Whole(*seed)),
        ]));
        root.insert("random".into(), Content::Table(random));
    }
    if let Some((trials, axes)) = &spec.tuning {
        let random = Content::Table(settings(axes, draws));
        let tuning = table([
            ("trials", Content::Whole(*trials)),
            ("seeds", whole(&[99])),
            ("random", random),
        ]);
        root.insert("tuning".into(), Content::Table(tuning));
    }
    let (mut main, mut included) = (String::new(), String::new());
    write(&root, "", &mut main, draws);
    write(
        &table([("variants", Content::Table(there))]),
        "",
        &mut included,
        draws,
    );
    Written {
        main,
        included,
        overrides,
    }
}

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
        },
        train: split.clone(),
        validation: split,
        test_rows: 100,
        origin: Origin::Made,
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
    let mut blind =
        Plan::without_data(&experiment, &source, &Winners::default(), &[], &results).unwrap();
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
