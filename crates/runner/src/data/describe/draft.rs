//! The draft as TOML.

use super::column::Column;
use super::roles::{JoinDraft, Keyed, Roles};
use super::scan::Scanned;
use crate::data::description::{Encoding, FileKind, Format};
use std::collections::BTreeSet;
use std::fmt::Write;
use toml::Value;

/// A label that the rows may have.
struct Candidate {
    task: String,
    label: String,
    /// Which rows have the number that the label compares, where some don't.
    observed: Option<String>,
    column: usize,
    /// Of the rows that have one.
    rate: f64,
    /// Whether the draft uses it; others are comments.
    is_strong: bool,
}

/// Writes the draft.
pub(super) fn draft(roles: &Roles) -> String {
    let rows = &roles.rows[0].file;
    let columns = &rows.columns;
    let user = columns.iter().position(is_user);
    let time = best_time(columns);
    let candidates = candidates(columns);
    let mut text = String::from(
        "# A draft by `homebench data describe`, from what the files hold: read it, correct it, choose labels. Save it as\n\
         # experiments/datasets/<name>.toml and try it with `homebench data prepare <name> --data-dir <folder of the files>`.\n\n",
    );
    let _ = writeln!(text, "source = \"table\"\ndefault_protocol = \"draft\"");
    write_columns(&mut text, columns);
    let optional: Vec<&str> = columns
        .iter()
        .filter(|column| column.is_numeric() && column.missing > 0)
        .map(|column| column.name.as_str())
        .collect();
    if !optional.is_empty() {
        let _ = writeln!(
            text,
            "# Numbers that are missing in some rows.\noptional = {}",
            list(&optional)
        );
    }
    match user {
        Some(user) => {
            let name = quoted(&columns[user].name);
            let _ = writeln!(
                text,
                "# Rows of one user belong together; remove it where there are no users.\nuser = {name}"
            );
        }
        None => text.push_str("# user = \"...\" # the column of the users, for grouped metrics\n"),
    }
    let _ = writeln!(text);
    write_format(&mut text, "[format]\n", rows);
    write_files(&mut text, roles);
    for join in &roles.joins {
        write_join(&mut text, join, columns);
    }
    for file in &roles.left_out {
        let _ = writeln!(
            text,
            "# {file} has no column whose values are keys of the rows, and is left out.\n"
        );
    }
    write_split(&mut text, columns, user, time);
    write_tasks(&mut text, &candidates);
    write_features(&mut text, roles, user, time, &candidates);
    text
}

fn write_columns(text: &mut String, columns: &[Column]) {
    text.push_str("columns = [\n");
    for column in columns {
        let _ = writeln!(text, "    {}, # {}", quoted(&column.name), column.summary());
    }
    text.push_str("]\n");
}

/// The format of a text file; other files need none.
fn write_format(text: &mut String, head: &str, file: &Scanned) {
    if file.kind == FileKind::Text {
        let _ = writeln!(text, "{head}{}\n", format_lines(file.format, "\n"));
    }
}

fn format_lines(format: Format, between: &str) -> String {
    let separator = char::from(format.separator).to_string();
    let mut keys = vec![
        format!("separator = {}", quoted(&separator)),
        format!("has_header = {}", format.has_header),
    ];
    if format.quotes {
        keys.push("quotes = true".to_owned());
    }
    if format.trim_spaces {
        keys.push("trim_spaces = true".to_owned());
    }
    if format.encoding == Encoding::Latin1 {
        keys.push("encoding = \"latin-1\"".to_owned());
    }
    keys.join(between)
}

fn write_files(text: &mut String, roles: &Roles) {
    let joined = roles.joins.iter().map(|join| &join.table);
    for Keyed { key, file } in roles.rows.iter().chain(joined) {
        let _ = writeln!(text, "# {} rows", file.num_rows);
        for (column, why) in &file.left_out {
            let what = match column.is_empty() {
                true => "a column".to_owned(),
                false => format!("`{column}`"),
            };
            let _ = writeln!(text, "# {what} is left out: {why}");
        }
        let _ = writeln!(
            text,
            "[files.{}]\nname = {}\n",
            bare(key),
            quoted(&file.name)
        );
    }
}

/// What a table's columns are called beside those of the rows.
fn prefix(join: &JoinDraft, columns: &[Column]) -> String {
    let taken = |column: &Column| columns.iter().any(|other| other.name == column.name);
    let own = join.table.file.columns.iter().enumerate();
    let clashes = own
        .filter(|(index, _)| *index != join.key)
        .any(|(_, column)| taken(column));
    let is_numbered = join
        .table
        .file
        .columns
        .iter()
        .any(|column| column.name.starts_with("column_"));
    match clashes || is_numbered {
        true => format!("{}_", join.table.key),
        false => String::new(),
    }
}

