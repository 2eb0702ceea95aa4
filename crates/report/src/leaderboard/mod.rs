//! Several results folders as one leaderboard: variants by their mean rank over datasets.
//!
//! Ranks are taken within a task, so that tasks of any kind and metric count alike; what differs between folders is said.

mod page;
mod ranks;

use crate::analysis::{Analysis, Run, Split};
use crate::drawn::{Drawn, NewFile};
use crate::figure::Figure;
use crate::statistics::Interval;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_metric::Metric;
use homebench_results::read::context::dataset_contents;
use homebench_results::read::{Results, distinct};
use ranks::{RankedDataset, Ranks, TaskScores, ranks};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Fewer variants can't be ranked.
const FEWEST_VARIANTS: usize = 2;

/// Variants over the datasets of several folders.
pub struct Leaderboard {
    /// The variants that every folder has, best first.
    variants: Vec<String>,
    /// The datasets, in the order of the folders.
    datasets: Vec<Dataset>,
    /// Of the variants in their order.
    ranks: Ranks,
    /// What was left out, and what differs.
    notes: Vec<String>,
}

/// A dataset of the leaderboard.
struct Dataset {
    name: String,
    folders: Vec<String>,
    tasks: Vec<String>,
    metrics: Vec<&'static str>,
    num_runs: Vec<usize>,
}

/// A folder as it is compared.
struct Part {
    name: String,
    analysis: Analysis,
    /// Hashes of its data, where they are known.
    contents: Vec<String>,
    variants: BTreeSet<String>,
}

/// The scores of a folder on a dataset.
struct Piece {
    dataset: String,
    contents: Vec<String>,
    folder: String,
    tasks: Vec<String>,
    metrics: Vec<&'static str>,
    num_runs: usize,
    scores: TaskScores,
}

/// A task on which some of the ranked variants have no test score in a folder.
struct Lacked {
    dataset: String,
    task: String,
    folder: String,
    variants: Vec<String>,
}

impl Lacked {
    fn note(&self) -> String {
        let have = if self.variants.len() == 1 {
            "has"
        } else {
            "have"
        };
        format!(
            "{}: {} is left out, since {} {have} no test score on it in {}",
            self.dataset,
            self.task,
            crate::format::named(self.variants.clone()),
            self.folder
        )
    }
}

/// A row of the leaderboard.
struct Ranked<'a> {
    variant: &'a str,
    mean: f64,
    interval: Interval,
    first: f64,
    of_datasets: Vec<f64>,
}

impl Leaderboard {
    /// Reads folders and ranks the variants that all of them have. One that shares too few with the others is left out, which is said.
    ///
    /// # Errors
    /// A folder that can't be read; folders no two of which share two variants.
    pub fn read(folders: &[PathBuf]) -> Result<Self> {
        let parts = folders.iter().map(|folder| Part::read(folder));
        let parts: Vec<Part> = parts.collect::<Result<_>>()?;
        let (parts, mut notes) = sharing(parts)?;
        let shared = shared(&parts.iter().collect::<Vec<_>>());
        // In the order of the first folder: that of its plan.
        let order = parts[0].analysis.summary.variants.iter();
        let variants: Vec<String> = order
            .filter(|name| shared.contains(*name))
            .cloned()
            .collect();
        notes.extend(only_here(&parts, &shared));
        let lacked: Vec<Lacked> = parts
            .iter()
            .flat_map(|part| part.lacked(&variants))
            .collect();
        notes.extend(lacked.iter().map(Lacked::note));
        let mut pieces = Vec::new();
        for part in &parts {
            pieces.extend(part.pieces(&variants, &lacked, &mut notes));
        }
        if pieces.is_empty() {
            return Err(nothing_to_rank(&parts, &lacked).into());
        }
        let (datasets, ranked) = grouped(pieces);
        notes.extend(page::differences(&datasets));
        let found = ranks(&ranked);
        let mut board = Self {
            variants,
            datasets,
            ranks: found,
            notes,
        };
        board.sort();
        Ok(board)
    }

