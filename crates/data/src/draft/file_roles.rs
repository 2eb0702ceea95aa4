//! Which files hold rows and which are joined to them.

use super::column_statistics::ColumnStatistics;
use super::scan::Scanned;
use crate::schema::FileKind;

/// Files with the roles that they seem to have.
#[derive(Debug)]
pub(super) struct Roles {
    /// Files of rows: those with the columns of the first.
    pub(super) rows: Vec<Keyed>,
    pub(super) joins: Vec<JoinDraft>,
    /// Files that go with no other, and why.
    pub(super) left_out: Vec<(String, String)>,
}

/// A file with its key in the draft.
#[derive(Debug)]
pub(super) struct Keyed {
    pub(super) key: String,
    pub(super) file: Scanned,
}

/// A table to join.
#[derive(Debug)]
pub(super) struct JoinDraft {
    pub(super) table: Keyed,
    /// Index of the rows' column.
    pub(super) on: usize,
    /// Index of the table's column.
    pub(super) key: usize,
    /// The share of the rows' values that the table has.
    pub(super) found: f64,
}

/// The smallest share of values that a table must have, and of its keys that rows must use, where names say nothing.
const SHARE: f64 = 0.5;

/// Gives every file a role.
pub(super) fn roles(scanned: Vec<Scanned>) -> Roles {
    let names = |file: &Scanned| -> Vec<String> {
        file.columns
            .iter()
            .map(|column| column.name.clone())
            .collect()
    };
    let mut keyed: Vec<Keyed> = Vec::new();
    for file in scanned {
        let key = key_of(&file.name, &keyed);
        keyed.push(Keyed { key, file });
    }
    // The rows are in the group of files with the same columns that most others can be joined to, then in the longest one.
    let score = |candidate: &Keyed| {
        let joined = keyed
            .iter()
            .filter(|other| names(&other.file) != names(&candidate.file))
            .filter(|other| match_of(&candidate.file, &other.file).is_some())
            .count();
        let group = keyed
            .iter()
            .filter(|other| is_part(&other.file, &candidate.file));
        (joined, group.map(|other| other.file.num_rows).sum::<u64>())
    };
    let best = (0..keyed.len())
        .rev()
        .max_by_key(|index| score(&keyed[*index]))
        .unwrap_or(0);
    let mut roles = Roles {
        rows: Vec::new(),
        joins: Vec::new(),
        left_out: Vec::new(),
    };
    let first = keyed.remove(best);
    for other in keyed {
        if is_part(&other.file, &first.file) {
            roles.rows.push(other);
        } else if let Some((on, key, found)) = match_of(&first.file, &other.file) {
            roles.joins.push(JoinDraft {
                table: other,
                on,
                key,
                found,
            });
        } else {
            let why = why_left_out(&first.file, &other.file);
            roles.left_out.push((other.file.name, why));
        }
    }
    // First, since the draft lists the columns of the first file of rows.
    roles.rows.insert(0, first);
    // Ranges, shares and the limits of times are of all rows, whichever part they are in.
    if let Some((first, others)) = roles.rows.split_first_mut() {
        for other in others {
            for (column, more) in first.file.columns.iter_mut().zip(&other.file.columns) {
                column.merge(more);
            }
        }
    }
    roles
}

/// Whether two files are parts of one table.
fn is_part(a: &Scanned, b: &Scanned) -> bool {
    let is_columnar = |file: &Scanned| file.kind != FileKind::Text;
    a.columns.len() == b.columns.len()
        && a.columns.iter().zip(&b.columns).all(|(a, b)| a.name == b.name && a.is_list == b.is_list)
        && (is_columnar(a) || is_columnar(b) || a.format == b.format)
        // Columns without names say nothing: those must hold the same kind of values.
        && a.columns.iter().zip(&b.columns).all(|(a, b)| {
            a.is_numeric() == b.is_numeric() || !a.name.starts_with("column_")
        })
}

/// How a table is joined to rows: the rows' column, the table's key, and the share of values that are found.
fn match_of(rows: &Scanned, table: &Scanned) -> Option<(usize, usize, f64)> {
    let keys = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, key)| key.is_unique());
    let mut best: Option<(f64, (usize, usize, f64))> = None;
    for (key_index, key) in keys {
        for (index, column) in rows.columns.iter().enumerate() {
            if column.is_unique() || column.is_list {
                continue;
            }
            let (found, used) = overlap(column, key);
            // `column_1` is a name that this draft gave; that two files have one says nothing.
            let is_same_name = column.name == key.name && !key.name.starts_with("column_");
            if found < SHARE || (used < SHARE && !is_same_name) {
                continue;
            }
            // A product of shares is at most 1: a name in common outweighs any overlap.
            let score = found * used + f64::from(u8::from(is_same_name));
            if best.is_none_or(|(other, _)| score > other) {
                best = Some((score, (index, key_index, found)));
            }
        }
    }
    best.map(|(_, found)| found)
}

/// Why a table isn't joined: a column of the rows' name that would be its key but for a value that is there twice or missing.
fn why_left_out(rows: &Scanned, table: &Scanned) -> String {
    let named = table
        .columns
        .iter()
        .filter(|key| !key.is_list && !key.name.starts_with("column_"));
    let near = named.filter_map(|key| {
        let column = rows.columns.iter().find(|column| column.name == key.name)?;
        (overlap(column, key).0 >= SHARE).then_some((key, key.why_not_unique()?))
    });
    match near.into_iter().next() {
        Some((key, what)) => format!(
            "has {what} in `{}`, and a joined table has one row for each key: it is left out. Mend the file, and draft again.",
            key.name
        ),
        None => "has no column whose values are keys of the rows, and is left out.".to_owned(),
    }
}

/// The share of the column's distinct values that are keys, and of the keys that are values.
fn overlap(column: &ColumnStatistics, key: &ColumnStatistics) -> (f64, f64) {
    let values = (0..column.distinct.len() as u32).map(|id| column.distinct.text(id));
    let shared = values
        .filter(|value| key.distinct.get(value).is_some())
        .count() as f64;
    let share = |of: usize| shared / of.max(1) as f64;
    (share(column.distinct.len()), share(key.distinct.len()))
}

/// A key for a file: its name without endings, in letters and digits.
fn key_of(name: &str, others: &[Keyed]) -> String {
    const ENDINGS: [&str; 17] = [
        ".gz", ".zst", ".csv", ".tsv", ".txt", ".data", ".parquet", ".pq", ".arrow", ".feather",
        ".ipc", ".dat", ".tab", ".arrows", ".inter", ".user", ".item",
    ];
    let mut stem = name;
    while let Some(shorter) = ENDINGS.iter().find_map(|ending| stem.strip_suffix(ending)) {
        if shorter.len() < 2 {
            break;
        }
        stem = shorter;
    }
    let key: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    let taken = |key: &String| others.iter().any(|other| other.key == *key);
    let numbered = (2..).map(|number| format!("{key}_{number}"));
    std::iter::once(key.clone())
        .chain(numbered)
        .find(|key| !taken(key))
        .unwrap_or(key)
}
