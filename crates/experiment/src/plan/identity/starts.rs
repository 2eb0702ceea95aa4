//! Ids of cells that start from others, and which these are.

use super::ids;
use super::writing::Written;
use crate::plan::{CellsThere, Plan, PlannedCell};
use crate::spec;
use homebench_results::{ResultsFolder, Winners};
use std::path::Path;

/// A variant of fresh weights, one that starts from it and one from that.
const CHAIN: &str = "question = \"What is it?\"\nseeds = [1, 2]\ndataset = { name = \"feed\" }\n\
    [variants.c]\nmodel = \"mmoe\"\ninit_from = { variant = \"b\", paths = [\"shared\"] }\n\
    [variants.b]\nmodel = \"mmoe\"\ninit_from = { variant = \"a\" }\nfreeze = [\"embedding\"]\n\
    [variants.a]\nmodel = \"mmoe\"\n[variants.alone]\nmodel = \"mmoe\"\n";

#[test]
fn what_a_cell_starts_from_is_a_part_of_its_id_and_of_those_that_start_from_it() {
    let search = "[tuning]\nseeds = [9]\ngrid = { \"training.patience\" = [1, 2] }\n";
    for text in [CHAIN.to_owned(), format!("{CHAIN}{search}")] {
        let with = |changes: &[&str]| {
            ids(&Written {
                main: text.clone(),
                included: String::new(),
                overrides: changes.iter().map(|change| (*change).to_owned()).collect(),
            })
        };
        let before = with(&[]);
        for (change, touched) in [
            ("variants.a.num_experts=3", "abc"),
            ("variants.b.freeze=[\"task\"]", "bc"),
            ("variants.b.init_from.paths=[\"shared\"]", "bc"),
            (
                "variants.c.init_from.rename={ \"task.x\" = \"task.y\" }",
                "c",
            ),
            ("variants.c.init_from.variant=\"a\"", "c"),
        ] {
            for (label, id) in with(&[change]) {
                let variant = label.split('/').next().unwrap_or_default();
                let is_touched = variant.len() == 1 && touched.contains(variant);
                assert_eq!(id != before[&label], is_touched, "{change}: {label}");
            }
        }
        // How it is written makes no other cell.
        assert_eq!(with(&["variants.b.init_from.seed=\"same\""]), before);
    }
}

#[test]
fn a_cell_starts_from_one_on_the_same_split_and_the_same_point_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spec.toml");
    let text = format!(
        "split_seeds = [3, 4]\n{CHAIN}[grid]\n\"dataset.noise\" = [0.1, 0.2]\nnum_experts = [2, 4]\n"
    );
    std::fs::write(&path, text).unwrap();
    let (experiment, source) = spec::load(&path, &[]).unwrap();
    let results = ResultsFolder::new(Path::new("no-such-folder"));
    let plan = Plan::without_data(
        &experiment,
        &source,
        &Winners::default(),
        &CellsThere::default(),
        &results,
    )
    .unwrap();
    let cells: Vec<&PlannedCell> = plan.cells().collect();
    assert_eq!(cells.len(), 4 * 2 * 2 * 2 * 2);
    let depth = |cell: &PlannedCell| cell.ancestors().len();
    assert_eq!(
        cells.iter().map(|cell| depth(cell)).sum::<usize>(),
        16 * (1 + 2)
    );
    for cell in cells {
        for ancestor in cell.ancestors() {
            assert_eq!(ancestor.content.dataset, cell.content.dataset);
            assert_eq!(ancestor.content.seed, cell.content.seed);
            let experts = |cell: &PlannedCell| cell.content.model.knobs["num_experts"].clone();
            assert_eq!(experts(ancestor), experts(cell));
        }
    }
}