    /// Best first; of equals the order of the plan.
    fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.variants.len()).collect();
        let means = &self.ranks.means;
        order.sort_by(|a, b| means[*a].total_cmp(&means[*b]).then(a.cmp(b)));
        let picked =
            |values: &[f64]| -> Vec<f64> { order.iter().map(|place| values[*place]).collect() };
        let ranks = &self.ranks;
        let sorted = Ranks {
            means: picked(&ranks.means),
            intervals: order.iter().map(|place| ranks.intervals[*place]).collect(),
            first: picked(&ranks.first),
            of_datasets: ranks.of_datasets.iter().map(|row| picked(row)).collect(),
        };
        self.variants = order
            .iter()
            .map(|place| self.variants[*place].clone())
            .collect();
        self.ranks = sorted;
    }

    fn entries(&self) -> impl Iterator<Item = Ranked<'_>> {
        let variants = self.variants.iter().enumerate();
        variants.map(|(place, variant)| Ranked {
            variant,
            mean: self.ranks.means[place],
            interval: self.ranks.intervals[place],
            first: self.ranks.first[place],
            of_datasets: self
                .ranks
                .of_datasets
                .iter()
                .map(|row| row[place])
                .collect(),
        })
    }

    /// Writes `report.md`, `report.html`, `tables/ranks.{md,tex,csv}` and `figures/ranks.{svg,png}` into a folder that is there, and
    /// returns their paths.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let figure: Figure = self.figure()?;
        let mut files: Vec<NewFile> = self.pages(&figure)?;
        files.extend(crate::figure::all_files(std::slice::from_ref(&figure))?);
        let (paths, _) = Drawn::open(folder)?.replace(&files, |_| false)?;
        Ok(paths)
    }
}

impl Part {
    fn read(folder: &Path) -> Result<Self> {
        let analysis = Analysis::new(Results::read(folder)?, None)?;
        // A variant that failed everywhere has no score to be ranked by.
        let has_score = |variant: &usize| {
            let mut rows = analysis.comparisons.iter().flat_map(|one| &one.panels);
            rows.any(|rows| rows[*variant].test.mean.is_some())
        };
        let places = (0..analysis.summary.variants.len()).filter(has_score);
        let variants = places
            .map(|place| analysis.summary.variants[place].clone())
            .collect();
        Ok(Self {
            name: folder.display().to_string(),
            contents: dataset_contents(folder)?,
            variants,
            analysis,
        })
    }

    /// The tasks that some of these variants lack, of the datasets on which all of them have a score.
    fn lacked(&self, variants: &[String]) -> Vec<Lacked> {
        let summary = &self.analysis.summary;
        let has = |variant: &String, panel: usize| {
            let metric = self.analysis.main_metric(panel);
            let place = summary.variant_place(variant).zip(metric);
            place.is_some_and(|(variant, metric)| {
                !summary
                    .values(Split::Test, variant, panel, metric)
                    .is_empty()
            })
        };
        let panels =
            || (0..summary.panels.len()).filter(|panel| self.analysis.main[*panel].is_some());
        let is_ranked = |panel: &usize| {
            let dataset = &summary.panels[*panel].dataset;
            let same = || panels().filter(|other| summary.panels[*other].dataset == *dataset);
            variants
                .iter()
                .all(|variant| same().any(|panel| has(variant, panel)))
        };
        let lacked = panels().filter(is_ranked).filter_map(|panel| {
            let without = variants.iter().filter(|variant| !has(variant, panel));
            let without: Vec<String> = without.cloned().collect();
            (!without.is_empty()).then(|| Lacked {
                dataset: summary.panels[panel].dataset.clone(),
                task: summary.panels[panel].task.clone(),
                folder: self.name.clone(),
                variants: without,
            })
        });
        lacked.collect()
    }

    /// The scores of these variants, a piece for each of the folder's datasets.
    fn pieces(
        &self,
        variants: &[String],
        lacked: &[Lacked],
        notes: &mut Vec<String>,
    ) -> Vec<Piece> {
        let summary = &self.analysis.summary;
        let datasets = distinct(summary.panels.iter().map(|panel| panel.dataset.clone()));
        let is_alone = datasets.len() == 1;
        let piece = |dataset: String| {
            let found = self.piece(variants, lacked, &dataset, is_alone);
            if found.is_none() {
                notes.push(format!(
                    "{}: {dataset} is left out, since in none of its runs all shared variants have a score",
                    self.name
                ));
            }
            found
        };
        datasets.into_iter().filter_map(piece).collect()
    }

