//! AutoInt: layers of attention between the features of a row.
//!
//! Source: Song et al., "AutoInt: automatic feature interaction learning via self-attentive neural networks", CIKM 2019, arXiv:1810.11921,
//! equations 5 to 8: `e_m <- relu(concat over heads of sum_k softmax_k(<Q e_m, K e_k>) U e_k + R e_m)`. A number is a field too, the number times a
//! vector that is learned (its section 4.3). The model reads all fields of the last layer side by side.
//!
//! The scores are not scaled and the maps have no activation, as in the equations; the authors' code does both otherwise. The
//! default of `attention_dim` is ours, as wide in two heads as two embeddings; the paper's is 32.
//!
//! # Shapes
//! - v: [B, D]; e: [B, fields, d], then [B, fields, heads x attention_dim]; maps: [d, heads x attention_dim]
//! - result: [B, fields x heads x attention_dim]

use super::fields::Fields;
use super::{Bottom, Built, Interaction};
use crate::ModelError;
use crate::knobs::{Knob, Knobs};
use crate::layers::{linear_maps_without_bias, product_flops};
use crate::ranker::BuildContext;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::interaction::field_attention;
use homebench_kernels::stacked_mlp::StackedMlp;

pub(super) const AUTOINT: Bottom = Bottom {
    name: "autoint",
    title: "AutoInt: attention between features",
    paper: "arXiv:1810.11921",
    equation: "e_m <- relu([sum_k softmax_k(<Q_h e_m, K_h e_k>) U_h e_k of each head h] + R e_m) in each layer; v' = [e_1 ; .. ; e_M]",
    knobs: &[
        Knob::count("attention_layers", 1, 3, "layers of attention"),
        Knob::count("attention_heads", 1, 2, "heads of each layer"),
        Knob::count("attention_dim", 1, 8, "units of each head"),
    ],
    build,
};

/// What the fused operator reads, in its order.
const MAPS: [&str; 4] = ["query", "key", "value", "residual"];

struct AutoInt {
    fields: Fields,
    num_heads: usize,
    layers: Vec<StackedMlp>,
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Built, ModelError> {
    let fields = Fields::new(AUTOINT.name, context, vb)?;
    let num_heads = knobs.count("attention_heads");
    let Some(width) = num_heads.checked_mul(knobs.count("attention_dim")) else {
        return Err(ModelError::knob(
            "attention_dim",
            "heads of so many units have no width",
        ));
    };
    let (mut inputs, mut flops_per_row) = (fields.width(), fields.flops_per_row());
    let mut layers = Vec::new();
    for index in 0..knobs.count("attention_layers") {
        let vb = vb.pp("attention").pp(index);
        let maps = MAPS.map(|name| vb.pp(name));
        layers.push(linear_maps_without_bias(
            inputs,
            width,
            &maps,
            vec![0; MAPS.len()],
        )?);
        let of_maps = MAPS.len() * fields.count() * product_flops(&[inputs, width]);
        // Scores and mix: every field with every field, unit by unit.
        let of_pairs = 2 * product_flops(&[fields.count() * fields.count(), width]);
        flops_per_row += of_maps + of_pairs;
        inputs = width;
    }
    Ok(Built {
        output_dim: fields.count() * width,
        flops_per_row,
        layers: Box::new(AutoInt {
            fields,
            num_heads,
            layers,
        }),
    })
}

impl Interaction for AutoInt {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let fields = self.fields.forward(xs)?;
        let (num_rows, count, width) = fields.dims3()?;
        let mut hidden = fields.reshape((num_rows * count, width))?;
        for layer in &self.layers {
            let maps = layer.forward_t(&hidden, train)?;
            hidden = field_attention(&maps, count, self.num_heads)?.relu()?;
        }
        hidden.reshape((num_rows, ()))
    }
}
