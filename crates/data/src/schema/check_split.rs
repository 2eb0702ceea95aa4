//! Validation of splits.

use super::SplitLimit;
use super::check_table::{column_index, file_keys};
use super::wire::{WireSplit, WireSplitKind};
use super::{SourceFile, SplitPlan, path};
use crate::expression::{ColumnType, Columns, Reading};
use crate::timeline::{self, TimeRule};
use homebench_diagnostic::{Diagnostic, Document};
use toml::Value;

/// Checks the split of a description.
pub(super) fn split(
    document: &Document,
    wire: &WireSplit,
    files: &[SourceFile],
    beside: &[usize],
    columns: Columns<'_>,
    user: Option<usize>,
) -> Result<SplitPlan, Diagnostic> {
    let parts = SplitCheck {
        document,
        wire,
        files,
        beside,
        columns,
        user,
    };
    parts.check_keys()?;
    match wire.kind {
        WireSplitKind::Files => parts.by_files(),
        WireSplitKind::Time => parts.by_time(),
        WireSplitKind::Hash => parts.by_hash(),
        WireSplitKind::User => parts.by_user(),
    }
}

struct SplitCheck<'a> {
    document: &'a Document,
    wire: &'a WireSplit,
    files: &'a [SourceFile],
    /// Files that are read beside the rows: those of joins and of pretrained vectors.
    beside: &'a [usize],
    /// Of all rows.
    columns: Columns<'a>,
    user: Option<usize>,
}

