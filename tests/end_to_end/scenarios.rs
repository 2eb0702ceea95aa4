//! Models with weights for each scenario, from the spec to scores of rows that were never seen.

use crate::harness::{Bench, experiment};
use crate::shop::{DESCRIPTION, bench, bits, cells, csv_of, parquet, rows, run};

const MODELS: [(&str, &str); 3] = [
    ("star", "expert_dims = [8]\ntower_dims = [4]"),
    ("hinet", "expert_dims = [8]\ntower_dims = [4]"),
    (
        "m3oe",
        "expert_dims = [8]\ntower_dims = [4]\nstar_dim = 6\nbottom_dim = 8\nnorm = \"batch\"",
    ),
];

/// The shop in scenarios of color. One color comes once, and is none of those that training knows.
fn shop() -> Bench {
    let bench = bench(&MODELS);
    let scenario = "user = \"visitor\"\nscenario = \"color\"";
    bench.write(
        "descriptions/shop.toml",
        &DESCRIPTION.replace("user = \"visitor\"", scenario),
    );
    bench
}

/// What new rows and their models have of the log's columns: item, visitor, color, tags, price.
const COLUMNS: [usize; 5] = [1, 3, 4, 5, 6];

#[test]
fn a_row_has_its_own_score_whatever_scenarios_are_beside_it_and_without_one_too() {
    let bench = shop();
    run(&bench, "out", &["--threads", "1"]).expect(0);
    let mut new = rows()[..40].to_vec();
    // One that training has too rarely is there already; one that it has never seen, and none at all.
    for (row, color) in [(5, "puce"), (6, ""), (7, "")] {
        new[row][4] = color.to_owned();
    }
    bench.write("new.csv", &csv_of(&new, &COLUMNS));
    for (variant, id) in cells(&bench, "out") {
        let folder = format!("out/cells/{id}");
        let scores = |file: &str| {
            let out = ["--out", "scores.parquet"];
            bench
                .run(&[&["predict", &folder, file], &out[..]].concat())
                .expect(0);
            let scored = parquet(&bench, "scores.parquet");
            ["score_buys", "score_stays"].map(|task| bits(&scored, task))
        };
        let together = scores("new.csv");
        for row in [0, 1, 3, 5, 6, 17] {
            bench.write("one.csv", &csv_of(&new[row..=row], &COLUMNS));
            let alone = scores("one.csv");
            for (alone, together) in alone.iter().zip(&together) {
                assert_eq!(alone[..], together[row..=row], "{variant}: row {row}");
            }
        }
        // Of no known scenario is one thing, whatever the value was.
        let mut same = vec![new[5].clone(), new[5].clone()];
        same[1][4] = "mauve".to_owned();
        bench.write("same.csv", &csv_of(&same, &COLUMNS));
        for task in scores("same.csv") {
            assert_eq!(task[0], task[1], "{variant}");
        }
    }
    run(&bench, "again", &["--threads", "3"]).expect(0);
    bench.assert_same_results("again", "out");
}

/// A spec of one model on the small feed, or on another source.
fn spec(dataset: &str, variant: &str) -> String {
    format!(
        "question = \"Which?\"\nseeds = [1]\n[training]\nbatch_size = 128\nmax_epochs = 1\nembedding_dim = 2\n\
         [dataset]\n{dataset}\n[variants.a]\n{variant}\nexpert_dims = [4]\ntower_dims = [3]\n"
    )
}

fn said(dataset: &str, variant: &str, code: i32) -> String {
    let bench = Bench::new();
    bench.write("s.toml", &spec(dataset, variant));
    let descriptions = experiment("datasets");
    let arguments = [
        "run",
        "s.toml",
        "--out",
        "out",
        "--descriptions",
        &descriptions,
    ];
    bench.run(&arguments).expect(code).stderr
}

#[test]
fn rows_without_scenarios_and_scenarios_without_rows_are_refused() {
    for model in ["star", "hinet", "m3oe"] {
        let said = said("name = \"synthetic\"", &format!("model = \"{model}\""), 2);
        let expected = format!(
            "`{model}` has weights for each scenario, and the dataset has none; write scenario = \"a_column\" in its description"
        );
        assert!(
            said.contains("s.toml:9:11: ") && said.contains(&expected),
            "{said}"
        );
    }
    // In forty scenarios that fall as the fourth power of their rank, most have no row.
    let few = "name = \"feed-small\"\nrows = 600\nknobs = { num_tasks = 3, num_factors = 16, conflict = 0.0, num_scenarios = 40, scenario_skew = 4.0 }";
    let said = said(few, "model = \"star\"", 1);
    assert!(
        said.contains("no training row is of the scenario `"),
        "{said}"
    );
}
