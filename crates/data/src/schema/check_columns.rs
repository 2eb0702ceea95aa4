//! Validation of `columns`: names, types, marks of missing values, and columns that are computed.

use crate::expression::{ColumnType, Columns, Expression};
use crate::timeline::{TimeRule, check_format};
use arrow::datatypes::TimeUnit;
use homebench_diagnostic::{Diagnostic, Document, KeyPath};
use toml::Value;

/// Words for types, in the order in which they are told.
const TYPES: [&str; 6] = ["text", "integer", "float", "boolean", "timestamp", "date"];
/// Keys of a column's table.
const KEYS: [&str; 7] = [
    "name",
    "type",
    "unit",
    "zone",
    "format",
    "missing",
    "expression",
];

/// A column as the description has it.
#[derive(Debug, Default)]
pub(super) struct ColumnEntry {
    pub(super) name: String,
    pub(super) declared: Option<ColumnType>,
    /// Texts that stand for nothing in this column.
    pub(super) missing: Vec<String>,
    /// Where it is, and what it is computed by.
    expression: Option<(KeyPath, String)>,
}

/// The columns of a description, those of files and those that are computed.
pub(super) struct ColumnEntries {
    pub(super) own: Vec<ColumnEntry>,
    derived: Vec<ColumnEntry>,
}

impl ColumnEntries {
    /// Reads `columns`: a list of names or tables, or a table of columns.
    pub(super) fn read(
        document: &Document,
        at: &KeyPath,
        columns: &Value,
    ) -> Result<Self, Diagnostic> {
        let entries = match columns {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    let at = at.join(index.to_string());
                    match item {
                        Value::String(name) => Ok(ColumnEntry {
                            name: name.clone(),
                            ..ColumnEntry::default()
                        }),
                        Value::Table(table) => entry(document, &at, table, None),
                        _ => Err(document.at_value(&at, "expected a column's name, or a table such as { name = \"day\", type = \"date\" }")),
                    }
                })
                .collect::<Result<Vec<_>, _>>()?,
            Value::Table(table) => {
                let names = document.keys_in_order(at);
                let column = |name: String| {
                    let at = at.join(&name);
                    match &table[&name] {
                        Value::String(word) => {
                            let declared = declared(document, &at, word, &toml::Table::new())?;
                            Ok(ColumnEntry { name, declared, ..ColumnEntry::default() })
                        }
                        Value::Table(table) => entry(document, &at, table, Some(name)),
                        _ => Err(document
                            .at_value(&at, format!("expected a type ({}) or a table", TYPES.join(", ")))
                            .hint(format!("write {name} = {{}} for a column that needs no type"))),
                    }
                };
                names.into_iter().map(column).collect::<Result<Vec<_>, _>>()?
            }
            _ => {
                let message = "expected a list of columns, or a table of them";
                return Err(document.at_value(at, message));
            }
        };
        for (index, column) in entries.iter().enumerate() {
            if entries[..index]
                .iter()
                .any(|before| before.name == column.name)
            {
                let at = at.join(index.to_string());
                let message = format!("the column `{}` is listed twice", column.name);
                return Err(document.at_value(&at, message));
            }
        }
        let (derived, own): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|column| column.expression.is_some());
        if own.is_empty() {
            return Err(document.at_value(at, "expected at least one column of the files"));
        }
        Ok(Self { own, derived })
    }

    /// Names of the columns of the files.
    pub(super) fn own_names(&self) -> Vec<String> {
        self.own.iter().map(|column| column.name.clone()).collect()
    }

    /// Refuses computed columns where there can be none.
    pub(super) fn refuse_derived(&self, document: &Document) -> Result<(), Diagnostic> {
        match self.derived.iter().find_map(|column| column.expression.as_ref()) {
            None => Ok(()),
            Some((at, _)) => Err(document
                .at_key(at, "a column of a joined table is not computed")
                .hint("compute it among the `columns` of the rows, which may use those of joined tables")),
        }
    }

    /// Adds the computed columns behind the others; each may use those before it.
    pub(super) fn derive(
        &self,
        document: &Document,
        columns: &mut Vec<String>,
        types: &mut Vec<Option<ColumnType>>,
    ) -> Result<Vec<Expression>, Diagnostic> {
        let mut expressions = Vec::with_capacity(self.derived.len());
        let names: Vec<String> = self
            .derived
            .iter()
            .map(|column| column.name.clone())
            .collect();
        for (index, column) in self.derived.iter().enumerate() {
            let Some((at, text)) = &column.expression else {
                continue;
            };
            if columns.contains(&column.name) {
                let message = format!("there already is a column `{}`", column.name);
                return Err(document.at_key(at, message).hint("give it another name"));
            }
            types.resize(columns.len(), None);
            let known = Columns {
                names: columns,
                types,
                later: &names[index..],
            };
            let parsed = super::check_expression::computed(document, at, text, known);
            expressions.push(parsed?);
            columns.push(column.name.clone());
            types.push(column.declared.clone());
        }
        types.resize(columns.len(), None);
        Ok(expressions)
    }
}

