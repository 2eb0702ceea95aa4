//! What every model is.

use crate::ModelError;
use crate::features::InputColumns;
use crate::layout::{Owner, TaskLayout};
use crate::part::Part;
use crate::tap::FeatureTap;
use candle_core::{Result, Tensor, Var};
use std::cell::RefCell;

/// What an architecture is built for.
#[derive(Debug, Clone, Copy)]
pub struct BuildContext<'a> {
    /// Tasks and groups.
    pub layout: &'a TaskLayout,
    /// Width of the input, D.
    pub input_dim: usize,
    /// How many of its first columns come from embedding tables; the others are numeric features.
    pub num_embedded: usize,
    // Tables of each task's own give each its own units. The model learns of it here, since its networks must then read apart.
    /// Whether the input comes once per task, [tasks, batch, input_dim], as a single-task model with embeddings of its own needs;
    /// where the architecture has shared tables too, once more at the end.
    pub input_per_task: bool,
    /// Which columns are which feature's.
    pub columns: InputColumns<'a>,
    /// Of each task, the one that it comes after: its label can be 1 only where that one's is. Empty where none comes after
    /// another.
    pub after: &'a [Option<usize>],
}

impl BuildContext<'_> {
    /// Refuses features whose columns the input doesn't have, and a scenario that is none of them.
    pub(crate) fn check_columns(&self) -> std::result::Result<(), ModelError> {
        let InputColumns {
            features, scenario, ..
        } = self.columns;
        let message = match features.iter().find(|f| f.columns.end > self.input_dim) {
            Some(feature) => format!(
                "the feature `{}` ends at column {} of an input of {}",
                feature.name, feature.columns.end, self.input_dim
            ),
            None if scenario.is_some_and(|feature| feature >= features.len()) => {
                format!("the scenario is none of the {} features", features.len())
            }
            None => return Ok(()),
        };
        Err(ModelError::InvalidLayout { message })
    }
}

/// A multi-task model: one logit per task from one input.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use homebench_model::{BuildContext, InputColumns, ModelConfig, Owner, Ranker, TaskGroup, TaskLayout, Trace, VarBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layout = TaskLayout {
///     tasks: vec!["click".into(), "like".into()],
///     groups: vec![TaskGroup { name: "feed".into(), tasks: vec![0, 1] }],
/// };
/// let context = BuildContext { layout: &layout, input_dim: 6, num_embedded: 0, input_per_task: false, columns: InputColumns::default(), after: &[] };
/// let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
/// let mmoe = ModelConfig::from_table("mmoe", &"num_experts = 3".parse()?)?;
/// let model: Box<dyn Ranker> = mmoe.build(&context, &vb)?;
///
/// let xs = Tensor::ones((5, 6), DType::F32, &Device::Cpu)?;
/// let mut trace = Trace::default();
/// let logits = model.forward_t(&xs, false, Some(&mut trace))?;
/// assert_eq!(logits.dims(), [5, 2]);
///
/// // What happened inside: the experts' outputs, and the weights of a gate per task.
/// assert_eq!(trace.experts[0].outputs.dims(), [3, 5, 32]);
/// assert_eq!(trace.gates[1].path, "task.like.gate");
/// assert_eq!(trace.gates[1].weights.dims(), [5, 3]);
/// assert_eq!(trace.gates[1].owner, Owner::Task(1));
/// # Ok(())
/// # }
/// ```
pub trait Ranker: Send {
    /// Scores a batch.
    ///
    /// With `train`, norms use the batch's statistics and update the running ones. What happens inside is left in `trace`,
    /// where one is given.
    ///
    /// # Shapes
    /// - xs: [batch, input_dim], or [tasks, batch, input_dim] where the model was built with an input per task, or one more than
    ///   tasks where the architecture has shared tables beside those
    /// - result: [batch, tasks]
    ///
    /// # Errors
    /// Another shape, or a batch of one row for batch norm in training.
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor>;

    /// The forward pass of a training step: as [`Self::forward_t`] with `train`, and what only training has, such as the noise
    /// of gates and losses of the model's own.
    ///
    /// A logit of a task that its row does not observe is any number: nothing learns from it, and a model may leave it out.
    ///
    /// # Errors
    /// As [`Self::forward_t`].
    fn forward_step(
        &self,
        xs: &Tensor,
        _pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        Ok(StepOutput {
            logits: self.forward_t(xs, true, trace)?,
            auxiliary: None,
            first: None,
        })
    }

    /// Whether [`Self::forward_step`] gives what its heads read to [`TrainingPass::represent`]: one tensor from which every task's logit is made by
    /// what is that task's alone.
    fn has_representation(&self) -> bool {
        false
    }

    /// The features of each task, which its tower reads: what distillation compares. None of a model without towers.
    fn features(&self) -> Option<&FeatureTap> {
        None
    }

    /// Whether [`Self::forward_step`] makes use of which tasks are observed.
    fn reads_observed(&self) -> bool {
        false
    }

    /// Whether [`Self::forward_step`] makes use of labels, for a loss of the model's own. Logits never depend on them.
    fn reads_labels(&self) -> bool {
        false
    }

    /// Floating-point operations of a forward pass's matrix products, for one row; a multiply-add counts as two. Of a model that
    /// runs some of its experts on a row, an upper bound.
    fn flops_per_row(&self) -> usize;
}

