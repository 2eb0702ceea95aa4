//! Levels one after another, then towers: the shape of every mixture-of-experts model here.

use super::{Level, LevelConfig, Towers};
use crate::ModelError;
use crate::knobs::Knobs;
use crate::ranker::{BuildContext, GateKind, Ranker, StepOutput, Trace, TrainingPass};
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
pub(crate) struct Levels {
    pub(crate) levels: Vec<Level>,
    pub(crate) towers: Towers,
    /// Whether every level's gates read the model's input and not the level's.
    pub(crate) gates_read_input: bool,
}

impl Levels {
    /// From the first level to the last; tower t reads output `tower_sources[t]` of that.
    pub(crate) fn new(
        mut configs: Vec<LevelConfig>,
        tower_sources: Vec<usize>,
        gates_read_input: bool,
        knobs: &Knobs,
        context: &BuildContext<'_>,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        find_own(&mut configs, &tower_sources, gates_read_input);
        let width = configs
            .last()
            .map_or(context.input_dim, |last| last.expert.output_dim());
        let levels = configs.iter().map(|config| Level::new(config, vb));
        Ok(Self {
            levels: levels.collect::<std::result::Result<_, _>>()?,
            towers: Towers::new(knobs, context, width, tower_sources, vb)?,
            gates_read_input,
        })
    }
}

/// Says of every part of the levels whether one task alone learns it: by the towers that what it puts out comes to, from the last level to the
/// first.
pub(crate) fn find_own(
    configs: &mut [LevelConfig],
    tower_sources: &[usize],
    gates_read_input: bool,
) {
    type Tasks = BTreeSet<usize>;
    let mut of_outputs: BTreeMap<usize, Tasks> = BTreeMap::new();
    for (task, source) in tower_sources.iter().enumerate() {
        of_outputs.entry(*source).or_default().insert(task);
    }
    for config in configs.iter_mut().rev() {
        let mut of_inputs: BTreeMap<usize, Tasks> = BTreeMap::new();
        let mut of_experts = vec![Tasks::new(); config.num_experts()];
        let mut of_gated = vec![Tasks::new(); config.sets.len()];
        let reads_gated = config
            .feature_gate
            .is_some_and(|gate| gate.gates_read_gated);
        for gate in &config.gates {
            let tasks = of_outputs.get(&gate.output).cloned().unwrap_or_default();
            config.own.gates.push(tasks.len() <= 1);
            // Gradients that stop reach nothing.
            let experts = gate.experts.iter();
            let experts = experts.filter(|expert| !gate.stopped.contains(expert));
            experts.for_each(|expert| of_experts[*expert].extend(&tasks));
            // A softmax over one expert is the constant 1, whatever it reads.
            if gate.kind == GateKind::Softmax && gate.experts.len() == 1 {
                continue;
            }
            match reads_gated {
                true => gate
                    .gated_sources
                    .iter()
                    .for_each(|set| of_gated[*set].extend(&tasks)),
                // What reads the model's input reads no level's.
                false if gates_read_input => {}
                false => gate
                    .sources
                    .iter()
                    .for_each(|input| of_inputs.entry(*input).or_default().extend(&tasks)),
            }
        }
        let mut experts = of_experts.into_iter();
        for (set, gated) in config.sets.iter().zip(&mut of_gated) {
            let tasks: Tasks = experts.by_ref().take(set.sources.len()).flatten().collect();
            config.own.sets.push(tasks.len() <= 1);
            gated.extend(&tasks);
            config.own.feature_gates.push(gated.len() <= 1);
            set.sources
                .iter()
                .for_each(|input| of_inputs.entry(*input).or_default().extend(&*gated));
        }
        of_outputs = of_inputs;
    }
}

impl Ranker for Levels {
    fn forward_t(&self, xs: &Tensor, train: bool, mut trace: Option<&mut Trace>) -> Result<Tensor> {
        let mut hidden = xs.clone();
        for level in &self.levels {
            // ML-MMoE's gates read the model's input on every level, PLE's and AdaTT's what their level reads.
            let gate_xs = self.gates_read_input.then_some(xs);
            hidden = level.forward_t(&hidden, gate_xs, train, trace.as_deref_mut())?;
        }
        self.towers.forward_t(&hidden, train)
    }

    /// The representation is what the last level's experts put out: behind it are gates and towers.
    fn forward_step(
        &self,
        xs: &Tensor,
        pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        let (Some((last, before)), Some(_)) = (self.levels.split_last(), pass.cut) else {
            return Ok(StepOutput {
                logits: self.forward_t(xs, true, trace)?,
                auxiliary: None,
                first: None,
            });
        };
        let mut hidden = xs.clone();
        let gate_xs = self.gates_read_input.then_some(xs);
        for level in before {
            hidden = level.forward_t(&hidden, gate_xs, true, None)?;
        }
        hidden = last.forward_cut(&hidden, gate_xs, pass)?;
        Ok(StepOutput {
            logits: self.towers.forward_t(&hidden, true)?,
            auxiliary: None,
            first: None,
        })
    }

    fn has_representation(&self) -> bool {
        true
    }

    fn features(&self) -> Option<&FeatureTap> {
        Some(self.towers.features())
    }

    fn flops_per_row(&self) -> usize {
        let levels: usize = self.levels.iter().map(Level::flops_per_row).sum();
        levels + self.towers.flops_per_row()
    }
}
