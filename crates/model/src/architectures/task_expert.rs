//! TaskExpert: experts on every level of a shared backbone, and a memory per task that reads them.
//!
//! Source: Ye and Xu, "TaskExpert: dynamically assembling multi-task representations with memorial mixture-of-experts", ICCV 2023,
//! arXiv:2307.15324. Known to us are its abstract and a figure's caption: experts decompose a backbone's features, gates of tasks
//! assemble them, a memory per task is read as one expert more and written at every level, and the last memory predicts. No code is
//! public. What gates read, how a memory is written and its first value are our choice, each a knob.
//!
//! # Shapes
//! - v: [B, D]; x^l: [B, H_x]; experts F^l: [N, B, C]; memories M^l: [T, B, C]; a gate: [B, N], or [B, N + 1] with a memory
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{Knob, Knobs, expert_knobs};
use crate::layers::{ExpertConfig, Towers, linear_maps, product_flops};
use crate::part::{Part, PartKind, Place};
use crate::ranker::{BuildContext, GateKind, Ranker, Trace};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::{Init, VarBuilder};
use candle_core::{Result, Tensor};
use homebench_kernels::gate::{GateActivation, GateLogits, LinearGate, Mix, MixGate};
use homebench_kernels::sigmoid;
use homebench_kernels::stacked_mlp::StackedMlp;

pub(super) const TASK_EXPERT: Architecture = Architecture {
    name: "task_expert",
    title: "TaskExpert: experts on every level, and a memory per task",
    paper: "arXiv:2307.15324",
    equation: "f_t^l = Sum(g_t(x^l), {E_n(x^l)} and R_t(M_t^{l-1})); M_t^l = write(M_t^{l-1}, f_t^l); y_t = Tower_t(M_t^L)",
    knobs,
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

fn knobs() -> Vec<Knob> {
    let mut knobs = expert_knobs("none", "relu").to_vec();
    knobs.extend([
        Knob::count("num_levels", 1, 3, "levels of the backbone"),
        Knob::widths(
            "backbone_dims",
            true,
            &[64],
            "widths of the backbone's layers on each level; none: every level reads the input",
        ),
        Knob::count("num_experts", 1, 4, "experts of each level, all shared"),
        Knob::flag(
            "memory",
            true,
            "whether tasks have memories; without them the last level's mixes predict, and no other level has experts",
        ),
        Knob::choice(
            "memory_write",
            &["replace", "add", "gated"],
            "replace",
            "what a level's mix does to a memory",
        ),
        Knob::choice(
            "memory_read",
            &["linear", "identity"],
            "linear",
            "how a level reads a memory",
        ),
        Knob::choice(
            "gate_reads",
            &["backbone", "both", "none"],
            "backbone",
            "what gates read: the level's features, the memory beside them, or nothing: a learned vector per task",
        ),
        Knob::choice(
            "gate_kind",
            &["softmax", "sigmoid"],
            "softmax",
            "how gates weigh",
        ),
    ]);
    knobs
}

struct MemoryLevel {
    /// Absent where every level reads the input.
    backbone: Option<(Part, StackedMlp)>,
    /// Absent on a level that feeds nothing.
    experts: Option<Experts>,
}

struct Experts {
    set: Part,
    networks: StackedMlp,
    gates: Vec<Part>,
    /// What to call the memories that are read here; none on the first level.
    memories: Vec<Part>,
    logits: GateLogits,
    mix: Mix,
    reads_memory: bool,
    /// R, where it is a map.
    read: Option<StackedMlp>,
    /// W_q, where writes are gated.
    write: Option<StackedMlp>,
}

struct TaskExpert {
    levels: Vec<MemoryLevel>,
    adds: bool,
    towers: Towers,
    flops_per_row: usize,
}

/// What every level is built from.
struct Builder<'a> {
    knobs: &'a Knobs,
    context: &'a BuildContext<'a>,
    config: ExpertConfig,
    vb: &'a VarBuilder,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let has_memory = knobs.flag("memory");
    if !has_memory && knobs.choice("gate_reads") == "both" {
        return Err(ModelError::knob(
            "gate_reads",
            "without a memory there is none to read; use \"backbone\", or memory = true",
        ));
    }
    let config = ExpertConfig::from_knobs(knobs);
    let (num_tasks, width) = (context.layout.tasks.len(), config.output_dim());
    let builder = Builder {
        knobs,
        context,
        config,
        vb,
    };
    let num_levels = knobs.count("num_levels");
    let (mut levels, mut input_dim, mut flops_per_row) = (Vec::new(), context.input_dim, 0);
    for index in 0..num_levels {
        let (backbone, flops) = builder.backbone(index, &mut input_dim)?;
        flops_per_row += flops;
        // Without memories only the last level's experts are read.
        let experts = match has_memory || index + 1 == num_levels {
            true => {
                let (experts, flops) =
                    builder.experts(index, has_memory && index > 0, input_dim)?;
                flops_per_row += flops;
                Some(experts)
            }
            false => None,
        };
        levels.push(MemoryLevel { backbone, experts });
    }
    let towers = Towers::new(knobs, context, width, (0..num_tasks).collect(), vb)?;
    flops_per_row += towers.flops_per_row();
    Ok(Box::new(TaskExpert {
        levels,
        adds: knobs.choice("memory_write") == "add",
        towers,
        flops_per_row,
    }))
}

