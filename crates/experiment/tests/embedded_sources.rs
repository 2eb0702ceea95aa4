//! Keeps the part of docs/data.md on embedded sources true: its descriptions and its pieces of specs are accepted, and knobs that make no data are
//! refused at their place in the spec.

use homebench_data::schema::Description;
use homebench_data::{Places, check, prepare};
use homebench_experiment::spec::{Experiment, check_dataset, load, resolved_toml};
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../../docs/data.md");

/// What pieces of specs are put into.
const HEAD: &str = "question = \"What is this?\"\nseeds = [1]\n";
const VARIANTS: &str = "[variants.a]\nmodel = \"mmoe\"\n";

fn descriptions() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets")
}

/// The TOML of the section, block by block.
fn blocks() -> Vec<&'static str> {
    let (_, section) = PAGE
        .split_once("## Embedded sources and their knobs\n")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks = section.split("```toml\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

fn checked(text: &str) -> anyhow::Result<Experiment> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("spec.toml");
    std::fs::write(&path, text)?;
    let (experiment, source) = load(&path, &[])?;
    let places = Places::resolve(Some(&descriptions()), None, None);
    check_dataset(&experiment, &source, &places)?;
    Ok(experiment)
}

/// The knobs of the data at every point of the sweep.
fn knobs(experiment: &Experiment) -> Vec<toml::Table> {
    let datasets = experiment.datasets().into_iter();
    datasets.map(|dataset| dataset.knobs).collect()
}

#[test]
fn every_piece_of_a_spec_is_accepted_and_so_is_what_it_resolves_to() {
    let pieces = blocks()
        .into_iter()
        .filter(|block| block.contains("[dataset]"));
    let mut points = Vec::new();
    for piece in pieces {
        let text = format!("{HEAD}{piece}{VARIANTS}");
        let experiment = checked(&text).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
        let described = Description::load(&descriptions(), &experiment.dataset.name).unwrap();
        let resolved = resolved_toml(&experiment, &described.default_protocol);
        let again = checked(&resolved).unwrap_or_else(|error| panic!("{error:#}\n{resolved}"));
        assert_eq!(knobs(&again), knobs(&experiment), "{resolved}");
        points.push(experiment.datasets().len());
    }
    assert_eq!(points, [4, 3, 5, 1, 2, 2]);
}

#[test]
fn every_description_makes_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = 0;
    for block in blocks() {
        let Some(rest) = block.strip_prefix("# experiments/datasets/") else {
            continue;
        };
        let (name, _) = rest.split_once(".toml\n").unwrap();
        std::fs::write(folder.path().join(format!("{name}.toml")), block).unwrap();
        prepared(folder.path(), name);
        found += 1;
    }
    assert_eq!(found, 1);
    for name in ["feed-extra", "feed-small", "task-arc", "task-depths"] {
        prepared(&descriptions(), name);
    }
}

/// Prepares a small part of a described dataset.
fn prepared(descriptions: &Path, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let places = Places {
        descriptions: descriptions.to_owned(),
        data: folder.path().join("data"),
        cache: folder.path().join("cache"),
    };
    Description::load(descriptions, name).unwrap_or_else(|error| panic!("{error}"));
    let reference = homebench_data::DatasetRef {
        rows: homebench_data::RowSubset::TrainRows(500),
        ..homebench_data::DatasetRef::new(name)
    };
    let (tasks, _) = check(&reference, &places).unwrap();
    let summary = prepare(&reference, &places, &mut homebench_data::Quiet).unwrap();
    assert_eq!(summary.train.rows, 500);
    assert_eq!(summary.schema.tasks, tasks);
}

#[test]
fn knobs_that_make_no_data_are_refused_where_the_spec_has_them() {
    let refused = |dataset: &str, knob: &str, value: &str| {
        let text = format!(
            "{HEAD}{VARIANTS}[dataset]\nname = \"{dataset}\"\n[grid]\n\"dataset.{knob}\" = [{value}]\n"
        );
        let said = checked(&text).unwrap_err().to_string();
        said.split_once("spec.toml").unwrap().1.to_owned()
    };
    let all = [
        refused("feed", "observed_share", "{ like = 0.5 }, { like = 0.0 }"),
        refused("feed", "observed_share", "{ lik = 0.5 }"),
        refused("feed", "num_unrelated", "10"),
        refused("task-arc", "step_degrees", "0.0"),
        refused("task-arc", "label_scales", "{ t3 = 1.0 }, { t3 = 0.0 }"),
        refused("task-depths", "depths", "[1, 1, 2, 2, 3, 0]"),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    :8:45: `grid."dataset.observed_share".1`: `feed.observed_share.like`: expected a share above 0 and up to 1, found 0
    hint: write 1 where every row is observed; to leave a task out, take it out of [tasks] or give it the weight 0 in training
    :8:29: `grid."dataset.observed_share".0`: `feed.observed_share.lik`: there is no task `lik`; there are `effective_view`, `long_view`, `finish`, `replay`, `like`, `profile`, `comment`, `follow`, `forward`
    hint: did you mean `like`?
    :8:28: `grid."dataset.num_unrelated".0`: `feed.num_unrelated`: expected 0 to 9 tasks, found 10
    hint: the last so many tasks are made unrelated; describe more below [tasks]
    :8:27: `grid."dataset.step_degrees".0`: `arc.step_degrees`: expected an angle above 0 and up to 25, found 0
    hint: without waves the correlation of neighbours is the cosine of the step: .97 at 15 degrees, .91 at 25
    :8:41: `grid."dataset.label_scales".1`: `arc.label_scales.t3`: expected a factor from 0.000001 to 1000000, found 0
    hint: write 1 for labels as they are, or leave the task out
    :8:21: `grid."dataset.depths".0`: `network.depths.5`: expected a depth from 1 to 8, found 0
    hint: a task of depth 1 is linear in the inputs
    "#);
}
