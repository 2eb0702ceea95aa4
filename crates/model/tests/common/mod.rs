//! Small models with weights from a seed, and what a forward and a backward pass leave.

#![allow(dead_code)] // each test uses a part

#[path = "../../../kernels/tests/common/place.rs"]
pub(crate) mod place;

use candle_core::{DType, Result, Tensor, Var};
use homebench_model::{
    BuildContext, ModelConfig, Ranker, TaskGroup, TaskLayout, Trace, VarBuilder, Variables,
};
use homebench_random::Philox;
use std::collections::BTreeMap;

/// Weights, gradients or running statistics by variable path.
pub(crate) type ByPath = BTreeMap<String, Tensor>;

/// Every architecture with knobs that make a small model, then HoME's ablations and other switches.
pub(crate) const MODELS: [(&str, &str); 26] = [
    ("logistic", ""),
    ("single_task", ""),
    ("single_task", "norm = 'batch'\nactivation = 'silu'"),
    ("shared_bottom", ""),
    ("shared_bottom", "tower_dims = []\nnorm = 'layer'"),
    ("omoe", ""),
    ("mmoe", "gate_dims = [4]"),
    ("mmoe", "norm = 'batch'\nactivation = 'silu'"),
    ("ml_mmoe", ""),
    ("cgc", ""),
    ("cgc", "num_shared_experts = 0"),
    ("ple", ""),
    ("ple", "num_levels = 3\nnorm = 'batch'\nactivation = 'silu'"),
    ("ple", "num_shared_experts = 0"),
    ("adatt_sp", "num_task_experts = 2"),
    ("adatt", "num_levels = 3"),
    ("home", "rank = 2"),
    ("home", "rank = 2\nfeature_gate = 'meta_only'"),
    ("home", "feature_gate = 'none'"),
    ("home", "feature_gate = 'none'\nself_gate = false"),
    (
        "home",
        "feature_gate = 'none'\nself_gate = false\nmask = false",
    ),
    ("home", "rank = 2\nnorm = 'none'\nactivation = 'relu'"),
    ("home", "rank = 2\nmask = false"),
    ("home", "rank = 2\nfeature_gate_scope = 'per_expert'"),
    ("home", "rank = 2\ngate_input = 'gated'\ngate_dims = [3]"),
    (
        "home",
        "rank = 2\nnum_shared_experts = 0\nnum_group_experts = 0",
    ),
];

/// Tasks in the order of their groups.
pub(crate) fn layout(groups: &[(&str, &[&str])]) -> TaskLayout {
    let mut tasks = Vec::new();
    let groups = groups
        .iter()
        .map(|(name, members)| {
            let first = tasks.len();
            tasks.extend(members.iter().map(ToString::to_string));
            TaskGroup {
                name: name.to_string(),
                tasks: (first..tasks.len()).collect(),
            }
        })
        .collect();
    TaskLayout { tasks, groups }
}

/// Two groups, one of them with a task alone.
pub(crate) fn three_tasks() -> TaskLayout {
    layout(&[("g", &["a", "b"]), ("h", &["c"])])
}

/// The architecture's configuration: small experts and towers, unless `knobs` say otherwise.
pub(crate) fn config(name: &str, knobs: &str) -> ModelConfig {
    let mut table: toml::Table = knobs.parse().unwrap();
    let known = homebench_model::registry();
    let entry = known.iter().find(|entry| entry.name == name).unwrap();
    for (knob, width) in [("expert_dims", [6, 5].as_slice()), ("tower_dims", &[4])] {
        if entry.knobs.iter().any(|k| k.name == knob) && !table.contains_key(knob) {
            let widths = width.iter().map(|w| toml::Value::Integer(*w)).collect();
            table.insert(knob.to_string(), toml::Value::Array(widths));
        }
    }
    ModelConfig::from_table(name, &table).unwrap()
}

/// A model and its variables.
pub(crate) struct Network {
    pub(crate) model: Box<dyn Ranker>,
    pub(crate) variables: Variables,
    pub(crate) config: ModelConfig,
}

impl Network {
    /// With the initial weights of seed 3.
    pub(crate) fn from_seed(config: &ModelConfig, layout: &TaskLayout, input_dim: usize) -> Self {
        let vb = VarBuilder::from_seed(3, DType::F32, &place::device());
        Self::build(config, layout, input_dim, &vb)
    }

    /// With given weights.
    pub(crate) fn from_weights(
        config: &ModelConfig,
        layout: &TaskLayout,
        input_dim: usize,
        weights: ByPath,
    ) -> Self {
        let vb = VarBuilder::from_weights(weights, DType::F32, &place::device());
        Self::build(config, layout, input_dim, &vb)
    }

    fn build(config: &ModelConfig, layout: &TaskLayout, input_dim: usize, vb: &VarBuilder) -> Self {
        let context = BuildContext {
            layout,
            input_dim,
            num_embedded: 0,
            input_per_task: false,
        };
        let model = config.build(&context, vb).unwrap();
        Self {
            model,
            variables: vb.finish().unwrap(),
            config: config.clone(),
        }
    }

    /// Logits in training.
    pub(crate) fn logits(&self, xs: &Tensor) -> Tensor {
        self.model.forward_t(xs, true, None).unwrap()
    }

    /// Gate weights and expert outputs in training.
    pub(crate) fn trace(&self, xs: &Tensor) -> Trace {
        let mut trace = Trace::default();
        self.model.forward_t(xs, true, Some(&mut trace)).unwrap();
        trace
    }

    /// The gradients of `objective` of the logits that arrived, by path, and at "xs" that of the input.
    pub(crate) fn gradients(
        &self,
        xs: &Tensor,
        objective: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> BTreeMap<String, Vec<f32>> {
        let xs = Var::from_tensor(xs).unwrap();
        let logits = self.model.forward_t(&xs, true, None).unwrap();
        let store = objective(&logits).unwrap().backward().unwrap();
        let mut arrived = BTreeMap::new();
        if let Some(gradient) = store.get(&xs) {
            arrived.insert("xs".to_string(), values(gradient));
        }
        for parameter in self.variables.parameters() {
            parameter.collect(&store).unwrap();
            if let Some(gradient) = parameter.gradient() {
                arrived.insert(parameter.path().to_string(), gradient);
            }
            parameter.consume_gradient(|_| {});
        }
        arrived
    }
}

/// Inputs uniform in plus and minus `scale`, the same ones every time.
pub(crate) fn inputs(rows: usize, width: usize, scale: f32) -> Tensor {
    let stream = Philox::new(11, "inputs", "properties");
    let value = |index| (stream.uniform(index) * 2.0 - 1.0) * scale;
    let values: Vec<f32> = (0..(rows * width) as u64).map(value).collect();
    Tensor::from_vec(values, (rows, width), &place::device()).unwrap()
}

/// All values of a tensor.
pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Fails unless the tensors are within `tolerance` of each other, relative to the largest value.
#[track_caller]
pub(crate) fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims());
    let (found, expected) = (values(found), values(expected));
    let scale = expected.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    for (a, b) in found.iter().zip(&expected) {
        assert!((a - b).abs() <= tolerance * scale, "{a} is not {b}");
    }
}
