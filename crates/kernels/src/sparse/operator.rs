//! The sparse mixture as one operator of candle's graph.

use super::Parts;
use super::passes::{Pairs, Places};
use super::routing::Routed;
use crate::gate::InputGradient;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output};
use crate::precision::{Precision, precision};
use crate::selection::RowSelection;
use crate::stacked_mlp;
use candle_core::Result;
use std::borrow::Cow;
use std::sync::Arc;

/// What forward keeps for backward.
#[derive(Clone)]
pub(super) struct Kept {
    routed: Routed,
    /// As mixed: with the experts that every pair runs.
    mix: Option<Mixed>,
    selection: Option<RowSelection>,
    states: Vec<stacked_mlp::LayerState>,
    experts: Vec<f32>,
}

/// Flags and weights [rows, tasks, all experts], where some experts are run by every pair.
#[derive(Clone)]
struct Mixed {
    is_chosen: Vec<bool>,
    weights: Vec<f32>,
}

/// See the module.
pub(super) struct Operator {
    pub(super) parts: Arc<Parts>,
    pub(super) train: bool,
    pub(super) needs_input_gradient: bool,
    pub(super) has_own_gates: bool,
    pub(super) active: Option<Vec<f32>>,
}

impl Operator {
    fn run_forward(&self, xs: &[f32], logits: &[f32], num_rows: usize) -> Result<(Vec<f32>, Kept)> {
        let parts = &*self.parts;
        let logits = match &parts.gates {
            Some(gates) if self.has_own_gates => Cow::Owned(gates.run_forward(xs, num_rows)?),
            _ => Cow::Borrowed(logits),
        };
        let routed = parts.routing.route(&logits, self.active.as_deref());
        let mix = (parts.num_always > 0).then(|| self.with_always(&routed, num_rows));
        let selection = self.selection(&routed, mix.as_ref(), num_rows);
        let (experts, states) =
            stacked_mlp::run_forward(&parts.experts, xs, num_rows, selection.as_ref(), self.train)?;
        let kept = Kept {
            routed,
            mix,
            selection,
            states,
            experts,
        };
        let out = self.pairs(&kept, num_rows).sums(&kept.experts);
        Ok((out, kept))
    }

    /// Adds the experts that every active pair runs.
    fn with_always(&self, routed: &Routed, num_rows: usize) -> Mixed {
        let routing = &self.parts.routing;
        let (experts, always) = (routing.num_experts, self.parts.num_always);
        let num_pairs = num_rows * routing.num_tasks;
        let mut mixed = Mixed {
            is_chosen: Vec::with_capacity(num_pairs * (experts + always)),
            weights: Vec::with_capacity(num_pairs * (experts + always)),
        };
        let pairs = routed.is_chosen.chunks_exact(experts);
        let pairs = pairs.zip(routed.weights.chunks_exact(experts));
        for (pair, (is_chosen, weights)) in pairs.enumerate() {
            let is_active = self
                .active
                .as_ref()
                .is_none_or(|active| active[pair] != 0.0);
            mixed.is_chosen.extend_from_slice(is_chosen);
            mixed.weights.extend_from_slice(weights);
            mixed.is_chosen.extend(vec![is_active; always]);
            mixed
                .weights
                .extend(vec![f32::from(u8::from(is_active)); always]);
        }
        mixed
    }

    /// The rows of each expert, where that is cheaper than all rows; see the module.
    fn selection(
        &self,
        routed: &Routed,
        mix: Option<&Mixed>,
        num_rows: usize,
    ) -> Option<RowSelection> {
        // Batch norm's statistics are over all rows of the batch, as a dense model has them.
        if self.parts.experts.has_batch_norm() {
            return None;
        }
        let num_experts = self.parts.experts.num_experts();
        let is_chosen = mix.map_or(&routed.is_chosen, |mix| &mix.is_chosen);
        let mut of_rows = vec![false; num_rows * num_experts];
        let columns = self.parts.routing.num_tasks * num_experts;
        for (row, of_row) in is_chosen
            .chunks_exact(columns)
            .zip(of_rows.chunks_exact_mut(num_experts))
        {
            for pair in row.chunks_exact(num_experts) {
                for (any, is_chosen) in of_row.iter_mut().zip(pair) {
                    *any |= is_chosen;
                }
            }
        }
        let chosen = of_rows.iter().filter(|is_chosen| **is_chosen).count();
        let is_f32 = matches!(precision(), Precision::F32 | Precision::Tf32);
        let is_cheaper = chosen * 100 <= of_rows.len() * self.parts.most_gathered_percent;
        (is_cheaper || !is_f32).then(|| RowSelection::new(&of_rows, num_experts))
    }

