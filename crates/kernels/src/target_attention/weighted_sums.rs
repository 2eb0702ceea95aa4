//! What a model reads of lists that attend to a target: their elements times scores, added up.

use super::element_lists::{ElementLists, Part};
use crate::cuda::is_on_processor;
use crate::dropout::Dropout;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_2};
use crate::optimizer::Columns;
use crate::product::dot;
use crate::rows::{split_mut, unspecified};
use crate::simd::multiversioned;
use candle_core::{Result, Tensor};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Which units of the rows are dropped once the sums are there: of the first columns of each row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitDropout {
    /// The units of a step.
    pub dropout: Dropout,
    /// Columns of a row that may be dropped.
    pub num_columns: usize,
}

impl UnitDropout {
    fn apply(&self, rows: &mut [f32], stride: usize) {
        let columns = Columns { stride, offset: 0 };
        self.dropout.apply(rows, columns, self.num_columns);
    }
}

/// The rows of a batch with `sum_j a_j e_j` where each list's sum belongs: over the elements e_j of the row's list and their scores a_j. Scores
/// are neither scaled nor made to sum to 1. A row without elements gets zeros.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use homebench_kernels::target_attention::{ElementList, ElementLists, weighted_sums};
/// use std::sync::Arc;
///
/// # fn main() -> candle_core::Result<()> {
/// // One row: a target of 3, room for the list's sum, then the list's elements 2 and 5.
/// let list = ElementList { target: 0, columns: 1, width: 1, ends: vec![2] };
/// let lists = Arc::new(ElementLists::new(1, 1, 2, vec![list])?);
/// let packed = Tensor::new(&[3f32, 0.0, 2.0, 5.0], &Device::Cpu)?;
/// let scores = Tensor::new(&[[0.5f32, -1.0]], &Device::Cpu)?;
/// let rows = weighted_sums(&packed, &scores, &lists, None)?;
/// assert_eq!(rows.to_vec3::<f32>()?, [[[3.0, -4.0]]]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// - packed: as [`ElementLists`] says
/// - scores: [sets, scores of all lists], list after list, each as many as [`ElementLists::num_scores`] says
/// - result: [sets, rows, stride]
///
/// # Errors
/// Shapes that don't fit.
pub fn weighted_sums(
    packed: &Tensor,
    scores: &Tensor,
    lists: &Arc<ElementLists>,
    dropout: Option<UnitDropout>,
) -> Result<Tensor> {
    check(packed, scores, lists)?;
    if !is_on_processor(packed) {
        return weighted_sums_composed(packed, scores, lists, dropout);
    }
    let operator = Operator {
        lists: lists.clone(),
        dropout,
    };
    apply_2(operator, packed, scores)
}

/// The same from candle's stock operators, on any device and type: the reference.
///
/// # Errors
/// As [`weighted_sums`].
pub fn weighted_sums_composed(
    packed: &Tensor,
    scores: &Tensor,
    lists: &ElementLists,
    dropout: Option<UnitDropout>,
) -> Result<Tensor> {
    check(packed, scores, lists)?;
    let row_of = (0..lists.lists().len()).map(|list| lists.row_of_elements(list, packed));
    let row_of = row_of.collect::<Result<Vec<_>>>()?;
    // From left to right, so that what lies between the lists is taken as it is.
    let mut in_order: Vec<usize> = (0..lists.lists().len()).collect();
    in_order.sort_by_key(|list| lists.lists()[*list].columns);
    let of_set = |set| {
        let (rows, elements) = lists.unpacked(packed, set)?;
        let scores = scores.get(set)?;
        let (mut columns, mut done) = (Vec::new(), 0);
        for place in &in_order {
            let list = &lists.lists()[*place];
            columns.push(rows.narrow(1, done, list.columns - done)?);
            done = list.columns + list.width;
            let shape = (lists.num_rows(), list.width);
            let mut sums = Tensor::zeros(shape, packed.dtype(), packed.device())?;
            if list.num_elements() > 0 {
                let own = lists.scores(*place);
                let own = scores.narrow(0, own.start, own.len())?.unsqueeze(1)?;
                let weighted = elements[*place].broadcast_mul(&own)?;
                sums = sums.index_add(&row_of[*place], &weighted, 0)?;
            }
            columns.push(sums);
        }
        columns.push(rows.narrow(1, done, lists.stride() - done)?);
        columns.retain(|columns| columns.elem_count() > 0);
        Tensor::cat(&columns, 1)
    };
    let sets = (0..lists.num_sets()).map(of_set);
    let rows = Tensor::stack(&sets.collect::<Result<Vec<_>>>()?, 0)?;
    let Some(dropout) = dropout else {
        return Ok(rows);
    };
    let mut mask = vec![1f32; rows.elem_count()];
    dropout.apply(&mut mask, lists.stride());
    let mask = Tensor::from_vec(mask, rows.shape(), rows.device())?;
    rows * mask.to_dtype(packed.dtype())?
}

fn check(packed: &Tensor, scores: &Tensor, lists: &ElementLists) -> Result<()> {
    lists.check(packed)?;
    let count: usize = (0..lists.lists().len())
        .map(|list| lists.num_scores(list))
        .sum();
    if scores.dims() != [lists.num_sets(), count] {
        candle_core::bail!(
            "expected {count} scores of each of {} sets, found {:?}",
            lists.num_sets(),
            scores.dims()
        );
    }
    Ok(())
}

