//! A folder whose tasks are of both kinds: figures, tables and means over tasks choose by one rule, and cover both.

use super::*;
use crate::Folder;
use crate::analysis::{Run, Scale, TaskMeans};
use crate::figure::values::{Estimate, gains, of_task};
use homebench_metric::Metric;
use homebench_results::read::Results;
use homebench_results::sample::Sample;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tempfile::TempDir;

const VARIANTS: [&str; 6] = [
    "alone",
    "home",
    "home_without_fg",
    "home_without_sg",
    "mmoe[rank=4]",
    "mmoe[rank=16]",
];
const HOME: usize = 1;
/// `income` has classes, `never_married` numbers.
const NUMBERS: &str = "never_married";

fn folder() -> TempDir {
    let sample = Sample {
        variants: VARIANTS.map(str::to_owned).into(),
        models: vec!["single_task".to_owned()],
        ..Sample::default()
    };
    let folder = sample.write();
    let spec = folder.path().join("spec.resolved.toml");
    let mut text = std::fs::read_to_string(&spec).unwrap();
    for part in ["fg", "sg"] {
        writeln!(text, "\n[variants.home_without_{part}]\nablates = \"home\"").unwrap();
    }
    std::fs::write(&spec, text).unwrap();
    for name in ["metrics.csv", "curves.csv"] {
        let file = folder.path().join(name);
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().map(|line| match line.contains(NUMBERS) {
            true => {
                let line = line.replace(",auc,", ",r_squared,");
                let line = line.replace(",log_loss,", ",mse,");
                line.replace(",49881,3000", ",49881,")
            }
            false => line.to_owned(),
        });
        std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
    }
    let mut settings = String::from("cell,variant,setting,value\n");
    for (variant, value) in [(4, 4), (5, 16)] {
        for seed in 0..3 {
            let name = VARIANTS[variant];
            writeln!(settings, "cell-{variant}-{seed},{name},rank,{value}").unwrap();
        }
    }
    std::fs::write(folder.path().join("settings.csv"), settings).unwrap();
    folder
}

fn analysis(folder: &TempDir, baseline: Option<&str>) -> Analysis {
    Analysis::new(Results::read(folder.path()).unwrap(), baseline).unwrap()
}

/// A variant's means over the tasks that it has.
fn over_all(analysis: &Analysis, variant: usize) -> BTreeMap<Run, f64> {
    analysis.over_tasks(variant, &analysis.own_tasks(variant))
}

#[test]
fn ladder_cost_seesaw_and_sensitivity_cover_the_tasks_with_numbers() {
    let folder = folder();
    let analysis = analysis(&folder, None);
    let inside = Inside::read(&analysis.results).unwrap();
    let figures = all(&analysis, &inside).unwrap();
    let drawn = |name: &str| {
        let found = figures.iter().find(|figure| figure.name == name);
        let found = found.unwrap_or_else(|| panic!("no figure {name}"));
        canvas::tests::assert_legible(&found.canvas, name);
        (found.description.clone(), found.svg.clone())
    };
    let (cost, _) = drawn("cost");
    assert!(
        cost.starts_with("Test 2 AUC - 1 and R², mean over tasks"),
        "{cost}"
    );
    let (swept, _) = drawn("sensitivity_rank");
    assert!(
        swept.starts_with("Test 2 AUC - 1 and R², a mean over tasks"),
        "{swept}"
    );
    let (ladder, panels) = drawn("ablation_home");
    assert!(ladder.ends_with("in test AUC or R²."), "{ladder}");
    for title in [
        "mean over tasks (2 AUC - 1 and R²)",
        "income (AUC)",
        "never_married (R²)",
    ] {
        assert!(panels.contains(title), "{title}: {panels}");
    }
    let (seesaw, axes) = drawn("seesaw");
    assert!(
        seesaw.starts_with("Gain in test AUC or R² over"),
        "{seesaw}"
    );
    assert!(axes.contains("gain on income (AUC)") && axes.contains("gain on never_married (R²)"));
}

#[test]
fn the_mean_over_tasks_is_that_of_selection_in_figures_and_in_tables() {
    let folder = folder();
    let analysis = analysis(&folder, None);
    let main = [0, 1].map(|panel| analysis.main_metric(panel).unwrap());
    assert_eq!(main, [Metric::Auc, Metric::RSquared]);
    assert_eq!(analysis.scale, Some(Scale::Skill));
    let text = std::fs::read_to_string(folder.path().join("metrics.csv")).unwrap();
    let value = |task: &str, metric: &str, seed: usize| -> f64 {
        let row = format!("cell-{HOME}-{seed},\"home\",{seed},test,{task},{metric},");
        let rest = text.lines().find_map(|line| line.strip_prefix(&row));
        rest.unwrap().split(',').next().unwrap().parse().unwrap()
    };
    let by_hand = |seed: usize| {
        (2.0 * value("income", "auc", seed) - 1.0 + value(NUMBERS, "r_squared", seed)) / 2.0
    };
    let drawn: Vec<f64> = over_all(&analysis, HOME).into_values().collect();
    assert_eq!(drawn, [0, 1, 2].map(by_hand));
    let TaskMeans { scale, rows, .. } = analysis.task_means.as_ref().unwrap();
    assert_eq!(*scale, Scale::Skill);
    assert_eq!(
        rows[HOME].score.mean,
        Estimate::of(&drawn).map(|estimate| estimate.mean)
    );
    let mut written = Folder::read(folder.path(), None).unwrap();
    written.write_report().unwrap();
    let report = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
    assert!(
        report.contains("Mean over tasks of test 2 AUC - 1 and R², and its difference"),
        "{report}"
    );
    assert!(folder.path().join("tables/task_means.csv").exists());
}

#[test]
fn a_ladders_changes_are_the_differences_of_the_tables() {
    let analysis = analysis(&folder(), Some("home"));
    for panel in 0..2 {
        let main = analysis.main_of(panel).unwrap();
        let base = of_task(&analysis, HOME, panel);
        for variant in [2, 3] {
            let values = of_task(&analysis, variant, panel);
            let drawn = gains(main.metric.higher_is_better(), &values, &base);
            let drawn = Estimate::of(&drawn).unwrap();
            let table = main.panels[panel][variant].difference.as_ref().unwrap();
            assert_eq!(drawn.mean, table.mean);
            assert_eq!(drawn.interval, table.interval);
        }
    }
}

#[test]
fn a_task_whose_labels_do_not_vary_takes_no_part_in_the_mean() {
    let sample = Sample {
        undefined: vec![1],
        ..Sample::default()
    };
    let folder = sample.write();
    let analysis = analysis(&folder, None);
    let main = [0, 1].map(|panel| analysis.main_metric(panel).unwrap());
    assert_eq!(main, [Metric::Auc, Metric::LogLoss]);
    assert_eq!(analysis.scale, Some(Scale::Metric(Metric::Auc)));
    assert_eq!(over_all(&analysis, 2), of_task(&analysis, 2, 0));
    assert!(
        analysis.task_means.is_none(),
        "one task has no mean over tasks"
    );
}
