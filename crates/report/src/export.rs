//! The tables of a report as files, `tables/*.{md,tex,csv}`: Markdown and LaTeX as they are printed, CSV with all digits.
//! They have every variant, also where the report shows the best alone.

use super::analysis::{Analysis, Comparison, TaskMeans};
use super::content::{tables, task_mean_tables};
use super::document::{Table, table_to_latex, table_to_markdown};
use super::drawn::NewFile;
use super::left_out;
use super::published::{PublishedTable, published};
use super::statistics::{Interval, Judgement};
use anyhow::Result;
use homebench_results::read::distinct;
use std::collections::BTreeMap;

/// Files by name.
type Files = BTreeMap<String, String>;

/// The tables as files.
///
/// # Errors
/// None that writing into memory is known to cause.
pub(super) fn new_files(analysis: &Analysis) -> Result<Vec<NewFile>> {
    let new =
        |(name, text): (String, String)| NewFile::new(format!("tables/{name}"), text.into_bytes());
    Ok(files(analysis)?.into_iter().map(new).collect())
}

fn files(analysis: &Analysis) -> Result<Files> {
    let mut files = Files::new();
    let everyone: Vec<usize> = (0..analysis.summary.variants.len()).collect();
    for comparison in &analysis.comparisons {
        let name = comparison.metric.name();
        let title = format!(
            "Test {}: mean ± standard deviation over runs",
            comparison.metric.label()
        );
        let overview = tables::overview(analysis, comparison, &everyone);
        insert(
            &mut files,
            name,
            &title,
            &overview,
            scores_csv(analysis, comparison)?,
        );
        let differences = tables::differences(analysis, comparison);
        if !differences.rows.is_empty() && !comparison.metric.describes_rows() {
            let title = format!(
                "Test {} minus that of {}",
                comparison.metric.label(),
                analysis.baseline_name()
            );
            let csv = differences_csv(analysis, comparison)?;
            insert(
                &mut files,
                &format!("{name}_differences"),
                &title,
                &differences,
                csv,
            );
        }
    }
    if let Some(means) = &analysis.task_means {
        let mut title = format!(
            "Mean over tasks of test {}, and its difference to that of {}",
            means.scale.label(),
            analysis.baseline_name()
        );
        if let Some(words) = left_out::of_means(analysis, &means.shared) {
            title += &format!(". {}", words.trim_end_matches('.'));
        }
        insert(
            &mut files,
            "task_means",
            &title,
            &task_mean_tables::task_means(analysis, means, &everyone),
            task_means_csv(analysis, means)?,
        );
    }
    if analysis.summary.variants.len() > 1 {
        let title = format!(
            "Over all tasks: multi-task gain, and probability of improvement on {}",
            analysis.baseline_name()
        );
        insert(
            &mut files,
            "gain",
            &title,
            &task_mean_tables::gains(analysis, &everyone),
            gains_csv(analysis)?,
        );
    }
    let datasets = distinct(
        analysis
            .results
            .cells
            .iter()
            .map(|cell| cell.dataset.clone()),
    );
    for (place, source) in published(&datasets).iter().enumerate() {
        let title = format!(
            "Published: {}. {} {}. {}",
            source.source, source.protocol, source.metric, source.link
        );
        insert(
            &mut files,
            &format!("published_{}", place + 1),
            &title,
            &tables::published(source),
            published_csv(source)?,
        );
    }
    Ok(files)
}

fn insert(files: &mut Files, name: &str, title: &str, table: &Table, csv: String) {
    files.insert(
        format!("{name}.md"),
        format!("{title}:\n\n{}", table_to_markdown(table)),
    );
    files.insert(
        format!("{name}.tex"),
        format!("% {title}.\n{}", table_to_latex(table)),
    );
    files.insert(format!("{name}.csv"), csv);
}

fn csv_text(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn or_empty(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn ends(interval: Option<Interval>) -> [String; 2] {
    [
        or_empty(interval.map(|interval| interval.low)),
        or_empty(interval.map(|interval| interval.high)),
    ]
}

/// Every panel with values and every variant.
fn places<'a>(
    analysis: &'a Analysis,
    comparison: &'a Comparison,
) -> impl Iterator<Item = (usize, usize, [String; 3])> + 'a {
    let summary = &analysis.summary;
    tables::panels_with_values(comparison)
        .into_iter()
        .flat_map(move |panel| {
            (0..summary.variants.len()).map(move |variant| {
                let place = &summary.panels[panel];
                (
                    panel,
                    variant,
                    [
                        place.dataset.clone(),
                        place.task.clone(),
                        summary.variants[variant].clone(),
                    ],
                )
            })
        })
}

