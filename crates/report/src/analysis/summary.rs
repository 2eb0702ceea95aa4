//! Results by variant and panel: which seeds have which value.

use homebench_diagnostic::{Diagnostic, regular_file};
use homebench_metric::Metric;
use homebench_results::read::{Results, Score, distinct};
use homebench_results::tables::open_table;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::PathBuf;

/// What one value of a variant is paired by with those of others: its seed, and that of the split where there are several.
pub(crate) type Run = (u64, Option<u64>);

/// Values by seed, in rising order of seeds; a seed whose value is undefined has none.
pub(crate) type Sample = BTreeMap<Run, Option<f64>>;

/// A split that is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Split {
    Validation,
    Test,
}

/// A task of a dataset: what gets a chart panel or a column of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Panel {
    pub(crate) dataset: String,
    pub(crate) task: String,
    /// What to call it: the task, with the dataset before it where there are several.
    pub(crate) title: String,
}

/// Scores of a folder, ordered as `cells.csv` and `metrics.csv` have them.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    /// Variants in the order of `cells.csv`.
    pub(crate) variants: Vec<String>,
    /// Tasks in the order of `metrics.csv`.
    pub(crate) panels: Vec<Panel>,
    /// Metrics in the order of `metrics.csv`.
    pub(crate) metrics: Vec<Metric>,
    /// Variants and panels whose scores are left out, since the task has the weight 0 in the variant's loss.
    pub(crate) never_learned: Vec<(usize, usize)>,
    variant_places: HashMap<String, usize>,
    panel_places: HashMap<(String, String), usize>,
    samples: HashMap<(Split, usize, usize, Metric), Sample>,
}

impl Summary {
    /// Groups the folder's scores.
    ///
    /// # Errors
    /// A score of a metric that this version doesn't know, with file and line.
    pub(crate) fn new(results: &Results) -> Result<Self, Diagnostic> {
        let variants = distinct(results.cells.iter().map(|cell| cell.variant.clone()));
        let panels = panels(results);
        let key = |panel: &Panel| (panel.dataset.clone(), panel.task.clone());
        let mut summary = Self {
            variant_places: places(variants.iter().cloned()),
            panel_places: places(panels.iter().map(key)),
            variants,
            panels,
            metrics: Vec::new(),
            never_learned: Vec::new(),
            samples: HashMap::new(),
        };
        // In the order of the file: the first metrics and tasks in it come first wherever they are listed.
        for score in &results.scores {
            let metric = Metric::named(&score.metric).ok_or_else(|| unknown(results, score))?;
            let cell = &results.cells[score.cell];
            let place = summary.place(&cell.variant, &cell.dataset, &score.task);
            let (variant, panel) = place.expect("every score's variant and task were collected");
            let split = match &*score.split {
                "test" => Split::Test,
                _ => Split::Validation,
            };
            // Of a tower that nobody trained: it would be judged as if the model were bad at the task.
            if results.relations.never_learns(&cell.variant, &score.task) {
                let key = (variant, panel);
                if !summary.never_learned.contains(&key) {
                    summary.never_learned.push(key);
                }
                continue;
            }
            // There are few, so looking through them costs less than a set.
            if !summary.metrics.contains(&metric) {
                summary.metrics.push(metric);
            }
            let sample = summary.samples.entry((split, variant, panel, metric));
            let run = (cell.seed, cell.split_seed);
            sample.or_default().insert(run, score.value);
        }
        Ok(summary)
    }

    /// Values of a variant by seed; empty where no cell of it was scored.
    pub(crate) fn sample(
        &self,
        split: Split,
        variant: usize,
        panel: usize,
        metric: Metric,
    ) -> &Sample {
        static EMPTY: Sample = Sample::new();
        let found = self.samples.get(&(split, variant, panel, metric));
        found.unwrap_or(&EMPTY)
    }

    /// The defined values of a variant, in rising order of seeds.
    pub(crate) fn values(
        &self,
        split: Split,
        variant: usize,
        panel: usize,
        metric: Metric,
    ) -> Vec<f64> {
        let sample = self.sample(split, variant, panel, metric);
        sample.values().copied().flatten().collect()
    }

