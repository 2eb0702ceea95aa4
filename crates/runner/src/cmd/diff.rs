//! `homebench diff`: a verdict per variant, task and metric of two results folders, from their CSV files alone.

use super::arguments::open_results;
use super::integrity::{exit_code, look, say};
use super::screen::{answer_width, for_stdout, terminal_width};
use crate::output::write_answer;
use anyhow::Result;
use clap::Args;
use homebench_report::diff::{Diff, DiffRow, Verdict, diff};
use homebench_report::statistics::Interval;
use homebench_report::text_table::align_rows_within;
use homebench_report::{difference, precise_number};
use std::path::PathBuf;
use std::process::ExitCode;

/// What a script reads as "worse".
// As of `diff` and `grep`: 1 is an answer, 2 is trouble.
const EXIT_REGRESSION: u8 = 1;

/// Compare two results folders: per variant, task and metric, is B better or worse than A, and how sure is that?
///
/// Test scores are paired by seed. Verdicts are those of paired t-tests at 5 % after Holm's correction over all rows
/// together; fewer metrics make a sharper test. Exit code 1 if anything is worse.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homebench diff results/census results/census-again
  homebench diff results/before results/after --metric auc --metric log_loss")]
pub(super) struct DiffArguments {
    /// A results folder
    #[arg(value_name = "DIR_A")]
    a: PathBuf,
    /// Another, of the same variants and seeds
    #[arg(value_name = "DIR_B")]
    b: PathBuf,
    /// Compare this metric; may be repeated [default: every metric that says on its own which is better]
    #[arg(long = "metric", value_name = "NAME")]
    metrics: Vec<String>,
    /// Print a CSV table with all digits and nothing else
    #[arg(long)]
    csv: bool,
}

impl DiffArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let (a, b) = (open_results(&self.a)?, open_results(&self.b)?);
        let mut found = Vec::new();
        for folder in [&a, &b] {
            let of_folder = look(folder)?;
            say(folder, &of_folder);
            found.extend(of_folder);
        }
        let compared = diff(a.path(), b.path(), &self.metrics)?;
        let answer = match self.csv {
            true => csv(&compared)?,
            false => text(&compared),
        };
        write_answer(&answer)?;
        let code = match compared.count(Verdict::Worse) {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(EXIT_REGRESSION),
        };
        Ok(exit_code(&found, code))
    }
}

const HEADER: [&str; 11] = [
    "variant",
    "task",
    "metric",
    "seeds",
    "A",
    "B",
    "B - A",
    "95 % interval",
    "p (Holm)",
    "verdict",
    "could have seen",
];

fn text(found: &Diff) -> String {
    let rows: Vec<Vec<String>> = found.rows.iter().map(fields).collect();
    let mut text = settings(found) + &align_rows_within(&HEADER, &rows, terminal_width());
    text.push('\n');
    let verdicts = [
        Verdict::Better,
        Verdict::Worse,
        Verdict::NoDifferenceSeen,
        Verdict::Identical,
        Verdict::NotJudged,
    ];
    let counts = verdicts.map(|verdict| format!("{} {}", found.count(verdict), verdict.words()));
    let mut say = |words: String| text += &(for_stdout(&words, "") + "\n");
    say(format!("B against A: {}.", counts.join("; ")));
    if found.family > 0 {
        say(format!(
            "Paired t-tests over seeds, at 5 % after Holm's correction over {} together; not judged: fewer than three seeds, or the \
             same difference at each. \"Could have seen\": how large a true difference must be for such a test to find it in four of \
             five experiments of these seeds; a smaller one may be there unseen.",
            match found.family {
                1 => "one difference".to_owned(),
                family => format!("{family} differences"),
            }
        ));
    }
    for note in &found.notes {
        say(format!("Note: {note}."));
    }
    text
}

/// What the two were asked to do otherwise, before what came of it.
fn settings(found: &Diff) -> String {
    const MOST: usize = 24;
    if found.settings.is_empty() {
        return "A and B have the same settings and data.\n\n".to_owned();
    }
    let shown = found.settings.iter().take(MOST);
    let rows: Vec<Vec<String>> = shown
        .map(|setting| vec![setting.name.clone(), setting.a.clone(), setting.b.clone()])
        .collect();
    let header = ["what differs", "A", "B"];
    let mut text = align_rows_within(&header, &rows, Some(answer_width()));
    let more = found.settings.len().saturating_sub(MOST);
    if more > 0 {
        text += &format!("and {more} more\n");
    }
    text + "\n"
}

fn fields(row: &DiffRow) -> Vec<String> {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let is_identical = row.verdict == Verdict::Identical;
    let interval = row.difference.interval.filter(|_| !is_identical);
    vec![
        row.variant.clone(),
        row.task.clone(),
        row.metric.name().to_owned(),
        row.difference.num_pairs.to_string(),
        precise_number(row.mean_a),
        precise_number(row.mean_b),
        // An interval of nothing around +0.00000 would look measured.
        if is_identical {
            "0".to_owned()
        } else {
            difference(row.difference.mean)
        },
        or_dash(
            interval.map(|Interval { low, high }| {
                format!("[{}, {}]", difference(low), difference(high))
            }),
        ),
        or_dash(row.corrected_p_value.map(|p_value| format!("{p_value:.4}"))),
        row.verdict.words().to_owned(),
        or_dash(row.smallest_detectable.map(precise_number)),
    ]
}

fn csv(found: &Diff) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "variant",
        "task",
        "metric",
        "seeds",
        "mean_a",
        "mean_b",
        "difference",
        "interval_low",
        "interval_high",
        "bootstrap_low",
        "bootstrap_high",
        "p_value",
        "sign_flip_p_value",
        "holm_p_value",
        "verdict",
        "could_have_seen",
    ])?;
    // All digits, unlike the table for people: a script may go on computing.
    let or_empty = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for row in &found.rows {
        let difference = &row.difference;
        let numbers = [
            Some(row.mean_a),
            Some(row.mean_b),
            Some(difference.mean),
            difference.interval.map(|interval| interval.low),
            difference.interval.map(|interval| interval.high),
            difference.bootstrap.map(|interval| interval.low),
            difference.bootstrap.map(|interval| interval.high),
            difference.p_value,
            difference.sign_flip_p_value,
            row.corrected_p_value,
        ];
        let mut fields = vec![
            row.variant.clone(),
            row.task.clone(),
            row.metric.name().to_owned(),
            difference.num_pairs.to_string(),
        ];
        fields.extend(numbers.map(or_empty));
        fields.push(row.verdict.words().to_owned());
        fields.push(or_empty(row.smallest_detectable));
        writer.write_record(fields)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
