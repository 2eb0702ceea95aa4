//! The matrix of inner products of gradients, and the little linear algebra that weights need.

/// Inner products of the gradients of a few tasks: symmetric, no eigenvalue below 0.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gram {
    size: usize,
    /// Row-major.
    values: Vec<f64>,
}

impl Gram {
    /// From its entry at a row and a column, asked for once each pair.
    pub(crate) fn new(size: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let mut values = vec![0.0; size * size];
        for row in 0..size {
            for column in row..size {
                let value = entry(row, column);
                values[row * size + column] = value;
                values[column * size + row] = value;
            }
        }
        Self { size, values }
    }

    /// Tasks.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.size + column]
    }

    /// Of some of its tasks.
    pub(super) fn of(&self, tasks: &[usize]) -> Self {
        Self::new(tasks.len(), |row, column| {
            self.at(tasks[row], tasks[column])
        })
    }

    /// The norm of each gradient.
    pub(super) fn norms(&self) -> Vec<f64> {
        (0..self.size)
            .map(|task| self.at(task, task).max(0.0).sqrt())
            .collect()
    }

    /// Each row's product with a vector: the inner products of the combined gradient with each task's.
    pub(super) fn times(&self, weights: &[f64]) -> Vec<f64> {
        let rows = self.values.chunks_exact(self.size.max(1));
        rows.map(|row| dot(row, weights)).collect()
    }

    /// The squared norm of a combination of the gradients.
    pub(super) fn squared_norm(&self, weights: &[f64]) -> f64 {
        dot(weights, &self.times(weights)).max(0.0)
    }
}

pub(super) fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// Solves a square system, row-major, by elimination with the largest pivots; none where it is singular.
pub(super) fn solve(mut matrix: Vec<f64>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let size = right.len();
    let largest = matrix
        .iter()
        .fold(0f64, |most, value| most.max(value.abs()));
    for column in 0..size {
        let pivot = (column..size).max_by(|one, other| {
            let [one, other] = [one, other].map(|row| matrix[row * size + column].abs());
            one.total_cmp(&other)
        })?;
        // Below this, what is left of the column is rounding.
        let height = matrix[pivot * size + column].abs();
        if height.is_nan() || height <= 1e-13 * largest {
            return None;
        }
        for place in 0..size {
            matrix.swap(column * size + place, pivot * size + place);
        }
        right.swap(column, pivot);
        for row in column + 1..size {
            let factor = matrix[row * size + column] / matrix[column * size + column];
            for place in column..size {
                matrix[row * size + place] -= factor * matrix[column * size + place];
            }
            right[row] -= factor * right[column];
        }
    }
    for row in (0..size).rev() {
        let known = dot(
            &matrix[row * size + row + 1..(row + 1) * size],
            &right[row + 1..],
        );
        right[row] = (right[row] - known) / matrix[row * size + row];
    }
    Some(right)
}

/// Eigenvalues, the largest first, and a unit vector of each, by Jacobi's rotations: exact to the last bits for the few tasks that there are,
/// and the same on every processor.
pub(super) fn eigen(matrix: &Gram) -> Vec<(f64, Vec<f64>)> {
    let size = matrix.size;
    let mut values = matrix.values.clone();
    let mut vectors: Vec<f64> = (0..size * size)
        .map(|place| f64::from(u8::from(place % (size + 1) == 0)))
        .collect();
    // Each sweep squares what is left beside the diagonal; ten are enough for any matrix of f64.
    for _ in 0..60 {
        let beside: f64 = (0..size)
            .flat_map(|row| (0..row).map(move |column| (row, column)))
            .map(|(row, column)| values[row * size + column].powi(2))
            .sum();
        if beside == 0.0 {
            break;
        }
        for row in 1..size {
            for column in 0..row {
                rotate(&mut values, &mut vectors, size, row, column);
            }
        }
    }
    let mut pairs: Vec<(f64, Vec<f64>)> = (0..size)
        .map(|place| {
            let vector = (0..size).map(|row| vectors[row * size + place]);
            (values[place * (size + 1)], vector.collect())
        })
        .collect();
    pairs.sort_by(|one, other| other.0.total_cmp(&one.0));
    pairs
}

/// Makes the entry at (p, q) 0.
fn rotate(values: &mut [f64], vectors: &mut [f64], size: usize, p: usize, q: usize) {
    let beside = values[p * size + q];
    let (of_p, of_q) = (values[p * size + p], values[q * size + q]);
    if beside.abs() <= f64::EPSILON * 1e-3 * (of_p * of_q).abs().sqrt() {
        values[p * size + q] = 0.0;
        values[q * size + p] = 0.0;
        return;
    }
    let ratio = (of_q - of_p) / (2.0 * beside);
    let tangent = ratio.signum() / (ratio.abs() + (ratio * ratio + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for place in 0..size {
        let (a, b) = (values[place * size + p], values[place * size + q]);
        values[place * size + p] = cosine * a - sine * b;
        values[place * size + q] = sine * a + cosine * b;
    }
    for place in 0..size {
        let (a, b) = (values[p * size + place], values[q * size + place]);
        values[p * size + place] = cosine * a - sine * b;
        values[q * size + place] = sine * a + cosine * b;
    }
    for place in 0..size {
        let (a, b) = (vectors[place * size + p], vectors[place * size + q]);
        vectors[place * size + p] = cosine * a - sine * b;
        vectors[place * size + q] = sine * a + cosine * b;
    }
    values[p * size + q] = 0.0;
    values[q * size + p] = 0.0;
}

/// The share of the largest eigenvalue below which one counts as 0.
pub(super) fn rank_tolerance(size: usize) -> f64 {
    size as f64 * f64::EPSILON
}
