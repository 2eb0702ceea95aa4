//! Keeps docs/models.md true: its tables and its example.

mod common;

use common::{MODELS, Network, config, three_tasks};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words in backticks of each cell, for the rows of the table whose first header is `first`.
fn table(first: &str) -> Vec<Vec<Vec<String>>> {
    let words = |cell: &str| -> Vec<String> {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(str::to_string).collect()
    };
    read("docs/models.md")
        .lines()
        .skip_while(|line| !line.starts_with(&format!("| {first} |")))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').skip(1).map(words).collect())
        .collect()
}

/// Whether a path fits a pattern; `<name>` in a pattern stands for one part of a path.
fn fits(path: &str, pattern: &str) -> bool {
    let (path, pattern): (Vec<&str>, Vec<&str>) =
        (path.split('.').collect(), pattern.split('.').collect());
    let same = |(part, wanted): (&&str, &&str)| wanted.starts_with('<') || part == wanted;
    path.len() == pattern.len() && path.iter().zip(&pattern).all(same)
}

/// Patterns of a part's variables: those of its kind, which is the last word of its path that names one.
fn patterns(part: &str, variables: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let kind = part.rsplit('.').find(|word| variables.contains_key(*word));
    let kind = kind.unwrap_or_else(|| panic!("`{part}` is no part of the second table"));
    let under = |name: &String| format!("{part}.{name}");
    match variables[kind].as_slice() {
        [] => vec![part.to_string()],
        names => names.iter().map(under).collect(),
    }
}

/// Variables of a model under the knobs of [`MODELS`], and with each norm and gate network on top, where it has those.
fn variables_of(name: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let entry = homebench_model::registry();
    let entry = entry.iter().find(|entry| entry.name == name).unwrap();
    let has = |knob: &str| entry.knobs.iter().any(|k| k.name == knob);
    for (_, knobs) in MODELS.iter().filter(|(model, _)| *model == name) {
        for more in ["", "norm = 'batch'", "norm = 'layer'", "gate_dims = [3]"] {
            let knob = more.split(' ').next().unwrap();
            if !more.is_empty() && (!has(knob) || knobs.contains(knob)) {
                continue;
            }
            let has_no_network = |form: &&str| knobs.contains(*form);
            let without = ["row_times_task", "task_only", "dselect_k"];
            if knob == "gate_dims" && without.iter().any(has_no_network) {
                continue;
            }
            let config = config(name, &format!("{knobs}\n{more}"));
            let network = Network::from_seed(&config, &three_tasks(), 7);
            let of_network = network.variables.parameters().iter();
            let paths_of_model = of_network.map(|p| p.path().to_string());
            // Those of a bottom are in a table of their own.
            paths.extend(paths_of_model.filter(|path| !is_of_bottom(path)));
        }
    }
    paths
}

#[test]
fn the_readme_counts_the_multi_task_models() {
    let models = homebench_model::registry();
    let single = ["logistic", "single_task"];
    let several = models.iter().filter(|entry| !single.contains(&entry.name));
    let row = format!("| multi-task architectures | {} |", several.count());
    assert!(read("README.md").contains(&row), "expected `{row}`");
}

#[test]
fn the_table_of_models_has_every_model_its_equation_its_file_and_its_paths() {
    let of_parts: BTreeMap<String, Vec<String>> = table("part")
        .into_iter()
        .map(|row| (row[0][0].clone(), row[1].clone()))
        .collect();
    let rows = table("model");
    let registry = homebench_model::registry();
    let names: Vec<&str> = rows.iter().map(|row| row[0][0].as_str()).collect();
    assert_eq!(names, registry.iter().map(|e| e.name).collect::<Vec<_>>());
    let mut used = BTreeSet::new();
    for (row, entry) in rows.iter().zip(&registry) {
        assert_eq!(row[1], [entry.equation], "{}", entry.name);
        let declared = format!("name: \"{}\"", entry.name);
        assert!(read(&row[2][0]).contains(&declared), "{}", entry.name);
        let variables = variables_of(entry.name);
        let mut covered = BTreeSet::new();
        for part in &row[3] {
            let before = covered.len();
            for pattern in patterns(part, &of_parts) {
                let fitting = variables.iter().filter(|path| fits(path, &pattern));
                let fitting: Vec<&String> = fitting.collect();
                if !fitting.is_empty() {
                    used.insert(pattern[part.len()..].to_string());
                }
                covered.extend(fitting);
            }
            assert!(
                covered.len() > before,
                "{} has nothing at `{part}`",
                entry.name
            );
        }
        let missing: Vec<&String> = variables.iter().filter(|p| !covered.contains(p)).collect();
        assert_eq!(missing, [""; 0], "not in the row of {}", entry.name);
    }
    for names in of_parts.values() {
        for name in names {
            assert!(
                used.contains(&format!(".{name}")),
                "no variable is `{name}`"
            );
        }
    }
}

/// Whether a variable is of a bottom: of all tasks, or of one.
fn is_of_bottom(path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    matches!(parts[..], ["bottom", ..] | ["task", _, "bottom", ..])
}

#[test]
fn the_table_of_bottoms_has_every_bottom_its_equation_its_file_and_its_paths() {
    let rows = table("bottom");
    let bottoms = homebench_model::bottoms();
    let names: Vec<&str> = rows.iter().map(|row| row[0][0].as_str()).collect();
    assert_eq!(names, bottoms.iter().map(|b| b.name).collect::<Vec<_>>());
    for (row, bottom) in rows.iter().zip(&bottoms) {
        let name = bottom.name;
        assert_eq!(row[1], [bottom.equation], "{name}");
        let knobs: Vec<&str> = bottom.knobs.iter().map(|knob| knob.name).collect();
        let documented: Vec<&str> = (row[2].iter())
            .map(|setting| setting.split(' ').next().unwrap())
            .collect();
        assert_eq!(documented, knobs, "{name}");
        for (setting, knob) in row[2].iter().zip(bottom.knobs) {
            assert_eq!(
                *setting,
                format!("{} = {}", knob.name, knob.default_value())
            );
        }
        let declared = format!("name: \"{name}\"");
        assert!(read(&row[3][0]).contains(&declared), "{name}");
        let mut variables = BTreeSet::new();
        let chosen = format!("bottom = '{name}'");
        for (model, knobs) in MODELS.iter().filter(|(_, knobs)| knobs.contains(&chosen)) {
            let network = Network::from_seed(&config(model, knobs), &three_tasks(), 7);
            let of_bottom = network
                .variables
                .parameters()
                .iter()
                .map(|p| p.path().to_owned());
            variables.extend(of_bottom.filter(|path| is_of_bottom(path)));
        }
        assert!(
            variables.iter().any(|path| path.starts_with("bottom.")),
            "{name}"
        );
        let below = |path: &str| path[path.find("bottom.").unwrap()..].to_owned();
        for variable in &variables {
            let found = row[4].iter().any(|pattern| fits(&below(variable), pattern));
            assert!(found, "{name}: `{variable}` is not in its row");
        }
        for pattern in &row[4] {
            let found = variables.iter().any(|path| fits(&below(path), pattern));
            assert!(found, "{name} has nothing at `{pattern}`");
        }
    }
}

#[test]
fn the_example_is_the_file_that_is_compiled() {
    let file = read("crates/model/src/architectures/group_bottom.rs");
    assert!(read("docs/models.md").contains(&format!("```rust\n{file}```\n")));
}
