//! `init` and `forward`: a model by a file of its own, against a golden case; and everything that can be wrong with the file.

use crate::harness::{Bench, repository};
use candle_core::{Device, Tensor, safetensors};
use std::collections::HashMap;

const MODEL: &str = include_str!("../golden/home.toml");

/// Tensors of the golden case `home`, whose knobs are those of [`MODEL`].
fn golden() -> HashMap<String, Tensor> {
    let path = repository().join("tests/golden/cases/home.safetensors");
    safetensors::load(path, &Device::Cpu).expect("a golden case")
}

#[track_caller]
fn assert_close(found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims());
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (found, expected) = (values(found), values(expected));
    let scale = expected.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    for (a, b) in found.iter().zip(&expected) {
        assert!((a - b).abs() <= 1e-5 * scale, "{a} is not {b}");
    }
}

#[test]
fn inputs_of_another_width_or_without_rows_are_refused_by_their_file() {
    let bench = Bench::new();
    bench.write("model.toml", MODEL);
    let init = [
        "init",
        "--model",
        "model.toml",
        "--input-dim",
        "4",
        "--weights",
        "w.safetensors",
    ];
    bench.run(&init).expect(0);
    let refused = |rows: usize, width: usize| {
        let x = Tensor::zeros((rows, width), candle_core::DType::F32, &Device::Cpu).unwrap();
        let x = HashMap::from([("x".to_owned(), x)]);
        safetensors::save(&x, bench.path("x.safetensors")).unwrap();
        let mut forward = vec![
            "forward",
            "--model",
            "model.toml",
            "--weights",
            "w.safetensors",
        ];
        forward.extend(["--inputs", "x.safetensors", "--outputs", "y.safetensors"]);
        bench.run(&forward).expect(2).stderr
    };
    assert_eq!(
        refused(2, 5),
        "error: x.safetensors: x has width 5, the weights are for 4\n\
         hint: give inputs of width 4, or weights of `homebench init --input-dim 5`\n"
    );
    assert_eq!(
        refused(0, 4),
        "error: x.safetensors: x has no rows\nhint: give one row or more: [batch, width]\n"
    );
    let said = refused(2, 0);
    assert!(said.starts_with("error: x.safetensors: x has "), "{said}");
}

#[test]
fn forward_agrees_with_another_implementation_in_both_modes() {
    let bench = Bench::new();
    let golden = golden();
    bench.write("model.toml", MODEL);
    let weights: HashMap<String, Tensor> = golden
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("w/")?.to_owned(), tensor.clone())))
        .collect();
    safetensors::save(&weights, bench.path("w.safetensors")).unwrap();
    for (mode, input, more) in [("train", "x", &["--train"][..]), ("eval", "eval/x", &[])] {
        let x = HashMap::from([("x".to_owned(), golden[input].clone())]);
        safetensors::save(&x, bench.path("x.safetensors")).unwrap();
        let arguments = [
            "forward",
            "--model",
            "model.toml",
            "--weights",
            "w.safetensors",
            "--inputs",
            "x.safetensors",
            "--outputs",
            "y.safetensors",
        ];
        bench.run(&[&arguments, more].concat()).expect(0);
        let outputs = safetensors::load(bench.path("y.safetensors"), &Device::Cpu).unwrap();
        assert_close(&outputs["logits"], &golden[&format!("{mode}/logits")]);
        if mode == "train" {
            for (name, tensor) in &outputs {
                if name != "logits" {
                    assert_close(tensor, &golden[&format!("train/{name}")]);
                }
            }
            let traced = |name: &&String| {
                name.starts_with("train/gate/") || name.starts_with("train/expert/")
            };
            assert_eq!(outputs.len(), 1 + golden.keys().filter(traced).count());
        }
    }
}

