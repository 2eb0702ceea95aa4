//! FM: the second-order interactions of a factorization machine beside the input.
//!
//! Source: the bi-interaction of He and Chua, "Neural factorization machines for sparse predictive analytics", SIGIR 2017, arXiv:1708.05027,
//! equation 4: `f(v) = sum over i < j of e_i e_j`, unit by unit. Its sum over units is the second-order term of DeepFM, Guo et al., IJCAI 2017,
//! arXiv:1703.04247, equation 2, so that a linear layer behind `v' = [v ; f(v)]` can be that term, and it stands before tasks' heads rather than
//! in every task's logit. As in both papers, a number is a field too: the number times a vector that is learned.
//!
//! Deviations: the first-order weights of both papers are left to the model's own layers, which read v; no dropout or batch norm follows.
//!
//! # Shapes
//! - v: [B, D]; e: [B, fields, d]; result: [B, D + d]

use super::fields::Fields;
use super::{Bottom, Built, Interaction};
use crate::ModelError;
use crate::knobs::Knobs;
use crate::ranker::BuildContext;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::interaction::sum_of_pairs;

pub(super) const FM: Bottom = Bottom {
    name: "fm",
    title: "FM: bi-interaction beside the input",
    paper: "arXiv:1708.05027, arXiv:1703.04247",
    equation: "v' = [v ; sum over i < j of e_i e_j]",
    knobs: &[],
    build,
};

fn build(
    _: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Built, ModelError> {
    let fields = Fields::new(FM.name, context, vb)?;
    Ok(Built {
        output_dim: context.input_dim + fields.width(),
        flops_per_row: fields.flops_per_row() + 2 * fields.count() * fields.width(),
        layers: Box::new(Fm(fields)),
    })
}

struct Fm(Fields);

impl Interaction for Fm {
    fn forward_t(&self, xs: &Tensor, _train: bool) -> Result<Tensor> {
        let pairs = sum_of_pairs(&self.0.forward(xs)?)?;
        Tensor::cat(&[xs, &pairs], 1)
    }
}
