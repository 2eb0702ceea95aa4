//! DCN-V2: cross layers, each of which multiplies a linear map of the last by the input.
//!
//! Source: Wang et al., "DCN V2: improved deep and cross network and practical lessons for web-scale learning to rank systems", WWW 2021,
//! arXiv:2008.13535, equations 1 and 2: `x_{l+1} = x_0 (W x_l + b) + x_l`, in the stacked structure, where the model reads the last x. With a rank, W is
//! the product of two narrow matrices. Widths of features may differ.
//!
//! Deviation: no mixture of low-rank experts (the paper's DCN-Mix).
//!
//! # Shapes
//! - x: [B, D]; W: [D, D], or [D, rank] and [rank, D]; result: [B, D]

use super::{Bottom, Built, Interaction};
use crate::ModelError;
use crate::knobs::{Knob, Knobs};
use crate::layers::{linear_maps, linear_maps_without_bias, product_flops};
use crate::ranker::BuildContext;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::stacked_mlp::StackedMlp;

pub(super) const DCN_V2: Bottom = Bottom {
    name: "dcn_v2",
    title: "DCN-V2: cross layers",
    paper: "arXiv:2008.13535",
    equation: "x_{l+1} = v (W_l x_l + b_l) + x_l from x_0 = v; v' = x_L",
    knobs: &[
        Knob::count("cross_layers", 1, 2, "cross layers"),
        Knob::count(
            "cross_rank",
            0,
            0,
            "rank of a cross layer's matrix; 0: a full one",
        ),
    ],
    build,
};

/// The map of a layer.
struct Cross {
    /// [D, rank], where there is a rank.
    down: Option<StackedMlp>,
    /// To D units, with its bias.
    up: StackedMlp,
}

struct DcnV2(Vec<Cross>);

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Built, ModelError> {
    let (width, rank) = (context.input_dim, knobs.count("cross_rank"));
    if rank >= width {
        return Err(ModelError::knob(
            "cross_rank",
            format!(
                "expected less than {width}, the width of the input, found {rank}; 0 is the full matrix"
            ),
        ));
    }
    let num_layers = knobs.count("cross_layers");
    let layer = |index: usize| {
        let vb = vb.pp("cross").pp(index);
        Ok(match rank {
            0 => Cross {
                down: None,
                up: linear_maps(width, width, &[vb], vec![0])?,
            },
            _ => Cross {
                down: Some(linear_maps_without_bias(
                    width,
                    rank,
                    &[vb.pp("down")],
                    vec![0],
                )?),
                up: linear_maps(rank, width, &[vb.pp("up")], vec![0])?,
            },
        })
    };
    let layers = (0..num_layers).map(layer);
    let dims = match rank {
        0 => vec![width, width],
        _ => vec![width, rank, width],
    };
    Ok(Built {
        layers: Box::new(DcnV2(
            layers.collect::<std::result::Result<_, ModelError>>()?,
        )),
        output_dim: width,
        flops_per_row: num_layers * product_flops(&dims),
    })
}

impl Interaction for DcnV2 {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let mut crossed = xs.clone();
        for Cross { down, up } in &self.0 {
            let mapped = match down {
                Some(down) => up.forward_t(&down.forward_t(&crossed, train)?, train)?,
                None => up.forward_t(&crossed, train)?,
            };
            crossed = ((xs * mapped.squeeze(0)?)? + crossed)?;
        }
        Ok(crossed)
    }
}
