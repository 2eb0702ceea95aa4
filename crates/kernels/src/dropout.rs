//! Dropout (Srivastava and others, 2014) of a batch's embedded units, from counter-based random numbers: the mask is made
//! again for the gradient, so none is kept.

use crate::optimizer::Columns;
use crate::random::Philox;
use rayon::prelude::*;

/// Rows masked by one task.
const BLOCK_ROWS: usize = 256;

/// Which units of one step are dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    rate: f32,
    stream: Philox,
}

impl Dropout {
    /// Drops each unit with the probability `rate`, at least 0 and below 1; the mask is that of (seed, step, layer).
    pub fn new(rate: f64, seed: u64, step: u64, layer: &str) -> Self {
        Self {
            rate: rate as f32,
            stream: Philox::new(seed, "dropout", &format!("{step}.{layer}")),
        }
    }

    /// The probability that a unit is dropped.
    pub(crate) fn rate(&self) -> f32 {
        self.rate
    }

    /// The key of its random numbers.
    pub(crate) fn key(&self) -> [u32; 2] {
        self.stream.key()
    }

    /// Clears the dropped units of `width` columns in every row of `values` ([rows, stride]) and divides the others by
    /// 1 - rate. The same on values and on their gradient.
    pub fn apply(&self, values: &mut [f32], columns: Columns, width: usize) {
        if self.rate == 0.0 || width == 0 {
            return;
        }
        let scale = 1.0 / (1.0 - self.rate);
        // Rows begin at a block of four numbers.
        let blocks_per_row = width.div_ceil(4) as u64;
        values
            .par_chunks_mut(columns.stride * BLOCK_ROWS)
            .enumerate()
            .for_each(|(part, rows)| {
                for (row, values) in rows.chunks_exact_mut(columns.stride).enumerate() {
                    let row = (part * BLOCK_ROWS + row) as u64;
                    let units = &mut values[columns.offset..columns.offset + width];
                    for (four, counter) in units.chunks_mut(4).zip(row * blocks_per_row..) {
                        for (unit, chance) in four.iter_mut().zip(self.stream.uniform4(counter)) {
                            // A product would leave the sign of a dropped unit, or its NaN.
                            *unit = if chance < self.rate {
                                0.0
                            } else {
                                *unit * scale
                            };
                        }
                    }
                }
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns = Columns {
        stride: 12,
        offset: 1,
    };

    fn masked(dropout: &Dropout, rows: usize) -> Vec<f32> {
        let mut values = vec![1f32; rows * COLUMNS.stride];
        dropout.apply(&mut values, COLUMNS, 10);
        values
    }

    #[test]
    fn the_share_of_dropped_units_is_the_rate_and_the_mean_stays() {
        let values = masked(&Dropout::new(0.25, 1, 0, "embedding"), 10_000);
        let units: Vec<f32> = values
            .chunks(COLUMNS.stride)
            .flat_map(|row| row[1..11].iter().copied())
            .collect();
        let dropped = units.iter().filter(|unit| **unit == 0.0).count() as f64;
        assert!((dropped / units.len() as f64 - 0.25).abs() < 0.005);
        assert!(units.iter().all(|u| *u == 0.0 || *u == 1.0 / 0.75));
        // What is beside the columns stays.
        assert!(
            values
                .chunks(COLUMNS.stride)
                .all(|r| [r[0], r[11]] == [1.0, 1.0])
        );
    }

    #[test]
    fn a_mask_is_the_same_again_and_another_for_every_seed_step_and_layer() {
        let first = masked(&Dropout::new(0.5, 1, 7, "embedding"), 300);
        assert_eq!(first, masked(&Dropout::new(0.5, 1, 7, "embedding"), 300));
        for other in [
            Dropout::new(0.5, 2, 7, "embedding"),
            Dropout::new(0.5, 1, 8, "embedding"),
            Dropout::new(0.5, 1, 7, "expert"),
        ] {
            assert_ne!(first, masked(&other, 300));
        }
    }

    #[test]
    fn a_row_is_masked_alike_in_a_shorter_batch() {
        let dropout = Dropout::new(0.5, 1, 7, "embedding");
        let short = masked(&dropout, 300);
        assert_eq!(masked(&dropout, 600)[..short.len()], short);
    }

    #[test]
    fn a_rate_of_zero_changes_nothing() {
        let values = masked(&Dropout::new(0.0, 1, 0, "embedding"), 3);
        assert!(values.iter().all(|value| *value == 1.0));
    }
}
