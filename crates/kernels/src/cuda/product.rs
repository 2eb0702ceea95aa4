//! Strided batches of matrix products, row-major.

use super::buffer::Address;

/// One factor of a batch of products.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor {
    /// Of the first matrix.
    pub(super) address: Address,
    /// Elements from a row to the next, as it lies there.
    pub(super) stride: usize,
    /// Whether it lies there transposed.
    pub(super) transposed: bool,
    /// Elements from a matrix to the next; 0 takes one matrix for all.
    pub(super) step: usize,
}

impl Factor {
    /// A single matrix whose rows have `stride` elements.
    pub(super) fn new(address: Address, stride: usize) -> Self {
        Self {
            address,
            stride,
            transposed: false,
            step: 0,
        }
    }

    pub(super) fn transposed(self) -> Self {
        Self {
            transposed: true,
            ..self
        }
    }

    pub(super) fn step(self, step: usize) -> Self {
        Self { step, ..self }
    }
}

/// `out = left right`, or `out += left right` with `add`, for each of a batch: [rows, depth] by [depth, columns].
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) depth: usize,
    pub(super) batch: usize,
    pub(super) left: Factor,
    pub(super) right: Factor,
    /// Never transposed.
    pub(super) out: Factor,
    pub(super) add: bool,
}
