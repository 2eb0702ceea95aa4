//! Keeps docs/data.md true: every key of a description is in it, and no block of it is refused.

use crate::schema::Description;
use homebench_diagnostic::Document;
use std::path::Path;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/data.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A description with every table.
const WHOLE: &str = r#"source = "table"
default_protocol = "all"
columns = ["a", "b"]
[format]
separator = ","
[files.rows]
name = "rows.csv"
[fetch]
package = "p"
version = "1"
archive = "p.tar.gz"
sha256 = ""
[fetch.members]
[joins.more]
file = "rows"
on = "a"
columns = ["a", "c"]
[pretrained.a]
file = "rows"
key = "k"
vector = "v"
[split]
kind = "hash"
[features.a]
kind = "categorical"
[tasks.t]
label = "b"
group = "g"
[protocols.all]
tasks = ["t"]
"#;

/// The keys that a table may have, as its refusal of another names them.
fn keys(table: &str) -> Vec<String> {
    let spoilt = match table {
        "" => format!("no_such_key = 1\n{WHOLE}"),
        table => WHOLE.replace(
            &format!("[{table}]\n"),
            &format!("[{table}]\nno_such_key = 1\n"),
        ),
    };
    let said = Description::parse("whole", &Document::new("whole.toml", spoilt));
    let said = said.unwrap_err().to_string();
    let (_, expected) = said
        .split_once("expected one of ")
        .unwrap_or_else(|| panic!("{table}: {said}"));
    let line = expected.lines().next().unwrap_or_default();
    line.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_key_of_a_description_is_in_the_documentation() {
    let page = page();
    for table in [
        "",
        "format",
        "files.rows",
        "fetch",
        "joins.more",
        "pretrained.a",
        "split",
        "features.a",
        "tasks.t",
        "protocols.all",
    ] {
        let keys = keys(table);
        assert!(keys.len() > 2, "{table}: {keys:?}");
        for key in keys {
            let is_table =
                page.contains(&format!("`[{key}]`")) || page.contains(&format!("`[{key}."));
            assert!(
                is_table || page.contains(&format!("`{key}`")),
                "`{key}` of [{table}]"
            );
        }
    }
}

#[test]
fn the_description_of_the_walk_through_is_accepted() {
    let page = page();
    let head = "```toml\n# experiments/datasets/movielens.toml\n";
    let (_, block) = page.split_once(head).unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let description = Description::parse("movielens", &Document::new("movielens.toml", block));
    let description = description.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(description.protocols[0].groups, ["praise", "blame"]);
    assert_eq!(description.files.len(), 3);
}
