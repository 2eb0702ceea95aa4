//! What a `model.toml` says of the input's columns and of tasks that come after others: for models that treat some features apart, and for
//! those of chains.

use homebench_diagnostic::{Diagnostic, Document, KeyPath};
use homebench_model::{InputColumns, InputFeature, MOST_SCENARIOS};
use toml::{Table, Value};

/// No feature has more columns.
const WIDEST: usize = (1 << 32) - 1;

/// Features in the order of their columns, the scenario among them, and what each task comes after.
#[derive(Debug, Default)]
pub(super) struct ModelColumns {
    features: Vec<InputFeature>,
    scenario: Option<usize>,
    num_scenarios: usize,
    /// How many of the first columns come from tables.
    pub(super) num_embedded: usize,
    embedding_dim: usize,
    pub(super) after: Vec<Option<usize>>,
}

impl ModelColumns {
    /// Takes the keys `features`, `num_embedded`, `embedding_dim`, `scenario`, `num_scenarios` and `after`, such as
    ///
    /// ```toml
    /// features = [{ name = "user", width = 8 }, { name = "tab", width = 8 }, { name = "age", width = 1 }]
    /// num_embedded = 16
    /// scenario = "tab"
    /// num_scenarios = 4
    /// after = { buy = "click" }
    /// ```
    pub(super) fn take(
        document: &Document,
        table: &mut Table,
        tasks: &[String],
    ) -> Result<Self, Diagnostic> {
        let features = match table.remove("features") {
            Some(listed) => features(document, &listed)?,
            None => Vec::new(),
        };
        let end = features.last().map_or(0, |feature| feature.columns.end);
        let num_embedded = count(document, table, "num_embedded", end)?;
        let embedding_dim = count(document, table, "embedding_dim", WIDEST)?;
        let scenario = match table.remove("scenario") {
            Some(name) => {
                let names: Vec<&str> = features.iter().map(|f| f.name.as_str()).collect();
                Some(place(document, "scenario", "feature", &name, &names)?)
            }
            None => None,
        };
        let num_scenarios = match table.remove("num_scenarios") {
            Some(count) => num_scenarios(document, &count)?,
            None => 0,
        };
        let after = match table.remove("after") {
            Some(after) => self::after(document, &after, tasks)?,
            None => Vec::new(),
        };
        Ok(Self {
            features,
            scenario,
            num_scenarios,
            num_embedded,
            embedding_dim,
            after,
        })
    }

    pub(super) fn columns(&self) -> InputColumns<'_> {
        InputColumns {
            features: &self.features,
            scenario: self.scenario,
            num_scenarios: self.num_scenarios,
            embedding_dim: self.embedding_dim,
        }
    }

    /// The width of an input of these features; none where they are not named.
    pub(super) fn width(&self) -> Option<usize> {
        self.features.last().map(|feature| feature.columns.end)
    }
}

fn num_scenarios(document: &Document, count: &Value) -> Result<usize, Diagnostic> {
    let count = count
        .as_integer()
        .filter(|count| (1..=MOST_SCENARIOS as i64).contains(count));
    count.map(|count| count as usize).ok_or_else(|| {
        let message = format!(
            "`num_scenarios`: expected how many values the scenario has in training, a whole number of 1 to {MOST_SCENARIOS}"
        );
        document.at_value(&KeyPath::new(["num_scenarios"]), message)
    })
}

/// A number of columns, 0 where the file doesn't say.
fn count(
    document: &Document,
    table: &mut Table,
    key: &str,
    most: usize,
) -> Result<usize, Diagnostic> {
    let Some(value) = table.remove(key) else {
        return Ok(0);
    };
    let count = value
        .as_integer()
        .and_then(|count| usize::try_from(count).ok());
    count.filter(|count| *count <= most).ok_or_else(|| {
        let message = format!("`{key}`: expected a whole number from 0 to {most}, found {value}");
        document.at_value(&KeyPath::new([key]), message)
    })
}

