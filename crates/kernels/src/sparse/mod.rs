//! Experts of which each (row, task) pair runs a few: routing, the chosen experts, and their sums, as one operator.
//!
//! A row is gathered for the experts that one of its tasks chose. Where most experts are chosen anyway, all of them run on all
//! rows. In f32 both ways give the same bytes: the gradients of what nobody chose are exact zeros, and every sum has the same
//! order. In bfloat16, whose sums are over groups of rows, rows are always gathered.

mod balance;
mod divergence;
mod noise;
mod operator;
mod passes;
mod routing;
mod selector;

pub use balance::{Balance, BalanceLoss, load_loss};
pub use divergence::jensen_shannon;
pub use noise::{gate_noise, softplus};
pub use routing::{Choice, Routing, Weighting};
pub use selector::{Selectors, selector_entropy};

use crate::composed;
use crate::cuda::is_on_processor;
use crate::gate::GateLogits;
use crate::operator::apply_3;
use crate::parameter::values;
use crate::stacked_mlp::StackedMlp;
use candle_core::{DType, Device, Result, Tensor};
use operator::Operator;
use std::sync::Arc;

/// Of a hundred (row, expert) pairs, how many may be chosen before it is cheaper to run them all.
// Gathering rows and adding them back costs about as much as a fifth of an expert.
const MOST_GATHERED_PERCENT: usize = 80;

/// Experts that pairs of rows and tasks choose among, and experts that every pair runs. Clones share everything.
#[derive(Debug, Clone)]
pub struct SparseMixture {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    experts: StackedMlp,
    gates: Option<GateLogits>,
    routing: Routing,
    num_always: usize,
    most_gathered_percent: usize,
}

/// A tensor where and as losses of gates are computed: their sums are in f64 and small beside a step, so a device's come here.
fn for_loss(tensor: &Tensor) -> Result<Tensor> {
    tensor
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F32)?
        .contiguous()
}

/// Such a loss beside the tensor that it is of.
fn as_of(loss: &Tensor, like: &Tensor) -> Result<Tensor> {
    loss.to_dtype(like.dtype())?.to_device(like.device())
}

/// What the pairs of a batch choose by.
#[derive(Debug, Clone, Copy)]
pub enum RouteBy<'a> {
    /// The mixture's own linear gates.
    Gates,
    /// Logits, or weights where the routing takes them as given: [batch, tasks * experts].
    Logits(&'a Tensor),
}

impl SparseMixture {
    /// The first `routing.num_experts` of `experts` are chosen among, by `gates` where there are any. The others are run by every
    /// pair, with weight 1.
    ///
    /// # Errors
    /// Numbers of experts or logits that don't meet.
    pub fn new(experts: StackedMlp, gates: Option<GateLogits>, routing: Routing) -> Result<Self> {
        routing.check()?;
        let Some(num_always) = experts.num_experts().checked_sub(routing.num_experts) else {
            candle_core::bail!(
                "a routing among {} experts can't have {}",
                routing.num_experts,
                experts.num_experts()
            );
        };
        let columns = gates
            .as_ref()
            .map_or(routing.num_columns(), GateLogits::num_columns);
        if columns != routing.num_columns() {
            candle_core::bail!(
                "{} tasks and {} experts can't have {columns} logits",
                routing.num_tasks,
                routing.num_experts
            );
        }
        Ok(Self {
            parts: Arc::new(Parts {
                experts,
                gates,
                routing,
                num_always,
                most_gathered_percent: MOST_GATHERED_PERCENT,
            }),
        })
    }

    /// The same mixture that gathers rows as long as so many of a hundred (row, expert) pairs are chosen: 0 never does, 100 always.
    #[must_use]
    pub fn gathering(&self, percent: usize) -> Self {
        let parts = &*self.parts;
        Self {
            parts: Arc::new(Parts {
                experts: parts.experts.clone(),
                gates: parts.gates.clone(),
                most_gathered_percent: percent,
                ..*parts
            }),
        }
    }

    /// How pairs are routed.
    pub fn routing(&self) -> &Routing {
        &self.parts.routing
    }

    /// Each task's sum of its experts. A pair whose `active` is 0 runs none, and its sum is 0.
    ///
    /// # Shapes
    /// - xs: [batch, input_dim]
    /// - active: [batch, tasks], 0 or 1
    /// - result: [tasks, batch, expert_dim]
    ///
    /// # Errors
    /// Shapes that don't fit, an empty batch, gates that aren't there, or a batch of one row with batch norm in training.
    pub fn forward_t(
        &self,
        xs: &Tensor,
        by: RouteBy<'_>,
        active: Option<&Tensor>,
        train: bool,
    ) -> Result<Tensor> {
        self.check_inputs(xs, by, active, train)?;
        if !self.is_fused(xs) {
            return self.forward_composed(xs, by, active, train);
        }
        let logits = match by {
            RouteBy::Gates => None,
            RouteBy::Logits(logits) => Some(logits),
        };
        let active = active
            .map(|active| Ok::<_, candle_core::Error>(values(&active.contiguous()?)?.to_vec()))
            .transpose()?;
        let operator = Operator {
            parts: self.parts.clone(),
            train,
            needs_input_gradient: xs.track_op(),
            has_own_gates: logits.is_none(),
            active,
        };
        let anchor = self.parts.experts.first_parameter();
        apply_3(operator, xs, logits.unwrap_or(xs), anchor)
    }

