//! Attention between the fields of a row, every head and its residual in one pass.

use crate::composed::{matmul, softmax};
use crate::cuda::is_on_processor;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_1};
use crate::product::{Matrix, multiply};
use crate::rows::{split_mut, unspecified};
use crate::simd::multiversioned;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// Queries, keys, values and residuals, in this order.
const NUM_MAPS: usize = 4;

/// `concat over heads of softmax(Q_h K_h^T) V_h, plus R`, over the fields of each row: what an interacting layer of AutoInt does before its
/// ReLU; Song et al., "AutoInt", CIKM 2019, arXiv:1810.11921, equations 5 to 8. Scores are not scaled.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use homebench_kernels::interaction::field_attention;
///
/// # fn main() -> candle_core::Result<()> {
/// // One row of two fields, one head of one unit. Queries of 0 weigh both fields alike.
/// let maps = [[[0f32], [0.0]], [[1.0], [2.0]], [[3.0], [5.0]], [[10.0], [20.0]]];
/// let out = field_attention(&Tensor::new(&maps, &Device::Cpu)?, 2, 1)?;
/// assert_eq!(out.to_vec2::<f32>()?, [[14.0], [24.0]]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// - maps: [4, rows x fields, heads x units]: queries, keys, values, residuals; the fields of a row one after the other
/// - result: [rows x fields, heads x units]
///
/// # Errors
/// Shapes that don't fit.
pub fn field_attention(maps: &Tensor, num_fields: usize, num_heads: usize) -> Result<Tensor> {
    let sizes = Sizes::new(maps.dims(), num_fields, num_heads)?;
    if !is_on_processor(maps) {
        return composed(maps, sizes);
    }
    let operator = Operator { sizes };
    apply_1(operator, maps)
}

/// The same from candle's stock operators, on any device and type: the reference.
///
/// # Errors
/// As [`field_attention`].
pub fn field_attention_composed(
    maps: &Tensor,
    num_fields: usize,
    num_heads: usize,
) -> Result<Tensor> {
    composed(maps, Sizes::new(maps.dims(), num_fields, num_heads)?)
}

fn composed(maps: &Tensor, sizes: Sizes) -> Result<Tensor> {
    let Sizes {
        rows,
        fields,
        heads,
        units,
    } = sizes;
    let of_heads = |map: usize| {
        let map = maps.get(map)?.reshape((rows, fields, heads, units))?;
        map.transpose(1, 2)?.contiguous()
    };
    let keys = of_heads(1)?.transpose(2, 3)?.contiguous()?;
    let weights = softmax(&matmul(&of_heads(0)?, &keys)?)?;
    let mixed = matmul(&weights, &of_heads(2)?)?.transpose(1, 2)?;
    mixed.reshape((rows * fields, heads * units))? + maps.get(3)?
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    rows: usize,
    fields: usize,
    heads: usize,
    /// Of a head.
    units: usize,
}

impl Sizes {
    fn new(dims: &[usize], fields: usize, heads: usize) -> Result<Self> {
        match *dims {
            [NUM_MAPS, all, width]
                if fields > 0
                    && heads > 0
                    && width > 0
                    && all.is_multiple_of(fields)
                    && width.is_multiple_of(heads) =>
            {
                Ok(Self {
                    rows: all / fields,
                    fields,
                    heads,
                    units: width / heads,
                })
            }
            _ => candle_core::bail!("maps {dims:?} are not of {fields} fields and {heads} heads"),
        }
    }

    fn width(self) -> usize {
        self.heads * self.units
    }

    /// Numbers of a row in one map.
    fn of_row(self) -> usize {
        self.fields * self.width()
    }

    /// Weights of a row.
    fn weights(self) -> usize {
        self.heads * self.fields * self.fields
    }

    /// A head's units of a row's fields.
    fn head(self, row: &[f32], head: usize) -> Matrix<'_> {
        let units = &row[head * self.units..];
        Matrix::strided(units, self.fields, self.units, self.width())
    }

    fn square(self, weights: &[f32]) -> Matrix<'_> {
        Matrix::new(weights, self.fields, self.fields)
    }
}

struct Operator {
    sizes: Sizes,
}

impl Fused<1> for Operator {
    const NAME: &'static str = "field-attention";
    /// The weights, [rows, heads, fields, fields].
    type Kept = Vec<f32>;