    fn piece(
        &self,
        variants: &[String],
        lacked: &[Lacked],
        dataset: &str,
        is_alone: bool,
    ) -> Option<Piece> {
        let summary = &self.analysis.summary;
        // In every folder, whichever lacks it: the same data would otherwise be two datasets.
        let is_left_out = |panel: &usize| {
            let task = &summary.panels[*panel].task;
            let mut lacked = lacked.iter();
            lacked.any(|one| one.dataset == dataset && one.task == *task)
        };
        let panels = 0..summary.panels.len();
        let tasks: Vec<(usize, Metric)> = panels
            .filter(|panel| summary.panels[*panel].dataset == dataset)
            .filter(|panel| !is_left_out(panel))
            .filter_map(|panel| Some((panel, self.analysis.main_metric(panel)?)))
            .collect();
        let places: Option<Vec<usize>> = variants
            .iter()
            .map(|name| summary.variant_place(name))
            .collect();
        let places = places?;
        let sample = |variant: usize, (panel, metric): (usize, Metric)| {
            summary.sample(Split::Test, variant, panel, metric)
        };
        // Runs in which every variant has a score on every task: the others would be ranked by other runs.
        let first = tasks.first()?;
        let has_all = |run: &Run| {
            let mut all = tasks
                .iter()
                .flat_map(|task| places.iter().map(|place| (*place, *task)));
            all.all(|(place, task)| sample(place, task).get(run).is_some_and(Option::is_some))
        };
        let runs: Vec<Run> = sample(places[0], *first)
            .keys()
            .copied()
            .filter(has_all)
            .collect();
        let values = tasks.iter().map(|task| {
            let sign = if task.1.higher_is_better() == Some(false) {
                -1.0
            } else {
                1.0
            };
            let of_variant = |place: &usize| -> Vec<f64> {
                let scores = sample(*place, *task);
                let values = runs
                    .iter()
                    .filter_map(|run| scores.get(run).copied().flatten());
                values.map(|value| sign * value).collect()
            };
            places.iter().map(of_variant).collect()
        });
        let metrics = distinct(tasks.iter().map(|(_, metric)| metric.title()));
        (!runs.is_empty()).then(|| Piece {
            dataset: dataset.to_owned(),
            // Of several datasets it isn't known which hash is whose.
            contents: if is_alone {
                self.contents.clone()
            } else {
                Vec::new()
            },
            folder: self.name.clone(),
            tasks: tasks
                .iter()
                .map(|(panel, _)| summary.panels[*panel].task.clone())
                .collect(),
            metrics,
            num_runs: runs.len(),
            scores: TaskScores {
                values: values.collect(),
            },
        })
    }
}

/// Pieces of the same data, with the same tasks, are one dataset: it would count twice otherwise.
fn grouped(pieces: Vec<Piece>) -> (Vec<Dataset>, Vec<RankedDataset>) {
    let mut datasets: Vec<Dataset> = Vec::new();
    let mut keys: Vec<(String, Vec<String>, Vec<String>)> = Vec::new();
    let mut ranked: Vec<RankedDataset> = Vec::new();
    for piece in pieces {
        let key = (piece.dataset.clone(), piece.contents, piece.tasks.clone());
        let place = match keys.iter().position(|known| *known == key) {
            Some(place) => place,
            None => {
                let same_name = datasets
                    .iter()
                    .filter(|one| one.name.starts_with(&piece.dataset));
                let name = match same_name.count() {
                    0 => piece.dataset.clone(),
                    // Told apart by where it is: other tasks, inputs or rows under one name.
                    _ => format!("{} ({})", piece.dataset, piece.folder),
                };
                keys.push(key);
                datasets.push(Dataset {
                    name,
                    folders: Vec::new(),
                    tasks: piece.tasks,
                    metrics: piece.metrics,
                    num_runs: Vec::new(),
                });
                ranked.push(RankedDataset {
                    folders: Vec::new(),
                });
                datasets.len() - 1
            }
        };
        datasets[place].folders.push(piece.folder);
        datasets[place].num_runs.push(piece.num_runs);
        ranked[place].folders.push(piece.scores);
    }
    (datasets, ranked)
}

