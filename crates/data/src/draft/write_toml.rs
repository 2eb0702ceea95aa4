//! The draft as TOML.

use super::column_statistics::ColumnStatistics;
use super::file_roles::{JoinDraft, Keyed, Roles};
use super::guess_meaning::{
    Candidate, best_time, candidates, is_time_with_gaps, is_user, looks_like_time,
};
use super::scan::Scanned;
use crate::schema::{Encoding, FileKind, Format};
use std::fmt::Write;
use toml::Value;

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
        .filter(|column| column.is_numeric() && column.absent() > 0)
        .map(|column| column.name.as_str())
        .collect();
    if !optional.is_empty() {
        let _ = writeln!(
            text,
            "# Numbers that are missing in some rows.\noptional = {}",
            list(&optional)
        );
    }
    let joined = roles.joins.iter().map(|join| &join.table.file.columns);
    let all = std::iter::once(columns).chain(joined).flatten();
    let mut marks: Vec<&str> = all.flat_map(ColumnStatistics::missing_marks).collect();
    marks.sort_unstable();
    marks.dedup();
    if !marks.is_empty() {
        let _ = writeln!(
            text,
            "# What stands for a missing value.\nmissing = {}",
            list(&marks)
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
    for (file, why) in &roles.left_out {
        let _ = writeln!(text, "# {file} {why}\n");
    }
    write_split(&mut text, columns, user, time);
    write_tasks(&mut text, &candidates);
    write_features(&mut text, roles, user, time, &candidates);
    text
}

fn write_columns(text: &mut String, columns: &[ColumnStatistics]) {
    text.push_str("columns = [\n");
    for column in columns {
        let name = quoted(&column.name);
        let entry = match column.time_format() {
            Some(format) => format!(
                "{{ name = {name}, type = \"timestamp\", format = {} }}",
                quoted(format)
            ),
            None => name,
        };
        let _ = writeln!(text, "    {entry}, # {}", column.summary());
    }
    text.push_str("]\n");
}

/// The format of a text file; other files need none.
fn write_format(text: &mut String, head: &str, file: &Scanned) {
    // The ending of RecBole's files says it all.
    if file.kind == FileKind::Text {
        let _ = writeln!(text, "{head}{}\n", format_lines(file.format, "\n"));
    }
}

fn format_lines(format: Format, between: &str) -> String {
    let mut keys = vec![
        format!("separator = {}", quoted(format.separator.text())),
        format!("has_header = {}", format.has_header),
    ];
    if format.quotes {
        keys.push("quotes = true".to_owned());
    }
    if let Some(escape) = format.escape {
        keys.push(format!(
            "escape = {}",
            quoted(&char::from(escape).to_string())
        ));
    }
    if let Some(comment) = format.comment {
        keys.push(format!(
            "comment = {}",
            quoted(&char::from(comment).to_string())
        ));
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
        let _ = match file.num_seen < file.num_rows {
            true => writeln!(
                text,
                "# {} rows, of which {} all over the file were looked at (--rows)",
                file.num_rows, file.num_seen
            ),
            false => writeln!(text, "# {} rows", file.num_rows),
        };
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
fn prefix(join: &JoinDraft, columns: &[ColumnStatistics]) -> String {
    let taken = |column: &ColumnStatistics| columns.iter().any(|other| other.name == column.name);
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

fn write_join(text: &mut String, join: &JoinDraft, columns: &[ColumnStatistics]) {
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

fn write_split(
    text: &mut String,
    columns: &[ColumnStatistics],
    user: Option<usize>,
    time: Option<usize>,
) {
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
        // Where most rows share one time there is no tenth to cut off.
        (validation != test).then_some((column, validation, test))
    });
    let fractions = "validation_fraction = 0.1\ntest_fraction = 0.1\nseed = 1";
    match (limits, user) {
        (Some((column, validation, test)), _) => {
            let endless = if column.is_numeric() {
                0
            } else {
                column.num_endless()
            };
            if endless > 0 {
                let _ = writeln!(
                    text,
                    "# {endless} rows are of the year 9999, as \"never\" is often written: they are in the test. A filter leaves them out."
                );
            }
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
            None if is_time_with_gaps(column) => {
                Some("a time that some rows lack; a split by time needs one on every row")
            }
            None if looks_like_time(column) => Some(
                "a time too; its parts may be inputs, such as extract(hour from it) in `columns`",
            ),
            // Measured numbers mostly differ, and say something all the same; ids and counters that differ don't.
            None if column.is_unique()
                && Some(index) != user
                && (!column.is_numeric() || column.is_whole()) =>
            {
                Some("another value in every row")
            }
            None => None,
        };
        let separator = list_separator(&roles.rows[0].file);
        written += write_feature(
            text,
            column,
            &column.name,
            why,
            separator,
            Some(index) == user,
        );
    }
    for join in &roles.joins {
        let prefix = prefix(join, columns);
        for (index, column) in join.table.file.columns.iter().enumerate() {
            if index == join.key {
                continue;
            }
            let why = (column.is_unique() && !column.is_numeric())
                .then_some("another value in every row");
            let (name, separator) = (
                format!("{prefix}{}", column.name),
                list_separator(&join.table.file),
            );
            written += write_feature(text, column, &name, why, separator, false);
        }
    }
    if written == 0 {
        text.push_str("# Nothing here looks like an input: write one, such as\n# name = { kind = \"categorical\" }\n");
    }
}

/// What divides the values of columns that a file itself calls lists.
fn list_separator(file: &Scanned) -> Option<u8> {
    (file.kind == FileKind::RecBole).then_some(b' ')
}

/// Writes a feature, or why there is none; gives how many were written.
fn write_feature(
    text: &mut String,
    column: &ColumnStatistics,
    name: &str,
    why_not: Option<&str>,
    separator: Option<u8>,
    is_user: bool,
) -> usize {
    let why_not = match column.is_constant() {
        true => Some("the same in every row"),
        false => why_not,
    };
    if let Some(why) = why_not {
        let _ = writeln!(text, "# {name}: {why}");
        return 0;
    }
    if column.scientific > 0 && column.is_whole() {
        let _ = writeln!(
            text,
            "# {} values of {name} are written like 1e+05, as R writes 100000: as ids these are two. Write them with\n\
             # options(scipen = 999), or read the column as numbers.",
            column.scientific
        );
    }
    let _ = writeln!(
        text,
        "{} = {{ {} }}",
        bare(name),
        kind(column, separator, is_user)
    );
    1
}

fn kind(column: &ColumnStatistics, separator: Option<u8>, is_user: bool) -> String {
    const HASHED_FROM: usize = 1_000_000;
    const RARE_FROM: usize = 1_000;
    const FEW_NUMBERS: usize = 50;
    let distinct = column.distinct.len();
    let is_name = is_user || column.is_named(&["id", "code", "uid"]) || column.is_token;
    match () {
        () if column.holds_lists() => match separator.filter(|_| column.is_list) {
            Some(separator) => format!(
                "kind = \"list\", separator = {}",
                quoted(&char::from(separator).to_string())
            ),
            None => "kind = \"list\"".to_owned(),
        },
        // The order of ids means nothing, and a few whole numbers are mostly codes: neither is an
        // amount.
        () if column.is_numeric()
            && !is_name
            && !(column.is_whole() && distinct <= FEW_NUMBERS) =>
        {
            let (median, largest) = (column.quantile(0.5).unwrap_or(0.0), column.largest);
            // A long tail: without a logarithm, a few large values would set the scale of all.
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

fn quoted(text: &str) -> String {
    // TOML's own writer knows what to escape.
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
