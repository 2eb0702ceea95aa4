//! What training a cell fills at least, before anything of it is built.

use super::Budget;
use crate::spec::CellContent;
use homebench_data::Summary;
use homebench_diagnostic::Diagnostic;

/// A trained number's value, its gradient, and the best value so far. What an optimiser keeps comes on top.
const BYTES_PER_PARAMETER: u64 = 3 * 4;
/// A computed number and its gradient.
const BYTES_PER_ACTIVATION: u64 = 2 * 4;

/// The least memory of a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryNeed {
    variant: String,
    /// Trainable numbers, embeddings included.
    pub parameters: usize,
    of_model: u64,
    of_batch: u64,
    batch_rows: usize,
}

impl MemoryNeed {
    /// What a cell that costs this needs on this data.
    pub fn new(content: &CellContent, cost: Budget, data: &Summary) -> Self {
        // No batch has more rows than there are.
        let batch_rows = content.training.batch_size.min(data.train.rows);
        let numbers = (batch_rows as u64).saturating_mul(cost.activations_per_row as u64);
        Self {
            variant: content.variant.clone(),
            parameters: cost.parameters,
            of_model: (cost.parameters as u64).saturating_mul(BYTES_PER_PARAMETER),
            of_batch: numbers.saturating_mul(BYTES_PER_ACTIVATION),
            batch_rows,
        }
    }

    /// Bytes, at least.
    pub fn bytes(&self) -> u64 {
        self.of_model.saturating_add(self.of_batch)
    }

    /// Checks that so many cells like this one at once have room.
    ///
    /// # Errors
    /// More than a machine with this memory has, with the knob that makes it so.
    pub fn check(&self, memory_bytes: u64, jobs: usize) -> Result<(), Diagnostic> {
        let needed = self.bytes().saturating_mul(jobs.max(1) as u64);
        if needed <= memory_bytes {
            return Ok(());
        }
        let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
        let (what, mend) = match () {
            () if self.bytes() <= memory_bytes => (
                format!("{jobs} cells at once"),
                "run fewer at once with `--jobs`",
            ),
            () if self.of_batch > self.of_model => (
                format!("batches of {} rows", self.batch_rows),
                "make `training.batch_size` smaller",
            ),
            () => (
                format!("{} parameters", self.parameters),
                "make `training.embedding_dim` or the widths of the variant smaller",
            ),
        };
        let message = format!(
            "{what} need at least {} of memory, and this machine has {}",
            gigabytes(if self.bytes() > memory_bytes {
                self.bytes()
            } else {
                needed
            }),
            gigabytes(memory_bytes)
        );
        Err(Diagnostic::new(format!("variants.{}", self.variant), message).hint(mend))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knob_that_needs_the_memory_is_blamed() {
        let need = |of_model, of_batch| MemoryNeed {
            variant: "home".into(),
            parameters: 7,
            of_model,
            of_batch,
            batch_rows: 4096,
        };
        let check = |of_model, of_batch, jobs| {
            need(of_model, of_batch)
                .check(8_000_000_000, jobs)
                .map_err(|said| said.to_string())
        };
        assert_eq!(check(2_000_000_000, 2_000_000_000, 2), Ok(()));
        let said = |what: &str, mend: &str| {
            Err(format!(
                "variants.home: {what} of memory, and this machine has 8.0 GB\nhint: {mend}"
            ))
        };
        assert_eq!(
            check(2_000_000_000, 2_000_000_000, 3),
            said(
                "3 cells at once need at least 12.0 GB",
                "run fewer at once with `--jobs`"
            )
        );
        let smaller_batch = "make `training.batch_size` smaller";
        assert_eq!(
            check(2_000_000_000, 7_000_000_000, 3),
            said("batches of 4096 rows need at least 9.0 GB", smaller_batch)
        );
        assert_eq!(
            check(9_000_000_000, u64::MAX, 1),
            said(
                "batches of 4096 rows need at least 18446744073.7 GB",
                smaller_batch
            )
        );
        assert_eq!(
            check(9_000_000_000, 1, 1),
            said(
                "7 parameters need at least 9.0 GB",
                "make `training.embedding_dim` or the widths of the variant smaller"
            )
        );
    }
}
