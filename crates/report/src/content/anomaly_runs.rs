//! In how many runs each of the three anomalies was there, by the limits that METHODOLOGY gives.

use super::anomalies::{ByVariant, Runs, number, values};
use super::indices::Index;
use super::paragraph;
use crate::analysis::Analysis;
use crate::document::{Block, Cell as Field, Table, strong, text};
use crate::format::{ABSENT, named};
use crate::statistics::{FEWEST_RUNS, Interval, mean, student_interval};
use std::collections::BTreeSet;

/// An expert with this share of zeros has collapsed.
const COLLAPSED_ZERO_RATE: f64 = 0.9;
/// So have the experts of a layer whose outputs differ so many times in size.
const COLLAPSED_DISPARITY: f64 = 10.0;
/// A shared expert is owned by a task that has this share of its gate weight.
const OWNED_OCCUPANCY: f64 = 0.9;

/// Of fewer tasks a rank correlation is not judged: of four, one in twelve orders at random has a rho of 1 or -1.
const FEWEST_TASKS: usize = 5;

const RHO: &str = "specific_weight_rho";
/// What rho is computed from: one for each task.
const WEIGHT: &str = "specific_weight";

/// Adds a table of what the definitions of the anomalies ask for, under a paragraph that gives them.
pub(super) fn push(blocks: &mut Vec<Block>, analysis: &Analysis, cells: &ByVariant) {
    blocks.push(paragraph(
        "Judged run by run. Collapse: some expert has a zero rate of .9 or more, or the experts of a layer a scale disparity of 10 \
         or more. Degradation: some shared expert has an occupancy of .9 or more. Underfitting: rho by layer (layers count from 0), \
         its mean over runs and Student's 95 % interval, cut at -1 and 1 and not corrected for the number of variants; above zero, the sparser \
         a task, the less its gate gives its own experts. It takes five tasks and three runs to be judged.",
    ));
    blocks.push(Block::Table(table(analysis, cells)));
}

/// Where each anomaly was there, in a sentence on every variant; nothing where no variant has any of their indices.
pub(super) fn in_short(analysis: &Analysis, cells: &ByVariant) -> Option<Block> {
    let variants = analysis.summary.variants.iter();
    let variants: Vec<(&str, &Runs)> = variants
        .filter_map(|name| Some((name.as_str(), cells.get(name.as_str())?)))
        .collect();
    let anomalies = [
        ("collapse", counted(&variants, has_collapsed)),
        ("degradation", counted(&variants, has_degraded)),
        ("underfitting", underfitting(&variants, &layers(cells))),
    ];
    let is_any_judged = layers(cells)
        .iter()
        .any(|layer| variants.iter().any(|(_, runs)| is_judged(runs, *layer)));
    let mut others = "";
    let mut said = Vec::new();
    for (anomaly, found) in anomalies {
        match found {
            None => {}
            Some(_) if anomaly == "underfitting" && !is_any_judged => {
                said.push(
                    "underfitting not judged, since it takes five tasks and three runs".to_owned(),
                );
            }
            Some(found) if found.is_empty() => said.push(format!("{anomaly} seen nowhere")),
            Some(found) => {
                said.push(format!("{anomaly} in {}", named(found)));
                others = " Of the others none is shown, or they have no part in which there could be one.";
            }
        }
    }
    (!said.is_empty()).then(|| {
        Block::Paragraph(vec![
            strong("Anomalies,"),
            text(format!(
                " as they are defined below for a run, with these settings of training: {}.{others}",
                said.join("; ")
            )),
        ])
    })
}

/// The variants of which some run shows an anomaly; nothing where none has its indices.
fn counted(
    variants: &[(&str, &Runs)],
    shows: fn(&[&Index]) -> Option<bool>,
) -> Option<Vec<String>> {
    let counts = variants.iter();
    let counts: Vec<(&str, (usize, usize))> = counts
        .filter_map(|(name, runs)| Some((*name, count(runs, shows)?)))
        .collect();
    let found = counts.iter().filter(|(_, (number, _))| *number > 0);
    let words = found.map(|(name, (number, all))| format!("{name} ({number} of {all} runs)"));
    (!counts.is_empty()).then(|| words.collect())
}

