//! The three anomalies of experts and gates in numbers, where they were measured.

use super::indices::{Index, indices};
use super::{anomaly_runs, paragraph, table_link};
use crate::analysis::Analysis;
use crate::document::{Block, Cell as Field, Table, text};
use crate::format::ABSENT;
use crate::statistics::mean;
use homebench_results::read::Inside;
use std::collections::BTreeMap;

/// Adds the section, where anything was measured.
pub(super) fn push(blocks: &mut Vec<Block>, analysis: &Analysis, inside: &Inside) {
    let found = indices(&analysis.results, inside);
    let cells = &by_variant(analysis, &found);
    if cells.is_empty() {
        return;
    }
    blocks.push(Block::Heading("Experts and gates".to_owned()));
    blocks.extend(anomaly_runs::in_short(analysis, cells));
    blocks.push(paragraph(
        "With the weights of the selected epoch, on the validation split; means over runs. Collapse: the share of an expert's \
         outputs that are zero (mean over experts, and the worst expert), the share of its units that are zero on every row, and the \
         largest standard deviation of an expert over the smallest in its layer (the worst layer; \
         a layer in which an expert's outputs don't vary has no such number). Degradation: the share of a \
         shared expert's gate weight that its largest task has (mean and worst; one over the number of tasks is ideal, 1 is owned \
         by one task). Underfitting: the weight that a task's gate gives its own experts (the least over tasks, and of which task it is in \
         most runs); Spearman's rho between that weight and the tasks' positive rates is below, by layer. Spread: how much a gate's weights \
         differ from row to row (0 is a gate that ignores its input). Layers count from 0, the one next to the input: level 0, or HoME's \
         meta layer.",
    ));
    blocks.push(Block::Table(table(analysis, cells)));
    anomaly_runs::push(blocks, analysis, cells);
    blocks.push(Block::Paragraph(vec![
        text("Every expert and gate: "),
        table_link(&analysis.results, "experts.csv"),
        text(" and "),
        table_link(&analysis.results, "gates.csv"),
        text("."),
    ]));
}

/// How a cell's indices of one name become one number.
type Sum = fn(&[f64]) -> Option<f64>;

fn largest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

fn smallest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::min)
}

/// The weight that a task's gate gives its own experts; beside it stands whose is least.
const WEIGHT: &str = "specific_weight";

const COLUMNS: [(&str, &str, Sum); 8] = [
    ("zero rate", "zero_rate", mean),
    ("worst expert's", "zero_rate", largest),
    ("dead units", "dead_units", mean),
    ("scale disparity", "scale_disparity", largest),
    ("occupancy", "occupancy", mean),
    ("worst occupancy", "occupancy", largest),
    ("least weight on own experts", WEIGHT, smallest),
    ("gate spread", "spread", mean),
];

/// The indices of a variant's runs, by cell.
pub(super) type Runs<'a> = BTreeMap<usize, Vec<&'a Index>>;

/// Runs by the variant's name.
pub(super) type ByVariant<'a> = BTreeMap<&'a str, Runs<'a>>;

pub(super) fn by_variant<'a>(analysis: &'a Analysis, found: &'a [Index]) -> ByVariant<'a> {
    let mut cells = ByVariant::new();
    for index in found {
        let variant = analysis.results.cells[index.cell].variant.as_str();
        let runs = cells.entry(variant).or_default();
        runs.entry(index.cell).or_default().push(index);
    }
    cells
}

fn table(analysis: &Analysis, cells: &ByVariant) -> Table {
    let mut table = Table::new(&["variant"]);
    for (title, metric, _) in COLUMNS {
        table.header.push(title.to_owned());
        if metric == WEIGHT {
            table.header.push("of task".to_owned());
        }
    }
    for &variant in &analysis.shown {
        let name = &analysis.summary.variants[variant];
        let Some(cells) = cells.get(name.as_str()) else {
            continue;
        };
        let mut row = vec![Field::words(name)];
        for (_, metric, sum) in COLUMNS {
            let of_cell = |indices: &Vec<&Index>| sum(&values(indices, metric));
            let value = mean(&cells.values().filter_map(of_cell).collect::<Vec<_>>());
            row.push(Field::number(
                value.map_or(ABSENT.to_owned(), number),
                value,
            ));
            if metric == WEIGHT {
                row.push(Field::words(weakest(cells).unwrap_or(ABSENT)));
            }
        }
        table.push(row);
    }
    table
}

pub(super) fn values(indices: &[&Index], metric: &str) -> Vec<f64> {
    let of_metric = indices.iter().filter(|index| index.metric == metric);
    of_metric.map(|index| index.value).collect()
}

pub(super) fn number(value: f64) -> String {
    let digits = if value.abs() < 100.0 { 3 } else { 0 };
    let text = format!("{value:.digits$}");
    if text == "-0.000" {
        "0.000".to_owned()
    } else {
        text
    }
}

/// The task whose gate gives its own experts least, in most cells.
fn weakest<'a>(cells: &Runs<'a>) -> Option<&'a str> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for indices in cells.values() {
        let weights = indices.iter().filter(|index| index.metric == WEIGHT);
        if let Some(least) = weights.min_by(|a, b| a.value.total_cmp(&b.value)) {
            *times.entry(&least.task).or_default() += 1;
        }
    }
    let most = times.values().copied().max()?;
    times
        .into_iter()
        .find(|(_, count)| *count == most)
        .map(|(task, _)| task)
}
