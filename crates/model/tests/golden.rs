//! Every architecture, ablation and switch against an independent PyTorch implementation (tests/golden).

#[path = "../../kernels/tests/common/place.rs"]
mod place;

use candle_core::{D, DType, Tensor};
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{Adam, AdamConfig};
use homebench_kernels::{Parameter, Role};
use homebench_model::{
    BuildContext, InputColumns, InputFeature, ModelConfig, NoiseSource, Ranker, TaskGroup,
    TaskLayout, Trace, TrainingPass, VarBuilder, Variables,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

struct Case {
    name: String,
    tensors: BTreeMap<String, Tensor>,
    config: ModelConfig,
    layout: TaskLayout,
    features: Vec<InputFeature>,
    scenario: Option<usize>,
    num_scenarios: usize,
    num_embedded: usize,
    embedding_dim: usize,
    after: Vec<Option<usize>>,
}

/// The features of a case's input, in the order of their columns, and which of them is the scenario.
fn features(table: &mut toml::Table) -> (Vec<InputFeature>, Option<usize>) {
    let mut start = 0;
    let feature = |value: &toml::Value| {
        let end = start + value["width"].as_integer().unwrap() as usize;
        InputFeature {
            name: value["name"].as_str().unwrap().to_string(),
            columns: std::mem::replace(&mut start, end)..end,
        }
    };
    let listed = table.remove("features");
    let features: Vec<InputFeature> = match &listed {
        Some(listed) => listed.as_array().unwrap().iter().map(feature).collect(),
        None => Vec::new(),
    };
    let scenario = table.remove("scenario");
    let scenario = scenario.as_ref().map(|name| name.as_str().unwrap());
    let place = |name| features.iter().position(|feature| feature.name == name);
    let scenario = scenario.map(|name| place(name).unwrap());
    (features, scenario)
}

/// Of each task, the one that it comes after; empty where a case has no chain.
fn after(table: &mut toml::Table, tasks: &[String]) -> Vec<Option<usize>> {
    let Some(after) = table.remove("after") else {
        return Vec::new();
    };
    let place = |name: &str| tasks.iter().position(|task| task == name).unwrap();
    let before = |task: &String| Some(place(after.get(task)?.as_str().unwrap()));
    tasks.iter().map(before).collect()
}

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Case {
    let bytes = std::fs::read(path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let text = &metadata.metadata().as_ref().unwrap()["model"];
    let mut table: toml::Table = text.parse().unwrap();
    let words = |value: &toml::Value| -> Vec<String> {
        let list = value.as_array().unwrap();
        list.iter()
            .map(|v| v.as_str().unwrap().to_string())
            .collect()
    };
    let model = table.remove("model").unwrap();
    let tasks = words(&table.remove("tasks").unwrap());
    let groups = table.remove("groups").unwrap();
    let (features, scenario) = features(&mut table);
    let num_scenarios = table.remove("num_scenarios");
    let after = after(&mut table, &tasks);
    let mut count = |key: &str| {
        table
            .remove(key)
            .map_or(0, |value| value.as_integer().unwrap() as usize)
    };
    let (num_embedded, embedding_dim) = (count("num_embedded"), count("embedding_dim"));
    let group = |value: &toml::Value| TaskGroup {
        name: value["name"].as_str().unwrap().to_string(),
        tasks: words(&value["tasks"])
            .iter()
            .map(|name| tasks.iter().position(|task| task == name).unwrap())
            .collect(),
    };
    Case {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        tensors: candle_core::safetensors::load_buffer(&bytes, &place::device())
            .unwrap()
            .into_iter()
            .collect(),
        config: ModelConfig::from_table(model.as_str().unwrap(), &table).unwrap(),
        layout: TaskLayout {
            groups: groups.as_array().unwrap().iter().map(group).collect(),
            tasks,
        },
        features,
        scenario,
        num_scenarios: num_scenarios.map_or(0, |count| count.as_integer().unwrap() as usize),
        num_embedded,
        embedding_dim,
        after,
    }
}

impl Case {
    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("{}: no `{name}`", self.name))
    }

    fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        self.tensors
            .iter()
            .filter_map(move |(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)))
    }

    fn build(&self, dtype: DType) -> (Box<dyn homebench_model::Ranker>, Variables) {
        let weights = self
            .under("w/")
            .map(|(path, t)| (path.to_string(), t.clone()))
            .collect();
        let vb = VarBuilder::from_weights(weights, dtype, &place::device());
        let context = BuildContext {
            layout: &self.layout,
            input_dim: self.tensor("x").dim(D::Minus1).unwrap(),
            num_embedded: self.num_embedded,
            // An input of each task's own, and behind them a shared one.
            input_per_task: self.tensor("x").rank() == 3,
            columns: InputColumns {
                features: &self.features,
                scenario: self.scenario,
                num_scenarios: self.num_scenarios,
                embedding_dim: self.embedding_dim,
            },
            after: &self.after,
        };
        let model = self.config.build(&context, &vb).unwrap();
        (model, vb.finish().unwrap())
    }

    /// 1 where a row observes a task; all of them where a case has no mask.
    fn observed(&self) -> Option<&Tensor> {
        self.tensors.get("observed")
    }

    fn targets(&self) -> Targets {
        Targets {
            label_weights: self.observed().map(values),
            ..Targets::new(values(self.tensor("labels")))
        }
    }

    /// Logits and the loss of a training step, the model's own included.
    fn step(
        &self,
        model: &dyn Ranker,
        xs: &Tensor,
        trace: Option<&mut Trace>,
    ) -> (Tensor, Option<Tensor>, Tensor) {
        let of_type = |tensor: &Tensor| tensor.to_dtype(xs.dtype()).unwrap();
        let observed = self.observed().map(of_type);
        let noise = self.tensors.get("noise").map(of_type);
        let labels = of_type(self.tensor("labels"));
        let pass = TrainingPass {
            observed: observed.as_ref(),
            labels: model.reads_labels().then_some(&labels),
            noise: match &noise {
                Some(noise) => NoiseSource::Given(noise),
                None => NoiseSource::Step { seed: 1, step: 0 },
            },
            cut: None,
        };
        let output = self.pass(model, "scenarios", || model.forward_step(xs, &pass, trace));
        let mut loss = multi_task_loss(&output.logits, &self.targets()).unwrap();
        let mut own = None;
        if let Some(auxiliary) = output.auxiliary {
            loss = (loss + (&auxiliary.loss * auxiliary.weight).unwrap()).unwrap();
            own = Some(auxiliary.loss);
        }
        if let Some(first) = output.first {
            let of_first = multi_task_loss(&first.logits, &self.targets()).unwrap();
            loss = (loss + (&of_first * first.weight).unwrap()).unwrap();
            own = Some(of_first);
        }
        (output.logits, own, loss)
    }

    /// A pass of a model, told the scenarios of the rows where it has weights for each.
    fn pass<T>(
        &self,
        model: &dyn Ranker,
        scenarios: &str,
        pass: impl FnOnce() -> candle_core::Result<T>,
    ) -> T {
        let given = match model.scenarios() {
            Some(slot) => {
                let ids: Vec<u32> = (values(self.tensor(scenarios)).iter())
                    .map(|id| *id as u32)
                    .collect();
                slot.during(&ids, pass)
            }
            None => pass(),
        };
        given.unwrap()
    }

    /// Logits of the pairs that are observed: others are any numbers.
    fn seen(&self, logits: &Tensor) -> Vec<f32> {
        let observed = self.observed().map(values);
        let is_seen = |at: usize| observed.as_ref().is_none_or(|observed| observed[at] != 0.0);
        let logits = values(logits).into_iter().enumerate();
        logits
            .filter(|(at, _)| is_seen(*at))
            .map(|(_, logit)| logit)
            .collect()
    }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_dtype(DType::F32).unwrap();
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