fn scores_csv(analysis: &Analysis, comparison: &Comparison) -> Result<String> {
    let header = [
        "dataset",
        "task",
        "variant",
        "runs",
        "validation_mean",
        "validation_standard_deviation",
        "mean",
        "standard_deviation",
        "interval_low",
        "interval_high",
        "bootstrap_low",
        "bootstrap_high",
        "ahead_of_all",
    ];
    let rows = places(analysis, comparison).map(|(panel, variant, key)| {
        let row = &comparison.panels[panel][variant];
        let leads = comparison.standings[panel].leader() == Some(variant);
        let mut fields = key.to_vec();
        fields.push(row.seeds.len().to_string());
        let numbers = [
            row.validation.mean,
            row.validation.deviation,
            row.test.mean,
            row.test.deviation,
        ];
        fields.extend(numbers.map(or_empty));
        fields.extend(ends(row.interval));
        fields.extend(ends(row.bootstrap));
        fields.push(leads.to_string());
        fields
    });
    csv_text(&header, rows)
}

fn differences_csv(analysis: &Analysis, comparison: &Comparison) -> Result<String> {
    let header = [
        "dataset",
        "task",
        "variant",
        "baseline",
        "pairs",
        "difference",
        "standard_deviation",
        "interval_low",
        "interval_high",
        "bootstrap_low",
        "bootstrap_high",
        "p_value",
        "sign_flip_p_value",
        "holm_p_value",
        "probability_of_improvement",
        "smallest_detectable",
        "verdict",
    ];
    let rows = places(analysis, comparison).filter_map(|(panel, variant, key)| {
        let row = &comparison.panels[panel][variant];
        let difference = row.difference.as_ref()?;
        let mut fields = key.to_vec();
        fields.push(analysis.baseline_name().to_owned());
        fields.push(difference.num_pairs.to_string());
        fields.extend([Some(difference.mean), difference.deviation].map(or_empty));
        fields.extend(ends(difference.interval));
        fields.extend(ends(difference.bootstrap));
        let numbers = [
            difference.p_value,
            difference.sign_flip_p_value,
            corrected(row.judgement),
            row.probability_of_improvement,
            difference.smallest_detectable,
        ];
        fields.extend(numbers.map(or_empty));
        fields.push(verdict(row.judgement));
        Some(fields)
    });
    csv_text(&header, rows)
}

fn task_means_csv(analysis: &Analysis, means: &TaskMeans) -> Result<String> {
    let mut header = vec![
        "variant",
        "mean",
        "standard_deviation",
        "difference",
        "interval_low",
        "interval_high",
        "p_value",
        "holm_p_value",
        "verdict",
    ];
    // Of folders in which no variant lacks a task the table stays as it was.
    let is_partial = means.lacks_a_task();
    if is_partial {
        header.extend([
            "tasks_of_difference",
            "left_out_of_difference",
            "left_out_of_mean",
        ]);
    }
    let rows = means.rows.iter().zip(&analysis.summary.variants);
    let rows = rows.map(|(row, variant)| {
        let mut fields = vec![variant.clone()];
        let difference = row.difference.as_ref();
        let change = difference.map(|difference| difference.mean);
        fields.extend([row.score.mean, row.score.deviation, change].map(or_empty));
        fields.extend(ends(difference.and_then(|difference| difference.interval)));
        let p_value = difference.and_then(|difference| difference.p_value);
        fields.extend([p_value, corrected(row.judgement)].map(or_empty));
        fields.push(verdict(row.judgement));
        if is_partial {
            let number = difference.map(|_| row.both.num_tasks.to_string());
            fields.push(number.unwrap_or_default());
            fields.push(left_out::titles(analysis, &row.both.left_out).join(";"));
            fields.push(means.shared.tasks_left_out.join(";"));
        }
        fields
    });
    csv_text(&header, rows)
}

fn corrected(judgement: Option<Judgement>) -> Option<f64> {
    judgement.and_then(|judgement| judgement.corrected_p_value)
}

fn verdict(judgement: Option<Judgement>) -> String {
    let words = judgement.map(|judgement| judgement.verdict.words());
    words.unwrap_or_default().to_owned()
}

fn gains_csv(analysis: &Analysis) -> Result<String> {
    let header = [
        "variant",
        "runs",
        "gain",
        "standard_deviation",
        "interval_low",
        "interval_high",
        "p_value",
        "holm_p_value",
        "probability_of_improvement",
        "bootstrap_low",
        "bootstrap_high",
        "verdict",
    ];
    let rows = analysis.gains.rows.iter().zip(&analysis.summary.variants);
    let rows = rows.map(|(row, variant)| {
        let mut fields = vec![variant.clone(), row.num_runs.to_string()];
        let spread = row.gain;
        fields.extend(
            [
                spread.and_then(|gain| gain.mean),
                spread.and_then(|gain| gain.deviation),
            ]
            .map(or_empty),
        );
        fields.extend(ends(row.interval));
        fields.extend([row.p_value, corrected(row.judgement)].map(or_empty));
        fields.push(or_empty(
            row.improvement.map(|improvement| improvement.mean),
        ));
        fields.extend(ends(
            row.improvement.and_then(|improvement| improvement.interval),
        ));
        fields.push(verdict(row.judgement));
        fields
    });
    csv_text(&header, rows)
}