/// The variants and layers whose rho has an interval above zero; nothing where there is no rho.
fn underfitting(variants: &[(&str, &Runs)], layers: &BTreeSet<u64>) -> Option<Vec<String>> {
    let pairs = variants.iter();
    let pairs = pairs.flat_map(|(name, runs)| layers.iter().map(move |layer| (name, runs, layer)));
    let is_above = |runs: &Runs, layer: u64| {
        is_judged(runs, layer)
            && rho_interval(&rhos(runs, layer)).is_some_and(|interval| interval.low > 0.0)
    };
    let found = pairs.filter(|(_, runs, layer)| is_above(runs, **layer));
    let words = found.map(|(name, runs, layer)| {
        format!("{name} in layer {layer} (rho {})", rho(runs, *layer).text)
    });
    (!layers.is_empty()).then(|| words.collect())
}

fn layers(cells: &ByVariant) -> BTreeSet<u64> {
    let all = cells.values().flat_map(Runs::values).flatten();
    let of_rho = all.filter(|index| index.metric == RHO);
    of_rho.map(|index| index.layer).collect()
}

fn table(analysis: &Analysis, cells: &ByVariant) -> Table {
    let layers = layers(cells);
    let mut table = Table::new(&["variant", "runs with collapse", "runs with degradation"]);
    let titles = layers.iter().map(|layer| format!("rho, layer {layer}"));
    table.header.extend(titles);
    for &variant in &analysis.shown {
        let name = &analysis.summary.variants[variant];
        let Some(runs) = cells.get(name.as_str()) else {
            continue;
        };
        let mut row = vec![
            Field::words(name),
            share_of_runs(runs, has_collapsed),
            share_of_runs(runs, has_degraded),
        ];
        row.extend(layers.iter().map(|layer| rho(runs, *layer)));
        table.push(row);
    }
    table
}

/// Whether a run shows an anomaly; nothing where it has none of its indices.
fn has_collapsed(indices: &[&Index]) -> Option<bool> {
    let (zero_rates, disparities) = (
        values(indices, "zero_rate"),
        values(indices, "scale_disparity"),
    );
    let is_measured = !zero_rates.is_empty() || !disparities.is_empty();
    let is_zero = zero_rates.iter().any(|rate| *rate >= COLLAPSED_ZERO_RATE);
    let differs = disparities
        .iter()
        .any(|times| *times >= COLLAPSED_DISPARITY);
    is_measured.then_some(is_zero || differs)
}

fn has_degraded(indices: &[&Index]) -> Option<bool> {
    let shares = values(indices, "occupancy");
    (!shares.is_empty()).then(|| shares.iter().any(|share| *share >= OWNED_OCCUPANCY))
}

/// In how many runs of how many an anomaly was there; nothing where none has its indices.
fn count(runs: &Runs, shows: fn(&[&Index]) -> Option<bool>) -> Option<(usize, usize)> {
    let found: Vec<bool> = runs.values().filter_map(|indices| shows(indices)).collect();
    let number = found.iter().filter(|shown| **shown).count();
    (!found.is_empty()).then_some((number, found.len()))
}

fn share_of_runs(runs: &Runs, shows: fn(&[&Index]) -> Option<bool>) -> Field {
    let Some((number, all)) = count(runs, shows) else {
        return Field::number(ABSENT, None);
    };
    Field::number(
        format!("{number} of {all}"),
        Some(number as f64 / all as f64),
    )
}

/// Each run's rho of a layer.
fn rhos(runs: &Runs, layer: u64) -> Vec<f64> {
    let all = runs.values().flatten();
    let of_layer = all.filter(|index| index.metric == RHO && index.layer == layer);
    of_layer.map(|index| index.value).collect()
}

/// Whether rho is of enough tasks, in enough runs.
fn is_judged(runs: &Runs, layer: u64) -> bool {
    let of_layer = |index: &&&Index| index.metric == WEIGHT && index.layer == layer;
    let tasks = |indices: &Vec<&Index>| {
        let weights = indices.iter().filter(of_layer);
        weights
            .map(|index| &index.task)
            .collect::<BTreeSet<_>>()
            .len()
    };
    rhos(runs, layer).len() >= FEWEST_RUNS && runs.values().all(|run| tasks(run) >= FEWEST_TASKS)
}

/// Student's interval of the mean of correlations that differ, cut where no correlation is: the mean can't lie beyond either, so this loses
/// nothing of what the interval covers.
fn rho_interval(values: &[f64]) -> Option<Interval> {
    let differ = values.iter().any(|value| *value != values[0]);
    let Interval { low, high } = student_interval(values).filter(|_| differ)?;
    Some(Interval {
        low: low.max(-1.0),
        high: high.min(1.0),
    })
}

