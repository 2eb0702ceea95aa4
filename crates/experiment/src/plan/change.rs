//! In what two cells differ, in words: why what is there is not what is planned.

use crate::spec::CellContent;
use std::collections::BTreeMap;

/// Differences that are told before the rest is only counted.
// One line of a refusal; two different experiments differ in dozens of values.
const MOST_TOLD: usize = 3;

/// What `planned` has otherwise than `there`; nothing where they are the same.
pub(super) fn change(there: &CellContent, planned: &CellContent) -> Option<String> {
    let (there, planned) = (values(there), values(planned));
    let mut keys: Vec<&String> = there.keys().chain(planned.keys()).collect();
    // Most keys are in both.
    keys.sort();
    keys.dedup();
    let told: Vec<String> = keys
        .into_iter()
        .filter(|key| there.get(*key) != planned.get(*key))
        .map(|key| tell(key, there.get(key), planned.get(key)))
        .collect();
    let more = told.len().saturating_sub(MOST_TOLD);
    let mut text = told[..told.len().min(MOST_TOLD)].join("; ");
    if more > 0 {
        text += &format!("; and {more} more");
    }
    (!told.is_empty()).then_some(text)
}

fn tell(key: &str, there: Option<&String>, planned: Option<&String>) -> String {
    if key == "dataset.content_hash" {
        return "the data or its description changed".to_owned();
    }
    let shown = |value: Option<&String>| value.map_or("not given", String::as_str).to_owned();
    format!("`{key}` was {}, is {}", shown(there), shown(planned))
}

/// Every value of a cell by its path.
fn values(content: &CellContent) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let table = toml::Table::try_from(content).expect("a cell's content is plain TOML");
    collect("", &toml::Value::Table(table), &mut all);
    all
}

fn collect(path: &str, value: &toml::Value, all: &mut BTreeMap<String, String>) {
    let toml::Value::Table(table) = value else {
        all.insert(path.to_owned(), value.to_string());
        return;
    };
    for (key, value) in table {
        let path = match path {
            "" => key.clone(),
            _ => format!("{path}.{key}"),
        };
        collect(&path, value, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: &str = r#"numerics_version = 1
variant = "home"
seed = 1
device = "cpu"
[dataset]
name = "synthetic"
protocol = "random"
content_hash = "aa"
[model]
name = "home"
knobs = { rank = 16, expert_dims = [64, 32] }
"#;

    fn cell(changes: &[(&str, &str)]) -> CellContent {
        let mut text = format!("{CELL}[training]\n");
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn every_difference_is_told_with_both_values_or_counted() {
        let planned = cell(&[]);
        assert_eq!(change(&planned, &planned), None);
        let told = |changes| change(&cell(changes), &planned).unwrap();
        assert_eq!(
            told(&[("rank = 16, ", "rank = 8, ")]),
            "`model.knobs.rank` was 8, is 16"
        );
        assert_eq!(
            told(&[("\"aa\"", "\"bb\"")]),
            "the data or its description changed"
        );
        let four = [
            ("numerics_version = 1", "numerics_version = 0"),
            ("rank = 16, ", ""),
            ("\"aa\"", "\"bb\""),
            ("seed = 1", "seed = 2"),
        ];
        assert_eq!(
            told(&four),
            "the data or its description changed; `model.knobs.rank` was not given, is 16; `numerics_version` was 0, is 1; and 1 more"
        );
    }
}
