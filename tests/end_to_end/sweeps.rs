//! Sweeps, defaults, includes and split seeds: which cells they make.

use crate::harness::{Bench, Ran, experiment};
use std::collections::BTreeSet;

const SPEC: &str = r#"question = "How sensitive is each?"
seeds = [1]
[dataset]
name = "synthetic"
rows = 2000
[training]
batch_size = 256
max_epochs = 1
[variants.mmoe]
model = "mmoe"
num_experts = 2
expert_dims = [8]
[variants.home]
model = "home"
expert_dims = [16, 8]
rank = 4
"#;

fn plan(bench: &Bench, spec: &str, more: &[&str]) -> Ran {
    bench.write("spec.toml", spec);
    let descriptions = experiment("datasets");
    let arguments = [
        "plan",
        "spec.toml",
        "--out",
        "out",
        "--descriptions",
        &descriptions,
    ];
    bench.run(&[&arguments, more].concat()).expect(0)
}

/// Names of the variants of a plan's cells, in order.
fn names(plan: &Ran) -> Vec<String> {
    let words = plan
        .stdout
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace());
    words
        .filter_map(|mut words| words.nth(1).map(str::to_owned))
        .collect()
}

/// Ids of a plan's cells.
fn ids(plan: &Ran) -> BTreeSet<String> {
    let lines = plan.stdout.lines().skip(1);
    lines
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn a_grid_makes_every_combination_of_every_variant_that_has_the_knob() {
    let bench = Bench::new();
    let grid =
        "[grid]\nrank = [2, 4]\n\"training.learning_rate\" = [1e-3, 0.01]\nnum_experts = [3]\n";
    let planned = plan(&bench, &(SPEC.to_owned() + grid), &[]);
    let expected = [
        "mmoe[num_experts=3,learning_rate=0.001]",
        "mmoe[num_experts=3,learning_rate=0.01]",
        "home[rank=2,learning_rate=0.001]",
        "home[rank=2,learning_rate=0.01]",
        "home[rank=4,learning_rate=0.001]",
        "home[rank=4,learning_rate=0.01]",
    ];
    assert_eq!(names(&planned), expected);
    // Of a variant its own values, and those of the others as before.
    let own = "[variants.home.grid]\nrank = [8]\nnum_lora = [1, 3]\n[variants.mmoe.grid]\nnum_experts = [2]\n";
    let planned = plan(
        &bench,
        &(SPEC.to_owned() + "[grid]\nrank = [2]\n" + own),
        &[],
    );
    let expected = [
        "mmoe[num_experts=2]",
        "home[num_lora=1,rank=8]",
        "home[num_lora=3,rank=8]",
    ];
    assert_eq!(names(&planned), expected);
}

#[test]
fn a_swept_experiment_runs_and_its_settings_and_names_are_in_the_tables() {
    let bench = Bench::new();
    let spec = SPEC.to_owned()
        + "[grid]\nrank = [2, 4]\n[random]\nn = 2\n\"training.schedule\" = { choices = [{ kind = \"cosine\" }, { kind = \"warm_up\", warm_up_steps = 3 }] }\n";
    bench.write("spec.toml", &spec);
    let descriptions = experiment("datasets");
    let run = |spec: &str, out: &str, more: &[&str]| {
        let arguments = ["run", spec, "--out", out, "--descriptions", &descriptions];
        bench.run(&[&arguments, more].concat()).expect(0)
    };
    run("spec.toml", "out", &["--only", "home[rank=4*"]);
    let cells = bench.rows("out/cells.csv");
    assert_eq!(cells.len(), 2);
    run("spec.toml", "out", &[]);
    let cells = bench.rows("out/cells.csv");
    assert_eq!(cells.len(), 2 + 4);
    let settings = bench.read("out/settings.csv");
    assert!(settings.contains(",training.schedule,"), "{settings}");
    assert!(
        settings.contains("\"home[rank=4,schedule=(kind=warm_up,warm_up_steps=3)]\",rank,4\n"),
        "{settings}"
    );
    let learned = |name: &str| bench.read(&format!("out/{name}"));
    // The resolved spec asks the same.
    run("out/spec.resolved.toml", "again", &[]);
    for name in [
        "cells.csv",
        "settings.csv",
        "metrics.csv",
        "spec.resolved.toml",
    ] {
        assert_eq!(
            learned(name),
            bench.read(&format!("again/{name}")),
            "{name}"
        );
    }
    let status = bench.run(&["status", "out"]).expect(0).stdout;
    assert!(status.starts_with("6 cells: 6 done\n"), "{status}");
    assert!(!bench.path("out/tuning.csv").exists());
    assert!(bench.report("out").contains("Nothing was tuned"));
}

#[test]
fn ids_do_not_depend_on_how_a_sweep_is_written() {
    let bench = Bench::new();
    let first = "[grid]\nrank = [2, 4]\n\"training.learning_rate\" = [1e-3, 0.01]\n[random]\nn = 3\nseed = 0\nnum_lora = { range = [1, 4] }\n\"training.embedding_l2\" = { log_range = [1e-6, 1e-4] }\n";
    let second = "[random]\ntraining.embedding_l2 = { log_range = [0.000_001, 0.000_1] } # the same\nnum_lora.range = [0x1, 4]\nn = 3\n[grid]\n'training'.\"learning_rate\" = [0.0_01, 1e-2]\nrank = [\n 2,\n 4 ]\n";
    let (first, second) = (SPEC.to_owned() + first, second);
    let (head, tail) = SPEC.split_once("[variants.mmoe]").unwrap();
    let second = format!("{head}{second}[variants.mmoe]{tail}");
    let (first, second) = (plan(&bench, &first, &[]), plan(&bench, &second, &[]));
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(ids(&first).len(), (1 + 2) * 2 * 3);
}

#[test]
fn defaults_and_includes_give_the_cells_of_one_plain_file() {
    let bench = Bench::new();
    let plain = plan(&bench, &(SPEC.to_owned() + "tower_dims = [4]\n"), &[]);
    let (head, tail) = SPEC.split_once("[variants.mmoe]").unwrap();
    std::fs::create_dir(bench.path("shared")).unwrap();
    bench.write(
        "shared/models.toml",
        "include = \"home.toml\"\n[variants.mmoe]\nmodel = \"mmoe\"\nnum_experts = 2\n",
    );
    bench.write(
        "shared/home.toml",
        "[variants.home]\nmodel = \"home\"\nexpert_dims = [16, 8]\ntower_dims = [4]\nrank = 4\n",
    );
    assert!(tail.contains("home"));
    let spec = format!(
        "include = \"shared/models.toml\"\n{head}[defaults]\nexpert_dims = [8]\ntower_dims = [32]\n"
    );
    let planned = plan(&bench, &spec, &[]);
    assert_eq!(ids(&planned), ids(&plain));
    // A variant that is included can be changed.
    let changed = plan(
        &bench,
        &spec,
        &["--set", "variants.home.rank=2", "--only", "home"],
    );
    assert!(ids(&changed).is_disjoint(&ids(&plain)));
    let other = plan(
        &bench,
        &spec,
        &["--set", "defaults.expert_dims=[4]", "--only", "mmoe"],
    );
    assert!(other.stdout.contains("[4]"), "{}", other.stdout);
}

#[test]
fn overrides_reach_sweeps_whichever_way_they_are_written() {
    let bench = Bench::new();
    let spec = SPEC.to_owned() + "[grid]\n\"training.learning_rate\" = [1e-3, 0.01]\n";
    for set in [
        "grid.training.learning_rate=[0.5]",
        "grid.\"training.learning_rate\"=[0.5]",
    ] {
        let planned = plan(&bench, &spec, &["--set", set]);
        assert_eq!(
            names(&planned),
            ["mmoe[learning_rate=0.5]", "home[learning_rate=0.5]"]
        );
    }
    let more = [
        "--set",
        "grid={}",
        "--set",
        "variants.home.grid.rank=[2, 3]",
    ];
    assert_eq!(
        names(&plan(&bench, &spec, &more)),
        ["mmoe", "home[rank=2]", "home[rank=3]"]
    );
    let more = [
        "--set",
        "tuning.seeds=[9]",
        "--set",
        "tuning.grid.training.patience=[1, 2, 3]",
        "--set",
        "grid={}",
    ];
    let planned = plan(&bench, &spec, &more);
    assert_eq!(planned.stdout.matches(" trial-").count(), 6);
    assert_eq!(planned.stdout.matches(" after-tuning").count(), 2);
    assert!(
        planned
            .stderr
            .contains("8 cells (6 of trials, 2 final), 8 to run"),
        "{}",
        planned.stderr
    );
}

/// 40 users with 30 rows each, divided by a hash of the user.
fn write_users(bench: &Bench) {
    std::fs::create_dir_all(bench.path("descriptions")).unwrap();
    std::fs::create_dir_all(bench.path("data/visits")).unwrap();
    let mut rows = String::from("user,place,size,stays\n");
    for row in 0..1200 {
        let (user, place) = (row % 40, (row * 7) % 11);
        let stays = u32::from((user + place * 3 + row / 40) % 5 < 2);
        rows += &format!("u{user},p{place},{},{stays}\n", row % 13);
    }
    bench.write("data/visits/visits.csv", &rows);
    bench.write(
        "descriptions/visits.toml",
        r#"source = "csv"
default_protocol = "all"
columns = ["user", "place", "size", "stays"]
user = "user"
[format]
separator = ","
has_header = true
[files.visits]
name = "visits.csv"
[features]
place = { kind = "categorical" }
size = { kind = "numeric", transform = ["standardise"] }
[tasks.stays]
label = "stays == 1"
group = "visit"
[split]
kind = "hash"
column = "user"
validation_fraction = 0.25
test_fraction = 0.25
seed = 7
[protocols.all]
tasks = ["stays"]
"#,
    );
}

#[test]
fn split_seeds_divide_the_rows_anew_and_each_split_is_tuned_by_itself() {
    let bench = Bench::new();
    write_users(&bench);
    let spec = r#"question = "Does it depend on the split?"
seeds = [1, 2]
split_seeds = [7, 8]
[dataset]
name = "visits"
[training]
batch_size = 128
max_epochs = 1
[tuning]
seeds = [5]
[tuning.grid]
"training.learning_rate" = [1e-3, 1e-2]
[variants.bottom]
model = "shared_bottom"
expert_dims = [4]
"#;
    bench.write("spec.toml", spec);
    let run = |command: &str, spec: &str, out: &str, more: &[&str]| {
        let arguments = [
            command,
            spec,
            "--out",
            out,
            "--descriptions",
            "descriptions",
        ];
        bench.run(&[&arguments, more].concat()).expect(0)
    };
    let planned = run("plan", "spec.toml", "out", &[]).stdout;
    assert_eq!(planned.lines().count(), 1 + 2 * 2 + 2 * 2, "{planned}");
    run("run", "spec.toml", "out", &[]);
    let cells = bench.rows("out/cells.csv");
    let of_split = |seed: &str| cells.iter().filter(|row| &row[14] == seed).count();
    assert_eq!((of_split("7"), of_split("8")), (4, 4));
    let winners = bench.read("out/winners.toml");
    assert!(
        winners.contains("split_seed = 7") && winners.contains("split_seed = 8"),
        "{winners}"
    );
    // Other rows are tested.
    let tested = |split: &str| -> BTreeSet<String> {
        let of = cells
            .iter()
            .filter(|row| &row[14] == split && &row[12] == "final");
        let ids: Vec<&str> = of.map(|row| &row[0]).collect();
        let rows = bench.rows("out/metrics.csv");
        let test = rows
            .iter()
            .filter(|row| &row[3] == "test" && ids.contains(&&row[0]));
        test.map(|row| format!("{}/{}", &row[7], &row[8])).collect()
    };
    assert_ne!(tested("7"), tested("8"));
    // The description's own seed makes the cells of a spec that names none.
    let usual = spec.replace("split_seeds = [7, 8]\n", "");
    bench.write("usual.toml", &usual);
    let usual = run("plan", "usual.toml", "other", &[]);
    let trials = |plan: &str| -> BTreeSet<String> {
        let lines = plan.lines().filter(|line| line.contains(" trial-"));
        lines.map(|line| line[..16].to_owned()).collect()
    };
    assert!(trials(&usual.stdout).is_subset(&trials(&planned)));
    let only = run("run", "spec.toml", "part", &["--only", "bottom/split-8/2"]);
    assert!(
        only.stderr.contains("bottom/split-8/trial-1/5"),
        "{}",
        only.stderr
    );
    assert_eq!(bench.rows("part/cells.csv").len(), 2 + 1);
    let seed = run("run", "spec.toml", "seven", &["--set", "split_seeds=[7]"]);
    assert!(!seed.stderr.contains("split-"), "{}", seed.stderr);
}
