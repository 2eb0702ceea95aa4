//! What the activation unit reads: each element of a list beside the target of its row.

use super::element_lists::{ElementLists, Part};
use crate::cuda::is_on_processor;
use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_1};
use crate::rows::{split_mut, unspecified};
use crate::simd::multiversioned;
use candle_core::{Result, Tensor};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Parts of a comparison, each as wide as an element.
const PARTS: usize = 4;

/// `[e_t ; e_j ; e_t - e_j ; e_t e_j]` of every element e_j of a list and the target e_t of its row.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use homebench_kernels::target_attention::{ElementList, ElementLists, comparisons};
/// use std::sync::Arc;
///
/// # fn main() -> candle_core::Result<()> {
/// // One row: a target of 3, room for the list's sum, then the list's elements 2 and 5.
/// let list = ElementList { target: 0, columns: 1, width: 1, ends: vec![2] };
/// let lists = Arc::new(ElementLists::new(1, 1, 2, vec![list])?);
/// let packed = Tensor::new(&[3f32, 0.0, 2.0, 5.0], &Device::Cpu)?;
/// let compared = comparisons(&packed, &lists, 0)?;
/// assert_eq!(compared.to_vec3::<f32>()?, [[[3.0, 2.0, 1.0, 6.0], [3.0, 5.0, -2.0, 15.0]]]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// - packed: as [`ElementLists`] says
/// - result: [sets, elements, 4 width]; one element of zeros where there is none
///
/// # Errors
/// A tensor of another length.
pub fn comparisons(packed: &Tensor, lists: &Arc<ElementLists>, list: usize) -> Result<Tensor> {
    lists.check(packed)?;
    if !is_on_processor(packed) {
        return comparisons_composed(packed, lists, list);
    }
    let lists = lists.clone();
    apply_1(Operator { lists, list }, packed)
}

/// The same from candle's stock operators, on any device and type: the reference.
///
/// # Errors
/// As [`comparisons`].
pub fn comparisons_composed(packed: &Tensor, lists: &ElementLists, list: usize) -> Result<Tensor> {
    lists.check(packed)?;
    let of_list = &lists.lists()[list];
    if of_list.num_elements() == 0 {
        let shape = (lists.num_sets(), 1, PARTS * of_list.width);
        return Tensor::zeros(shape, packed.dtype(), packed.device());
    }
    let row_of = lists.row_of_elements(list, packed)?;
    let of_set = |set| {
        let (rows, elements) = lists.unpacked(packed, set)?;
        let targets = rows.narrow(1, of_list.target, of_list.width)?;
        let (target, element) = (
            targets.contiguous()?.index_select(&row_of, 0)?,
            &elements[list],
        );
        let (difference, product) = ((&target - element)?, (&target * element)?);
        Tensor::cat(&[&target, element, &difference, &product], 1)
    };
    let sets = (0..lists.num_sets()).map(of_set);
    Tensor::stack(&sets.collect::<Result<Vec<_>>>()?, 0)
}

struct Operator {
    lists: Arc<ElementLists>,
    list: usize,
}

impl Operator {
    /// Each set with each of the parts of its rows.
    fn tasks<'a>(
        &self,
        parts: &'a [Range<usize>],
    ) -> impl Iterator<Item = (usize, &'a Range<usize>)> {
        let sets = 0..self.lists.num_sets();
        sets.flat_map(move |set| parts.iter().map(move |part| (set, part)))
    }

    /// The elements of the parts.
    fn elements(&self, parts: &[Range<usize>]) -> Vec<Range<usize>> {
        let elements = |part| self.lists.elements_of(self.list, part);
        parts.iter().map(elements).collect()
    }
}

impl Fused<1> for Operator {
    const NAME: &'static str = "comparisons-with-target";
    type Kept = ();

