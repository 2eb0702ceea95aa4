//! A spec by its content, written down in one of many ways.

use super::content::{Content, Draws, Spec, Table, table};
use std::fmt::Write as _;

pub(super) fn number(mantissa: i64, exponent: i32, draws: &mut Draws) -> String {
    let scaled = |digits: i32| format!("{mantissa}{}", "0".repeat(digits as usize));
    match draws.below(4) {
        0 => format!("{mantissa}e{exponent}"),
        1 => format!("{}.0E{}", scaled(1), exponent - 1),
        2 => format!("+{mantissa}.00e{exponent}"),
        // As a plain decimal: mantissas here have one digit.
        _ => format!("0.{}{mantissa}0", "0".repeat((-exponent - 1) as usize)),
    }
}

pub(super) fn inline(value: &Content, draws: &mut Draws) -> String {
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

pub(super) fn quoted(key: &str, draws: &mut Draws) -> String {
    match draws.below(if key.contains('.') { 2 } else { 4 }) {
        0 => format!("\"{key}\""),
        1 => format!("'{key}'"),
        _ => key.to_owned(),
    }
}

/// A table as lines, its tables with headers of their own, inline or dotted.
pub(super) fn write(table: &Table, at: &str, text: &mut String, draws: &mut Draws) {
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
pub(super) fn settings(axes: &Table, draws: &mut Draws) -> Table {
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
pub(super) struct Written {
    pub(super) main: String,
    pub(super) included: String,
    pub(super) overrides: Vec<String>,
}

pub(super) fn written(spec: &Spec, draws: &mut Draws) -> Written {
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