    fn pairs<'a>(&self, kept: &'a Kept, num_rows: usize) -> Pairs<'a> {
        let (is_chosen, weights) = match &kept.mix {
            Some(mix) => (&mix.is_chosen, &mix.weights),
            None => (&kept.routed.is_chosen, &kept.routed.weights),
        };
        Pairs {
            num_rows,
            num_tasks: self.parts.routing.num_tasks,
            num_experts: self.parts.experts.num_experts(),
            width: self.parts.experts.output_dim(),
            is_chosen,
            weights,
            places: match &kept.selection {
                Some(selection) => Places::Selected(selection),
                None => Places::Every { num_rows },
            },
        }
    }

    /// The gradients of the inputs and of the given logits.
    fn run_backward(
        &self,
        xs: &[f32],
        gradient: &[f32],
        num_rows: usize,
        kept: Kept,
    ) -> Result<[Option<Vec<f32>>; 2]> {
        let parts = &*self.parts;
        let pairs = self.pairs(&kept, num_rows);
        let of_experts = pairs.expert_gradient(gradient);
        let of_weights = pairs.weight_gradient(&kept.experts, gradient);
        let mut of_logits = match parts.num_always {
            0 => of_weights,
            always => without_always(&of_weights, parts.routing.num_experts, always),
        };
        parts.routing.through_weights(&mut of_logits, &kept.routed);
        let forward = stacked_mlp::Forward {
            xs,
            num_rows,
            selection: kept.selection.as_ref(),
            states: &kept.states,
        };
        let of_xs = stacked_mlp::run_backward(
            &parts.experts,
            &forward,
            Cow::Owned(of_experts),
            self.needs_input_gradient,
        )?;
        match &parts.gates {
            Some(gates) if self.has_own_gates => {
                let wanted = of_xs.map_or(InputGradient::Unneeded, InputGradient::AddTo);
                Ok([gates.run_backward(xs, &of_logits, num_rows, wanted)?, None])
            }
            _ => Ok([of_xs, Some(of_logits)]),
        }
    }
}

fn without_always(of_weights: &[f32], num_experts: usize, num_always: usize) -> Vec<f32> {
    let pairs = of_weights.chunks_exact(num_experts + num_always);
    pairs
        .flat_map(|pair| &pair[..num_experts])
        .copied()
        .collect()
}

impl Fused<3> for Operator {
    const NAME: &'static str = "sparse-mixture";
    type Kept = Kept;

    fn forward(&self, [xs, logits, _anchor]: [Argument<'_>; 3]) -> Result<Output<Kept>> {
        let num_rows = xs.dims[0];
        let (out, kept) = self.run_forward(xs.values, logits.values, num_rows)?;
        let parts = &*self.parts;
        Ok(Output {
            values: out,
            shape: (
                parts.routing.num_tasks,
                num_rows,
                parts.experts.output_dim(),
            )
                .into(),
            kept: self.train.then_some(kept),
        })
    }

    fn backward(
        &self,
        [xs, _, _anchor]: [Argument<'_>; 3],
        arrived: Arrived<'_, Kept>,
    ) -> Result<Gradients<3>> {
        let [of_xs, of_logits] =
            self.run_backward(xs.values, arrived.gradient, xs.dims[0], arrived.kept)?;
        Ok([of_xs, of_logits, None])
    }
}
