//! SMES: experts that all tasks of a row choose together, then some that each chooses alone.
//!
//! Source: arXiv:2602.09386. The equations are as two notes on it agree; the weights of the mean over tasks and of the balance loss
//! are not in them: both are our choice.
//!
//! # Shapes
//! - v: [B, D]; F(v): [B, H_F]; experts: [E, B, H]; probabilities: [B, T, E]; `h`: [T, B, H]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{GATE_DIMS, Knob, Knobs, expert_knobs};
use crate::layers::{
    BalanceConfig, ExpertConfig, SparseGates, SparseLevel, Towers, plain_networks, product_flops,
};
use crate::part::{PartKind, Place};
use crate::ranker::{BuildContext, GateKind, Ranker};
use crate::registry::Architecture;
use crate::var_builder::VarBuilder;
use homebench_kernels::sparse::{Choice, Routing, SparseMixture, Weighting};
use homebench_kernels::stacked_mlp::StackedMlp;

pub(super) const SMES: Architecture =
    Architecture {
        name: "smes",
        title: "SMES: shared, then private experts",
        paper: "arXiv:2602.09386",
        equation: "y_t = Tower_t(sum over S(v) and A_t(v) of g_t(F(v))_n E_n(F(v)))",
        knobs: || {
            let mut knobs = expert_knobs("none", "relu").to_vec();
            knobs.extend([
            GATE_DIMS,
            Knob::count("num_experts", 1, 16, "experts among which rows choose"),
            Knob::count("shared_k", 0, 2, "experts that all tasks of a row choose together"),
            Knob::count("private_k", 0, 1, "experts that a task chooses beside those"),
            Knob::widths(
                "encoder_dims",
                true,
                &[],
                "widths of a ReLU network that experts and gates read; none: they read the input",
            ),
            Knob::choice(
                "balance",
                &["switch", "none"],
                "switch",
                "the loss that keeps experts in use",
            ),
            Knob::number("balance_weight", 0.0, 0.01, "weight of that loss"),
        ]);
            knobs
        },
        build,
        tables: Tables::Shared,
        layers: &[],
    };

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> Result<Box<dyn Ranker>, ModelError> {
    let num_tasks = context.layout.tasks.len();
    let routing = routing(knobs, num_tasks)?;
    let (encoder, input_dim, encoder_flops) = encoder(knobs, context, vb)?;
    let config = ExpertConfig::from_knobs(knobs);
    let set = Place::shared().part(PartKind::Experts, 0);
    let experts = config.build(
        input_dim,
        &[(vb.part(&set), routing.num_experts)],
        vec![0; routing.num_experts],
    )?;
    let balance = BalanceConfig::switch(knobs);
    let mut routes = SparseGates::per_task(knobs, context, input_dim, &routing, vb)?;
    let own = routes.take_linear(balance.is_none());
    let towers = Towers::new(
        knobs,
        context,
        config.output_dim(),
        (0..num_tasks).collect(),
        vb,
    )?;
    let tasks = Place::tasks(context.layout);
    let gate = |place: &Place| place.part(PartKind::Gate(GateKind::Softmax), 0);
    let most_run = knobs.count("shared_k") + num_tasks * knobs.count("private_k");
    Ok(Box::new(SparseLevel {
        always: None,
        flops_per_row: encoder_flops
            + most_run.min(routing.num_experts) * config.flops_per_row(input_dim)
            + routes.flops_per_row()
            + towers.flops_per_row(),
        mixture: SparseMixture::new(experts, own, routing)?,
        gates: tasks.iter().map(gate).collect(),
        encoder,
        set,
        routes,
        balance,
        towers,
    }))
}

fn routing(knobs: &Knobs, num_tasks: usize) -> Result<Routing, ModelError> {
    let (shared, private) = (knobs.count("shared_k"), knobs.count("private_k"));
    let num_experts = knobs.count("num_experts");
    match shared + private {
        0 => Err(ModelError::knob(
            "shared_k",
            "a row needs an expert; expected shared_k or private_k above 0, found both 0",
        )),
        chosen if chosen > num_experts => Err(ModelError::knob(
            "shared_k",
            format!(
                "expected shared_k + private_k of at most the number of experts, {num_experts}, found {chosen}"
            ),
        )),
        _ => Ok(Routing {
            num_tasks,
            num_experts,
            choice: match shared {
                0 => Choice::TopK(private),
                _ => Choice::SharedThenPrivate { shared, private },
            },
            weighting: Weighting::Renormalised,
        }),
    }
}

/// F with its width and FLOPs; none where it is the identity.
fn encoder(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> Result<(Option<StackedMlp>, usize, usize), ModelError> {
    let mut dims = vec![context.input_dim];
    dims.extend(knobs.widths("encoder_dims"));
    if dims.len() == 1 {
        return Ok((None, context.input_dim, 0));
    }
    let place = [vb.pp("shared").pp("encoder")];
    let network = plain_networks(&dims, true, &place, vec![0])?;
    Ok((Some(network), dims[dims.len() - 1], product_flops(&dims)))
}
