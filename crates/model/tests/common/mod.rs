//! Small models with weights from a seed, and what a forward and a backward pass leave.

#![allow(dead_code)] // each test uses a part

#[path = "../../../kernels/tests/common/place.rs"]
pub(crate) mod place;

mod in_scenarios;
pub(crate) mod scened;

pub(crate) use in_scenarios::{InScenarios, NUM_SCENARIOS};

use candle_core::{DType, Result, Tensor, Var};
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{AdamConfig, Optimizer};
use homebench_model::{
    BuildContext, InputColumns, InputFeature, ModelConfig, NoiseSource, Ranker, Representation,
    StepOutput, TaskGroup, TaskLayout, Trace, TrainingPass, VarBuilder, Variables,
};
use homebench_random::Philox;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Weights, gradients or running statistics by variable path.
pub(crate) type ByPath = BTreeMap<String, Tensor>;

/// Every architecture with knobs that make a small model, then HoME's ablations and other switches.
pub(crate) const MODELS: [(&str, &str); 94] = [
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
    ("adatt_sp", "residual = 'learned'"),
    ("adatt", "num_levels = 3"),
    ("adatt", "residual = 'learned'"),
    ("sparse_mmoe", ""),
    ("sparse_mmoe", "balance = 'none'\nnum_shared_experts = 2"),
    (
        "sparse_mmoe",
        "gate_dims = [4]\ngate_weights = 'raw'\ntop_k = 1\nbalance = 'importance'",
    ),
    (
        "sparse_mmoe",
        "gate_reads = 'row_and_task'\ngate_dims = [4]\ngate_noise = 'learned'\nbalance = 'load'",
    ),
    (
        "sparse_mmoe",
        "gate_reads = 'row_times_task'\nbalance = 'mutual_info'",
    ),
    (
        "sparse_mmoe",
        "gate_reads = 'task_only'\nbalance_over = 'task'",
    ),
    (
        "sparse_mmoe",
        "gate_reads = 'row_only'\ngate_noise = 'fixed'",
    ),
    (
        "sparse_mmoe",
        "gate_noise = 'learned'\nnorm = 'batch'\nactivation = 'silu'",
    ),
    ("sparse_mmoe", "gate = 'dselect_k'\nnum_experts = 5"),
    ("sparse_mmoe", "norm = 'layer'\nnum_experts = 3\ntop_k = 3"),
    ("smes", ""),
    ("smes", "encoder_dims = [6]\nnum_experts = 5"),
    ("smes", "shared_k = 0\nprivate_k = 2\nbalance = 'none'"),
    ("smes", "private_k = 0\nnorm = 'batch'\nactivation = 'silu'"),
    ("switch", "hidden_dim = 6\nblock_dims = [5]"),
    (
        "switch",
        "hidden_dim = 6\nblock_dims = [5]\nexpert_init = 'fan_in'\nprior = 'window'",
    ),
    (
        "switch",
        "hidden_dim = 6\nblock_dims = [5, 4]\nexpert_init = 'fan_in'\nprior = 'groups'\n\
         prior_units = [2, 1, 1]\nnum_blocks = 2\nnum_experts = 6",
    ),
    (
        "switch",
        "hidden_dim = 6\nexpert_init = 'fan_in'\ntask_embedding = 'position'\n\
         gate_weights = 'renormalised'\nactivation = 'silu'\ntower_dims = []",
    ),
    ("task_expert", "backbone_dims = [6]"),
    (
        "task_expert",
        "backbone_dims = [6, 5]\nmemory_write = 'gated'\ngate_reads = 'both'\nnum_levels = 2",
    ),
    ("task_expert", "memory = false\nnum_levels = 2"),
    (
        "task_expert",
        "gate_reads = 'none'\nmemory_read = 'identity'\nmemory_write = 'add'",
    ),
    (
        "task_expert",
        "backbone_dims = []\ngate_kind = 'sigmoid'\nnorm = 'batch'\nactivation = 'silu'",
    ),
    ("cross_stitch", ""),
    (
        "cross_stitch",
        "norm = 'batch'\nactivation = 'silu'\ntower_dims = []",
    ),
    ("pad_net", ""),
    ("pad_net", "exchange = 'none'"),
    ("pad_net", "deep_supervision = 0\ntask_dims = [5, 4]"),
    (
        "pad_net",
        "norm = 'batch'\nactivation = 'silu'\ntower_dims = []",
    ),
    ("pepnet", "prior_features = ['user']"),
    (
        "pepnet",
        "prior_features = ['rest', 'user']\ngate_hidden_dim = 4\nnorm = 'batch'\nactivation = 'silu'",
    ),
    ("pepnet", "parts = 'epnet'\ntower_dims = []"),
    (
        "pepnet",
        "parts = 'ppnet'\nprior_features = ['user', 'tab']\nnorm = 'layer'\nnorm_position = 'output'",
    ),
    ("stem", ""),
    ("stem", "num_levels = 2\nnum_task_experts = 2"),
    (
        "stem",
        "num_levels = 3\nstop_gradients = false\nnorm = 'batch'\nactivation = 'silu'",
    ),
    ("star", ""),
    ("star", "auxiliary = false\nactivation = 'silu'"),
    ("star", "partitioned_norm = false\nauxiliary_dims = []"),
    (
        "star",
        "auxiliary = false\npartitioned_norm = false\ntower_dims = []",
    ),
    ("hinet", ""),
    ("hinet", "gate_dims = [4]\nnum_scenario_experts = 1"),
    ("hinet", "attention = false\nnum_shared_experts = 0"),
    ("hinet", "norm = 'batch'\nactivation = 'silu'"),
    ("m3oe", "star_dim = 6\nbottom_dim = 5"),
    ("m3oe", "fusion = 'shared'\ntower_dims = []"),
    ("m3oe", "norm = 'layer'"),
    ("m3oe", "norm = 'batch'\nactivation = 'silu'"),
    ("esmm", ""),
    ("esmm", "norm = 'batch'\nactivation = 'silu'"),
    ("escm2", ""),
    ("escm2", "counterfactual = 'dr'\nnorm = 'batch'"),
    ("aitm", ""),
    ("aitm", "calibrator_weight = 0\nnorm = 'layer'"),
    ("resflow", ""),
    (
        "resflow",
        "norm = 'batch'\nactivation = 'silu'\ntower_dims = []",
    ),
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
    ("mmoe", "bottom = 'fm'"),
    ("home", "rank = 2\nbottom = 'fm'"),
    ("mmoe", "bottom = 'dcn_v2'"),
    (
        "home",
        "rank = 2\nbottom = 'dcn_v2'\ncross_rank = 3\ncross_layers = 3",
    ),
    ("mmoe", "bottom = 'autoint'\nattention_dim = 3"),
    (
        "ple",
        "bottom = 'autoint'\nattention_layers = 1\nattention_heads = 1",
    ),
    ("aitm", "bottom = 'autoint'\nattention_layers = 2"),
    ("sparse_mmoe", "bottom = 'dcn_v2'\ngate_noise = 'learned'"),
    ("single_task", "bottom = 'dcn_v2'\ncross_rank = 1"),
    ("single_task", "bottom = 'autoint'\nattention_layers = 1"),
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

/// The features of an input: a user, the scenario `tab`, and whatever is left.
pub(crate) fn features(input_dim: usize) -> Vec<InputFeature> {
    let feature = |name: &str, columns: std::ops::Range<usize>| InputFeature {
        name: name.to_owned(),
        columns,
    };
    vec![
        feature("user", 0..2),
        feature("tab", 2..3),
        feature("rest", 3..input_dim),
    ]
}

/// The features of an input that a bottom reads: two that are embedded in two columns each, and numbers.
pub(crate) fn fields(input_dim: usize) -> Vec<InputFeature> {
    let embedded = [("user", 0..2), ("tab", 2..4)];
    let embedded = embedded.map(|(name, columns)| (name.to_owned(), columns));
    let numbers = (4..input_dim).map(|column| (format!("number_{column}"), column..column + 1));
    let all = embedded.into_iter().chain(numbers);
    all.map(|(name, columns)| InputFeature { name, columns })
        .collect()
}

/// How many columns of [`fields`] are embedded.
pub(crate) const NUM_EMBEDDED: usize = 4;

/// The second of three tasks comes after the first, and the third after that.
pub(crate) const AFTER: [Option<usize>; 3] = [None, Some(0), Some(1)];

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
        let has_bottom = config.knobs().contains_key("bottom");
        let (features, num_embedded) = match has_bottom {
            true => (fields(input_dim), NUM_EMBEDDED),
            false => (features(input_dim), 0),
        };
        // As `AFTER`, of any number of tasks.
        let tasks = 0..layout.tasks.len();
        let after: Vec<Option<usize>> = tasks.map(|task| task.checked_sub(1)).collect();
        let context = BuildContext {
            layout,
            input_dim,
            num_embedded,
            input_per_task: false,
            columns: InputColumns {
                features: &features,
                scenario: Some(1),
                num_scenarios: NUM_SCENARIOS,
                embedding_dim: 2,
            },
            after: &after,
        };
        let model = config.build(&context, vb).unwrap();
        Self {
            model: Box::new(InScenarios(model)),
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

    /// What a training step computes: the noise is that of step `index`.
    pub(crate) fn step(&self, xs: &Tensor, observed: Option<&Tensor>, index: u64) -> StepOutput {
        self.cut_step(xs, observed, index, None)
    }

    /// The same, cut at the model's representation where `cut` is given.
    pub(crate) fn cut_step(
        &self,
        xs: &Tensor,
        observed: Option<&Tensor>,
        index: u64,
        cut: Option<&RefCell<Option<Representation>>>,
    ) -> StepOutput {
        let noise = NoiseSource::Step {
            seed: 5,
            step: index,
        };
        // Those that read them are models of three tasks in a chain.
        let known = |rows: usize| Tensor::from_vec(labels(rows * 3), (rows, 3), &place::device());
        let labels = (self.model.reads_labels()).then(|| known(xs.dim(0).unwrap()).unwrap());
        let pass = TrainingPass {
            observed,
            labels: labels.as_ref(),
            noise,
            cut,
        };
        self.model.forward_step(xs, &pass, None).unwrap()
    }

    /// The gradients of `objective` of a training step's logits that arrived, by path, and at "xs" that of the input.
    pub(crate) fn gradients(
        &self,
        xs: &Tensor,
        objective: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> BTreeMap<String, Vec<f32>> {
        self.step_gradients(xs, None, |output| objective(&output.logits))
    }

    /// The same of everything that a training step gives, where rows observe some tasks.
    pub(crate) fn step_gradients(
        &self,
        xs: &Tensor,
        observed: Option<&Tensor>,
        objective: impl FnOnce(&StepOutput) -> Result<Tensor>,
    ) -> BTreeMap<String, Vec<f32>> {
        let xs = Var::from_tensor(xs).unwrap();
        let output = self.step(&xs, observed, 0);
        let store = objective(&output).unwrap().backward().unwrap();
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

/// Labels of which one in four is positive, in another place of each row.
pub(crate) fn labels(count: usize) -> Vec<f32> {
    let label = |index: usize| f32::from(u8::from(index.is_multiple_of(4)));
    (0..count).map(label).collect()
}

/// The sum of the tasks' losses and the model's own, of a training step whose rows observe some tasks.
pub(crate) fn loss_of_step(output: &StepOutput, observed: Option<&Tensor>) -> Result<Tensor> {
    let targets = Targets {
        label_weights: observed.map(values),
        ..Targets::new(labels(output.logits.elem_count()))
    };
    let mut loss = multi_task_loss(&output.logits, &targets)?;
    if let Some(auxiliary) = &output.auxiliary {
        loss = (loss + (&auxiliary.loss * auxiliary.weight)?)?;
    }
    if let Some(first) = &output.first {
        loss = (loss + (multi_task_loss(&first.logits, &targets)? * first.weight)?)?;
    }
    Ok(loss)
}

/// What 20 steps of Adam leave, by path, and before them the losses.
pub(crate) fn after_twenty_steps(
    network: &Network,
    xs: &Tensor,
    observed: Option<&Tensor>,
) -> (Vec<f32>, BTreeMap<String, Vec<f32>>) {
    let parameters = network.variables.parameters();
    let mut adam = Optimizer::new(parameters, AdamConfig::default());
    let mut losses = Vec::new();
    for index in 0..20 {
        let loss = loss_of_step(&network.step(xs, observed, index), observed).unwrap();
        let gradients = loss.backward().unwrap();
        for parameter in parameters {
            parameter.collect(&gradients).unwrap();
        }
        adam.step(1e-2).unwrap();
        losses.push(loss.to_scalar::<f32>().unwrap());
    }
    let weights = network.variables.snapshot().unwrap().into_iter();
    let weights = weights.map(|(path, tensor)| (path, values(&tensor)));
    (losses, weights.collect())
}

/// The weights of a network, with other names.
pub(crate) fn renamed(network: &Network, rename: impl Fn(&str) -> String) -> ByPath {
    let weights = network.variables.snapshot().unwrap().into_iter();
    weights.map(|(path, t)| (rename(&path), t)).collect()
}

/// Which tasks each row observes: most pairs, but not the last, nor any pair of the second row.
pub(crate) fn some_observed(rows: usize, tasks: usize) -> Tensor {
    let is_observed = |at: usize| at / tasks != 1 && at + 1 != rows * tasks && at % 4 != 3;
    let observed: Vec<f32> = (0..rows * tasks)
        .map(|at| f32::from(u8::from(is_observed(at))))
        .collect();
    Tensor::from_vec(observed, (rows, tasks), &place::device()).unwrap()
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