fn entry(
    document: &Document,
    at: &KeyPath,
    table: &toml::Table,
    name: Option<String>,
) -> Result<ColumnEntry, Diagnostic> {
    for key in table.keys() {
        let is_known = KEYS.contains(&key.as_str()) && !(key == "name" && name.is_some());
        if !is_known {
            return Err(document
                .at_key(&at.join(key), format!("unknown key `{key}`"))
                .did_you_mean(key, KEYS));
        }
    }
    let text = |key: &str| match table.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(document.at_value(&at.join(key), "expected a text in quotes")),
    };
    let name = match name {
        Some(name) => name,
        None => text("name")?.ok_or_else(|| {
            document
                .at_key(at, "the column has no `name`")
                .hint("write { name = \"...\", ... }")
        })?,
    };
    let expression = text("expression")?.map(|text| (at.join("expression"), text));
    let declared = match text("type")? {
        Some(word) => declared(document, &at.join("type"), &word, table)?,
        None => {
            if let Some(key) = ["unit", "zone", "format"]
                .iter()
                .find(|key| table.contains_key(**key))
            {
                let message = format!("`{key}` belongs to a column of times");
                return Err(document
                    .at_key(&at.join(*key), message)
                    .hint("add type = \"timestamp\""));
            }
            None
        }
    };
    let missing = match table.get("missing") {
        None => Vec::new(),
        Some(value) => marks(document, &at.join("missing"), value)?,
    };
    if let Some((at, _)) = &expression
        && (!missing.is_empty() || table.contains_key("type"))
    {
        return Err(document
            .at_key(at, "a computed column has the type of its expression")
            .hint("use cast(... as float) and nullif(..., 'NA') in the expression"));
    }
    Ok(ColumnEntry {
        name,
        declared,
        missing,
        expression,
    })
}

/// Texts that stand for nothing.
pub(super) fn marks(
    document: &Document,
    at: &KeyPath,
    value: &Value,
) -> Result<Vec<String>, Diagnostic> {
    let expected = || {
        document.at_value(
            at,
            "expected the texts that stand for a missing value, such as [\"NA\"]",
        )
    };
    let list = match value {
        Value::String(_) => std::slice::from_ref(value),
        Value::Array(list) => list.as_slice(),
        _ => return Err(expected()),
    };
    list.iter()
        .map(|mark| mark.as_str().map(str::to_owned).ok_or_else(expected))
        .collect()
}

fn declared(
    document: &Document,
    at: &KeyPath,
    word: &str,
    table: &toml::Table,
) -> Result<Option<ColumnType>, Diagnostic> {
    let of_time = |key: &str| table.get(key).and_then(Value::as_str);
    Ok(Some(match word {
        "text" => ColumnType::Text,
        "integer" => ColumnType::Integer,
        "float" => ColumnType::Float,
        "boolean" => ColumnType::Boolean,
        "timestamp" | "date" => {
            let unit = match of_time("unit") {
                None => None,
                Some(word) => Some(unit(word).ok_or_else(|| {
                    document
                        .at_value(at, format!("unknown unit `{word}`"))
                        .hint("expected s, ms, us or ns")
                })?),
            };
            let zone = match of_time("zone") {
                None => None,
                Some(name) => Some(name.parse().map_err(|_| {
                    document
                        .at_value(at, format!("there is no time zone `{name}`"))
                        .hint("write it as the IANA database has it, such as \"Europe/Berlin\" or \"UTC\"")
                })?),
            };
            let format = of_time("format").map(str::to_owned);
            if unit.is_some() && format.is_some() {
                let message = "`unit` is for numbers and `format` for texts";
                return Err(document.at_value(at, message).hint("keep one of them"));
            }
            if let Some(Err((message, hint))) = format.as_deref().map(check_format) {
                return Err(document.at_value(at, message).hint(hint));
            }
            // A day in Berlin is the same day in UTC; as a time its midnight would be one of the day before.
            if word == "date" && zone.is_some() {
                return Err(document
                    .at_value(at, "a date has no zone: it is the day that is written")
                    .hint("leave `zone` out; for times of day that clocks of the zone show, write type = \"timestamp\""));
            }
            ColumnType::Time(TimeRule {
                unit,
                zone,
                format,
                is_date: word == "date",
            })
        }
        other => {
            return Err(document
                .at_value(
                    at,
                    format!("unknown type `{other}`; there are {}", TYPES.join(", ")),
                )
                .did_you_mean(other, TYPES));
        }
    }))
}

fn unit(word: &str) -> Option<TimeUnit> {
    Some(match word {
        "s" | "seconds" => TimeUnit::Second,
        "ms" | "milliseconds" => TimeUnit::Millisecond,
        "us" | "microseconds" => TimeUnit::Microsecond,
        "ns" | "nanoseconds" => TimeUnit::Nanosecond,
        _ => return None,
    })
}
