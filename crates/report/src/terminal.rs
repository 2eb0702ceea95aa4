//! What a run ends with on a terminal: the answer first, then its chart, how sure it is, and the scores.

use super::analysis::{Analysis, Comparison, Row, Summary};
use super::content::answer::{asked, more_that_hold};
use super::content::claims::Answer;
use super::content::data_warnings::{how_many, warnings};
use super::content::sureness::in_short;
use super::format::{self, ABSENT, counted, grouped};
use super::statistics::mean;
use super::terminal_forest;
use super::text_table::{Column, align, fitting, in_lines};
use homebench_results::read::{Cell, DataWarningsRow, Results};

/// The answer, in lines of this width: the question, a sentence for each claim, their chart, how sure they are, then the tables.
pub(super) fn summary(analysis: &Analysis, question: Option<&str>, width: usize) -> String {
    let answer = Answer::new(analysis);
    let mut text = String::new();
    if let Some(words) = analysis.extent.sentence() {
        text += &wrapped("Not the whole experiment: ", &words, width);
    }
    if let Some(question) = question {
        text += &wrapped("Question: ", &asked(question), width);
    }
    text += &wrapped("Answer: ", &answer.summary, width);
    for claim in &answer.claims {
        text += &wrapped("- ", claim, width);
    }
    if !answer.more.is_empty() {
        let words = format!("{}, in the report.", more_that_hold(answer.more.len()));
        text += &wrapped("- ", &words, width);
    }
    let forest = terminal_forest::forest(analysis, width);
    if !forest.is_empty() {
        text += &format!("\n{forest}");
    }
    text += &format!("\n{}\n", wrapped("How sure: ", &in_short(analysis), width));
    text + &tables(analysis, width)
}

/// Words in lines, of which those after the first begin where the words do.
fn wrapped(label: &str, words: &str, width: usize) -> String {
    let indentation = if label == "- " { "  " } else { "" };
    let words = format!("{label}{}", words.replace('`', ""));
    in_lines(&words, indentation, width) + "\n"
}

/// The tables, one for each main metric, and what failed.
fn tables(analysis: &Analysis, width: usize) -> String {
    let (results, summary) = (&analysis.results, &analysis.summary);
    let mut text = String::new();
    for place in analysis.main_metrics() {
        let comparison = &analysis.comparisons[place];
        let panels = (0..summary.panels.len()).filter(|panel| analysis.main[*panel] == Some(place));
        let mut columns = vec![variants(summary)];
        columns.extend(panels.map(|panel| scores(summary, comparison, panel)));
        columns.push(seeds(results, summary));
        columns.push(parameters(results, summary));
        columns.push(rows_per_second(results, summary));
        for columns in fitting(columns, width) {
            text += &align(&columns, true);
            text.push('\n');
        }
        let title = comparison.metric.title();
        let mut words = "mean ± standard deviation over seeds".to_owned();
        let direction = comparison.metric.direction();
        words += &direction.map_or(String::new(), |direction| format!("; {direction}"));
        text += &wrapped(&format!("Test {title}: "), &format!("{words}."), width);
        for (place, panel) in summary.panels.iter().enumerate() {
            if let Some(why) = analysis.unvaried(place, comparison.metric) {
                let words = format!("{why} in the test split.");
                text += &wrapped(&format!("No {title} on {}: ", panel.title), &words, width);
            }
        }
    }
    text + &failures(&results.cells, width) + &about_data(&results.data_warnings, width)
}

/// What preparation found in the data. Last, where it is seen without scrolling.
fn about_data(rows: &[DataWarningsRow], width: usize) -> String {
    let warnings = warnings(rows);
    if warnings.is_empty() {
        return String::new();
    }
    let mut text = format!("{}:\n", how_many(&warnings));
    for warning in &warnings {
        let mark = if warning.is_loud { "LOUD: " } else { "" };
        text += &item(&format!("{mark}{}", warning.message), width);
    }
    text
}

fn variants(summary: &Summary) -> Column {
    Column {
        header: "variant".to_owned(),
        cells: summary.variants.clone(),
        right: false,
    }
}

fn scores(summary: &Summary, comparison: &Comparison, panel: usize) -> Column {
    let rows = comparison.panels[panel].iter();
    let cell = |row: &Row| format::mean_and_deviation(row.test.mean, row.test.deviation);
    Column {
        header: summary.panels[panel].title.clone(),
        cells: rows.map(cell).collect(),
        right: false,
    }
}