/// The mean over runs, and its interval where it is more than one and they differ.
fn rho(runs: &Runs, layer: u64) -> Field {
    let values = rhos(runs, layer);
    let Some(mean) = mean(&values) else {
        return Field::number(ABSENT, None);
    };
    let interval = rho_interval(&values).map_or(String::new(), |ends| {
        format!(" [{}, {}]", number(ends.low), number(ends.high))
    });
    let judged = match is_judged(runs, layer) {
        true => "",
        false => ", not judged",
    };
    Field::number(format!("{}{interval}{judged}", number(mean)), Some(mean))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::anomalies::by_variant;
    use crate::content::indices::indices;
    use crate::document::{Document, table_to_markdown, to_markdown};
    use homebench_results::read::{Inside, Results};
    use homebench_results::sample::Sample;

    const HEAD: &str = "cell,variant,seed,epoch,step,layer,path,expert,task,metric,value\n";

    /// The table of three variants with three runs each, under the sentence on it.
    fn shown(experts: &str, gates: &str) -> String {
        let folder = Sample::default().write();
        let experts = format!("{HEAD}{experts}");
        // Gates have a column more, which is empty for a number of the gate.
        let gates = format!("{HEAD}{gates}").replace('\n', ",\n");
        let gates = gates.replacen("value,", "value,expert_path", 1);
        for (name, text) in [("experts.csv", experts), ("gates.csv", gates)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let results = Results::read(folder.path()).unwrap();
        let inside = Inside::read(&results).unwrap();
        let analysis = Analysis::new(results, None).unwrap();
        let found = indices(&analysis.results, &inside);
        let cells = by_variant(&analysis, &found);
        let sentence = in_short(&analysis, &cells).expect("something was measured");
        let sentence = to_markdown(&Document {
            title: String::new(),
            blocks: vec![sentence],
        });
        let table = table_to_markdown(&table(&analysis, &cells));
        format!("{}\n{table}", sentence.trim_start_matches(['#', '\n', ' ']))
    }

    fn row(cell: &str, layer: u64, metric: &str, value: f64) -> String {
        format!("{cell},v,0,3,585,{layer},p,0,t,{metric},{value}\n")
    }

    #[test]
    fn runs_are_counted_by_their_worst_expert_and_rho_is_given_by_layer() {
        let experts = [
            row("cell-0-0", 0, "zero_rate", 0.1),
            row("cell-0-0", 1, "zero_rate", 0.9),
            row("cell-0-1", 0, "zero_rate", 0.2),
            row("cell-0-1", 1, "scale_disparity", 10.0),
            row("cell-0-2", 0, "zero_rate", 0.899),
            row("cell-0-2", 0, "scale_disparity", 9.99),
            row("cell-1-0", 0, "occupancy", 0.95),
            row("cell-1-1", 0, "occupancy", 0.1),
            row("cell-1-1", 1, "occupancy", 0.89),
        ];
        let weights = (0..3).flat_map(|run| {
            (0..FEWEST_TASKS).map(move |task| {
                let weight = row(&format!("cell-0-{run}"), 0, WEIGHT, 0.2);
                weight.replace(",t,", &format!(",task {task},"))
            })
        });
        let gates = [
            row("cell-0-0", 0, RHO, 0.5),
            row("cell-0-1", 0, RHO, 0.6),
            row("cell-0-2", 0, RHO, 0.7),
            row("cell-1-0", 0, RHO, 0.25),
            row("cell-1-0", 1, RHO, -0.5),
            row("cell-1-1", 1, RHO, -0.5),
        ];
        // 0.1 / sqrt(3) times 4.302653, the .975 quantile of Student's t with two degrees of freedom, is 0.248.
        let gates: Vec<String> = weights.chain(gates).collect();
        insta::assert_snapshot!(shown(&experts.concat(), &gates.concat()), @r#"
        **Anomalies,** as they are defined below for a run, with these settings of
        training: collapse in shared-bottom (2 of 3 runs); degradation in MMoE (1 of 2
        runs); underfitting in shared-bottom in layer 0 (rho 0.600 [0.352, 0.848]). Of
        the others none is shown, or they have no part in which there could be one.

        | variant | runs with collapse | runs with degradation | rho, layer 0 | rho, layer 1 |
        | --- | ---: | ---: | ---: | ---: |
        | shared-bottom | 2 of 3 | - | 0.600 [0.352, 0.848] | - |
        | MMoE | - | 1 of 2 | 0.250, not judged | -0.500, not judged |
        "#);
    }
}
