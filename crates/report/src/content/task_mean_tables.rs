//! The tables over all tasks, of a report and of `tables/`.

use super::tables::{interval_field, judgement_fields};
use crate::analysis::{Analysis, Gain, Spread, TaskMeans};
use crate::document::{Cell as Field, Table};
use crate::format::{self, ABSENT};

/// Variants by their means over tasks.
pub(crate) fn task_means(analysis: &Analysis, means: &TaskMeans, shown: &[usize]) -> Table {
    let mut table = Table::new(&[
        "variant",
        "mean over tasks",
        "difference",
        "95 % interval",
        "p",
        "p (Holm)",
        "verdict",
    ]);
    let is_partial = means.lacks_a_task();
    if is_partial {
        table.header.push("tasks of the difference".to_owned());
    }
    for &variant in shown {
        let row = &means.rows[variant];
        let Spread { mean, deviation } = row.score;
        let difference = row.difference.as_ref();
        let change = difference.map(|difference| difference.mean);
        let p_value = difference.and_then(|difference| difference.p_value);
        let mut fields = vec![
            Field::words(&analysis.summary.variants[variant]),
            Field::number(format::mean_and_deviation(mean, deviation), mean),
            Field::number(change.map_or(ABSENT.to_owned(), format::difference), change),
            interval_field(difference.and_then(|difference| difference.interval)),
            Field::number(format::p_value(p_value), p_value),
        ];
        fields.extend(judgement_fields(row.judgement));
        if is_partial {
            let number = row.difference.as_ref().map(|_| row.both.num_tasks);
            let words = number.map_or(ABSENT.to_owned(), |number| number.to_string());
            fields.push(Field::number(words, number.map(|number| number as f64)));
        }
        table.push(fields);
    }
    table
}

/// Variants over all tasks together; gains where there is a single-task variant.
pub(crate) fn gains(analysis: &Analysis, shown: &[usize]) -> Table {
    let mut table = Table::new(&["variant"]);
    let has_gains = analysis.gains.single_task.is_some();
    if has_gains {
        let more = ["runs", "gain", "95 % interval", "p", "p (Holm)", "verdict"];
        table.header.extend(more.map(str::to_owned));
    }
    table
        .header
        .extend(["P(better)", "95 % bootstrap"].map(str::to_owned));
    for &variant in shown {
        let row = &analysis.gains.rows[variant];
        let mut fields = vec![Field::words(&analysis.summary.variants[variant])];
        if has_gains {
            fields.extend(gain_fields(row));
        }
        let improvement = row.improvement.map(|improvement| improvement.mean);
        fields.push(Field::number(format::probability(improvement), improvement));
        let interval = row.improvement.and_then(|improvement| improvement.interval);
        fields.push(Field::number(
            format::share_interval(interval),
            interval.map(|interval| interval.low),
        ));
        table.push(fields);
    }
    table
}

fn gain_fields(row: &Gain) -> [Field; 6] {
    let mean = row.gain.and_then(|gain| gain.mean);
    let interval = row.interval.map_or(ABSENT.to_owned(), |interval| {
        let ends = [interval.low, interval.high].map(format::percent);
        format!("[{}]", ends.join(", "))
    });
    let runs = (row.num_runs > 0).then_some(row.num_runs as f64);
    let [corrected, verdict] = judgement_fields(row.judgement);
    [
        Field::number(
            runs.map_or(ABSENT.to_owned(), |runs| runs.to_string()),
            runs,
        ),
        Field::number(mean.map_or(ABSENT.to_owned(), format::percent), mean),
        Field::number(interval, row.interval.map(|interval| interval.low)),
        Field::number(format::p_value(row.p_value), row.p_value),
        corrected,
        verdict,
    ]
}