    fn forward(&self, [packed]: [Argument<'_>; 1]) -> Result<Output<()>> {
        let packed = packed.values;
        let (lists, list) = (&self.lists, &self.lists.lists()[self.list]);
        let (num_sets, size) = (lists.num_sets(), PARTS * list.width);
        let shape = (num_sets, lists.num_scores(self.list), size);
        if list.num_elements() == 0 {
            return Ok(Output::new(vec![0.0; num_sets * size], shape, ()));
        }
        let parts = lists.parts();
        let mut out = unspecified(num_sets * list.num_elements() * size);
        let tasks: Vec<_> = self.tasks(&parts).collect();
        split_mut(&mut out, size, &self.elements(&parts))
            .into_par_iter()
            .zip(tasks)
            .for_each(|(out, (set, part))| compare(out, lists.part(packed, set, self.list, part)));
        Ok(Output::new(out, shape, ()))
    }

    fn backward(
        &self,
        [packed]: [Argument<'_>; 1],
        arrived: Arrived<'_, ()>,
    ) -> Result<Gradients<1>> {
        let (own, slopes) = (packed.values, arrived.gradient);
        let (lists, list) = (&self.lists, &self.lists.lists()[self.list]);
        let (count, size) = (list.num_elements(), PARTS * list.width);
        let parts = lists.parts();
        let elements = self.elements(&parts);
        // All but the targets and this list's elements gets nothing from here.
        let mut out = vec![0f32; own.len()];
        let mut rooms = Vec::new();
        for (set, out) in out.chunks_exact_mut(lists.set_len().max(1)).enumerate() {
            let (to_rows, to_elements) = out.split_at_mut(lists.rows(0).end);
            let start = lists.elements(set, self.list).start - lists.rows(set).end;
            let to_elements = &mut to_elements[start..start + count * list.width];
            let to_rows = split_mut(to_rows, lists.stride(), &parts);
            let mut to_elements = split_mut(to_elements, list.width, &elements).into_iter();
            // No element of no row is split into nothing at all.
            rooms.extend(
                to_rows
                    .into_iter()
                    .map(|rows| (rows, to_elements.next().unwrap_or_default())),
            );
        }
        let tasks: Vec<_> = self.tasks(&parts).collect();
        rooms
            .into_par_iter()
            .zip(tasks)
            .for_each(|((to_rows, to_elements), (set, part))| {
                let elements = lists.elements_of(self.list, part);
                let first = set * count;
                let slopes =
                    &slopes[(first + elements.start) * size..(first + elements.end) * size];
                let part = lists.part(own, set, self.list, part);
                compare_gradient(to_rows, to_elements, slopes, part);
            });
        Ok([Some(out)])
    }
}

multiversioned! {
    fn compare(out: &mut [f32], part: Part<'_>) {
        let width = part.list.width;
        let targets = part.rows.chunks_exact(part.stride);
        for (row, elements) in targets.zip(part.elements_by_row()) {
            let target = &row[part.list.target..][..width];
            for place in elements {
                let element = &part.elements[place * width..][..width];
                let out = &mut out[place * PARTS * width..][..PARTS * width];
                out[..width].copy_from_slice(target);
                out[width..2 * width].copy_from_slice(element);
                for unit in 0..width {
                    out[2 * width + unit] = target[unit] - element[unit];
                    out[3 * width + unit] = target[unit] * element[unit];
                }
            }
        }
    }
}

multiversioned! {
    /// `to_rows` holds zeros, and gets those of the targets, over the elements of each row in order.
    fn compare_gradient(
        to_rows: &mut [f32],
        to_elements: &mut [f32],
        slopes: &[f32],
        part: Part<'_>,
    ) {
        let width = part.list.width;
        let rows = part.rows.chunks_exact(part.stride).zip(to_rows.chunks_exact_mut(part.stride));
        for ((row, to_row), elements) in rows.zip(part.elements_by_row()) {
            let target = &row[part.list.target..][..width];
            let to_target = &mut to_row[part.list.target..][..width];
            for place in elements {
                let element = &part.elements[place * width..][..width];
                let to_element = &mut to_elements[place * width..][..width];
                let slopes = &slopes[place * PARTS * width..][..PARTS * width];
                for unit in 0..width {
                    let (own, other) = (slopes[unit], slopes[width + unit]);
                    let (difference, product) = (slopes[2 * width + unit], slopes[3 * width + unit]);
                    to_element[unit] = product.mul_add(target[unit], other - difference);
                    to_target[unit] = product.mul_add(element[unit], to_target[unit] + (own + difference));
                }
            }
        }
    }
}