    fn forward(&self, [maps]: [Argument<'_>; 1]) -> Result<Output<Vec<f32>>> {
        let (sizes, maps) = (self.sizes, maps.values);
        let parts = super::parts_of(sizes.rows);
        let map_size = sizes.rows * sizes.of_row();
        let mut weights = unspecified(sizes.rows * sizes.weights());
        let mut out = maps[3 * map_size..].to_vec();
        split_mut(&mut out, sizes.of_row(), &parts)
            .into_par_iter()
            .zip(split_mut(&mut weights, sizes.weights(), &parts))
            .zip(&parts)
            .for_each(|((out, weights), part)| {
                let rows = out.chunks_exact_mut(sizes.of_row());
                let rows = rows.zip(weights.chunks_exact_mut(sizes.weights()));
                for (row, (out, weights)) in part.clone().zip(rows) {
                    attend(out, weights, &row_of_maps(maps, row, sizes), sizes);
                }
            });
        let shape = (sizes.rows * sizes.fields, sizes.width());
        Ok(Output::new(out, shape, weights))
    }

    fn backward(
        &self,
        [maps]: [Argument<'_>; 1],
        arrived: Arrived<'_, Vec<f32>>,
    ) -> Result<Gradients<1>> {
        let sizes = self.sizes;
        let (own, slopes, weights) = (maps.values, arrived.gradient, &arrived.kept);
        let parts = super::parts_of(sizes.rows);
        let mut out = unspecified(own.len());
        let map_size = sizes.rows * sizes.of_row();
        let (of_products, of_residuals) = out.split_at_mut((NUM_MAPS - 1) * map_size);
        of_residuals.copy_from_slice(slopes);
        crate::rows::split_by_chunk(of_products, sizes.of_row(), &parts)
            .into_par_iter()
            .zip(&parts)
            .for_each_init(Vec::new, |scratch, (mut out, part)| {
                scratch.resize(sizes.fields * sizes.fields, 0.0);
                for (place, row) in part.clone().enumerate() {
                    let numbers = place * sizes.of_row()..(place + 1) * sizes.of_row();
                    let mut out = out.iter_mut().map(|map| &mut map[numbers.clone()]);
                    let out = [(); NUM_MAPS - 1].map(|()| out.next().expect("a slice of a map"));
                    let weights = &weights[row * sizes.weights()..(row + 1) * sizes.weights()];
                    let slopes = &slopes[row * sizes.of_row()..(row + 1) * sizes.of_row()];
                    let maps = row_of_maps(own, row, sizes);
                    attend_gradient(out, scratch, (weights, slopes), &maps, sizes);
                }
            });
        Ok([Some(out)])
    }
}

/// A row's numbers in each map but the residuals.
fn row_of_maps(maps: &[f32], row: usize, sizes: Sizes) -> [&[f32]; NUM_MAPS - 1] {
    let of_map = |map: usize| {
        let start = (map * sizes.rows + row) * sizes.of_row();
        &maps[start..start + sizes.of_row()]
    };
    [of_map(0), of_map(1), of_map(2)]
}

/// Adds what a row's heads give to its residuals, and leaves the weights.
fn attend(out: &mut [f32], weights: &mut [f32], maps: &[&[f32]; 3], sizes: Sizes) {
    let (fields, width) = (sizes.fields, sizes.width());
    let of_heads = weights.chunks_exact_mut(fields * fields);
    for (head, weights) in of_heads.enumerate() {
        let [queries, keys, values] = maps.map(|map| sizes.head(map, head));
        multiply(weights, fields, queries, keys.transposed(), false);
        softmax_rows(weights, fields);
        let out = &mut out[head * sizes.units..];
        multiply(out, width, sizes.square(weights), values, true);
    }
}

/// The gradients of a row's queries, keys and values.
fn attend_gradient(
    [to_queries, to_keys, to_values]: [&mut [f32]; 3],
    scratch: &mut [f32],
    (weights, slopes): (&[f32], &[f32]),
    maps: &[&[f32]; 3],
    sizes: Sizes,
) {
    let (fields, width) = (sizes.fields, sizes.width());
    for (head, weights) in weights.chunks_exact(fields * fields).enumerate() {
        let first = head * sizes.units;
        let [queries, keys, values] = maps.map(|map| sizes.head(map, head));
        let slopes = sizes.head(slopes, head);
        let mixed = sizes.square(weights).transposed();
        multiply(&mut to_values[first..], width, mixed, slopes, false);
        multiply(scratch, fields, slopes, values.transposed(), false);
        softmax_rows_gradient(scratch, weights, fields);
        let of_scores = sizes.square(scratch);
        multiply(&mut to_queries[first..], width, of_scores, keys, false);
        let of_scores = of_scores.transposed();
        multiply(&mut to_keys[first..], width, of_scores, queries, false);
    }
}

multiversioned! {
    fn softmax_rows(weights: &mut [f32], fields: usize) {
        for row in weights.chunks_exact_mut(fields) {
            crate::softmax::softmax(row);
        }
    }
}

multiversioned! {
    fn softmax_rows_gradient(gradient: &mut [f32], weights: &[f32], fields: usize) {
        let rows = gradient.chunks_exact_mut(fields);
        for (gradient, weights) in rows.zip(weights.chunks_exact(fields)) {
            crate::softmax::softmax_gradient(gradient, weights);
        }
    }
}