/// A level's backbone with its part, where it has one.
type Backbone = Option<(Part, StackedMlp)>;

impl Builder<'_> {
    fn backbone(
        &self,
        index: usize,
        input_dim: &mut usize,
    ) -> std::result::Result<(Backbone, usize), ModelError> {
        let dims = self.knobs.widths("backbone_dims");
        let Some(width) = dims.last() else {
            return Ok((None, 0));
        };
        let set = Place::shared().in_level(index).backbone(index);
        let config = self.config.with_dims(&dims);
        let network = config.build(*input_dim, &[(self.vb.part(&set), 1)], vec![0])?;
        let flops = config.flops_per_row(*input_dim);
        *input_dim = *width;
        Ok((Some((set, network)), flops))
    }

    fn experts(
        &self,
        index: usize,
        has_memory: bool,
        input_dim: usize,
    ) -> std::result::Result<(Experts, usize), ModelError> {
        let (num_experts, num_tasks) = (
            self.knobs.count("num_experts"),
            self.context.layout.tasks.len(),
        );
        let width = self.config.output_dim();
        let set = Place::shared()
            .in_level(index)
            .part(PartKind::Experts, index);
        let tasks: Vec<Place> = (Place::tasks(self.context.layout).iter())
            .map(|task| task.in_level(index))
            .collect();
        let each: Vec<usize> = (0..num_tasks).collect();
        let mut flops = num_experts * self.config.flops_per_row(input_dim);
        // A task's memory is read by that task alone, on every level.
        let own = self.vb.of_one_task(true);
        let read = match has_memory && self.knobs.choice("memory_read") == "linear" {
            true => {
                flops += num_tasks * product_flops(&[width, width]);
                let maps = tasks.iter().map(|task| own.part(&task.memory(index)));
                let maps: Vec<VarBuilder> = maps.collect();
                Some(linear_maps(width, width, &maps, each.clone())?)
            }
            false => None,
        };
        let write = match has_memory && self.knobs.choice("memory_write") == "gated" {
            true => {
                flops += num_tasks * product_flops(&[2 * width, width]);
                let maps = tasks.iter().map(|task| own.pp(&task.path).pp("write"));
                let maps: Vec<VarBuilder> = maps.collect();
                Some(linear_maps(2 * width, width, &maps, each)?)
            }
            false => None,
        };
        let gates: Vec<Part> = (tasks.iter())
            .map(|task| task.part(PartKind::Gate(GateKind::Softmax), index))
            .collect();
        let reads_memory = has_memory && self.knobs.choice("gate_reads") == "both";
        let gate_input = match self.knobs.choice("gate_reads") {
            "none" => 0,
            _ if reads_memory => input_dim + width,
            _ => input_dim,
        };
        let num_seen = num_experts + usize::from(has_memory);
        flops += num_tasks * product_flops(&[gate_input, num_seen]);
        let experts = Experts {
            networks: self.config.build(
                input_dim,
                &[(self.vb.part(&set), num_experts)],
                vec![0; num_experts],
            )?,
            logits: self.gate_logits(&gates, gate_input, num_seen, reads_memory)?,
            mix: self.mix(num_experts, num_tasks, has_memory)?,
            set,
            gates,
            memories: match has_memory {
                true => tasks.iter().map(|task| task.memory(index)).collect(),
                false => Vec::new(),
            },
            reads_memory,
            read,
            write,
        };
        Ok((experts, flops))
    }

    fn gate_logits(
        &self,
        gates: &[Part],
        width: usize,
        num_logits: usize,
        reads_memory: bool,
    ) -> std::result::Result<GateLogits, ModelError> {
        let init = Init::fan_in(width);
        let gate = |(task, part): (usize, &Part)| {
            let vb = self.vb.of_one_task(true).part(part);
            Ok(LinearGate {
                sources: match (width, reads_memory) {
                    (0, _) => Vec::new(),
                    // Each task's own features and memory, side by side.
                    (_, true) => vec![task],
                    (_, false) => vec![0],
                },
                weight: match width {
                    0 => None,
                    width => Some(vb.get((width, num_logits), "weight", init)?),
                },
                bias: Some(vb.get(num_logits, "bias", init)?),
                num_logits,
            })
        };
        let gates = gates.iter().enumerate().map(gate);
        Ok(GateLogits::new(
            gates.collect::<std::result::Result<_, ModelError>>()?,
        )?)
    }

    /// Gates over the level's experts and, behind them, each task's own memory.
    fn mix(&self, num_experts: usize, num_tasks: usize, has_memory: bool) -> Result<Mix> {
        let activation = match self.knobs.choice("gate_kind") {
            "sigmoid" => GateActivation::Sigmoid,
            _ => GateActivation::Softmax,
        };
        let gate = |task: usize| {
            let mut experts: Vec<usize> = (0..num_experts).collect();
            experts.extend(has_memory.then_some(num_experts + task));
            MixGate {
                experts,
                activation,
                output: task,
                stopped: Vec::new(),
            }
        };
        let memories = if has_memory { num_tasks } else { 0 };
        Mix::new(
            (0..num_tasks).map(gate).collect(),
            num_experts + memories,
            num_tasks,
        )
    }
}

