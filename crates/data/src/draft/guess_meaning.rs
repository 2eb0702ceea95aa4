//! What columns may be: labels, users, times. Guessed from their names and values.

use super::column_statistics::{ColumnStatistics, is_yes};
use std::collections::BTreeSet;

/// A label that the rows may have.
pub(super) struct Candidate {
    pub(super) task: String,
    pub(super) label: String,
    /// Which rows have the number that the label compares, where some don't.
    pub(super) observed: Option<String>,
    pub(super) column: usize,
    /// Of the rows that have one.
    pub(super) rate: f64,
    /// Whether the draft uses it; others are comments.
    pub(super) is_strong: bool,
}

/// Labels that the columns may hold, the likelier first.
pub(super) fn candidates(columns: &[ColumnStatistics]) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut tasks = BTreeSet::new();
    for (index, column) in columns.iter().enumerate() {
        let Some((label, rate, is_strong)) = candidate(column) else {
            continue;
        };
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
                c
            } else {
                '_'
            }
        };
        let name: String = column.name.chars().map(plain).collect();
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let names = std::iter::once(name.clone()).chain(numbered);
        let task = names
            .into_iter()
            .find(|name| tasks.insert(name.clone()))
            .unwrap_or(name);
        // A comparison with a number that is not there doesn't hold, which is no negative label.
        let is_compared = column.is_numeric() && label != column.name;
        let lacks_some = is_compared && column.absent() > 0;
        let observed = match () {
            () if column.yes_beside_marks().is_some() => {
                Some(format!("{} is not null", mention(&column.name)))
            }
            () if has_minus_one(column) => Some(format!("{} >= 0", mention(&column.name))),
            () => {
                lacks_some.then(|| format!("{} >= {}", mention(&column.name), column.extremes().0))
            }
        };
        found.push(Candidate {
            task,
            label,
            observed,
            column: index,
            rate,
            is_strong,
        });
    }
    found
}

/// A label's text, its rate, and whether it is likely one.
fn candidate(column: &ColumnStatistics) -> Option<(String, f64, bool)> {
    const RATINGS: [&str; 5] = ["rating", "ratings", "score", "stars", "grade"];
    let values = column.by_count();
    let name = mention(&column.name);
    if column.holds_lists() || column.is_cut || column.is_constant() {
        return None;
    }
    let is_binary = column.is_whole() && column.smallest == 0.0 && column.largest == 1.0;
    if is_binary {
        return Some((column.name.clone(), column.positive_rate(), true));
    }
    if let Some((yes, count, both)) = column.yes_beside_marks() {
        let rate = count as f64 / both.max(1) as f64;
        return Some((format!("{name} == {}", literal(&yes)), rate, true));
    }
    // -1 is mostly a label that isn't known, and may be a class of its own.
    if has_minus_one(column) {
        let known = values.iter().filter(|(value, _)| value != "-1");
        let known: u64 = known.map(|(_, count)| count).sum();
        let rate = column.positive as f64 / known.max(1) as f64;
        return Some((format!("{name} == 1"), rate, false));
    }
    if let [(first, a), (second, b)] = &values[..]
        && !column.is_numeric()
    {
        // Of two words one that means yes makes a label; any other pair may be two kinds of
        // anything.
        let (value, count) = match (is_yes(first), is_yes(second)) {
            (true, false) => (first, a),
            _ => (second, b),
        };
        let rate = *count as f64 / column.rows.max(1) as f64;
        return Some((
            format!("{name} == {}", literal(value)),
            rate,
            is_yes(first) != is_yes(second),
        ));
    }
    if let Some((threshold, rate)) = high_rating(column, &values) {
        let is_rating = RATINGS.iter().any(|word| column.is_named(&[*word]));
        return Some((format!("{name} >= {threshold}"), rate, is_rating));
    }
    let is_sparse_count =
        column.is_numeric() && column.smallest == 0.0 && column.positive_rate() < 0.5;
    is_sparse_count.then(|| (format!("{name} > 0"), column.positive_rate(), false))
}

fn literal(value: &str) -> String {
    match value.contains('"') {
        true => format!("'{value}'"),
        false => format!("\"{value}\""),
    }
}

/// Whether a column holds -1, 0 and 1 and nothing else.
fn has_minus_one(column: &ColumnStatistics) -> bool {
    column.is_whole()
        && !column.is_cut
        && column.absent() == 0
        && column.distinct.len() == 3
        && (column.smallest, column.largest) == (-1.0, 1.0)
}

