//! Reports, figures and tables of a results folder, made from its files and nothing else.
//!
//! `analysis` compares the numbers once; `figure` and `content` both take them from there and never from each other, but for the list
//! of figures that a report shows. [`Folder`] is the way in; [`diff`] compares two folders.
//!
//! May import: results, metric, diagnostic. Must not hold: anything that asks the program that draws, such as its models, or that
//! computes a score from predictions.

mod analysis;
mod content;
pub mod diff;
mod diff_settings;
mod document;
mod drawn;
mod export;
mod figure;
mod files;
mod folder;
mod format;
mod leaderboard;
mod left_out;
mod published;
pub mod routing;
pub mod statistics;
mod terminal;
mod terminal_forest;
pub mod text_table;

pub use analysis::{Extent, MissingCell};
pub use drawn::check_drawn;
pub use folder::Folder;
pub use leaderboard::Leaderboard;

/// A score or a label as every table shows it: four decimals, or as many digits and a power of ten far from 1.
pub fn number(value: f64) -> String {
    format::score(Some(value))
}

/// A mean and its standard deviation, as every table shows them.
pub fn mean_and_deviation(mean: f64, deviation: f64) -> String {
    format::mean_and_deviation(Some(mean), Some(deviation))
}

/// As [`number`], with five decimals.
pub fn precise_number(value: f64) -> String {
    format::decimals(value, 5)
}

/// As [`precise_number`], with its sign.
pub fn difference(value: f64) -> String {
    format::difference(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::sample::Sample;
    use std::path::{Path, PathBuf};

    fn write(folder: &Path) -> Vec<PathBuf> {
        Folder::read(folder, None).unwrap().write_report().unwrap()
    }

    fn written(sample: &Sample) -> (String, String) {
        let folder = sample.write();
        let paths = write(folder.path());
        let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
        (unwrapped(&read(&paths[0])), read(&paths[1]))
    }

    /// Markdown with each paragraph and item on one line, as it is read.
    fn unwrapped(markdown: &str) -> String {
        let mut text = String::new();
        for line in markdown.lines() {
            let begins = line.is_empty() || line.starts_with(['|', '#', '-', '`', '<', '!']);
            let goes_on = !begins && !text.is_empty() && !text.ends_with("\n\n");
            text += if goes_on { " " } else { "\n" };
            text += if goes_on { line.trim_start() } else { line };
        }
        text + "\n"
    }

    #[test]
    fn the_markdown_report_says_what_was_asked_found_and_how_sure_it_is() {
        let sample = Sample {
            failed: vec![(1, 2)],
            ..Sample::default()
        };
        let folder = sample.write();
        let paths = write(folder.path());
        let markdown = std::fs::read_to_string(&paths[0]).unwrap();
        let (answer, _) = markdown.split_once("\n## ").expect("a section");
        let is_wide = |line: &&str| line.chars().count() > 80 && !line.starts_with("![");
        assert_eq!(answer.lines().find(is_wide), None);
        insta::assert_snapshot!(markdown);
    }

    #[test]
    fn warnings_of_the_data_stand_before_what_was_found_in_markdown_and_html() {
        let folder = Sample::default().write();
        let rows = "dataset,protocol,split_seed,kind,is_loud,message\n\
                    census,all,,constant,false,age is constant\n\
                    census,all,,unseen_values,true,item: all <40> are unseen\n";
        std::fs::write(folder.path().join("data_warnings.csv"), rows).unwrap();
        let paths = write(folder.path());
        let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
        let (markdown, html) = (read(&paths[0]), read(&paths[1]));
        let section = markdown
            .split("## ")
            .find(|part| part.starts_with("Data warnings"));
        insta::assert_snapshot!(section.unwrap().trim_end(), @r"
        Data warnings

        2 data warnings, 1 of them loud, of the preparation of the data. With a loud
        one, scores may mean something else than they seem to.

        - **Loud:** item: all \<40\> are unseen
        - age is constant
        ");
        for text in [&markdown, &html] {
            assert!(text.find("Careful:") < text.find("Question:"), "{text}");
            assert!(
                text.find("Data warnings") < text.rfind("Task by task"),
                "{text}"
            );
        }
        assert!(html.contains("item: all &lt;40&gt; are unseen"), "{html}");
        let (markdown, html) = written(&Sample::default());
        assert!(!markdown.contains("Data warnings") && !html.contains("Data warnings"));
    }

    #[test]
    fn tasks_of_weight_zero_are_said_to_have_no_part_in_selection() {
        let folder = Sample::default().write();
        let spec = folder.path().join("spec.resolved.toml");
        let text = std::fs::read_to_string(&spec).unwrap();
        let more = "[training.task_weights]\nincome = 0.0\n";
        std::fs::write(&spec, text + more).unwrap();
        let markdown = unwrapped(&std::fs::read_to_string(&write(folder.path())[0]).unwrap());
        let said = "Of weight 0, so scored but neither trained nor part of the choice of epochs and trials: income.";
        assert!(markdown.contains(said), "{markdown}");
        assert!(!written(&Sample::default()).0.contains("Of weight 0"));
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
            "does not differ significantly",
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
            write(folder);
            unwrapped(&std::fs::read_to_string(folder.join("report.md")).unwrap())
        };
        let expected = "more epochs might change the order: shared-bottom (1 of 3 runs), MMoE (1 of 3 runs) and HoME (1 of 3 runs).";
        let found = report(folder.path());
        assert!(found.contains(expected), "{found}");
        assert!(!report(Sample::default().write().path()).contains("Still improving"));
    }

    #[test]
    fn a_report_has_no_time_and_does_not_change_with_the_folder_or_the_speed() {
        let folder = Sample::default().write();
        write(folder.path());
        let read = |folder: &Path, name: &str| std::fs::read(folder.join(name)).unwrap();
        let other = Sample::default().write();
        let speeds = other.path().join("throughput.csv");
        let text = std::fs::read_to_string(&speeds).unwrap();
        std::fs::write(
            &speeds,
            text.replace("11.5", "99.25").replace("90000", "1234"),
        )
        .unwrap();
        write(other.path());
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
            let shown = markdown.lines().filter_map(|line| {
                let (before, file) = line.split_once("figures/")?;
                let (name, _) = file.split_once(".svg")?;
                (before.starts_with("![") || before == "`").then_some(name)
            });
            // The answer's chart needs two variants.
            let mut figures = Vec::new();
            figures.extend((variants > 1).then_some("forest"));
            figures.extend([
                "test_auc",
                "test_log_loss",
                "validation_auc",
                "validation_log_loss",
            ]);
            // Quality against cost needs two variants.
            figures.extend((variants > 1).then_some("cost"));
            assert_eq!(shown.collect::<Vec<_>>(), figures);
            assert_eq!(html.matches("<figure ").count(), figures.len());
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