/// What a training step has beside its inputs.
#[derive(Debug, Clone, Copy)]
pub struct TrainingPass<'a> {
    /// Which tasks each row observes, [batch, tasks], 1 or 0. Absent: all.
    pub observed: Option<&'a Tensor>,
    /// The labels, [batch, tasks], any number where a task is not observed. Absent where the model makes no use of them.
    pub labels: Option<&'a Tensor>,
    /// Where random numbers come from.
    pub noise: NoiseSource<'a>,
    /// Where the graph is cut at what the heads read; absent where it goes through.
    pub cut: Option<&'a RefCell<Option<Representation>>>,
}

impl TrainingPass<'_> {
    /// What the heads are to read in place of `output`, which is what they read: itself, or where the graph is cut a leaf of its value.
    ///
    /// # Errors
    /// The leaf can't be made.
    pub fn represent(&self, output: Tensor) -> Result<Tensor> {
        let Some(cut) = self.cut else {
            return Ok(output);
        };
        let leaf = Var::from_tensor(&output.detach())?;
        let heads_read = leaf.as_tensor().clone();
        *cut.borrow_mut() = Some(Representation { output, leaf });
        Ok(heads_read)
    }
}

/// What the heads of a model read, where a step's graph is cut: before it is the body, behind it the heads.
#[derive(Debug)]
pub struct Representation {
    output: Tensor,
    leaf: Var,
}

impl Representation {
    /// As the body made it, a part of the body's graph.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// The same value as a leaf of the heads' graph.
    pub fn leaf(&self) -> &Var {
        &self.leaf
    }
}

/// Where the random numbers of a training step come from.
#[derive(Debug, Clone, Copy)]
pub enum NoiseSource<'a> {
    /// Streams of a cell's seed, read at a step: the same whatever was drawn before.
    Step {
        /// Of the cell.
        seed: u64,
        /// Counted from 0.
        step: u64,
    },
    /// Standard normal numbers from elsewhere, for comparisons with another program.
    Given(&'a Tensor),
}

/// What a training step's forward pass gives.
#[derive(Debug)]
pub struct StepOutput {
    /// [batch, tasks].
    pub logits: Tensor,
    /// A loss of the model's own.
    pub auxiliary: Option<AuxiliaryLoss>,
    /// What tasks predict before that, where it is learned from labels too.
    pub first: Option<FirstPrediction>,
}

/// Logits that are held against the labels as the last ones are, in training alone: deep supervision.
#[derive(Debug)]
pub struct FirstPrediction {
    /// [batch, tasks].
    pub logits: Tensor,
    /// What the sum of the tasks' losses of these is multiplied by in the step's loss.
    pub weight: f64,
}

/// A loss beside that of the tasks, in training alone.
#[derive(Debug)]
pub struct AuxiliaryLoss {
    /// A scalar, before its weight.
    pub loss: Tensor,
    /// What it is multiplied by in the step's loss.
    pub weight: f64,
}

/// Gate weights and expert outputs of one forward pass, layer by layer.
#[derive(Debug, Default)]
pub struct Trace {
    /// Gates and self-gates; a free learned vector is none.
    pub gates: Vec<GateTrace>,
    /// Sets of experts.
    pub experts: Vec<ExpertTrace>,
}

/// A set of experts.
#[derive(Debug)]
pub struct ExpertTrace {
    /// `meta.shared.expert`.
    pub path: String,
    /// Layer or level, from 0.
    pub layer: usize,
    /// Whom it serves.
    pub owner: Owner,
    /// [experts, batch, expert_dim].
    pub outputs: Tensor,
}

/// A gate and what it sees.
#[derive(Debug)]
pub struct GateTrace {
    /// `task.click.gate`.
    pub path: String,
    /// Layer or level, from 0.
    pub layer: usize,
    /// Whom it serves.
    pub owner: Owner,
    /// How it weighs.
    pub kind: GateKind,
    /// The experts that it sees, counted over all sets of its layer, in the order of its weights.
    pub seen: Vec<usize>,
    /// [batch, experts seen].
    pub weights: Tensor,
    /// Whether a weight of 0 is an expert that is not run.
    pub chooses: bool,
}

/// How a gate weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateKind {
    /// Softmax over the experts that it sees.
    Softmax,
    /// A residual over a set's own experts: sigmoid for one, softmax for several.
    SelfGate,
    /// AdaTT's free learned vector over a unit's own experts.
    Residual,
}

impl Trace {
    /// Adds a set of experts, [experts, batch, expert_dim].
    pub fn push_experts(&mut self, part: &Part, outputs: &Tensor) {
        self.experts.push(ExpertTrace {
            path: part.path.clone(),
            layer: part.layer,
            owner: part.owner,
            // A trace is read after the pass: it must not keep candle's graph, and every activation in it, alive.
            outputs: outputs.detach(),
        });
    }

    /// Adds a gate.
    pub(crate) fn push_gate(
        &mut self,
        part: &Part,
        kind: GateKind,
        seen: &[usize],
        weights: Tensor,
    ) {
        self.gates.push(GateTrace {
            path: part.path.clone(),
            layer: part.layer,
            owner: part.owner,
            kind,
            seen: seen.to_vec(),
            weights,
            chooses: false,
        });
    }

    /// Adds a gate that runs the experts whose weights are not 0, and no others.
    pub(crate) fn push_choice(&mut self, part: &Part, seen: &[usize], weights: Tensor) {
        self.push_gate(part, GateKind::Softmax, seen, weights);
        if let Some(gate) = self.gates.last_mut() {
            gate.chooses = true;
        }
    }
}
