//! A log of nine days that tests change, and what they ask of its preparation.

use super::*;
use crate::Summary;
pub(super) use crate::{RowSubset, prepare};
use std::fmt::Write;

pub(super) const HEAD: &str = r#"source = "table"
default_protocol = "all"
columns = ["day", "user", "item", "x", "click", "like"]
user = "user"
optional = ["x"]
[files.log]
name = "log.csv"
[split]
kind = "time"
column = "day"
validation_from = 8
test_from = 9
[features]
item = { kind = "categorical" }
x = { kind = "numeric", transform = ["standardise"] }
[protocols.all]
tasks = ["click"]
[tasks.click]
label = "click"
group = "a"
"#;

/// Nine days of forty rows: day, user, item, x, click, like.
pub(super) fn log(change: impl Fn(usize, &mut [String; 6])) -> String {
    let mut text = "day,user,item,x,click,like\n".to_owned();
    for row in 0..360 {
        let mut fields = [
            (row / 40 + 1).to_string(),
            format!("u{}", row % 7),
            format!("i{}", row % 5),
            format!("{}.5", row as i64 % 11 - 5),
            ((row * 7 % 10 < 3) as u8).to_string(),
            ((row * 3 % 10 < 5) as u8).to_string(),
        ];
        change(row, &mut fields);
        let _ = writeln!(text, "{}", fields.join(","));
    }
    text
}

pub(super) fn shop(described: &str, log: &str) -> Dataset {
    let dataset = Dataset::described(described, "", "");
    dataset.write("data/shop/log.csv", log);
    dataset
}

pub(super) fn summary_of(dataset: &Dataset, rows: RowSubset) -> Summary {
    let reference = DatasetRef {
        rows,
        ..DatasetRef::new("shop")
    };
    prepare(&reference, &dataset.places(), &mut Notices::default()).unwrap()
}

pub(super) fn summary(described: &str, log: &str) -> Summary {
    summary_of(&shop(described, log), RowSubset::All)
}

pub(super) fn sizes(summary: &Summary) -> [usize; 3] {
    [
        summary.train.rows,
        summary.validation.rows,
        summary.test_rows,
    ]
}

/// Observed and positive training rows of each task.
pub(super) fn train(summary: &Summary) -> Vec<(usize, usize)> {
    let counts = summary.train.observed.iter().zip(&summary.train.positives);
    counts
        .map(|(observed, positives)| (*observed, *positives))
        .collect()
}

pub(super) fn with_tasks(tasks: &[(&str, &str)]) -> String {
    let head = HEAD.split("[protocols.all]").next().unwrap();
    let names: Vec<String> = tasks.iter().map(|(name, _)| format!("{name:?}")).collect();
    let mut text = format!(
        "{head}[protocols.all]\ntasks = [{}]\nnot_inputs = [\"x\"]\n",
        names.join(", ")
    );
    for (name, body) in tasks {
        let _ = writeln!(text, "[tasks.{name}]\ngroup = \"a\"\n{body}");
    }
    text
}

pub(super) fn kinds(summary: &Summary) -> Vec<(&str, bool)> {
    summary
        .warnings
        .iter()
        .map(|warning| (warning.kind.as_str(), warning.is_loud))
        .collect()
}

pub(super) fn said<'a>(summary: &'a Summary, kind: &str) -> Vec<&'a str> {
    let of_kind = summary
        .warnings
        .iter()
        .filter(|warning| warning.kind == kind);
    of_kind.map(|warning| warning.message.as_str()).collect()
}