/// Seeds that are done, and of how many if some failed.
fn seeds(results: &Results, summary: &Summary) -> Column {
    let cell = |variant: &String| {
        let cells: Vec<&Cell> = results
            .cells
            .iter()
            .filter(|cell| cell.variant == *variant)
            .collect();
        let done = cells.iter().filter(|cell| cell.failure.is_none()).count();
        if done == cells.len() {
            done.to_string()
        } else {
            format!("{done} of {}", cells.len())
        }
    };
    Column {
        header: "seeds".to_owned(),
        cells: summary.variants.iter().map(cell).collect(),
        right: true,
    }
}

fn parameters(results: &Results, summary: &Summary) -> Column {
    let cell = |variant: &String| {
        let mut cells = results.cells.iter().filter(|cell| cell.variant == *variant);
        let parameters = cells.find_map(|cell| cell.parameters);
        parameters.map_or(ABSENT.to_owned(), |parameters| grouped(parameters as f64))
    };
    Column {
        header: "parameters".to_owned(),
        cells: summary.variants.iter().map(cell).collect(),
        right: true,
    }
}

fn rows_per_second(results: &Results, summary: &Summary) -> Column {
    let cell = |variant: &String| {
        let rows = results.throughput.iter();
        let rows = rows.filter(|row| results.cells[row.cell].variant == *variant);
        let speeds: Vec<f64> = rows.filter_map(|row| row.train_rows_per_second).collect();
        mean(&speeds).map_or(ABSENT.to_owned(), grouped)
    };
    Column {
        header: "rows/s".to_owned(),
        cells: summary.variants.iter().map(cell).collect(),
        right: true,
    }
}

/// An entry of a list, whose later lines stand out less.
fn item(words: &str, width: usize) -> String {
    in_lines(&format!("  {words}"), "    ", width) + "\n"
}

fn failures(cells: &[Cell], width: usize) -> String {
    let failed: Vec<&Cell> = cells.iter().filter(|cell| cell.failure.is_some()).collect();
    if failed.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{} of {} failed:\n",
        failed.len(),
        counted(cells.len(), "cell")
    );
    for cell in failed {
        let reason = cell.failure.as_deref().unwrap_or_default();
        let words = format!("{}, seed {}: {reason}", cell.variant, cell.seed);
        text += &item(&words, width);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::sample::Sample;

    fn drawn(sample: &Sample) -> String {
        let results = Results::read(sample.write().path()).unwrap();
        summary(
            &Analysis::new(results, None).unwrap(),
            Some("Which is best? More."),
            80,
        )
    }

    #[test]
    fn the_table_is_aligned_and_says_what_failed() {
        insta::assert_snapshot!(drawn(&Sample {
            failed: vec![(1, 2)],
            ..Sample::default()
        }));
    }

    #[test]
    fn warnings_of_the_data_stand_at_the_end_loud_ones_first() {
        let folder = Sample::default().write();
        let table = folder.path().join("data_warnings.csv");
        let rows = "dataset,protocol,split_seed,kind,is_loud,message\n\
                    census,all,,constant,false,x is constant\n\
                    census,all,,unseen_values,true,\"item: all 40 are unseen\"\n";
        std::fs::write(table, rows).unwrap();
        let results = Results::read(folder.path()).unwrap();
        let text = summary(&Analysis::new(results, None).unwrap(), None, 80);
        assert!(
            text.ends_with(
                "2 data warnings, 1 of them loud:\n  LOUD: item: all 40 are unseen\n  x is constant\n"
            ),
            "{text}"
        );
        assert!(!drawn(&Sample::default()).contains("data warning"));
    }

    #[test]
    fn at_any_width_no_line_is_longer_and_one_seed_has_no_deviation() {
        for width in [80, 140] {
            for (variants, tasks, seeds) in [(1, 1, 1), (2, 10, 1), (6, 10, 3), (3, 2, 2)] {
                let results = Sample::sized(variants, tasks, seeds).write();
                let results = Results::read(results.path()).unwrap();
                let text = summary(&Analysis::new(results, None).unwrap(), None, width);
                let longest = text.lines().map(|line| line.chars().count()).max();
                assert!(longest.unwrap() <= width, "{text}");
                let has_deviation = |line: &str| line.contains("0.9") && line.contains('±');
                assert_eq!(seeds > 1, text.lines().any(has_deviation), "{text}");
            }
        }
    }

    #[test]
    fn a_folder_in_which_everything_failed_still_says_so() {
        let sample = Sample {
            failed: (0..3).flat_map(|v| (0..3).map(move |s| (v, s))).collect(),
            ..Sample::default()
        };
        let text = drawn(&sample);
        assert!(text.contains("\n9 of 9 cells failed:\n"), "{text}");
    }
}
