//! Validation of splits.

use super::check_table::{column_index, file_keys};
use super::wire::{WireSplit, WireSplitKind};
use super::{Join, SourceFile, SplitPlan, path};
use crate::expression::Literal;
use homebench_diagnostic::{Diagnostic, Document};
use toml::Value;

/// Checks the split of a description.
pub(super) fn split(
    document: &Document,
    wire: &WireSplit,
    files: &[SourceFile],
    joins: &[Join],
    columns: &[String],
    user: Option<usize>,
) -> Result<SplitPlan, Diagnostic> {
    let parts = SplitCheck {
        document,
        wire,
        files,
        joins,
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
    joins: &'a [Join],
    /// Of the files of rows.
    columns: &'a [String],
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
        let validation_from = self.limit("validation_from", &self.wire.validation_from)?;
        let test_from = self.limit("test_from", &self.wire.test_from)?;
        let is_in_order = match (&validation_from, &test_from) {
            (Literal::Number(a), Literal::Number(b)) => a < b,
            // Byte by byte, as rows are compared later: right for dates as ISO 8601 writes them.
            (Literal::Text(a), Literal::Text(b)) => a < b,
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
            column: column_index(
                self.document,
                self.columns,
                &path(&["split", "column"]),
                column,
            )?,
            validation_from,
            test_from,
        })
    }

    fn by_hash(&self) -> Result<SplitPlan, Diagnostic> {
        let column = self.wire.column.as_ref().map(|column| {
            column_index(
                self.document,
                self.columns,
                &path(&["split", "column"]),
                column,
            )
        });
        self.hashed(column.transpose()?)
    }

    fn by_user(&self) -> Result<SplitPlan, Diagnostic> {
        // Rows are divided before joined tables are looked up, so that their columns are not there
        // yet.
        let of_files = self.user.filter(|user| *user < self.columns.len());
        let user = of_files.ok_or_else(|| {
            let message = "a split by user needs the column of the users in the files of rows";
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

    /// The files named at `files`; all that no join reads where absent.
    fn row_files(&self) -> Result<Vec<usize>, Diagnostic> {
        if self.wire.files.is_some() {
            return self.required_files("files", &self.wire.files);
        }
        let is_joined = |file: &usize| self.joins.iter().any(|join| join.files.contains(file));
        Ok((0..self.files.len())
            .filter(|file| !is_joined(file))
            .collect())
    }

    fn required_files(&self, key: &str, value: &Option<Value>) -> Result<Vec<usize>, Diagnostic> {
        match value {
            None => Err(self.missing(key, "a key of [files], or a list of such keys")),
            Some(value) => file_keys(self.document, &path(&["split", key]), value, self.files),
        }
    }

    fn limit(&self, key: &str, value: &Option<Value>) -> Result<Literal, Diagnostic> {
        match value {
            None => Err(self.missing(key, "the first value that belongs there")),
            Some(Value::Integer(number)) => Ok(Literal::Number(*number as f64)),
            Some(Value::Float(number)) if number.is_finite() => Ok(Literal::Number(*number)),
            Some(Value::String(text)) => Ok(Literal::Text(text.clone())),
            Some(_) => Err(self
                .document
                .at_value(&path(&["split", key]), "expected a number or a text")
                .hint("write a date as the file has it: 20220419, or \"2022-04-19\"")),
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

fn name(kind: WireSplitKind) -> &'static str {
    match kind {
        WireSplitKind::Files => "files",
        WireSplitKind::Time => "time",
        WireSplitKind::Hash => "hash",
        WireSplitKind::User => "user",
    }
}
