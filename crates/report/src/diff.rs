//! Two results folders against each other: the same variants before and after a change, paired by seed.

use super::analysis::{Run, Sample, Split, Summary, check_external, pairs_of};
pub use super::diff_settings::SettingDifference;
use super::diff_settings::setting_differences;
pub use super::statistics::Verdict;
use super::statistics::{
    Evidence, Judgement, LEVEL, PairedDifference, judge as judged, mean, paired_difference,
};
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_metric::Metric;
use homebench_results::read::context::dataset_contents;
use homebench_results::read::{Cell, Results, distinct};
use std::path::Path;

/// What two folders have in common, judged, and what only one of them has.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff {
    /// One row per variant, task and metric of both, in the order of A.
    pub rows: Vec<DiffRow>,
    /// What the two folders' specs and data have otherwise: nothing where they are the same.
    pub settings: Vec<SettingDifference>,
    /// What could not be compared, in sentences.
    pub notes: Vec<String>,
    /// How many differences were tested, and corrected together.
    pub family: usize,
}

/// A variant, task and metric that both folders have.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffRow {
    /// Name of the variant.
    pub variant: String,
    /// The task, with its dataset where there are several.
    pub task: String,
    /// The metric.
    pub metric: Metric,
    /// Mean test value in A over the seeds that both have.
    pub mean_a: f64,
    /// The same in B.
    pub mean_b: f64,
    /// B minus A.
    pub difference: PairedDifference,
    /// The p-value after Holm's correction over every row.
    pub corrected_p_value: Option<f64>,
    /// Smallest true difference that a test of these seeds, corrected for as many rows, finds in four of five cases.
    pub smallest_detectable: Option<f64>,
    /// What is said of it.
    pub verdict: Verdict,
}

impl Diff {
    /// Rows of this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        let rows = self.rows.iter();
        rows.filter(|row| row.verdict == verdict).count()
    }
}

/// A folder as it is compared.
struct Side {
    name: String,
    results: Results,
    summary: Summary,
    contents: Vec<String>,
}

impl Side {
    fn read(folder: &Path) -> Result<Self> {
        let results = Results::read(folder)?;
        check_external(&results)?;
        Ok(Self {
            name: folder.display().to_string(),
            summary: Summary::new(&results)?,
            results,
            contents: dataset_contents(folder)?,
        })
    }
}

/// Compares B with A on the test split: on the metrics of these names, or on all that say on their own which is better.
///
/// # Errors
/// A file that can't be read, a metric that neither folder has or of which no way is better, or nothing in common.
pub fn diff(folder_a: &Path, folder_b: &Path, metrics: &[String]) -> Result<Diff> {
    let (a, b) = (Side::read(folder_a)?, Side::read(folder_b)?);
    let metrics = chosen(&a, &b, metrics)?;
    let mut rows = Vec::new();
    for (place_a, variant) in a.summary.variants.iter().enumerate() {
        for (panel_a, panel) in a.summary.panels.iter().enumerate() {
            let found = b.summary.place(variant, &panel.dataset, &panel.task);
            let Some((place_b, panel_b)) = found else {
                continue;
            };
            for metric in &metrics {
                let samples = (
                    a.summary.sample(Split::Test, place_a, panel_a, *metric),
                    b.summary.sample(Split::Test, place_b, panel_b, *metric),
                );
                rows.extend(row(variant, &panel.title, *metric, samples));
            }
        }
    }
    if rows.is_empty() {
        return Err(nothing_in_common(&a, &b).into());
    }
    let family = judge(&mut rows);
    Ok(Diff {
        rows,
        settings: setting_differences(folder_a, folder_b, (&a.contents, &b.contents))?,
        notes: notes(&a, &b),
        family,
    })
}

fn chosen(a: &Side, b: &Side, wanted: &[String]) -> Result<Vec<Metric>, Diagnostic> {
    let all = a.summary.metrics.iter().chain(&b.summary.metrics);
    let known = distinct(all.copied());
    if wanted.is_empty() {
        return Ok(known.into_iter().filter(|metric| metric.judges()).collect());
    }
    let names = || known.iter().map(|metric| metric.name());
    let check = |name: &String| {
        let Some(metric) = known.iter().find(|metric| metric.name() == name) else {
            let message = format!(
                "no such metric in either folder; there are {}",
                names().collect::<Vec<_>>().join(", ")
            );
            return Err(Diagnostic::new(name, message).did_you_mean(name, names()));
        };
        match metric.higher_is_better() {
            Some(_) => Ok(*metric),
            None => Err(Diagnostic::new(
                name,
                "of this metric neither way is better, so it has no verdict",
            )
            .hint("leave `--metric` away to compare every metric that has one")),
        }
    };
    wanted.iter().map(check).collect()
}

