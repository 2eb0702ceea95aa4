//! The features of an input as fields: vectors of one width, of numbers too.

use super::BOTTOM;
use crate::ModelError;
use crate::features::{INITIAL_DEVIATION, InputFeature};
use crate::ranker::BuildContext;
use crate::var_builder::{Init, VarBuilder};
use candle_core::{Result, Tensor};
use homebench_kernels::Parameter;
use homebench_kernels::interaction::scaled_vectors;

/// An embedded feature's vector is its embedding; a number's is the number times a vector of its own, as factorization machines and
/// AutoInt have it.
pub(super) struct Fields {
    num_embedded: usize,
    num_numeric: usize,
    width: usize,
    count: usize,
    /// `numeric.weight`, [numbers, width]; absent where there is no number.
    vectors: Option<Parameter>,
}

impl Fields {
    /// # Errors
    /// Features that nobody named, or that have no one width.
    pub(super) fn new(
        bottom: &str,
        context: &BuildContext<'_>,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let (embedded, num_numeric) = split(bottom, context)?;
        let width = width(bottom, embedded, context)?;
        let vectors = match num_numeric {
            0 => None,
            _ => {
                // As embeddings start: a number is one value of a table of one row.
                let init = Init::Normal(INITIAL_DEVIATION);
                Some(vb.pp("numeric").get((num_numeric, width), "weight", init)?)
            }
        };
        Ok(Self {
            num_embedded: context.num_embedded,
            num_numeric,
            width,
            count: embedded.len() + num_numeric,
            vectors,
        })
    }

    /// Units of a field.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Number of fields.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// FLOPs of the products of numbers and vectors.
    pub(super) fn flops_per_row(&self) -> usize {
        2 * self.num_numeric * self.width
    }

    /// # Shapes
    /// - xs: [batch, input_dim]
    /// - result: [batch, fields, width]
    pub(super) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let shape = (xs.dim(0)?, self.count, self.width);
        let Some(vectors) = &self.vectors else {
            return xs.reshape(shape);
        };
        let numbers = xs.narrow(1, self.num_embedded, self.num_numeric)?;
        let of_numbers = scaled_vectors(&numbers.contiguous()?, vectors.tensor())?;
        if self.num_embedded == 0 {
            return Ok(of_numbers);
        }
        let of_numbers = of_numbers.flatten_from(1)?;
        let embedded = xs.narrow(1, 0, self.num_embedded)?;
        Tensor::cat(&[embedded, of_numbers], 1)?.reshape(shape)
    }
}

/// Embedded features, and how many numbers come after them.
fn split<'a>(
    bottom: &str,
    context: &BuildContext<'a>,
) -> std::result::Result<(&'a [InputFeature], usize), ModelError> {
    let features = context.columns.features;
    let place = features
        .iter()
        .take_while(|feature| feature.columns.end <= context.num_embedded);
    let (embedded, numeric) = features.split_at(place.count());
    let mut next = 0;
    let is_side_by_side = features.iter().all(|feature| {
        let is_next = feature.columns.start == next;
        next = feature.columns.end;
        is_next
    });
    let is_whole = is_side_by_side && next == context.input_dim;
    let end_of_tables = embedded.last().map_or(0, |feature| feature.columns.end);
    let are_numbers = numeric.iter().all(|feature| feature.columns.len() == 1);
    match is_whole && end_of_tables == context.num_embedded && are_numbers {
        true => Ok((embedded, numeric.len())),
        false => Err(ModelError::knob(
            BOTTOM,
            format!(
                "\"{bottom}\" reads the features of the input one by one: it needs the columns of each, those of tables first and numbers of \
                 one column after them; use bottom = \"dcn_v2\" for an input without named features"
            ),
        )),
    }
}

fn width(
    bottom: &str,
    embedded: &[InputFeature],
    context: &BuildContext<'_>,
) -> std::result::Result<usize, ModelError> {
    let Some(first) = embedded.first() else {
        return match context.columns.embedding_dim {
            0 => Err(ModelError::knob(
                BOTTOM,
                format!(
                    "\"{bottom}\" needs the width of a number's vector where no feature is embedded; give `embedding_dim`"
                ),
            )),
            width => Ok(width),
        };
    };
    let width = first.columns.len();
    match embedded
        .iter()
        .find(|feature| feature.columns.len() != width)
    {
        None => Ok(width),
        Some(other) => Err(ModelError::knob(
            BOTTOM,
            format!(
                "\"{bottom}\" needs embeddings of one width, and `{}` has {width} units, `{}` {}; give all features one width, or use \
                 bottom = \"dcn_v2\"",
                first.name,
                other.name,
                other.columns.len()
            ),
        )),
    }
}