/// Of whole numbers on a short scale from 1, the least of the upper third, and the share of rows from there.
fn high_rating(column: &ColumnStatistics, values: &[(String, u64)]) -> Option<(u32, f64)> {
    let on_scale = column.is_whole() && column.smallest == 1.0 && column.largest <= 10.0;
    if !on_scale || values.len() < 3 {
        return None;
    }
    let threshold = (column.largest * 2.0 / 3.0).floor() + 1.0;
    let is_high = |value: &str| {
        value
            .trim()
            .parse::<f64>()
            .is_ok_and(|value| value >= threshold)
    };
    let high: u64 = values
        .iter()
        .filter(|(value, _)| is_high(value))
        .map(|(_, count)| count)
        .sum();
    Some((
        threshold as u32,
        high as f64 / column.present().max(1) as f64,
    ))
}

/// Whether a column looks like the ids of users.
pub(super) fn is_user(column: &ColumnStatistics) -> bool {
    const WORDS: [&str; 9] = [
        "user",
        "uid",
        "member",
        "customer",
        "visitor",
        "reader",
        "person",
        "player",
        "subscriber",
    ];
    let is_key = column.is_named(&["id", "key", "hash", "uid"])
        || WORDS.contains(&column.name.to_lowercase().as_str());
    column.is_named(&WORDS)
        && is_key
        && !column.is_unique()
        && !column.is_list
        && !column.is_constant()
}

/// The column that most looks like a time: the most distinct values among those that do.
pub(super) fn best_time(columns: &[ColumnStatistics]) -> Option<usize> {
    let times = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| is_time(column));
    let best = times.max_by_key(|(index, column)| {
        (
            column.is_named(&TIME_WORDS),
            column.distinct.len(),
            // Of equals the first column.
            std::cmp::Reverse(*index),
        )
    });
    best.map(|(index, _)| index)
}

const TIME_WORDS: [&str; 8] = [
    "time",
    "timestamp",
    "date",
    "day",
    "ts",
    "datetime",
    "created",
    "at",
];

/// Whether a column is a time on the rows that have one, and some rows have none: they would belong to no split.
pub(super) fn is_time_with_gaps(column: &ColumnStatistics) -> bool {
    column.absent() > 0 && looks_like_time(column)
}

fn is_time(column: &ColumnStatistics) -> bool {
    column.absent() == 0 && looks_like_time(column)
}

/// Whether a column looks like times, wherever they stand.
pub(super) fn looks_like_time(column: &ColumnStatistics) -> bool {
    if column.is_list || column.distinct.len() < 3 {
        return false;
    }
    if column.is_whole() {
        let inside = |from: f64, to: f64| column.smallest >= from && column.largest < to;
        // Microseconds and nanoseconds in the same years, where a name says so. yyyymmdd from 1900 to 2100; seconds from 1985 to 2096, and from 1995 to 2033 where no
        // name says that it is a time; milliseconds from 1995 to 2096. Narrow ranges, since large
        // numbers are mostly ids.
        let is_date = inside(19_000_101.0, 21_001_231.0);
        let is_seconds = inside(5e8, 4e9) && column.is_named(&TIME_WORDS);
        let is_unnamed_seconds = inside(8e8, 2e9) && column.name.starts_with("column_");
        let is_milliseconds = inside(8e11, 4e12);
        let is_finer = inside(8e14, 4e15) || inside(8e17, 4e18);
        return is_date && column.is_named(&TIME_WORDS)
            || is_seconds
            || is_unnamed_seconds
            || is_milliseconds
            || is_finer && column.is_named(&TIME_WORDS);
    }
    if column.time_format().is_some() {
        return true;
    }
    let looks = |id: u32| {
        let text = column.distinct.text(id);
        text.is_empty()
            || text.len() >= 10
                && text[4] == b'-'
                && text[7] == b'-'
                && text[..4].iter().all(u8::is_ascii_digit)
    };
    !column.is_cut && (0..column.distinct.len().min(100) as u32).all(looks)
}

/// A column's name in an expression.
fn mention(name: &str) -> String {
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !["and", "or", "not"].contains(&name);
    match is_word {
        true => name.to_owned(),
        false => format!("`{name}`"),
    }
}