fn nothing_in_common(a: &Side, b: &Side) -> Diagnostic {
    let variants = |side: &Side| match side.summary.panels.is_empty() {
        true => format!("{} has no scores", side.name),
        false => format!(
            "{} has {} on {}",
            side.name,
            side.summary.variants.join(", "),
            side.summary
                .panels
                .iter()
                .map(|panel| panel.task.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    Diagnostic::new(
        format!("{} and {}", a.name, b.name),
        "no variant, task and seed with a test score is in both",
    )
    .hint(format!("{}; {}", variants(a), variants(b)))
}

fn row(variant: &str, task: &str, metric: Metric, (a, b): (&Sample, &Sample)) -> Option<DiffRow> {
    let pairs = pairs_of(b, a);
    let (values_b, values_a): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    Some(DiffRow {
        variant: variant.to_owned(),
        task: task.to_owned(),
        metric,
        mean_a: mean(&values_a)?,
        mean_b: mean(&values_b)?,
        difference: paired_difference(&pairs)?,
        corrected_p_value: None,
        // The spread for now; judged once the family is known.
        smallest_detectable: None,
        verdict: Verdict::NotJudged,
    })
}

/// Gives every row its verdict; returns how many were tested together.
fn judge(rows: &mut [DiffRow]) -> usize {
    let evidence = |row: &DiffRow| {
        let advantage = row.metric.advantage(row.difference.mean, 0.0);
        Some(Evidence::of(&row.difference, advantage))
    };
    let family: Vec<Option<Evidence>> = rows.iter().map(evidence).collect();
    let judged: Vec<_> = judged(&family).into_iter().flatten().collect();
    let is_tested = |one: &&Judgement| one.corrected_p_value.is_some();
    let num_tested = judged.iter().filter(is_tested).count();
    let level = LEVEL / num_tested.max(1) as f64;
    for (row, judgement) in rows.iter_mut().zip(judged) {
        row.verdict = judgement.verdict;
        row.corrected_p_value = judgement.corrected_p_value;
        row.smallest_detectable = judgement
            .corrected_p_value
            .and_then(|_| row.difference.smallest_at(level));
    }
    num_tested
}

/// What only one folder has.
fn notes(a: &Side, b: &Side) -> Vec<String> {
    let mut notes = Vec::new();
    for (here, there) in [(a, b), (b, a)] {
        let missing = |side: &Side, name: &String| !side.summary.variants.contains(name);
        let variants: Vec<&str> = here
            .summary
            .variants
            .iter()
            .filter(|name| missing(there, name))
            .map(String::as_str)
            .collect();
        if !variants.is_empty() {
            notes.push(format!("only in {}: {}", here.name, variants.join(", ")));
        }
        let panels = here.summary.panels.iter();
        let tasks: Vec<&str> = panels
            .filter(|panel| {
                !there
                    .summary
                    .panels
                    .iter()
                    .any(|other| (&other.dataset, &other.task) == (&panel.dataset, &panel.task))
            })
            .map(|panel| panel.title.as_str())
            .collect();
        if !tasks.is_empty() {
            notes.push(format!("tasks only in {}: {}", here.name, tasks.join(", ")));
        }
    }
    for variant in a
        .summary
        .variants
        .iter()
        .filter(|name| b.summary.variants.contains(name))
    {
        notes.extend(seeds_note(a, b, variant));
        notes.extend(seeds_note(b, a, variant));
    }
    notes.extend([a, b].into_iter().filter_map(failures_note));
    if !a.contents.is_empty() && !b.contents.is_empty() && a.contents != b.contents {
        notes.push(
            "the two were not run on the same data (their content hashes differ), so differences may come from it"
                .to_owned(),
        );
    }
    notes
}

fn seeds_note(here: &Side, there: &Side, variant: &str) -> Option<String> {
    let done = |side: &Side| -> Vec<Run> {
        let cells = side.results.cells.iter();
        let cells = cells.filter(|cell| cell.variant == variant && cell.failure.is_none());
        cells.map(|cell| (cell.seed, cell.split_seed)).collect()
    };
    let others = done(there);
    let mut only = done(here);
    only.retain(|run| !others.contains(run));
    if only.is_empty() {
        return None;
    }
    let words = match only.iter().any(|(_, split)| split.is_some()) {
        true => {
            let words = only.iter().map(|(seed, split)| match split {
                Some(split) => format!("{seed} on split {split}"),
                None => seed.to_string(),
            });
            words.collect::<Vec<_>>().join(", ")
        }
        false => super::format::seeds(only.iter().map(|(seed, _)| *seed).collect()),
    };
    let name = &here.name;
    Some(format!("{variant}: done only in {name}: seeds {words}"))
}

fn failures_note(side: &Side) -> Option<String> {
    let failed = |cell: &&Cell| cell.failure.is_some();
    let failed: Vec<String> = side
        .results
        .cells
        .iter()
        .filter(failed)
        .map(|cell| format!("{}/{}", cell.variant, cell.seed))
        .collect();
    (!failed.is_empty()).then(|| format!("failed in {}: {}", side.name, failed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::sample::Sample as Folder;

    fn compared(a: &Folder, b: &Folder) -> Diff {
        diff(a.write().path(), b.write().path(), &[]).unwrap()
    }

    fn verdicts(diff: &Diff) -> Vec<(&str, &str, &str, Verdict)> {
        let rows = diff.rows.iter();
        rows.map(|row| {
            (
                row.variant.as_str(),
                row.task.as_str(),
                row.metric.name(),
                row.verdict,
            )
        })
        .collect()
    }

    #[test]
    fn a_folder_is_identical_to_itself() {
        let same = compared(&Folder::default(), &Folder::default());
        assert_eq!(same.count(Verdict::Identical), 3 * 2 * 2);
        assert_eq!((same.family, same.notes.len()), (0, 0));
    }

    #[test]
    fn a_clear_fall_is_worse_in_auc_and_in_loss_and_only_where_it_fell() {
        let num_seeds = 5;
        let before = Folder {
            num_seeds,
            ..Folder::default()
        };
        let after = Folder {
            num_seeds,
            step: 0.001,
            jitter: 0.0002,
            ..Folder::default()
        };
        let found = compared(&before, &after);
        assert_eq!(found.family, 12);
        for (variant, task, metric, verdict) in verdicts(&found) {
            let expected = if variant == "shared-bottom" {
                Verdict::NoDifferenceSeen
            } else {
                Verdict::Worse
            };
            assert_eq!(verdict, expected, "{variant} {task} {metric}");
        }
        let back = compared(&after, &before);
        assert_eq!(back.count(Verdict::Better), 8);
    }

    #[test]
    fn what_was_not_seen_comes_with_what_could_have_been() {
        let after = Folder {
            jitter: 0.002,
            ..Folder::default()
        };
        let found = compared(&Folder::default(), &after);
        assert_eq!(found.count(Verdict::NoDifferenceSeen), 12);
        for row in &found.rows {
            let smallest = row.smallest_detectable.unwrap();
            assert!(
                smallest > row.difference.smallest_detectable.unwrap(),
                "corrected for twelve tests"
            );
        }
    }

    #[test]
    fn one_seed_has_no_verdict() {
        let one = |jitter| Folder {
            num_seeds: 1,
            jitter,
            ..Folder::default()
        };
        let found = compared(&one(0.0), &one(0.001));
        // At the first variant's only seed the jitter is zero on one task.
        let counts = [Verdict::NotJudged, Verdict::Identical].map(|verdict| found.count(verdict));
        assert_eq!(counts, [10, 2]);
    }

    #[test]
    fn what_only_one_folder_has_is_said() {
        let before = Folder {
            failed: vec![(0, 1)],
            ..Folder::default()
        };
        let after = Folder {
            variants: ["shared-bottom", "HoME", "PLE"].map(str::to_owned).into(),
            tasks: vec!["income".to_owned()],
            num_seeds: 5,
            ..Folder::default()
        };
        let (a, b) = (before.write(), after.write());
        let found = diff(a.path(), b.path(), &["auc".to_owned()]).unwrap();
        assert_eq!(found.rows.len(), 2);
        assert_eq!(found.rows[0].difference.num_pairs, 2);
        let notes = found.notes.join("\n");
        let notes = notes.replace(&a.path().display().to_string(), "A");
        insta::assert_snapshot!(notes.replace(&b.path().display().to_string(), "B"), @r"
        only in A: MMoE
        tasks only in A: never_married
        only in B: PLE
        shared-bottom: done only in B: seeds 1, 3, 4
        HoME: done only in B: seeds 3, 4
        failed in A: shared-bottom/1
        ");
    }
}