#[test]
fn initial_weights_depend_on_the_seed_alone() {
    let bench = Bench::new();
    bench.write("model.toml", MODEL);
    let weights = |seed: &str, file: &str| {
        let arguments = [
            "init",
            "--model",
            "model.toml",
            "--input-dim",
            "5",
            "--seed",
            seed,
        ];
        bench
            .run(&[&arguments[..], &["--weights", file]].concat())
            .expect(0);
        std::fs::read(bench.path(file)).unwrap()
    };
    let first = weights("1", "a.safetensors");
    assert_eq!(first, weights("1", "b.safetensors"));
    assert_ne!(first, weights("2", "c.safetensors"));
    let tensors = safetensors::load_buffer(&first, &Device::Cpu).unwrap();
    let golden = golden();
    for (path, tensor) in tensors {
        if let Some(expected) = golden.get(&format!("w/{path}")) {
            assert_eq!(tensor.dims(), expected.dims(), "{path}");
        }
    }
}

/// What is said of the model with one thing exchanged.
#[track_caller]
fn refusal(right: &str, wrong: &str) -> String {
    assert!(MODEL.contains(right), "{right}");
    let bench = Bench::new();
    bench.write("model.toml", &MODEL.replacen(right, wrong, 1));
    let arguments = ["init", "--model", "model.toml", "--input-dim", "5"];
    let ran = bench
        .run(&[&arguments[..], &["--weights", "w.safetensors"]].concat())
        .expect(2);
    assert!(!bench.path("w.safetensors").exists());
    ran.stderr
}

#[test]
fn groups_that_make_no_model() {
    assert_refused!(refusal("tasks = [\"like\"]", "tasks = []"), @r"error: model.toml:7:1: group `interaction` names no task");
    assert_refused!(refusal("tasks = [\"like\"]", "tasks = [\"lik\"]"), @r"
    error: model.toml:7:1: group `interaction` names an unknown task `lik`; expected one of: click, like, long_view
    hint: did you mean `like`?
    ");
    assert_refused!(refusal("tasks = [\"like\"]", "tasks = [\"like\", \"click\"]"), @r"error: model.toml:7:1: task `click` is in two groups, `watch` and `interaction`");
    assert_refused!(refusal("\"click\", \"long_view\"]\n\n", "\"click\"]\n\n"), @r"error: model.toml:7:1: task `long_view` is in no group");
    assert_refused!(refusal("name = \"watch\"", "name = \"shared\""), @r"error: model.toml:7:1: group `shared`: the name is taken by another group or by the shared experts");
    assert_refused!(refusal("name = \"watch\"", "name = \"interaction\""), @r"error: model.toml:7:1: group `interaction`: the name is taken by another group or by the shared experts");
}

#[test]
fn knobs_that_make_no_model() {
    assert_refused!(refusal("rank = 2", "rank = 6"), @r"error: model.toml:5:8: rank: expected at most the width of the gated input, 5, found 6");
    assert_refused!(refusal("rank = 2", "num_task_experts = 0"), @r"error: model.toml:5:20: num_task_experts: expected a whole number of at least 1, found 0");
    assert_refused!(refusal("rank = 2", "ranks = 2"), @r"
    error: model.toml:5:1: `home` has no knob `ranks`; it has: [names]
    hint: did you mean `rank`?
    ");
    assert_refused!(refusal("\"home\"", "\"hone\""), @r"
    error: model.toml:1:9: unknown model `hone`; expected one of: [names]
    hint: did you mean `home`?
    ");
}

#[test]
fn one_row_has_no_batch_statistics() {
    let bench = Bench::new();
    bench.write("model.toml", MODEL);
    let init = [
        "init",
        "--model",
        "model.toml",
        "--input-dim",
        "5",
        "--weights",
        "w.safetensors",
    ];
    bench.run(&init).expect(0);
    let x = Tensor::ones((1, 5), candle_core::DType::F32, &Device::Cpu).unwrap();
    safetensors::save(
        &HashMap::from([("x".to_owned(), x)]),
        bench.path("x.safetensors"),
    )
    .unwrap();
    let forward = [
        "forward",
        "--model",
        "model.toml",
        "--weights",
        "w.safetensors",
        "--inputs",
        "x.safetensors",
        "--outputs",
        "y.safetensors",
    ];
    bench.run(&forward).expect(0);
    let said = bench
        .run(&[&forward[..], &["--train"]].concat())
        .expect(2)
        .stderr;
    insta::assert_snapshot!(said, @r"
    error: x.safetensors: `x` has one row, and batch norm in training needs at least 2
    hint: give more rows, or leave out --train
    ");
}
