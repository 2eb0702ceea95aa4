//! Tables and reports of a results folder, made from its files and nothing else.

mod analysis;
mod comparison;
mod content;
pub mod diff;
mod document;
mod export;
pub mod figure;
pub(crate) mod files;
pub(crate) mod format;
pub(crate) mod metric_name;
mod published;
pub mod statistics;
mod task_means;
mod terminal;
pub mod text_table;

use analysis::Analysis;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::read::context::Context;
use homebench_results::read::{Results, Summary};
use std::path::{Path, PathBuf};

/// Variants by tasks as plain text: mean ± standard deviation of each task's main metric on test, seeds, parameters and
/// training rows per second; then who is ahead, if anyone, and what failed.
///
/// # Errors
/// A CSV file that can't be read, with file, line and column.
pub fn terminal_table(results_dir: &Path) -> Result<String> {
    terminal::table(&Results::read(results_dir)?)
}

/// Writes `report.md`, `report.html` and `tables/` into the folder and returns their paths: the question, what was found
/// and how sure it is, every number with its seeds, validation beside test, how variants were tuned, the figures, what ran
/// and what failed, what others published, and how to get the same again. `report.md` refers to the files of
/// [`crate::figure::write_all`]; `report.html` holds them. Differences are to the variant named `baseline`, by default to
/// the one that the spec names, else to single-task, or to the first.
///
/// None repeats a time, so all have the same bytes when the experiment runs again.
///
/// # Errors
/// A file that can't be read (with line and column) or written; no variant of that name.
pub fn write(results_dir: &Path, baseline: Option<&str>) -> Result<Vec<PathBuf>> {
    let results = Results::read(results_dir)?;
    let summary = Summary::new(&results);
    if summary.variants.is_empty() {
        return Err(Diagnostic::new(
            results_dir.display().to_string(),
            "there is no cell to report, only trials",
        )
        .hint("run the experiment to its end: the same command goes on where it was")
        .into());
    }
    let analysis = Analysis::new(&results, &summary, baseline)?;
    let document = content::document(&analysis, &Context::read(results_dir)?)?;
    let files = [
        ("report.md", document::to_markdown(&document)),
        ("report.html", document::to_html(&document)),
    ];
    let mut paths = Vec::new();
    for (name, text) in files {
        let path = results_dir.join(name);
        files::write_whole(&path, text.as_bytes())?;
        paths.push(path);
    }
    paths.extend(export::write(results_dir, &analysis)?);
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::sample::Sample;

    fn written(sample: &Sample) -> (String, String) {
        let folder = sample.write();
        let paths = write(folder.path(), None).unwrap();
        let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
        (read(&paths[0]), read(&paths[1]))
    }

    #[test]
    fn the_markdown_report_says_what_was_asked_found_and_how_sure_it_is() {
        let sample = Sample {
            failed: vec![(1, 2)],
            ..Sample::default()
        };
        insta::assert_snapshot!(written(&sample).0);
    }

    #[test]
    fn runs_by_chance_are_named_with_their_number() {
        let said = |chance: &[(usize, u64)]| {
            let (markdown, html) = written(&Sample {
                chance: chance.to_vec(),
                ..Sample::default()
            });
            assert_eq!(markdown.contains("By chance"), html.contains("By chance"));
            let mut lines = markdown.lines();
            lines
                .find(|line| line.contains("By chance"))
                .map(str::to_owned)
        };
        assert_eq!(said(&[]), None);
        let found = said(&[(1, 0), (1, 2), (2, 1)]).unwrap();
        for expected in [
            "the test AUC of MMoE on income (2 of 3 runs, the others' mean is 0.9",
            "and HoME on income (1 of 3 runs, the others' mean is 0.9",
            "can't be told apart",
        ] {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn runs_that_were_still_improving_when_training_ended_are_named() {
        let folder = Sample::default().write();
        let cells = folder.path().join("cells.csv");
        let text = std::fs::read_to_string(&cells).unwrap();
        // Every selected epoch is the third, so that training for four becomes training for three.
        std::fs::write(&cells, text.replace(",done,,3,4,", ",done,,3,3,")).unwrap();
        let report = |folder: &Path| {
            write(folder, None).unwrap();
            std::fs::read_to_string(folder.join("report.md")).unwrap()
        };
        let expected = "more epochs might change the order: shared-bottom (1 of 3 runs), MMoE (1 of 3 runs) and HoME (1 of 3 runs).";
        let found = report(folder.path());
        assert!(found.contains(expected), "{found}");
        assert!(!report(Sample::default().write().path()).contains("Still improving"));
    }

    #[test]
    fn a_report_has_no_time_and_does_not_change_with_the_folder_or_the_speed() {
        let folder = Sample::default().write();
        write(folder.path(), None).unwrap();
        let read = |folder: &Path, name: &str| std::fs::read(folder.join(name)).unwrap();
        let other = Sample::default().write();
        let speeds = other.path().join("throughput.csv");
        let text = std::fs::read_to_string(&speeds).unwrap();
        std::fs::write(
            &speeds,
            text.replace("11.5", "99.25").replace("90000", "1234"),
        )
        .unwrap();
        write(other.path(), None).unwrap();
        for name in ["report.md", "report.html"] {
            assert_eq!(
                read(folder.path(), name),
                read(other.path(), name),
                "{name}"
            );
        }
    }

    #[test]
    fn reports_hold_at_any_size_and_when_everything_failed() {
        for (variants, tasks, seeds) in [(1, 1, 1), (2, 3, 1), (12, 10, 5), (3, 2, 2)] {
            let (markdown, html) = written(&Sample::sized(variants, tasks, seeds));
            // Quality against cost needs two variants.
            let figures = 4 + usize::from(variants > 1);
            assert_eq!(html.matches("<figure ").count(), figures);
            assert!(markdown.contains("homebench run spec.resolved.toml"));
            assert!(
                !markdown.contains("NaN") && !markdown.contains("inf"),
                "{markdown}"
            );
        }
        let everything = (0..3).flat_map(|variant| (0..3).map(move |seed| (variant, seed)));
        let (markdown, html) = written(&Sample {
            failed: everything.collect(),
            ..Sample::default()
        });
        assert!(markdown.contains("0 done and 9 failed"), "{markdown}");
        assert!(html.contains("the loss became NaN at step 7"), "{html}");
    }

    #[test]
    fn every_number_of_the_markdown_table_is_in_the_html_one() {
        let (markdown, html) = written(&Sample::default());
        let cells = markdown
            .lines()
            .filter(|line| line.starts_with("| "))
            .flat_map(|line| line.split(" | "));
        for cell in cells.filter(|cell| cell.contains("0.") && !cell.contains('|')) {
            let plain = cell.replace(['*', '\\'], "").replace('<', "&lt;");
            assert!(html.contains(plain.trim()), "{plain}");
        }
    }
}