fn features(document: &Document, listed: &Value) -> Result<Vec<InputFeature>, Diagnostic> {
    let expected = || {
        let message = "expected a list of features, such as [{ name = \"user\", width = 8 }, { name = \"age\", width = 1 }]";
        document.at_value(&KeyPath::new(["features"]), message)
    };
    let mut features: Vec<InputFeature> = Vec::new();
    for value in listed.as_array().ok_or_else(expected)? {
        let name = value
            .get("name")
            .and_then(Value::as_str)
            .ok_or_else(expected)?;
        let width = value.get("width").and_then(Value::as_integer);
        let width = width.and_then(|width| usize::try_from(width).ok());
        let width = width
            .filter(|width| (1..=WIDEST).contains(width))
            .ok_or_else(expected)?;
        if features.iter().any(|feature| feature.name == name) {
            let message = format!("the feature `{name}` comes twice");
            return Err(document.at_value(&KeyPath::new(["features"]), message));
        }
        let start = features.last().map_or(0, |feature| feature.columns.end);
        features.push(InputFeature {
            name: name.to_owned(),
            columns: start..start + width,
        });
    }
    Ok(features)
}

/// The place of the one that a value names.
fn place(
    document: &Document,
    key: &str,
    what: &str,
    value: &Value,
    names: &[&str],
) -> Result<usize, Diagnostic> {
    let at = KeyPath::new([key]);
    let Some(text) = value.as_str() else {
        return Err(document.at_value(&at, format!("`{key}`: expected the name of a {what}")));
    };
    names.iter().position(|name| *name == text).ok_or_else(|| {
        let known = match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        let message = format!("`{key}`: no {what} is called `{text}`; there are: {known}");
        document
            .at_value(&at, message)
            .did_you_mean(text, names.iter().copied())
    })
}

fn after(
    document: &Document,
    after: &Value,
    tasks: &[String],
) -> Result<Vec<Option<usize>>, Diagnostic> {
    let names: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let Some(pairs) = after.as_table() else {
        let message = "`after`: expected what tasks come after, such as { buy = \"click\" }";
        return Err(document.at_value(&KeyPath::new(["after"]), message));
    };
    let mut found = vec![None; tasks.len()];
    for (task, before) in pairs {
        let task = place(
            document,
            "after",
            "task",
            &Value::String(task.clone()),
            &names,
        )?;
        found[task] = Some(place(document, "after", "task", before, &names)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str) -> Result<ModelColumns, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.toml");
        std::fs::write(&path, text).unwrap();
        let document = Document::read(&path).unwrap();
        let tasks = ["click", "buy"].map(str::to_owned);
        let mut table = text.parse().unwrap();
        ModelColumns::take(&document, &mut table, &tasks).map_err(|said| said.message)
    }

    #[test]
    fn features_stand_side_by_side_and_names_have_to_be_known() {
        let found = take(
            "features = [{ name = \"user\", width = 2 }, { name = \"tab\", width = 3 }]\nscenario = \"tab\"\nnum_scenarios = 4\nafter = { buy = \"click\" }",
        );
        let found = found.unwrap();
        assert_eq!(found.features[1].columns, 2..5);
        assert_eq!((found.scenario, found.width()), (Some(1), Some(5)));
        assert_eq!(found.columns().num_scenarios, 4);
        assert_eq!(found.after, [None, Some(0)]);
        assert_eq!(take("").unwrap().width(), None);
        let found = take(
            "features = [{ name = \"user\", width = 2 }]\nnum_embedded = 2\nembedding_dim = 2",
        )
        .unwrap();
        assert_eq!((found.num_embedded, found.columns().embedding_dim), (2, 2));
        let said = |text: &str| take(text).unwrap_err();
        assert_eq!(
            said("num_embedded = 3"),
            "`num_embedded`: expected a whole number from 0 to 0, found 3"
        );
        assert_eq!(
            said("scenario = \"tab\""),
            "`scenario`: no feature is called `tab`; there are: none"
        );
        for count in ["0", "1001", "-1", "2.5", "\"two\""] {
            assert_eq!(
                said(&format!("num_scenarios = {count}")),
                "`num_scenarios`: expected how many values the scenario has in training, a whole number of 1 to 1000"
            );
        }
        assert_eq!(
            said("after = { by = \"click\" }"),
            "`after`: no task is called `by`; there are: click, buy"
        );
        assert!(
            said("features = [{ name = \"a\", width = 0 }]")
                .starts_with("expected a list of features")
        );
        assert_eq!(
            said("features = [{ name = \"a\", width = 1 }, { name = \"a\", width = 1 }]"),
            "the feature `a` comes twice"
        );
    }
}