    /// Places of a variant and of a dataset's task; nothing for a task without scores.
    pub(crate) fn place(&self, variant: &str, dataset: &str, task: &str) -> Option<(usize, usize)> {
        let panel = (dataset.to_owned(), task.to_owned());
        Some((
            self.variant_place(variant)?,
            *self.panel_places.get(&panel)?,
        ))
    }

    /// Place of a variant.
    pub(crate) fn variant_place(&self, variant: &str) -> Option<usize> {
        self.variant_places.get(variant).copied()
    }
}

fn places<T: Eq + std::hash::Hash>(items: impl Iterator<Item = T>) -> HashMap<T, usize> {
    items
        .enumerate()
        .map(|(place, item)| (item, place))
        .collect()
}

fn panels(results: &Results) -> Vec<Panel> {
    let datasets = distinct(results.cells.iter().map(|cell| cell.dataset.clone()));
    let places = results
        .scores
        .iter()
        .map(|score| (&results.cells[score.cell].dataset, &score.task));
    let short = distinguishing(&datasets);
    let panels = distinct(places).into_iter().map(|(dataset, task)| Panel {
        title: match datasets.iter().position(|name| name == dataset) {
            Some(place) if datasets.len() > 1 => format!("{}: {task}", short[place]),
            _ => task.to_string(),
        },
        dataset: dataset.clone(),
        task: task.to_string(),
    });
    panels.collect()
}

/// What tells datasets apart: of one source whose knobs are set, as `feed[conflict=0,num_tasks=6]` is, the settings that differ; otherwise
/// their names.
fn distinguishing(datasets: &[String]) -> Vec<String> {
    let parsed: Option<Vec<(&str, Vec<&str>)>> = datasets
        .iter()
        .map(|name| {
            let (source, settings) = name.strip_suffix(']')?.split_once('[')?;
            Some((source, at_commas(settings)))
        })
        .collect();
    let Some(parsed) = parsed else {
        return datasets.to_vec();
    };
    let differs = |part: &&&str| !parsed.iter().all(|(_, parts)| parts.contains(part));
    let short = parsed.iter().map(|(_, parts)| {
        let parts: Vec<&str> = parts.iter().filter(differs).copied().collect();
        parts.join(",")
    });
    let short: Vec<String> = short.collect();
    let is_one_source = parsed.windows(2).all(|pair| pair[0].0 == pair[1].0);
    match is_one_source && short.iter().all(|name| !name.is_empty()) {
        true => short,
        false => datasets.to_vec(),
    }
}