/// Fails unless every value is within `tolerance` of the largest expected one.
fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * scale,
            "{what} [{index}]: expected {b}, found {a} (scale {scale})"
        );
    }
}

#[test]
fn forward_agrees_in_training_and_evaluation() {
    place::everywhere(|| {
        for path in case_files() {
            let case = read(&path);
            for dtype in [DType::F32, DType::F64] {
                let (model, variables) = case.build(dtype);
                let name = format!("{} {dtype:?}", case.name);
                let input = |key: &str| case.tensor(key).to_dtype(dtype).unwrap();
                let xs = input("eval/x");
                let pass = || model.forward_t(&xs, false, None);
                let logits = case.pass(&*model, "eval/scenarios", pass);
                assert_close(
                    &format!("{name} evaluation logits"),
                    &values(&logits),
                    &values(case.tensor("eval/logits")),
                    1e-5,
                );
                let mut trace = Trace::default();
                let (logits, auxiliary, _) = case.step(&*model, &input("x"), Some(&mut trace));
                assert_close(
                    &format!("{name} training logits"),
                    &case.seen(&logits),
                    &case.seen(case.tensor("train/logits")),
                    1e-5,
                );
                let expected = case.tensors.get("train/auxiliary").map(values);
                assert_eq!(
                    auxiliary.is_some(),
                    expected.is_some(),
                    "{name}: a loss of its own"
                );
                if let (Some(found), Some(expected)) = (auxiliary, expected) {
                    assert_close(
                        &format!("{name} auxiliary"),
                        &values(&found),
                        &expected,
                        1e-5,
                    );
                }
                let gates = trace.gates.iter().map(|gate| (&gate.path, &gate.weights));
                let sets = trace.experts.iter().map(|set| (&set.path, &set.outputs));
                let found: [(&str, Vec<_>); 2] =
                    [("gate", gates.collect()), ("expert", sets.collect())];
                for (kind, found) in found {
                    let prefix = format!("train/{kind}/");
                    // Beside what a case has, a trace may show experts that its equations don't write as such.
                    for (path, expected) in case.under(&prefix) {
                        let (_, tensor) = (found.iter().find(|(found, _)| *found == path))
                            .unwrap_or_else(|| panic!("{name}: no {kind} {path}"));
                        let expected = values(expected);
                        assert_close(&format!("{name} {path}"), &values(tensor), &expected, 1e-5);
                    }
                }
                let statistics: Vec<&Parameter> = variables
                    .parameters()
                    .iter()
                    .filter(|p| p.role() == Role::Statistic)
                    .collect();
                assert_eq!(case.under("after/").count(), statistics.len(), "{name}");
                for statistic in statistics {
                    let expected = values(case.tensor(&format!("after/{}", statistic.path())));
                    assert_close(
                        &format!("{name} {}", statistic.path()),
                        &values(statistic.tensor()),
                        &expected,
                        1e-5,
                    );
                }
            }
        }
    });
}

