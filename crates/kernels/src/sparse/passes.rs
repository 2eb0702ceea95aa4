//! Sums of the chosen experts of every pair, and their gradients, on experts' outputs of any layout.

use crate::product::dot;
use crate::rows::{split_by_chunk, strips, unspecified};
use crate::selection::RowSelection;
use crate::simd::multiversioned;
use rayon::prelude::*;

/// Where experts' values of a row lie.
#[derive(Clone, Copy)]
pub(super) enum Places<'a> {
    /// [experts, rows, width].
    Every { num_rows: usize },
    /// Expert after expert, the rows that chose it.
    Selected(&'a RowSelection),
}

impl Places<'_> {
    #[inline(always)]
    fn of(self, row: usize, expert: usize) -> usize {
        match self {
            Self::Every { num_rows } => expert * num_rows + row,
            Self::Selected(selection) => selection
                .place(row, expert)
                .expect("a chosen expert has the row"),
        }
    }
}

/// The pairs of a batch: what each chose, with its weights, row-major [rows, tasks, experts].
#[derive(Clone, Copy)]
pub(super) struct Pairs<'a> {
    pub(super) num_rows: usize,
    pub(super) num_tasks: usize,
    pub(super) num_experts: usize,
    /// Of an expert's output.
    pub(super) width: usize,
    pub(super) is_chosen: &'a [bool],
    pub(super) weights: &'a [f32],
    pub(super) places: Places<'a>,
}

impl Pairs<'_> {
    fn columns(&self) -> usize {
        self.num_tasks * self.num_experts
    }

    /// `out[t, row] = sum over chosen experts, in order, of weight * expert`, [tasks, rows, width].
    pub(super) fn sums(&self, experts: &[f32]) -> Vec<f32> {
        let strips = strips(self.num_rows);
        let mut out = unspecified(self.num_tasks * self.num_rows * self.width);
        split_by_chunk(&mut out, self.width, &strips)
            .into_par_iter()
            .zip(&strips)
            .for_each(|(mut outputs, strip)| {
                for (row, at) in strip.clone().zip(0..) {
                    for (task, output) in outputs.iter_mut().enumerate() {
                        let out = &mut output[at * self.width..(at + 1) * self.width];
                        out.fill(0.0);
                        self.each_chosen(row, task, |place, weight, _| {
                            add_scaled(out, &experts[place..place + self.width], weight);
                        });
                    }
                }
            });
        out
    }

    /// Calls `visit` with the place of the expert's row, its weight and its index, in the order of experts.
    #[inline(always)]
    fn each_chosen(&self, row: usize, task: usize, mut visit: impl FnMut(usize, f32, usize)) {
        let start = row * self.columns() + task * self.num_experts;
        let is_chosen = &self.is_chosen[start..start + self.num_experts];
        for (expert, is_chosen) in is_chosen.iter().enumerate() {
            if *is_chosen {
                let place = self.places.of(row, expert) * self.width;
                visit(place, self.weights[start + expert], expert);
            }
        }
    }

    /// The gradient of the weights, 0 where an expert is not chosen.
    pub(super) fn weight_gradient(&self, experts: &[f32], gradient: &[f32]) -> Vec<f32> {
        let strips = strips(self.num_rows);
        let mut out = vec![0f32; self.num_rows * self.columns()];
        split_by_chunk(&mut out, self.columns(), &strips)
            .into_par_iter()
            .zip(&strips)
            .for_each(|(mut out, strip)| {
                let rows = out[0].chunks_exact_mut(self.columns());
                for (row, out) in strip.clone().zip(rows) {
                    for task in 0..self.num_tasks {
                        let of_output = self.output_row(gradient, row, task);
                        self.each_chosen(row, task, |place, _, expert| {
                            let expert_row = &experts[place..place + self.width];
                            out[task * self.num_experts + expert] = inner(expert_row, of_output);
                        });
                    }
                }
            });
        out
    }

    fn output_row<'d>(&self, data: &'d [f32], row: usize, task: usize) -> &'d [f32] {
        let start = (task * self.num_rows + row) * self.width;
        &data[start..start + self.width]
    }

    /// The gradient of the experts' outputs, in their layout.
    pub(super) fn expert_gradient(&self, gradient: &[f32]) -> Vec<f32> {
        match self.places {
            Places::Every { num_rows } => {
                let mut out = unspecified(self.num_experts * num_rows * self.width);
                out.par_chunks_exact_mut(num_rows * self.width)
                    .enumerate()
                    .for_each(|(expert, out)| {
                        let rows = out.chunks_exact_mut(self.width).enumerate();
                        rows.for_each(|(row, out)| self.add_of_row(out, expert, row, gradient));
                    });
                out
            }
            Places::Selected(selection) => {
                let mut out = unspecified(selection.num_pairs() * self.width);
                let mut rest = &mut out[..];
                let cut = |expert: usize| {
                    let rows = selection.rows(expert);
                    let (own, tail) =
                        std::mem::take(&mut rest).split_at_mut(rows.len() * self.width);
                    rest = tail;
                    (expert, rows, own)
                };
                let parts: Vec<_> = (0..self.num_experts).map(cut).collect();
                parts.into_par_iter().for_each(|(expert, rows, out)| {
                    for (row, out) in rows.iter().zip(out.chunks_exact_mut(self.width)) {
                        self.add_of_row(out, expert, *row as usize, gradient);
                    }
                });
                out
            }
        }
    }

    /// Sets an expert's gradient of a row: the sum over the tasks that chose it there, in order.
    #[inline(always)]
    fn add_of_row(&self, out: &mut [f32], expert: usize, row: usize, gradient: &[f32]) {
        out.fill(0.0);
        for task in 0..self.num_tasks {
            let column = row * self.columns() + task * self.num_experts + expert;
            if self.is_chosen[column] {
                let of_output = self.output_row(gradient, row, task);
                add_scaled(out, of_output, self.weights[column]);
            }
        }
    }
}

multiversioned! {
    /// `out += values * factor`.
    fn add_scaled(out: &mut [f32], values: &[f32], factor: f32) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = value.mul_add(factor, *out);
        }
    }
}

fn inner(left: &[f32], right: &[f32]) -> f32 {
    let mut out = [0f32];
    inner_into(&mut out, left, right);
    out[0]
}

multiversioned! {
    /// `out[0] = left . right`.
    fn inner_into(out: &mut [f32], left: &[f32], right: &[f32]) {
        out[0] = dot(left, right);
    }
}