impl SplitCheck<'_> {
    /// Refuses keys that belong to another kind.
    fn check_keys(&self) -> Result<(), Diagnostic> {
        use WireSplitKind::{Files, Hash, Time, User};
        let wire = self.wire;
        // A key that is ignored, such as a seed, would be another split than its author thinks.
        let keys: [(&str, bool, &[WireSplitKind]); 9] = [
            ("train", wire.train.is_some(), &[Files]),
            ("holdout", wire.holdout.is_some(), &[Files]),
            ("files", wire.files.is_some(), &[Time, Hash, User]),
            ("column", wire.column.is_some(), &[Time, Hash]),
            ("validation_from", wire.validation_from.is_some(), &[Time]),
            ("test_from", wire.test_from.is_some(), &[Time]),
            (
                "validation_fraction",
                wire.validation_fraction.is_some(),
                &[Files, Hash, User],
            ),
            ("test_fraction", wire.test_fraction.is_some(), &[Hash, User]),
            ("seed", wire.seed.is_some(), &[Files, Hash, User]),
        ];
        for (key, is_given, kinds) in keys {
            if is_given && !kinds.contains(&wire.kind) {
                let of: Vec<String> = kinds
                    .iter()
                    .map(|kind| format!("\"{}\"", name(*kind)))
                    .collect();
                return Err(self
                    .document
                    .at_key(
                        &path(&["split", key]),
                        format!("`{key}` has no meaning in a split by {}", name(wire.kind)),
                    )
                    .hint(format!("it belongs to kind = {}", of.join(" or "))));
            }
        }
        Ok(())
    }

    fn by_files(&self) -> Result<SplitPlan, Diagnostic> {
        let train = self.required_files("train", &self.wire.train)?;
        let holdout = self.required_files("holdout", &self.wire.holdout)?;
        if train.iter().any(|file| holdout.contains(file)) {
            let message = "a file can't be both for training and held out";
            return Err(self
                .document
                .at_value(&path(&["split", "holdout"]), message));
        }
        Ok(SplitPlan::Files {
            train,
            holdout,
            validation_fraction: self
                .fraction("validation_fraction", self.wire.validation_fraction)?,
            seed: self.seed()?,
        })
    }

    fn by_time(&self) -> Result<SplitPlan, Diagnostic> {
        let column = self.wire.column.as_ref();
        let column = column.ok_or_else(|| self.missing("column", "the column with times"))?;
        let at = path(&["split", "column"]);
        let column = column_index(self.document, self.columns.names, &at, column)?;
        let limit = |key: &str, value: &Option<Value>| self.limit(key, value, column);
        let validation_from = limit("validation_from", &self.wire.validation_from)?;
        let test_from = limit("test_from", &self.wire.test_from)?;
        let number = |limit: &SplitLimit| match limit {
            SplitLimit::Integer(number) => *number as f64,
            SplitLimit::Float(number) => *number,
            SplitLimit::Time { .. } => f64::NAN,
        };
        let is_in_order = match (&validation_from, &test_from) {
            (SplitLimit::Integer(a), SplitLimit::Integer(b)) => a < b,
            (SplitLimit::Time { time: a, .. }, SplitLimit::Time { time: b, .. }) => a < b,
            (a, b) if a.reading() == b.reading() => number(a) < number(b),
            _ => {
                let message =
                    "expected `validation_from` and `test_from` to be two numbers or two texts";
                return Err(self
                    .document
                    .at_value(&path(&["split", "test_from"]), message));
            }
        };
        if !is_in_order {
            let message = "expected `test_from` after `validation_from`";
            return Err(self
                .document
                .at_value(&path(&["split", "test_from"]), message));
        }
        Ok(SplitPlan::Time {
            files: self.row_files()?,
            column,
            validation_from,
            test_from,
        })
    }

    fn by_hash(&self) -> Result<SplitPlan, Diagnostic> {
        let column = self.wire.column.as_ref().map(|column| {
            column_index(
                self.document,
                self.columns.names,
                &path(&["split", "column"]),
                column,
            )
        });
        self.hashed(column.transpose()?)
    }

    fn by_user(&self) -> Result<SplitPlan, Diagnostic> {
        let user = self.user.ok_or_else(|| {
            let message = "a split by user needs the column of the users";
            self.document
                .at_value(&path(&["split", "kind"]), message)
                .hint("name it at the top of the description: user = \"user_id\"")
        })?;
        self.hashed(Some(user))
    }

    fn hashed(&self, column: Option<usize>) -> Result<SplitPlan, Diagnostic> {
        let validation_fraction =
            self.fraction("validation_fraction", self.wire.validation_fraction)?;
        let test_fraction = self.fraction("test_fraction", self.wire.test_fraction)?;
        if validation_fraction + test_fraction >= 1.0 {
            let message = "`validation_fraction` and `test_fraction` leave nothing to train on";
            return Err(self
                .document
                .at_value(&path(&["split", "test_fraction"]), message));
        }
        Ok(SplitPlan::Hash {
            files: self.row_files()?,
            column,
            validation_fraction,
            test_fraction,
            seed: self.seed()?,
        })
    }

    /// The files named at `files`; all that are not read beside the rows where absent.
    fn row_files(&self) -> Result<Vec<usize>, Diagnostic> {
        if self.wire.files.is_some() {
            return self.required_files("files", &self.wire.files);
        }
        Ok((0..self.files.len())
            .filter(|file| !self.beside.contains(file))
            .collect())
    }

    fn required_files(&self, key: &str, value: &Option<Value>) -> Result<Vec<usize>, Diagnostic> {
        match value {
            None => Err(self.missing(key, "a key of [files], or a list of such keys")),
            Some(value) => file_keys(self.document, &path(&["split", key]), value, self.files),
        }
    }

    fn limit(
        &self,
        key: &str,
        value: &Option<Value>,
        column: usize,
    ) -> Result<SplitLimit, Diagnostic> {
        let at = path(&["split", key]);
        let name = &self.columns.names[column];
        let declared = self.columns.types.get(column).and_then(Option::as_ref);
        let rule = match declared {
            Some(ColumnType::Time(rule)) => Some(rule),
            _ => None,
        };
        let limit = match value {
            None => return Err(self.missing(key, "the first value that belongs there")),
            Some(Value::Integer(number)) => SplitLimit::Integer(i128::from(*number)),
            Some(Value::Float(number)) if number.is_finite() => SplitLimit::Float(*number),
            Some(Value::String(text)) => self.time_limit(&at, name, text, rule)?,
            // A date without quotes is TOML's own.
            Some(Value::Datetime(time)) => self.time_limit(&at, name, &time.to_string(), rule)?,
            Some(_) => {
                let said = self.document.at_value(&at, "expected a number or a time");
                return Err(said.hint(
                    "write 20220419 for a column of numbers, \"2022-04-19\" for one of times",
                ));
            }
        };
        match (declared.map(ColumnType::reading), limit.reading()) {
            (Some(Reading::Time), Reading::Number) => {
                match (rule.and_then(|rule| rule.unit), &limit) {
                    // Counted as the column counts.
                    (Some(unit), SplitLimit::Integer(number)) => Ok(SplitLimit::Time {
                        time: number * timeline::nanoseconds_of(unit),
                        written: number.to_string(),
                        unit: Some(unit),
                    }),
                    _ => Err(self
                        .document
                        .at_value(
                            &at,
                            format!("the column `{name}` holds times, and this is a number"),
                        )
                        .hint("write a time in quotes, such as \"2022-04-19\"")),
                }
            }
            (Some(Reading::Number | Reading::Boolean), Reading::Time) => Err(self
                .document
                .at_value(
                    &at,
                    format!("the column `{name}` holds numbers, and this is a time"),
                )
                .hint("write a number, or make the column's type \"timestamp\"")),
            (Some(Reading::Text), _) => Err(self
                .document
                .at_value(
                    &path(&["split", "column"]),
                    format!("the column `{name}` holds texts, which have no order of time"),
                )
                .hint("give it type = \"timestamp\", or leave its type out")),
            _ => Ok(limit),
        }
    }

    /// A limit in quotes: written as the column's values are, or as ISO 8601 has it.
    fn time_limit(
        &self,
        at: &homebench_diagnostic::KeyPath,
        name: &str,
        text: &str,
        rule: Option<&TimeRule>,
    ) -> Result<SplitLimit, Diagnostic> {
        let as_values = rule
            .filter(|rule| rule.unit.is_none())
            .cloned()
            .unwrap_or_default();
        // Days are their midnights, and a limit may lie between two of them.
        let as_values = TimeRule {
            is_date: false,
            ..as_values
        };
        let iso = TimeRule {
            format: None,
            ..as_values.clone()
        };
        let parsed = as_values.parse(text).or_else(|_| iso.parse(text));
        match parsed {
            Ok((time, _)) => Ok(SplitLimit::Time {
                time,
                written: text.to_owned(),
                unit: rule.and_then(|rule| rule.unit),
            }),
            Err(expected) => {
                let said = self
                    .document
                    .at_value(at, format!("expected {expected}, found `{text}`"));
                if timeline::is_month(text) {
                    let day = format!("{}-01", text.replace('/', "-"));
                    return Err(said.hint(format!(
                        "write a whole date, such as \"{day}\"; where the column has months too, divide by their first days: \
                         {}, and column = \"first_day\" in [split]",
                        first_days(name)
                    )));
                }
                let format = timeline::likely_format(text).unwrap_or("%m/%d/%Y");
                Err(said.hint(format!(
                    "for times in another form say how they are written, in `columns`: {{ name = \"{name}\", type = \
                     \"timestamp\", format = \"{format}\" }} in place of \"{name}\"; a number is written without quotes"
                )))
            }
        }
    }

    fn fraction(&self, key: &str, value: Option<f64>) -> Result<f64, Diagnostic> {
        let value = value.ok_or_else(|| self.missing(key, "a share of the rows, such as 0.1"))?;
        if value > 0.0 && value < 1.0 {
            return Ok(value);
        }
        let message = format!("expected a number between 0 and 1, found {value}");
        Err(self.document.at_value(&path(&["split", key]), message))
    }

    fn seed(&self) -> Result<u64, Diagnostic> {
        self.wire
            .seed
            .ok_or_else(|| self.missing("seed", "a whole number"))
    }

    fn missing(&self, key: &str, what: &str) -> Diagnostic {
        self.document
            .at_key(
                &path(&["split"]),
                format!("the key `{key}` is missing in [split]"),
            )
            .hint(format!("it is {what}"))
    }
}

/// The entry of `columns` that makes the first days of months.
fn first_days(name: &str) -> String {
    format!(
        "{{ name = \"first_day\", expression = \"cast(concat({}, '-01') as timestamp)\" }} in `columns`",
        crate::expression::spelled(name)
    )
}

fn name(kind: WireSplitKind) -> &'static str {
    match kind {
        WireSplitKind::Files => "files",
        WireSplitKind::Time => "time",
        WireSplitKind::Hash => "hash",
        WireSplitKind::User => "user",
    }
}