fn write_join(text: &mut String, join: &JoinDraft, columns: &[Column]) {
    let table = &join.table;
    let (on, key) = (&columns[join.on], &table.file.columns[join.key]);
    let _ = writeln!(
        text,
        "# {:.1} % of the values of {} are there.\n[joins.{}]\nfile = {}\non = {}",
        100.0 * join.found,
        quoted(&on.name),
        bare(&table.key),
        quoted(&table.key),
        quoted(&on.name)
    );
    if key.name != on.name {
        let _ = writeln!(text, "key = {}", quoted(&key.name));
    }
    write_columns(text, &table.file.columns);
    let prefix = prefix(join, columns);
    if !prefix.is_empty() {
        let _ = writeln!(text, "prefix = {}", quoted(&prefix));
    }
    if table.file.kind == FileKind::Text {
        let _ = writeln!(
            text,
            "format = {{ {} }}",
            format_lines(table.file.format, ", ")
        );
    }
    text.push('\n');
}

fn write_split(text: &mut String, columns: &[Column], user: Option<usize>, time: Option<usize>) {
    let limits = time.and_then(|time| {
        let column = &columns[time];
        let (validation, test) = match column.is_numeric() {
            true => {
                let number = |share| column.quantile(share).map(|number| number.to_string());
                (number(0.8)?, number(0.9)?)
            }
            false => {
                let value = |share| column.text_quantile(share).map(|text| quoted(&text));
                (value(0.8)?, value(0.9)?)
            }
        };
        (validation != test).then_some((column, validation, test))
    });
    let fractions = "validation_fraction = 0.1\ntest_fraction = 0.1\nseed = 1";
    match (limits, user) {
        (Some((column, validation, test)), _) => {
            let _ = writeln!(
                text,
                "# The last tenth of the rows is for the test, the tenth before it for validation.\n[split]\nkind = \"time\"\n\
                 column = {}\nvalidation_from = {validation}\ntest_from = {test}\n",
                quoted(&column.name)
            );
        }
        (None, Some(_)) => {
            let _ = writeln!(
                text,
                "# All rows of a user are in one split.\n[split]\nkind = \"user\"\n{fractions}\n"
            );
        }
        (None, None) => {
            let _ = writeln!(text, "[split]\nkind = \"hash\"\n{fractions}\n");
        }
    }
}

fn write_tasks(text: &mut String, candidates: &[Candidate]) {
    if !candidates.iter().any(|candidate| candidate.is_strong) {
        text.push_str(
            "# No column holds 0 and 1: write a condition, such as 'price > 100' or 'kind == \"a\"'.\n\
             [tasks.choose]\nlabel = \"\"\ngroup = \"main\"\n\n",
        );
    }
    for Candidate {
        task,
        label,
        observed,
        rate,
        is_strong,
        ..
    } in candidates
    {
        let mark = if *is_strong { "" } else { "# " };
        let which = match observed {
            Some(_) => "the rows that have it",
            None => "the rows",
        };
        let _ = writeln!(
            text,
            "# Positive in {:.2} % of {which}.\n{mark}[tasks.{}]\n{mark}label = {}",
            100.0 * rate,
            bare(task),
            quoted(label)
        );
        if let Some(observed) = observed {
            let _ = writeln!(text, "{mark}observed = {}", quoted(observed));
        }
        let _ = writeln!(text, "{mark}group = \"main\"\n");
    }
    let mut names: Vec<&str> = candidates
        .iter()
        .filter(|candidate| candidate.is_strong)
        .map(|candidate| candidate.task.as_str())
        .collect();
    if names.is_empty() {
        names.push("choose");
    }
    let _ = writeln!(
        text,
        "# Labels must not be made from each other's causes: leave out of `tasks` what is no goal, and add what gives a label\n\
         # away to not_inputs.\n[protocols.draft]\ntasks = {}\n",
        list(&names)
    );
}

fn write_features(
    text: &mut String,
    roles: &Roles,
    user: Option<usize>,
    time: Option<usize>,
    candidates: &[Candidate],
) {
    text.push_str("[features]\n");
    let columns = &roles.rows[0].file.columns;
    let mut written = 0;
    for (index, column) in columns.iter().enumerate() {
        let label = candidates
            .iter()
            .find(|candidate| candidate.column == index && candidate.is_strong);
        let why = match label {
            Some(_) => Some("a label"),
            None if Some(index) == time => Some("the time"),
            None if column.is_unique() && Some(index) != user => Some("another value in every row"),
            None => None,
        };
        written += write_feature(text, column, &column.name, why);
    }
    for join in &roles.joins {
        let prefix = prefix(join, columns);
        for (index, column) in join.table.file.columns.iter().enumerate() {
            if index == join.key {
                continue;
            }
            let why = (column.is_unique() && !column.is_numeric())
                .then_some("another value in every row");
            written += write_feature(text, column, &format!("{prefix}{}", column.name), why);
        }
    }
    if written == 0 {
        text.push_str("# Nothing here looks like an input: write one, such as\n# name = { kind = \"categorical\" }\n");
    }
}

