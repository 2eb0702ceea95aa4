//! How far the findings can be trusted, one reason an item.

use super::tuning_tables;
use crate::analysis::{Analysis, Comparison, Sample, Split};
use crate::document::{Block, Span, text};
use crate::format::{self, counted, listed, named};
use crate::statistics::{FEWEST_RUNS, PairedDifference, auc_margin, smallest_p_value};
use homebench_metric::Metric;
use homebench_results::read::distinct;

/// Adds the section.
pub(super) fn push(blocks: &mut Vec<Block>, analysis: &Analysis) {
    blocks.push(Block::Heading("How sure".to_owned()));
    blocks.push(Block::List(items(analysis)));
}

/// The same in a few sentences, for the first screen.
pub(crate) fn in_short(analysis: &Analysis) -> String {
    let seeds = distinct(analysis.results.own_cells().map(|cell| cell.seed));
    let mut said = vec![format!(
        "{} ({}), paired; a difference holds if its p, after Holm's correction, is below .05 over {FEWEST_RUNS} runs or more.",
        counted(seeds.len(), "seed"),
        format::seeds(seeds.clone())
    )];
    let metrics = effects(analysis);
    if !metrics.is_empty() {
        said.push(format!(
            "Before any correction a true difference of {} would have been found in four of five such experiments.",
            listed(metrics)
        ));
    }
    let tuning = &analysis.results.tuning;
    said.push(match tuning.is_empty() {
        true => "Nothing was tuned.".to_owned(),
        false => format!(
            "Tuned on validation, {} in all.",
            counted(
                distinct(tuning.iter().map(|row| (&row.variant, row.trial))).len(),
                "trial"
            )
        ),
    });
    let cut = still_improving_runs(analysis);
    if !cut.is_empty() {
        said.push(format!(
            "Still improving when training ended: {}.",
            shortly(cut)
        ));
    }
    said.extend(identical(analysis));
    said.extend(never_learned(analysis));
    let cells: Vec<bool> = analysis
        .results
        .own_cells()
        .map(|cell| cell.failure.is_some())
        .collect();
    let failed = cells.iter().filter(|failed| **failed).count();
    if failed > 0 {
        said.push(format!(
            "{failed} of {} failed and are in no mean.",
            counted(cells.len(), "cell")
        ));
    }
    said.join(" ")
}

/// Of many names the first few.
fn shortly(mut names: Vec<String>) -> String {
    const MOST: usize = 4;
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    listed(names)
}

/// Scores that stand in no table and no comparison, since nobody trained what they are of.
fn never_learned(analysis: &Analysis) -> Option<String> {
    let summary = &analysis.summary;
    let pairs = &summary.never_learned;
    let variants = distinct(pairs.iter().map(|(variant, _)| *variant));
    let of = |variant: usize| {
        let own = pairs.iter().filter(|(other, _)| *other == variant);
        let tasks = own.map(|(_, panel)| summary.panels[*panel].task.clone());
        let tasks = listed(distinct(tasks));
        format!("{} on {tasks}", summary.variants[variant])
    };
    let names: Vec<String> = variants.into_iter().map(of).collect();
    let is_any = !names.is_empty();
    is_any.then(|| {
        format!(
            "Left out, as the task has the weight 0 in the loss and was never learned: {}.",
            names.join("; ")
        )
    })
}

/// Variants whose runs all have the same scores, and variants that have the scores of another one: nothing between them is chance.
fn identical(analysis: &Analysis) -> Vec<String> {
    let summary = &analysis.summary;
    let panels = || {
        (0..summary.panels.len()).filter_map(|panel| Some((panel, analysis.main_metric(panel)?)))
    };
    let scores = |variant: usize| -> Vec<&Sample> {
        let samples =
            panels().map(|(panel, metric)| summary.sample(Split::Test, variant, panel, metric));
        samples.collect()
    };
    let all: Vec<Vec<&Sample>> = (0..summary.variants.len()).map(scores).collect();
    let has_scores = |samples: &[&Sample]| samples.iter().any(|sample| !sample.is_empty());
    let is_constant = |samples: &[&Sample]| {
        let is_same = |sample: &&&Sample| {
            let mut values = sample.values();
            let first = values.next();
            values.all(|value| Some(value) == first)
        };
        let runs = samples.iter().map(|sample| sample.len()).max().unwrap_or(0);
        runs > 1 && samples.iter().all(|sample| is_same(&sample))
    };
    let constant: Vec<&String> = summary
        .variants
        .iter()
        .zip(&all)
        .filter(|(_, samples)| is_constant(samples))
        .map(|(variant, _)| variant)
        .collect();
    let mut said = Vec::new();
    if !constant.is_empty() {
        said.push(format!(
            "Identical with every seed, so its runs say nothing about chance: {}.",
            shortly(constant.into_iter().cloned().collect())
        ));
    }
    let mut pairs = Vec::new();
    for (place, samples) in all.iter().enumerate() {
        let mut before = all[..place].iter();
        let twin = before.position(|other| has_scores(other) && other == samples);
        pairs.extend(
            twin.map(|twin| format!("{} and {}", summary.variants[twin], summary.variants[place])),
        );
    }
    if !pairs.is_empty() {
        said.push(format!(
            "Identical to each other in every run: {}.",
            shortly(pairs)
        ));
    }
    said
}