struct Operator {
    lists: Arc<ElementLists>,
    dropout: Option<UnitDropout>,
}

impl Operator {
    /// Where the scores of all sets have those of some elements of a list.
    fn scores_of(&self, set: usize, list: usize, elements: &Range<usize>) -> Range<usize> {
        let last = self.lists.lists().len() - 1;
        let start = set * self.lists.scores(last).end + self.lists.scores(list).start;
        start + elements.start..start + elements.end
    }

    fn all_lists(&self) -> Range<usize> {
        0..self.lists.lists().len()
    }
}

impl Fused<2> for Operator {
    const NAME: &'static str = "weighted-sums-of-elements";
    type Kept = ();

    fn forward(&self, [packed, scores]: [Argument<'_>; 2]) -> Result<Output<()>> {
        let (packed, scores) = (packed.values, scores.values);
        let (lists, parts) = (&self.lists, self.lists.parts());
        let (num_rows, stride) = (lists.num_rows(), lists.stride());
        let shape = (lists.num_sets(), num_rows, stride);
        let mut out = unspecified(lists.num_sets() * num_rows * stride);
        split_mut(&mut out, stride, &parts)
            .into_par_iter()
            .enumerate()
            .for_each(|(task, out)| {
                let (set, rows) = (task / parts.len(), &parts[task % parts.len()]);
                let numbers = rows.start * stride..rows.end * stride;
                out.copy_from_slice(&packed[lists.rows(set)][numbers]);
                for list in self.all_lists() {
                    let own = self.scores_of(set, list, &lists.elements_of(list, rows));
                    add_up(out, &scores[own], lists.part(packed, set, list, rows));
                }
            });
        if let Some(dropout) = self.dropout {
            dropout.apply(&mut out, stride);
        }
        Ok(Output::new(out, shape, ()))
    }

    fn backward(
        &self,
        [packed, scores]: [Argument<'_>; 2],
        arrived: Arrived<'_, ()>,
    ) -> Result<Gradients<2>> {
        let (own, of_scores) = (packed.values, scores.values);
        let mut slopes = arrived.gradient.to_vec();
        let (lists, parts) = (&self.lists, self.lists.parts());
        let stride = lists.stride();
        // The mask of the forward pass, made again.
        if let Some(dropout) = self.dropout {
            dropout.apply(&mut slopes, stride);
        }
        let mut to_packed = unspecified(own.len());
        let mut to_scores = vec![0f32; of_scores.len()];
        let size = lists.num_rows() * stride;
        for set in 0..lists.num_sets() {
            let slopes = &slopes[set * size..(set + 1) * size];
            to_packed[lists.rows(set)].copy_from_slice(slopes);
            for (list, of_list) in lists.lists().iter().enumerate() {
                let elements: Vec<Range<usize>> = parts
                    .iter()
                    .map(|rows| lists.elements_of(list, rows))
                    .collect();
                let all = 0..of_list.num_elements();
                let of_scores = &of_scores[self.scores_of(set, list, &all)];
                let to_scores = &mut to_scores[self.scores_of(set, list, &all)];
                let to_elements = &mut to_packed[lists.elements(set, list)];
                split_mut(to_elements, of_list.width, &elements)
                    .into_par_iter()
                    .zip(split_mut(to_scores, 1, &elements))
                    .zip(&parts)
                    .for_each(|((to_elements, to_scores), rows)| {
                        let slopes = &slopes[rows.start * stride..rows.end * stride];
                        let scores = &of_scores[lists.elements_of(list, rows)];
                        let part = lists.part(own, set, list, rows);
                        add_up_gradient(to_elements, to_scores, slopes, scores, part);
                    });
                // What stands there in the packed rows is read by nobody.
                for row in to_packed[lists.rows(set)].chunks_exact_mut(stride) {
                    row[of_list.columns..][..of_list.width].fill(0.0);
                }
            }
        }
        Ok([Some(to_packed), Some(to_scores)])
    }
}

multiversioned! {
    fn add_up(out: &mut [f32], scores: &[f32], part: Part<'_>) {
        let width = part.list.width;
        for (row, elements) in out.chunks_exact_mut(part.stride).zip(part.elements_by_row()) {
            let sum = &mut row[part.list.columns..][..width];
            sum.fill(0.0);
            for place in elements {
                let element = &part.elements[place * width..][..width];
                for (sum, unit) in sum.iter_mut().zip(element) {
                    *sum = scores[place].mul_add(*unit, *sum);
                }
            }
        }
    }
}

multiversioned! {
    fn add_up_gradient(
        to_elements: &mut [f32],
        to_scores: &mut [f32],
        slopes: &[f32],
        scores: &[f32],
        part: Part<'_>,
    ) {
        let width = part.list.width;
        for (row, elements) in slopes.chunks_exact(part.stride).zip(part.elements_by_row()) {
            let slopes = &row[part.list.columns..][..width];
            for place in elements {
                let element = &part.elements[place * width..][..width];
                to_scores[place] = dot(slopes, element);
                let to_element = &mut to_elements[place * width..][..width];
                for (to, slope) in to_element.iter_mut().zip(slopes) {
                    *to = scores[place] * slope;
                }
            }
        }
    }
}