/// The parts between commas that stand in no brackets.
fn at_commas(text: &str) -> Vec<&str> {
    let mut depth = 0usize;
    text.split(|letter| {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .collect()
}

/// Refuses a metric that is not in the list: a misspelt one of an external table would otherwise stand there as one of its own, and of
/// a newer version's nobody could say here which way is better.
fn unknown(results: &Results, score: &Score) -> Diagnostic {
    let name = &score.metric;
    let names = Metric::ALL.iter().map(|metric| metric.example_name());
    let names: Vec<String> = names.collect();
    let place = place_of(results, name).unwrap_or_else(|| results.folder.display().to_string());
    let message = format!("expected one of {}, found `{name}`", names.join(", "));
    Diagnostic::new(place, message).did_you_mean(name, names.iter().map(String::as_str))
}

/// File, line and column of the first score of this metric. The tables are read once more for it: scores don't keep their lines.
fn place_of(results: &Results, metric: &str) -> Option<String> {
    let external = std::fs::read_dir(results.folder.join("external"));
    let external = external.into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = external.map(|entry| entry.path()).collect();
    files.sort();
    // As the folder is read: its own scores, then external ones by name.
    let external = files.into_iter().filter_map(|file| {
        let text = regular_file::open(&file).ok()?;
        Some((file, Box::new(text) as Box<dyn Read>))
    });
    let own = open_table(&results.folder, "metrics.csv").ok();
    own.into_iter().chain(external).find_map(|(file, text)| {
        let mut reader = csv::Reader::from_reader(text);
        let mut headers = reader.headers().ok()?.iter();
        let column = headers.position(|header| header == "metric")?;
        let mut records = reader.records().flatten();
        let found = records.find(|record| record.get(column) == Some(metric))?;
        let line = found.position()?.line();
        Some(format!("{}, line {line}, column `metric`", file.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::sample;

    #[test]
    fn variants_and_tasks_keep_the_order_of_the_files() {
        let folder = sample::Sample::default().write();
        let summary = Summary::new(&Results::read(folder.path()).unwrap()).unwrap();
        assert_eq!(summary.variants, ["shared-bottom", "MMoE", "HoME"]);
        let titles: Vec<_> = summary.panels.iter().map(|panel| &panel.title).collect();
        assert_eq!(titles, ["income", "never_married"]);
        assert_eq!(summary.metrics, [Metric::Auc, Metric::LogLoss]);
        assert_eq!(summary.values(Split::Test, 1, 0, Metric::Auc).len(), 3);
        assert!(summary.values(Split::Test, 1, 0, Metric::Gauc).is_empty());
    }

    #[test]
    fn datasets_of_one_source_are_told_apart_by_the_settings_that_differ() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            distinguishing(&names).join(" | ")
        };
        let swept = ["feed[a=0,b=(x=1,y=2),c=3]", "feed[a=0,b=(x=1,y=3),c=3]"];
        assert_eq!(of(&swept), "b=(x=1,y=2) | b=(x=1,y=3)");
        assert_eq!(of(&["feed[a=0]", "feed[a=1,b=2]"]), "a=0 | a=1,b=2");
        // Where a name would be left without anything, and of several sources, names stay whole.
        assert_eq!(
            of(&["feed[a=0]", "feed[a=0,b=2]"]),
            "feed[a=0] | feed[a=0,b=2]"
        );
        assert_eq!(of(&["feed[a=0]", "other[a=1]"]), "feed[a=0] | other[a=1]");
        assert_eq!(of(&["census", "feed[a=1]"]), "census | feed[a=1]");
    }

    #[test]
    fn scores_on_a_task_that_was_never_learned_are_in_no_comparison_and_named() {
        let folder = sample::Sample::default().write();
        let spec = "[variants.MMoE.training]\ntask_weights = { income = 0.0 }\n";
        std::fs::write(folder.path().join("spec.resolved.toml"), spec).unwrap();
        let results = Results::read(folder.path()).unwrap();
        let summary = Summary::new(&results).unwrap();
        assert_eq!(summary.never_learned, [(1, 0)]);
        assert!(summary.values(Split::Test, 1, 0, Metric::Auc).is_empty());
        assert_eq!(summary.values(Split::Test, 1, 1, Metric::Auc).len(), 3);
        let analysis = crate::analysis::Analysis::new(results, None).unwrap();
        let said = crate::content::sureness::in_short(&analysis);
        let left_out = "Left out, as the task has the weight 0 in the loss and was never learned: MMoE on income.";
        assert!(said.contains(left_out), "{said}");
    }

    #[test]
    fn a_metric_that_nobody_knows_is_refused_with_its_place() {
        let folder = sample::Sample::default().write();
        let refused = |folder: &std::path::Path| {
            let results = Results::read(folder).unwrap();
            let said = Summary::new(&results).unwrap_err().render();
            said.replace(&format!("{}/", folder.display()), "")
        };
        let own = folder.path().join("metrics.csv");
        let text = std::fs::read_to_string(&own).unwrap();
        std::fs::write(&own, text.replacen("log_loss", "newest", 1)).unwrap();
        insta::assert_snapshot!(refused(folder.path()), @r"
        error: metrics.csv, line 3, column `metric`: expected one of auc, log_loss, normalised_entropy, calibration, expected_calibration_error, gauc, gauc_unweighted, gauc_users, gauc_users_left_out, best_auc, auc_regret, r_squared, mse, best_mse, mse_regret, loss, auxiliary_loss, distillation_loss, loss_weight, pr_auc, brier, mae, rmse, spearman, weighted_auc, weighted_pr_auc, weighted_log_loss, weighted_brier, weighted_calibration, weighted_r_squared, weighted_mse, weighted_rmse, weighted_mae, ranked_groups, ranked_groups_left_out, ndcg@10, mrr@10, recall@10, precision@10, hit_rate@10, found `newest`
        ");
        // A pipe that lies among external scores is not waited for.
        std::fs::write(&own, text).unwrap();
        let external = folder.path().join("external");
        std::fs::create_dir(&external).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(external.join("a-pipe"))
            .status();
        assert!(made.unwrap().success());
        let results = Results::read(folder.path()).unwrap();
        assert_eq!(place_of(&results, "newest"), None);
    }
}