/// The variants that all of them have.
fn shared(parts: &[&Part]) -> BTreeSet<String> {
    let mut parts = parts.iter();
    let first = parts.next().map(|part| part.variants.clone());
    let both =
        |one: BTreeSet<String>, part: &&Part| one.intersection(&part.variants).cloned().collect();
    parts.fold(first.unwrap_or_default(), both)
}

/// The folders that share enough variants, and what is said of the others.
///
/// # Errors
/// No two of them do.
fn sharing(mut parts: Vec<Part>) -> Result<(Vec<Part>, Vec<String>), Diagnostic> {
    let without = |parts: &[Part], left_out: usize| {
        let others = parts.iter().enumerate();
        let others = others.filter(|(place, _)| *place != left_out);
        shared(&others.map(|(_, part)| part).collect::<Vec<_>>()).len()
    };
    let names: Vec<(String, Vec<String>)> = parts
        .iter()
        .map(|part| (part.name.clone(), part.variants.iter().cloned().collect()))
        .collect();
    let mut notes = Vec::new();
    while shared(&parts.iter().collect::<Vec<_>>()).len() < FEWEST_VARIANTS {
        if parts.len() <= 2 {
            return Err(nothing_shared(&names));
        }
        // The one without which most are shared; of equals the one that has fewest in common with all others together.
        let in_common = |place: usize| {
            let others = parts
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != place);
            let all: BTreeSet<&String> = others.flat_map(|(_, part)| &part.variants).collect();
            parts[place]
                .variants
                .iter()
                .filter(|name| all.contains(name))
                .count()
        };
        let worst = (0..parts.len()).max_by_key(|place| {
            (
                without(&parts, *place),
                std::cmp::Reverse(in_common(*place)),
            )
        });
        let gone = parts.remove(worst.unwrap_or(0));
        notes.push(format!(
            "{} is left out: it shares fewer than two variants with the others",
            gone.name
        ));
    }
    let num_shared = shared(&parts.iter().collect::<Vec<_>>()).len();
    let best = (0..parts.len()).max_by_key(|place| without(&parts, *place));
    if let Some(place) =
        best.filter(|place| parts.len() > 2 && without(&parts, *place) > num_shared)
    {
        notes.push(format!(
            "{num_shared} variants are in every folder; without {} it would be {}",
            parts[place].name,
            without(&parts, place)
        ));
    }
    Ok((parts, notes))
}

fn nothing_to_rank(parts: &[Part], lacked: &[Lacked]) -> Diagnostic {
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    let said = "no dataset has a run in which all shared variants have a test score";
    let hint = match lacked.is_empty() {
        true => {
            "`homebench status` says of each folder which cells failed or are missing".to_owned()
        }
        false => {
            let notes: Vec<String> = lacked.iter().map(Lacked::note).collect();
            format!(
                "name folders whose shared variants have a task in common; {}",
                notes.join("; ")
            )
        }
    };
    Diagnostic::new(names.join(", "), said).hint(hint)
}

fn nothing_shared(names: &[(String, Vec<String>)]) -> Diagnostic {
    let all: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let of_folder =
        |(name, variants): &(String, Vec<String>)| format!("{name} has {}", variants.join(", "));
    let said: Vec<String> = names.iter().map(of_folder).collect();
    Diagnostic::new(all.join(", "), "no two folders have two variants of the same name, so nothing can be ranked")
        .hint(format!(
            "name folders whose specs have variants in common, or run one spec's variants in the other by `include`; {}",
            said.join("; ")
        ))
}

/// The variants that are not ranked, since some folder lacks them.
fn only_here(parts: &[Part], shared: &BTreeSet<String>) -> Option<String> {
    let all = parts
        .iter()
        .flat_map(|part| part.analysis.summary.variants.clone());
    let others: Vec<String> = distinct(all)
        .into_iter()
        .filter(|name| !shared.contains(name))
        .collect();
    let named = crate::format::named(others.clone());
    (!others.is_empty()).then(|| format!("not ranked, since not every folder has them: {named}"))
}

#[cfg(test)]
mod tests;
