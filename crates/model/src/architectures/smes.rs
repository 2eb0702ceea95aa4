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
    BalanceConfig, Encoder, SparseGates, SparseLevel, SparseParts, gates_learn, plain_networks,
    product_flops,
};
use crate::ranker::{BuildContext, Ranker};
use crate::registry::Architecture;
use crate::var_builder::VarBuilder;
use homebench_kernels::sparse::{Choice, Routing, Weighting};

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
        no_bottom: None,
        layers: &[],
    };

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> Result<Box<dyn Ranker>, ModelError> {
    let routing = routing(knobs, context.layout.tasks.len())?;
    let balance = BalanceConfig::switch(knobs);
    if !gates_learn(&routing, balance.as_ref()) {
        return Err(ModelError::knob(
            "balance",
            "one chosen expert always has the renormalised weight 1, so that gates would learn nothing; use \
             balance = \"switch\" with a balance_weight above 0, or more experts by shared_k or private_k",
        ));
    }
    let encoder = encoder(knobs, context, vb)?;
    let routes = SparseGates::per_task(knobs, context, encoder.output_dim, &routing, vb)?;
    let parts = SparseParts {
        encoder,
        routing,
        num_always: 0,
        routes,
        balance,
    };
    Ok(Box::new(SparseLevel::new(knobs, context, parts, vb)?))
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

/// F, the identity where it has no layer.
fn encoder(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> Result<Encoder, ModelError> {
    let mut dims = vec![context.input_dim];
    dims.extend(knobs.widths("encoder_dims"));
    if dims.len() == 1 {
        return Ok(Encoder::identity(context));
    }
    let place = [vb.pp("shared").pp("encoder")];
    Ok(Encoder {
        network: Some(plain_networks(&dims, true, &place, vec![0])?),
        output_dim: dims[dims.len() - 1],
        flops_per_row: product_flops(&dims),
    })
}
