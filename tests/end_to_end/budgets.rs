//! Variants that are to cost as much as another: what is planned, and what is refused.

use crate::bad_input::refusal_of;
use crate::harness::{Bench, experiment};

/// Three variants, the first two measured by the next, one thing a line.
const SPEC: &str = r#"question = "Which is best for its size?"
seeds = [1]
[dataset]
name = "synthetic"
rows = 3000
[training]
batch_size = 256
max_epochs = 1
[variants.shared_bottom]
model = "shared_bottom"
budget = { like = "mmoe", flops = 0.02 }
[variants.mmoe]
model = "mmoe"
budget = { like = "home", params = 0.01 }
[variants.home]
model = "home"
expert_dims = [16, 8]
rank = 4
"#;

#[track_caller]
fn refusal(right: &str, wrong: &str) -> String {
    assert!(SPEC.contains(right));
    refusal_of(&SPEC.replace(right, wrong), &[])
}

/// Parameters and FLOPs per row of a variant, as a plan shows them, and its widths.
fn planned(plan: &str, variant: &str) -> (f64, f64, String) {
    let mut lines = plan.lines().map(|line| line.split_whitespace());
    let words: Vec<&str> = lines
        .find(|words| words.clone().nth(1) == Some(variant))
        .expect("the variant is planned")
        .collect();
    let number = |index: usize| words[index].parse().expect("a number");
    (number(4), number(5), words[6].to_owned())
}

#[test]
fn a_plan_shows_the_widths_and_a_run_trains_them() {
    let bench = Bench::new();
    bench.write("spec.toml", SPEC);
    let descriptions = experiment("datasets");
    let arguments = ["spec.toml", "--descriptions", &descriptions, "--out", "out"];
    let plan = bench.run(&[&["plan"], &arguments[..]].concat()).expect(0);
    assert!(
        plan.stderr.contains("mmoe: expert_dims = ["),
        "{}",
        plan.stderr
    );
    let [bottom, mmoe, home] =
        ["shared_bottom", "mmoe", "home"].map(|variant| planned(&plan.stdout, variant));
    assert_eq!(home.2, "[16,8]");
    assert!((mmoe.0 / home.0 - 1.0).abs() <= 0.01, "{}", plan.stdout);
    assert!((bottom.1 / mmoe.1 - 1.0).abs() <= 0.02, "{}", plan.stdout);

    bench.run(&[&["run"], &arguments[..]].concat()).expect(0);
    let cells = bench.rows("out/cells.csv");
    for (row, planned) in cells.iter().zip([&bottom, &mmoe, &home]) {
        assert_eq!(row[10].parse(), Ok(planned.0), "{row:?}");
        assert_eq!(row[11].parse(), Ok(planned.1), "{row:?}");
    }
    // The resolved spec holds the widths and no budget, and gives the same cells.
    let resolved = bench.read("out/spec.resolved.toml");
    assert!(resolved.contains(&format!("expert_dims = {}", mmoe.2.replace(',', ", "))));
    assert!(!resolved.contains("budget"), "{resolved}");
    bench.write("again.toml", &resolved);
    let arguments = ["plan", "again.toml", "--descriptions", &descriptions];
    let again = bench.run(&arguments).expect(0).stdout;
    for row in &cells {
        assert!(again.contains(&row[0]), "{again}");
    }
}

#[test]
fn a_budget_that_no_width_keeps() {
    insta::assert_snapshot!(refusal("params = 0.01", "params = 0.000001"), @r#"
    error: spec.toml:14:36: `variants.mmoe.budget.params`: no expert width comes within 0.000001; the nearest is expert_dims = [40, 20] with 83180 parameters, 0.13 % less than the 83286 of `home`
    hint: allow params = 0.002, or change another knob, such as the number of experts
    "#);
    let narrow = "expert_dims = [16, 8]\nrank = 4\n[variants.ple]\nmodel = \"ple\"\nnum_task_experts = 200\nbudget = { like = \"shared_bottom\", flops = 0.1 }";
    insta::assert_snapshot!(refusal("expert_dims = [16, 8]\nrank = 4", narrow), @r#"
    error: spec.toml:22:44: `variants.ple.budget.flops`: no expert width comes within 0.1; the nearest is expert_dims = [1, 1] with 330148 FLOPs per row, 835.16 % more than the 35304 of `shared_bottom`
    hint: change another knob, such as the number of experts
    "#);
}

#[test]
fn a_budget_like_no_variant_itself_or_in_a_circle() {
    insta::assert_snapshot!(refusal("like = \"home\"", "like = \"hone\""), @r#"
    error: spec.toml:14:19: `variants.mmoe.budget.like`: no variant is named `hone`; expected one of: shared_bottom, home
    hint: did you mean `home`?
    "#);
    insta::assert_snapshot!(refusal("like = \"home\"", "like = \"mmoe\""), @r#"
    error: spec.toml:14:19: `variants.mmoe.budget.like`: `mmoe` is to cost as much as itself
    hint: the last variant of the chain has to be one without a budget
    "#);
    insta::assert_snapshot!(refusal("like = \"home\"", "like = \"shared_bottom\""), @r#"
    error: spec.toml:11:19: `variants.shared_bottom.budget.like`: `shared_bottom` is to cost as much as itself, by way of `mmoe`
    hint: the last variant of the chain has to be one without a budget
    "#);
}

#[test]
fn a_budget_that_is_none() {
    insta::assert_snapshot!(refusal("params = 0.01", "params = 1.5"), @r#"
    error: spec.toml:14:36: `variants.mmoe.budget.params`: expected a share from 0.0 to below 1.0, found 1.5
    hint: 0.02 allows a difference of two in a hundred
    "#);
    insta::assert_snapshot!(refusal(", params = 0.01", ""), @r#"
    error: spec.toml:14:10: `variants.mmoe.budget`: expected either `params` or `flops`, a tolerance, found neither
    hint: write `budget = { like = "home", params = 0.02 }`, or `flops` for FLOPs per row
    "#);
    insta::assert_snapshot!(refusal("params", "flops = 0.1, params"), @r#"
    error: spec.toml:14:10: `variants.mmoe.budget`: expected either `params` or `flops`, a tolerance, found both
    hint: write `budget = { like = "home", params = 0.02 }`, or `flops` for FLOPs per row
    "#);
    insta::assert_snapshot!(refusal("params", "parms"), @r#"
    error: spec.toml:14:27: unknown key `parms` in [variants.mmoe.budget]; expected one of `like`, `params`, `flops`
    hint: did you mean `params`?
    "#);
    insta::assert_snapshot!(refusal("{ like = \"home\", params = 0.01 }", "0.01"), @r#"error: spec.toml:14:10: `variants.mmoe.budget`: expected a table, found floating point `0.01`"#);
}