fn published_csv(source: &PublishedTable) -> Result<String> {
    let rows = source.rows.iter().flat_map(|row| {
        let values = source.columns.iter().zip(&row.values);
        values.map(|(column, value)| {
            let words = [
                &source.source,
                &source.link,
                &source.protocol,
                &source.metric,
                &row.model,
                column,
            ];
            let mut fields = words.map(String::clone).to_vec();
            fields.push(value.to_string());
            fields
        })
    });
    csv_text(
        &[
            "source", "link", "protocol", "metric", "model", "column", "value",
        ],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use homebench_results::sample::Sample;

    #[test]
    fn what_others_put_among_the_tables_stays_and_what_is_no_longer_made_goes() {
        let folder = Sample::default().write();
        let tables = folder.path().join("tables");
        std::fs::create_dir_all(tables.join("mine")).unwrap();
        std::fs::write(tables.join("mine/auc.md"), "mine").unwrap();
        std::fs::write(tables.join("notes.md"), "mine").unwrap();
        let report = || {
            let mut report = crate::Folder::read(folder.path(), None).unwrap();
            report.write_report().unwrap();
            report
                .notes()
                .join("\n")
                .replace(&folder.path().display().to_string(), "FOLDER")
        };
        assert_eq!(report(), "");
        assert_eq!(report(), "");
        // Two variants and no more: no differences to correct, and one of them changed by hand.
        std::fs::write(tables.join("gain.tex"), "mine").unwrap();
        std::fs::write(tables.join("auc.md"), "mine").unwrap();
        let one = Sample {
            variants: vec!["HoME".to_owned()],
            ..Sample::default()
        };
        one.write_into(folder.path());
        insta::assert_snapshot!(report(), @"
        FOLDER/tables/auc.md is not known to be as homebench wrote it: kept as FOLDER/tables/auc.md.kept
        removed FOLDER/tables/auc_differences.csv: it is no longer made
        removed FOLDER/tables/auc_differences.md: it is no longer made
        removed FOLDER/tables/auc_differences.tex: it is no longer made
        removed FOLDER/tables/gain.csv: it is no longer made
        removed FOLDER/tables/gain.md: it is no longer made
        FOLDER/tables/gain.tex is no longer made, and was changed since homebench wrote it: kept
        removed FOLDER/tables/log_loss_differences.csv: it is no longer made
        removed FOLDER/tables/log_loss_differences.md: it is no longer made
        removed FOLDER/tables/log_loss_differences.tex: it is no longer made
        removed FOLDER/tables/task_means.csv: it is no longer made
        removed FOLDER/tables/task_means.md: it is no longer made
        removed FOLDER/tables/task_means.tex: it is no longer made
        ");
        let read = |name: &str| std::fs::read_to_string(tables.join(name)).unwrap();
        for name in ["mine/auc.md", "notes.md", "gain.tex", "auc.md.kept"] {
            assert_eq!(read(name), "mine");
        }
        assert!(read("auc.md").contains("HoME"));
        // Nothing is written or removed through a link.
        let elsewhere = folder.path().join("elsewhere");
        std::fs::rename(&tables, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &tables).unwrap();
        let refused = crate::Folder::read(folder.path(), None)
            .unwrap()
            .write_report()
            .unwrap_err()
            .to_string();
        assert!(refused.contains("tables: it is a link"), "{refused}");
    }

    #[test]
    fn the_same_numbers_are_in_all_three_forms() {
        let folder = Sample::default().write();
        let tables = folder.path().join("tables");
        crate::Folder::read(folder.path(), None)
            .unwrap()
            .write_report()
            .unwrap();
        let mut names: Vec<String> = std::fs::read_dir(&tables)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        insta::assert_snapshot!(names.join(" "), @r#"auc.csv auc.md auc.tex auc_differences.csv auc_differences.md auc_differences.tex gain.csv gain.md gain.tex log_loss.csv log_loss.md log_loss.tex log_loss_differences.csv log_loss_differences.md log_loss_differences.tex task_means.csv task_means.md task_means.tex"#);
        let read = |name: &str| std::fs::read_to_string(tables.join(name)).unwrap();
        insta::assert_snapshot!([read("auc.md"), read("auc.tex"), read("auc.csv")].join("\n"));
        insta::assert_snapshot!(
            [
                read("auc_differences.md"),
                read("auc_differences.tex"),
                read("auc_differences.csv"),
                read("gain.csv"),
                read("task_means.csv")
            ]
            .join("\n")
        );
    }
}