    /// The same from candle's stock operators, every expert on every row, on any device and type: the reference.
    ///
    /// # Errors
    /// As [`Self::forward_t`].
    pub fn forward_composed(
        &self,
        xs: &Tensor,
        by: RouteBy<'_>,
        active: Option<&Tensor>,
        train: bool,
    ) -> Result<Tensor> {
        let parts = &*self.parts;
        let experts = parts.experts.forward_t(xs, train)?;
        let logits = self.logits(xs, by)?;
        let weights = parts.routing.weights_composed(&logits, active)?;
        let of_task = |task: usize| -> Result<Tensor> {
            let mut sum: Option<Tensor> = None;
            for expert in 0..parts.experts.num_experts() {
                let mut part = experts.get(expert)?;
                if expert < parts.routing.num_experts {
                    let weight = weights
                        .narrow(1, task, 1)?
                        .narrow(2, expert, 1)?
                        .squeeze(1)?;
                    part = (&part * composed::spread(&weight, part.dim(1)?)?)?;
                } else if let Some(active) = active {
                    part = part.broadcast_mul(&active.narrow(1, task, 1)?)?;
                }
                sum = Some(match sum {
                    Some(sum) => (sum + part)?,
                    None => part,
                });
            }
            sum.ok_or_else(|| candle_core::Error::Msg("a mixture without experts".to_owned()))
        };
        let outputs = (0..parts.routing.num_tasks)
            .map(of_task)
            .collect::<Result<Vec<_>>>()?;
        Tensor::stack(&outputs, 0)
    }

    fn logits(&self, xs: &Tensor, by: RouteBy<'_>) -> Result<Tensor> {
        match (by, &self.parts.gates) {
            (RouteBy::Logits(logits), _) => Ok(logits.clone()),
            (RouteBy::Gates, Some(gates)) => gates.forward(xs),
            (RouteBy::Gates, None) => candle_core::bail!("a mixture without gates needs logits"),
        }
    }

    /// The outputs of every expert on every row, [experts, batch, expert_dim], outside of what [`Self::forward_t`] runs and of
    /// candle's graph: running statistics stay as they are.
    ///
    /// # Errors
    /// As [`Self::forward_t`].
    pub fn expert_outputs(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let before = self.parts.experts.running_statistics()?;
        let outputs = self.parts.experts.forward_t(&xs.detach(), train)?;
        for (statistic, values) in before {
            statistic.set(&values)?;
        }
        Ok(outputs.detach())
    }

    /// The weights of each pair, [batch, tasks, experts], 0 where an expert is not chosen; outside candle's graph.
    ///
    /// # Errors
    /// As [`Self::forward_t`].
    pub fn weights(&self, xs: &Tensor, by: RouteBy<'_>) -> Result<Tensor> {
        let logits = self.logits(&xs.detach(), by)?.detach();
        let routing = &self.parts.routing;
        if !is_on_processor(&logits) {
            return routing.weights_composed(&logits, None);
        }
        let weights = routing.route(&values(&logits.contiguous()?)?, None).weights;
        let shape = (logits.dim(0)?, routing.num_tasks, routing.num_experts);
        Tensor::from_vec(weights, shape, logits.device())
    }

    fn is_fused(&self, xs: &Tensor) -> bool {
        self.parts.experts.is_fused(xs)
    }

    fn check_inputs(
        &self,
        xs: &Tensor,
        by: RouteBy<'_>,
        active: Option<&Tensor>,
        train: bool,
    ) -> Result<()> {
        let (num_rows, _) = xs.dims2()?;
        let routing = &self.parts.routing;
        self.parts.experts.check_input(xs.dims(), train)?;
        match (by, &self.parts.gates) {
            (RouteBy::Gates, Some(gates)) => gates.check_input(xs.dims())?,
            (RouteBy::Gates, None) => candle_core::bail!("a mixture without gates needs logits"),
            (RouteBy::Logits(logits), _) if logits.dims() != [num_rows, routing.num_columns()] => {
                candle_core::bail!(
                    "expected logits [{num_rows}, {}], found {:?}",
                    routing.num_columns(),
                    logits.dims()
                );
            }
            (RouteBy::Logits(_), _) => {}
        }
        match active {
            Some(active) if active.dims() != [num_rows, routing.num_tasks] => candle_core::bail!(
                "expected [{num_rows}, {}] of who takes part, found {:?}",
                routing.num_tasks,
                active.dims()
            ),
            _ => Ok(()),
        }
    }
}