#[test]
fn gradients_of_every_variable_agree() {
    place::everywhere(|| {
        for path in case_files() {
            let case = read(&path);
            let (model, variables) = case.build(DType::F32);
            let xs = candle_core::Var::from_tensor(case.tensor("x")).unwrap();
            let (_, _, loss) = case.step(&*model, &xs, None);
            assert_close(
                &case.name,
                &values(&loss),
                &values(case.tensor("train/loss")),
                1e-5,
            );
            let gradients = loss.backward().unwrap();
            let of_xs = values(gradients.get(&xs).unwrap());
            assert_close(
                &format!("{} x", case.name),
                &of_xs,
                &values(case.tensor("grad/x")),
                1e-4,
            );
            let mut seen = 0;
            for parameter in variables.parameters() {
                parameter.collect(&gradients).unwrap();
                if parameter.role() == Role::Statistic {
                    continue;
                }
                seen += 1;
                let what = format!("{} {}", case.name, parameter.path());
                let found = parameter
                    .gradient()
                    .unwrap_or_else(|| panic!("{what}: no gradient"));
                let expected = values(case.tensor(&format!("grad/{}", parameter.path())));
                assert_close(&what, &found, &expected, 1e-4);
            }
            assert_eq!(case.under("grad/").count(), seen + 1, "{}", case.name);
        }
    });
}

#[test]
fn twenty_adam_steps_stay_together() {
    place::everywhere(|| {
        for path in case_files() {
            let case = read(&path);
            let (model, variables) = case.build(DType::F32);
            let mut adam = Adam::new(variables.parameters(), AdamConfig::default());
            let mut losses = Vec::new();
            for _ in 0..20 {
                let (_, _, loss) = case.step(&*model, case.tensor("x"), None);
                let gradients = loss.backward().unwrap();
                for parameter in variables.parameters() {
                    parameter.collect(&gradients).unwrap();
                }
                adam.step(1e-2).unwrap();
                losses.push(loss.to_scalar::<f32>().unwrap());
            }
            assert_close(
                &case.name,
                &losses,
                &values(case.tensor("adam/losses")),
                1e-3,
            );
            for (path, expected) in case.under("adam/final/") {
                let parameter = variables
                    .parameters()
                    .iter()
                    .find(|p| p.path() == path)
                    .unwrap();
                let what = format!("{} {path} after 20 steps", case.name);
                assert_close(&what, &values(parameter.tensor()), &values(expected), 1e-3);
            }
        }
    });
}

#[test]
fn there_is_a_case_of_every_architecture() {
    let covered: Vec<&str> = case_files()
        .iter()
        .map(|path| read(path).config.name())
        .collect();
    for entry in homebench_model::registry() {
        assert!(
            covered.contains(&entry.name),
            "no golden case of {}",
            entry.name
        );
    }
}