impl Experts {
    /// The mix of every task, [tasks, batch, C]. `memory` is that of the level below.
    fn forward_t(
        &self,
        xs: &Tensor,
        memory: Option<&Tensor>,
        train: bool,
        trace: Option<&mut Trace>,
    ) -> Result<Tensor> {
        let outputs = self.networks.forward_t(xs, train)?;
        let logits = match memory {
            Some(memory) if self.reads_memory => {
                let beside = |task: usize| Tensor::cat(&[xs, &memory.get(task)?], 1);
                let inputs = (0..memory.dim(0)?)
                    .map(beside)
                    .collect::<Result<Vec<_>>>()?;
                self.logits.forward(&Tensor::stack(&inputs, 0)?)?
            }
            _ => self.logits.forward(xs)?,
        };
        let seen = match (memory, &self.read) {
            (None, _) => outputs.clone(),
            (Some(memory), None) => Tensor::cat(&[&outputs, memory], 0)?,
            (Some(memory), Some(read)) => {
                Tensor::cat(&[&outputs, &read.forward_t(memory, train)?], 0)?
            }
        };
        if let Some(trace) = trace {
            let weights = self.mix.weights(&logits.detach())?;
            for (task, (part, weights)) in self.gates.iter().zip(weights).enumerate() {
                let num_experts = outputs.dim(0)?;
                let mut seen: Vec<usize> = (0..num_experts).collect();
                seen.extend(memory.map(|_| num_experts + task));
                trace.push_gate(part, GateKind::Softmax, &seen, weights);
            }
            trace.push_experts(&self.set, &outputs);
            // A memory is read as one expert more, of its task.
            for (task, part) in self.memories.iter().enumerate() {
                trace.push_experts(part, &seen.narrow(0, outputs.dim(0)? + task, 1)?);
            }
        }
        self.mix.forward(&seen, &logits)
    }

    /// The memories after this level.
    fn write(&self, memory: &Tensor, mixed: Tensor, adds: bool, train: bool) -> Result<Tensor> {
        match &self.write {
            Some(write) => {
                let both = Tensor::cat(&[memory, &mixed], 2)?;
                let share = sigmoid(&write.forward_t(&both, train)?)?;
                let kept = memory.mul(&share.affine(-1.0, 1.0)?)?;
                kept + mixed.mul(&share)?
            }
            None if adds => memory + mixed,
            None => Ok(mixed),
        }
    }
}

impl Ranker for TaskExpert {
    fn forward_t(&self, xs: &Tensor, train: bool, mut trace: Option<&mut Trace>) -> Result<Tensor> {
        let mut features = xs.clone();
        let mut memory: Option<Tensor> = None;
        for level in &self.levels {
            if let Some((_, backbone)) = &level.backbone {
                features = backbone.forward_t(&features, train)?.squeeze(0)?;
            }
            if let Some(experts) = &level.experts {
                let mixed =
                    experts.forward_t(&features, memory.as_ref(), train, trace.as_deref_mut())?;
                memory = Some(match &memory {
                    Some(memory) => experts.write(memory, mixed, self.adds, train)?,
                    None => mixed,
                });
            }
            // After the experts, whose places in a layer gates count from the first.
            if let (Some(trace), Some((set, _))) = (trace.as_deref_mut(), &level.backbone) {
                trace.push_experts(set, &features.unsqueeze(0)?);
            }
        }
        match memory {
            Some(memory) => self.towers.forward_t(&memory, train),
            None => candle_core::bail!("a model without levels"),
        }
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}
