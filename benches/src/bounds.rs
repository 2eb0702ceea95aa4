//! Work that an operator can't do without: its matrix products, and moving the bytes that it must touch.

use crate::operands::uniform;
use homebench_kernels::product::{Matrix, multiply};
use rayon::prelude::*;

/// A matrix product `out = left right` in all threads, on memory of its own.
#[derive(Debug)]
pub struct Product {
    rows: usize,
    columns: usize,
    depth: usize,
    left: Vec<f32>,
    left_transposed: bool,
    right: Vec<f32>,
    right_transposed: bool,
    out: Vec<f32>,
}

impl Product {
    /// [rows, depth] times [depth, columns], as a forward pass has it.
    pub fn new(rows: usize, depth: usize, columns: usize) -> Self {
        Self {
            rows,
            columns,
            depth,
            left: uniform("left", rows * depth, 1.0),
            left_transposed: false,
            right: uniform("right", depth * columns, 1.0),
            right_transposed: false,
            out: vec![0.0; rows * columns],
        }
    }

    /// The two products of the same layer's backward pass: the gradients of its weights and of its inputs.
    pub fn backward(rows: usize, depth: usize, columns: usize) -> [Self; 2] {
        [
            Self {
                left_transposed: true,
                ..Self::new(depth, rows, columns)
            },
            Self {
                right_transposed: true,
                ..Self::new(rows, columns, depth)
            },
        ]
    }

    /// Computes it, rows of the result shared between the threads.
    pub fn run(&mut self) {
        let Self {
            columns,
            depth,
            left,
            right,
            ..
        } = self;
        let (columns, depth) = (*columns, *depth);
        let all = matrix(left, self.rows, depth, self.left_transposed);
        let right = matrix(right, depth, columns, self.right_transposed);
        let part_rows = self.rows.div_ceil(rayon::current_num_threads());
        self.out
            .par_chunks_mut(part_rows * columns)
            .enumerate()
            .for_each(|(part, out)| {
                let first = part * part_rows;
                let left = all.rows(first..first + out.len() / columns);
                multiply(out, columns, left, right, false);
            });
    }
}

/// A [rows, columns] view of a whole matrix, which lies there transposed or not.
fn matrix(data: &[f32], rows: usize, columns: usize, is_transposed: bool) -> Matrix<'_> {
    match is_transposed {
        true => Matrix::new(data, columns, rows).transposed(),
        false => Matrix::new(data, rows, columns),
    }
}

/// A copy in all threads that reads and writes as many bytes, together, as an operator must touch.
#[derive(Debug)]
pub struct Copy {
    from: Vec<f32>,
    to: Vec<f32>,
}

/// Elements copied by one task.
const PIECE: usize = 1 << 14;

impl Copy {
    /// Touches `num_elements` f32, half of them reading and half writing.
    pub fn new(num_elements: usize) -> Self {
        let half = num_elements.div_ceil(2);
        Self {
            from: vec![1.0; half],
            to: vec![0.0; half],
        }
    }

    /// Copies.
    pub fn run(&mut self) {
        self.to
            .par_chunks_mut(PIECE)
            .zip(self.from.par_chunks(PIECE))
            .for_each(|(to, from)| to.copy_from_slice(from));
    }
}

/// Products and a copy, one after the other.
#[derive(Debug)]
pub struct Bound {
    products: Vec<Product>,
    copy: Copy,
}

impl Bound {
    /// `products`, and touching `num_elements` f32 beside them.
    pub fn new(products: Vec<Product>, num_elements: usize) -> Self {
        Self {
            products,
            copy: Copy::new(num_elements),
        }
    }

    /// Does it all.
    pub fn run(&mut self) {
        self.products.iter_mut().for_each(Product::run);
        self.copy.run();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances of (rows, columns) of a [rows, columns] view.
    fn strides(rows: usize, columns: usize, transposed: bool) -> (usize, usize) {
        match transposed {
            false => (columns, 1),
            true => (1, rows),
        }
    }

    #[test]
    fn products_of_either_pass_equal_sums_by_hand() {
        let [weights, inputs] = Product::backward(7, 3, 5);
        for mut product in [Product::new(7, 3, 5), weights, inputs] {
            product.run();
            let (rows, columns, depth) = (product.rows, product.columns, product.depth);
            let (left_row, left_column) = strides(rows, depth, product.left_transposed);
            let (right_row, right_column) = strides(depth, columns, product.right_transposed);
            for row in 0..rows {
                for column in 0..columns {
                    let term = |at: usize| {
                        let left = product.left[row * left_row + at * left_column];
                        left * product.right[at * right_row + column * right_column]
                    };
                    let expected: f32 = (0..depth).map(term).sum();
                    assert!((product.out[row * columns + column] - expected).abs() < 1e-5);
                }
            }
        }
    }
}