/// Writes a feature, or why there is none; gives how many were written.
fn write_feature(text: &mut String, column: &Column, name: &str, why_not: Option<&str>) -> usize {
    let why_not = match column.is_constant() {
        true => Some("the same in every row"),
        false => why_not,
    };
    if let Some(why) = why_not {
        let _ = writeln!(text, "# {name}: {why}");
        return 0;
    }
    let _ = writeln!(text, "{} = {{ {} }}", bare(name), kind(column));
    1
}

fn kind(column: &Column) -> String {
    const HASHED_FROM: usize = 1_000_000;
    const RARE_FROM: usize = 1_000;
    const FEW_NUMBERS: usize = 50;
    let distinct = column.distinct.len();
    let is_id = column.is_named(&["id", "code", "uid"]);
    match () {
        () if column.is_list || column.piped * 5 > column.present() => "kind = \"list\"".to_owned(),
        () if column.is_numeric() && !is_id && !(column.is_whole() && distinct <= FEW_NUMBERS) => {
            let (median, largest) = (column.quantile(0.5).unwrap_or(0.0), column.largest);
            match column.smallest >= 0.0 && largest > 20.0 * median.max(1.0) {
                true => "kind = \"numeric\", transform = [\"log1p\", \"standardise\"]".to_owned(),
                false => "kind = \"numeric\", transform = [\"standardise\"]".to_owned(),
            }
        }
        () if distinct >= HASHED_FROM => "kind = \"hash\", buckets = 1_000_000".to_owned(),
        () if distinct >= RARE_FROM => "kind = \"categorical\", min_count = 2".to_owned(),
        () => "kind = \"categorical\"".to_owned(),
    }
}

/// Labels that the columns may hold, the likelier first.
fn candidates(columns: &[Column]) -> Vec<Candidate> {
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
        let observed = is_compared && column.missing > 0;
        found.push(Candidate {
            task,
            label,
            observed: observed.then(|| format!("{} >= {}", mention(&column.name), column.smallest)),
            column: index,
            rate,
            is_strong,
        });
    }
    found
}

/// A label's text, its rate, and whether it is likely one.
fn candidate(column: &Column) -> Option<(String, f64, bool)> {
    const YES: [&str; 6] = ["yes", "true", "y", "t", "positive", "1"];
    const RATINGS: [&str; 5] = ["rating", "ratings", "score", "stars", "grade"];
    let values = column.by_count();
    let name = mention(&column.name);
    if column.is_list || column.is_cut || column.is_constant() {
        return None;
    }
    let is_binary = column.is_whole() && column.smallest == 0.0 && column.largest == 1.0;
    if is_binary {
        return Some((column.name.clone(), column.positive_rate(), true));
    }
    if let [(first, a), (second, b)] = &values[..]
        && !column.is_numeric()
    {
        let is_yes = |value: &String| YES.contains(&value.to_lowercase().as_str());
        let (value, count) = match (is_yes(first), is_yes(second)) {
            (true, false) => (first, a),
            _ => (second, b),
        };
        let literal = match value.contains('"') {
            true => format!("'{value}'"),
            false => format!("\"{value}\""),
        };
        let rate = *count as f64 / column.rows.max(1) as f64;
        return Some((
            format!("{name} == {literal}"),
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

/// Of whole numbers on a short scale from 1, the least of the upper third, and the share of rows from there.
fn high_rating(column: &Column, values: &[(String, u64)]) -> Option<(u32, f64)> {
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

fn is_user(column: &Column) -> bool {
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
fn best_time(columns: &[Column]) -> Option<usize> {
    let times = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| is_time(column));
    let best = times.max_by_key(|(index, column)| {
        (
            column.is_named(&TIME_WORDS),
            column.distinct.len(),
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

fn is_time(column: &Column) -> bool {
    if column.missing > 0 || column.is_list || column.distinct.len() < 3 {
        return false;
    }
    if column.is_whole() {
        let inside = |from: f64, to: f64| column.smallest >= from && column.largest < to;
        let is_date = inside(19_000_101.0, 21_001_231.0);
        let is_seconds = inside(5e8, 4e9) && column.is_named(&TIME_WORDS);
        let is_unnamed_seconds = inside(8e8, 2e9) && column.name.starts_with("column_");
        let is_milliseconds = inside(8e11, 4e12);
        return is_date && column.is_named(&TIME_WORDS)
            || is_seconds
            || is_unnamed_seconds
            || is_milliseconds;
    }
    let looks = |id: u32| {
        let text = column.distinct.text(id);
        text.len() >= 10
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

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// A key of TOML.
fn bare(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { key.to_owned() } else { quoted(key) }
}

fn list(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!("[{}]", names.join(", "))
}