/// What a reader should know before believing a difference.
fn items(analysis: &Analysis) -> Vec<Vec<Span>> {
    let items = [
        Some(runs(analysis)),
        few_seeds(analysis),
        detectable(analysis),
        rows(analysis),
        splits(analysis),
        tuned(analysis),
        one_tuning_seed(analysis),
        still_improving(analysis),
        failed(analysis),
    ];
    let items = items.into_iter().flatten();
    let items = items
        .chain(identical(analysis))
        .chain(never_learned(analysis))
        .chain(at_the_edge(analysis));
    items.map(|words| vec![text(words)]).collect()
}

/// The main metrics' differences to the baseline.
fn differences(analysis: &Analysis) -> impl Iterator<Item = (&Comparison, &PairedDifference)> {
    let panels = (0..analysis.summary.panels.len())
        .filter_map(|panel| Some((panel, analysis.main_of(panel)?)));
    panels.flat_map(|(panel, main)| {
        let rows = main.panels[panel].iter();
        rows.filter_map(move |row| Some((main, row.difference.as_ref()?)))
    })
}

fn runs(analysis: &Analysis) -> String {
    let seeds = distinct(analysis.results.own_cells().map(|cell| cell.seed));
    format!(
        "Each variant ran with {} ({}); they decide initial weights and the order of rows. Differences are between runs of the \
         same seed, their intervals and p-values Student's.",
        counted(seeds.len(), "seed"),
        format::seeds(seeds.clone()),
    )
}

fn few_seeds(analysis: &Analysis) -> Option<String> {
    let most = differences(analysis)
        .map(|(_, difference)| difference.num_pairs)
        .max()?;
    let seeds = counted(most, "seed");
    if most < FEWEST_RUNS {
        return Some(format!(
            "With {seeds} in common no difference is judged: that takes at least {FEWEST_RUNS}."
        ));
    }
    let least = smallest_p_value(most);
    (least > 0.05).then(|| {
        format!(
            "{seeds} are few: Student's intervals hold if differences between seeds are about normal, and nothing here can \
             show that they are. Without that assumption nothing could be shown: the sign-flip test's smallest p-value is \
             {least:.3}, and a bootstrap can only repeat {seeds}, so its intervals, in tables/, are too narrow."
        )
    })
}

/// The smallest effects that the experiment could have seen.
fn detectable(analysis: &Analysis) -> Option<String> {
    let metrics = effects(analysis);
    if metrics.is_empty() {
        return None;
    }
    let of_means = analysis.task_means.iter().flat_map(|means| &means.rows);
    let of_means = range(of_means.filter_map(|row| row.difference.as_ref()?.smallest_detectable));
    let of_means = of_means.map_or(String::new(), |words| {
        format!("; in the mean over tasks {words}, by variant")
    });
    Some(format!(
        "Smallest detectable effect: a true difference to {} has to be this large for a paired test at 5 %, before any \
         correction, to find it in four of five such experiments: {}{of_means}. A smaller one may be there unseen.",
        analysis.baseline_name(),
        listed(metrics),
    ))
}

/// The range of detectable effects by metric.
fn effects(analysis: &Analysis) -> Vec<String> {
    let metrics = analysis.main_metrics().into_iter().filter_map(|place| {
        let metric = analysis.comparisons[place].metric;
        let of_metric = differences(analysis).filter(|(main, _)| main.metric == metric);
        let effects = of_metric.filter_map(|(_, difference)| difference.smallest_detectable);
        let words = range(effects)?;
        Some(match words.contains(" to ") {
            true => format!("{words} in {} (by variant and task)", metric.title()),
            false => format!("{words} in {}", metric.title()),
        })
    });
    metrics.collect()
}

/// The smallest and the largest effect, or the one that they all are.
fn range(effects: impl Iterator<Item = f64>) -> Option<String> {
    let effects: Vec<f64> = effects.collect();
    let least = effects.iter().copied().reduce(f64::min)?;
    let most = effects.iter().copied().reduce(f64::max)?;
    let (least, most) = (format!("{least:.5}"), format!("{most:.5}"));
    Some(match least == most {
        true => least,
        false => format!("{least} to {most}"),
    })
}

