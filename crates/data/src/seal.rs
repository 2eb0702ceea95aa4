//! The proofs that the seal on the test split asks for.
//!
//! Rust can't say that one other crate alone may make a value, so a test of the workspace looks that [`FinalPhase::of_a_final_cell`] and
//! [`FrozenSelection::freeze`] are each called in one place.

/// Proof that a cell is no trial. Only the content of a final cell gives one.
#[derive(Debug)]
// A private field, so that nothing but the function below makes one.
pub struct FinalPhase(());

impl FinalPhase {
    /// For the content of a cell, and only where it is that of a final one.
    pub fn of_a_final_cell() -> Self {
        Self(())
    }
}

/// Proof that nothing is left to choose, hyper-parameters nor epoch; the key to [`crate::SealedSplit::open`].
/// Only the trainer makes one, and only of a cell that is no trial.
#[derive(Debug)]
pub struct FrozenSelection {
    selected_epoch: usize,
    _phase: FinalPhase,
}

impl FrozenSelection {
    /// For the trainer, once the epoch, counted from 1, is chosen.
    pub fn freeze(selected_epoch: usize, phase: FinalPhase) -> Self {
        Self {
            selected_epoch,
            _phase: phase,
        }
    }

    /// The chosen epoch, counted from 1.
    pub fn selected_epoch(&self) -> usize {
        self.selected_epoch
    }
}
