//! The table that a run ends with.

use super::analysis::{Analysis, Comparison, Row, Summary};
use super::content::data_warnings::{how_many, warnings};
use super::format::{self, ABSENT, counted, grouped};
use super::statistics::mean;
use super::text_table::{Column, align};
use homebench_results::read::{Cell, DataWarningsRow, Results};
use std::fmt::Write as _;

/// Columns of tasks side by side; more go into a table below.
const TASKS_IN_A_ROW: usize = 4;

/// The tables, one for each main metric, and what failed.
pub(super) fn table(analysis: &Analysis) -> String {
    let (results, summary) = (&analysis.results, &analysis.summary);
    let mut text = String::new();
    for place in analysis.main_metrics() {
        let comparison = &analysis.comparisons[place];
        let panels: Vec<usize> = (0..summary.panels.len())
            .filter(|panel| analysis.main[*panel] == Some(place))
            .collect();
        for (chunk, panels) in panels.chunks(TASKS_IN_A_ROW).enumerate() {
            let mut columns = vec![variants(summary)];
            columns.extend(
                panels
                    .iter()
                    .map(|&panel| scores(summary, comparison, panel)),
            );
            if chunk == 0 {
                columns.push(seeds(results, summary));
                columns.push(parameters(results, summary));
                columns.push(rows_per_second(results, summary));
            }
            text += &align(&columns, true);
            text.push('\n');
        }
        let title = comparison.metric.title();
        let _ = write!(text, "Test {title}: mean ± standard deviation over seeds");
        let direction = comparison.metric.direction();
        text += &direction.map_or(String::new(), |direction| format!("; {direction}"));
        text += ".\n";
        for (place, panel) in summary.panels.iter().enumerate() {
            if let Some(why) = analysis.unvaried(place, comparison.metric) {
                let _ = writeln!(
                    text,
                    "No {title} on {}: {why} in the test split.",
                    panel.title
                );
            }
        }
        text += &leaders(summary, comparison);
    }
    text + &failures(&results.cells) + &about_data(&results.data_warnings)
}

/// What preparation found in the data. Last, where it is seen without scrolling.
fn about_data(rows: &[DataWarningsRow]) -> String {
    let warnings = warnings(rows);
    if warnings.is_empty() {
        return String::new();
    }
    let mut text = format!("{}:\n", how_many(&warnings));
    for warning in &warnings {
        let mark = if warning.is_loud { "LOUD: " } else { "" };
        let _ = writeln!(text, "  {mark}{}", warning.message);
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

fn leaders(summary: &Summary, comparison: &Comparison) -> String {
    let standings = comparison.standings.iter().zip(&summary.panels);
    let ahead = standings.filter_map(|(standing, panel)| {
        let leader = standing.leader()?;
        Some(format!("{} on {}", summary.variants[leader], panel.title))
    });
    let ahead: Vec<String> = ahead.collect();
    match ahead.is_empty() {
        true => "Ahead of all others (95 % interval of the paired difference over at least 3 seeds): none.\n".to_owned(),
        false => format!(
            "Ahead of all others (95 % interval of the paired difference over at least 3 seeds): {}.\n",
            ahead.join("; ")
        ),
    }
}

fn failures(cells: &[Cell]) -> String {
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
        let _ = writeln!(text, "  {}, seed {}: {reason}", cell.variant, cell.seed);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::sample::Sample;

    fn drawn(sample: &Sample) -> String {
        let results = Results::read(sample.write().path()).unwrap();
        table(&Analysis::new(results, None).unwrap())
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
        let text = super::table(&Analysis::new(results, None).unwrap());
        assert!(
            text.ends_with(
                "2 data warnings, 1 of them loud:\n  LOUD: item: all 40 are unseen\n  x is constant\n"
            ),
            "{text}"
        );
        assert!(!drawn(&Sample::default()).contains("data warning"));
    }

    #[test]
    fn many_tasks_go_into_several_tables_and_one_seed_has_no_deviation() {
        let text = drawn(&Sample::sized(2, 10, 1));
        assert_eq!(text.matches("variant").count(), 3, "{text}");
        assert!(
            !text
                .lines()
                .any(|line| line.contains("0.9") && line.contains('±')),
            "{text}"
        );
        assert!(
            text.lines().all(|line| line.chars().count() <= 160),
            "{text}"
        );
    }

    #[test]
    fn a_folder_in_which_everything_failed_still_says_so() {
        let sample = Sample {
            failed: (0..3).flat_map(|v| (0..3).map(move |s| (v, s))).collect(),
            ..Sample::default()
        };
        let text = drawn(&sample);
        assert!(text.starts_with("9 of 9 cells failed:\n"), "{text}");
    }
}