/// How far another choice of test rows would move an AUC.
fn rows(analysis: &Analysis) -> Option<String> {
    let panels = analysis.summary.panels.iter().enumerate();
    let errors: Vec<String> = panels
        .filter_map(|(place, panel)| {
            let main = analysis
                .main_of(place)
                .filter(|main| main.metric == Metric::Auc)?;
            let auc = main.panels[place][main.standings[place].best?].test.mean?;
            let score = analysis.results.scores.iter().find(|score| {
                let cell = &analysis.results.cells[score.cell];
                score.split == "test"
                    && score.metric == Metric::Auc.name()
                    && score.task == panel.task
                    && cell.dataset == panel.dataset
            })?;
            let positives = score.positives?;
            let margin = auc_margin(auc, positives, score.rows - positives)?;
            Some(format!("{} ± {}", panel.title, format::score(Some(margin))))
        })
        .collect();
    if errors.is_empty() {
        return None;
    }
    Some(format!(
        "Seeds say nothing of the choice of test rows, which all variants share. Another test set of as many rows would move \
         the best AUC by about ({}; 95 %, Hanley and McNeil), every variant's in much the same way: a level is less sure \
         than a difference.",
        errors.join(", ")
    ))
}

fn splits(analysis: &Analysis) -> Option<String> {
    let splits = distinct(analysis.results.own_cells().map(|cell| cell.split_seed));
    (splits.len() > 1).then(|| {
        format!(
            "The rows were split in {} ways; every seed and split is one run here. Runs on one split share its rows, so they \
             are less independent than the intervals take them to be.",
            splits.len()
        )
    })
}

fn tuned(analysis: &Analysis) -> Option<String> {
    if !analysis.results.tuning.is_empty() {
        return None;
    }
    let mut words = "Nothing was tuned here: every variant ran with the settings of the spec. That one is ahead may say more of its settings than of its architecture."
        .to_owned();
    let externals = analysis.results.externals.iter();
    let trials = externals.map(|origin| origin.trials).max().unwrap_or(0);
    if trials > 0 {
        words += &format!(
            " External variants were tuned, with up to {} a task: they had the better chance.",
            counted(trials as usize, "trial")
        );
    }
    Some(words)
}

/// That a winner was chosen by one draw of weights.
fn one_tuning_seed(analysis: &Analysis) -> Option<String> {
    let tuning = &analysis.results.tuning;
    let seeds = distinct(tuning.iter().map(|trial| trial.seed));
    (seeds.len() == 1).then(|| {
        "Each trial of the tuning ran with one seed, so a winner may have been lucky, and its fresh seeds may not be.".to_owned()
    })
}

/// Winners with the first or the last of the values that were tried.
fn at_the_edge(analysis: &Analysis) -> Vec<String> {
    let edges = tuning_tables::at_the_edge(&analysis.results).into_iter();
    let words = edges.map(|(setting, variants)| {
        format!(
            "At the edge of the values tried; a better one may lie beyond: {setting} of {}.",
            listed(variants)
        )
    });
    words.collect()
}

/// Runs whose best epoch was their last, by variant: they were cut off, by the number of epochs or a limit on time.
fn still_improving_runs(analysis: &Analysis) -> Vec<String> {
    let runs = |variant: &String| {
        let cells = analysis.results.own_cells();
        let done = cells.filter(|cell| cell.variant == *variant && cell.failure.is_none());
        // A program of the user's trains at once, which counts as an epoch; nor are its parameters known.
        let done: Vec<bool> = done
            .filter(|cell| cell.parameters.is_some())
            .filter_map(|cell| Some(cell.selected_epoch? == cell.epochs_run?))
            .collect();
        let cut = done.iter().filter(|cut| **cut).count();
        (cut > 0).then(|| format!("{variant} ({cut} of {})", counted(done.len(), "run")))
    };
    analysis.summary.variants.iter().filter_map(runs).collect()
}

fn still_improving(analysis: &Analysis) -> Option<String> {
    let cut = still_improving_runs(analysis);
    (!cut.is_empty()).then(|| {
        format!(
            "Still improving when training ended; more epochs might change the order: {}.",
            named(cut)
        )
    })
}

fn failed(analysis: &Analysis) -> Option<String> {
    let failed = analysis
        .results
        .own_cells()
        .filter(|cell| cell.failure.is_some())
        .count();
    let cells = counted(analysis.results.own_cells().count(), "cell");
    (failed > 0).then(|| {
        format!("{failed} of {cells} failed and are missing from every mean; they are listed below. If a variant fails more often the worse it does, its mean flatters it.")
    })
}
