//! `.progress.toml`: how a run goes, for whoever looks on from another terminal. It is there only while cells run.

use super::atomic;
use super::layout::ResultsFolder;
use super::regular::read_text;
use serde::{Deserialize, Serialize};

/// How a run goes at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// What its cells are: `experiment`, `trials` or `final cells`.
    pub phase: String,
    /// Cells of the phase that were to be trained.
    pub total: usize,
    /// Cells of the phase that ended, failed ones included.
    pub ended: usize,
    /// Cells of the phase that failed.
    pub failed: usize,
    /// Since the phase began.
    pub elapsed_seconds: f64,
    /// Until the phase ends, about; absent where nothing is known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_seconds: Option<f64>,
    /// Lines that the phase has said.
    pub num_said: usize,
    /// The last of them, oldest first.
    pub said: Vec<String>,
    /// Cells that run, in the order of their starts.
    #[serde(default)]
    pub cells: Vec<CellState>,
}

/// How a cell goes at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CellState {
    /// The cell.
    pub id: String,
    /// What a user calls it.
    pub label: String,
    /// Share of its work that is done, 0 to 1.
    pub done: f64,
    /// What it does where it doesn't train yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Epoch under way, from 1, and the largest number of epochs.
    pub epoch: usize,
    /// Largest number of epochs.
    pub max_epochs: usize,
    /// Speed of training.
    pub rows_per_second: f64,
    /// Mean loss of late.
    pub loss: f64,
    /// Best validation score so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_validation_score: Option<f64>,
    /// At most, since early stopping may end it sooner; absent where nothing is known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_seconds: Option<f64>,
}

impl RunState {
    /// Leaves the state where [`Self::read`] finds it. Best effort: a run that can't be looked at goes on.
    pub fn write(&self, results: &ResultsFolder) {
        let Ok(text) = toml::to_string(self) else {
            return;
        };
        // Not synced: nobody reads it after a power cut.
        let _ = atomic::write_unsynced(&results.progress(), |out| {
            Ok(out.write_all(text.as_bytes())?)
        });
    }

    /// The state of the run that is under way; nothing where none has left any, or where another version of homebench runs, which
    /// may say other things of it. Nothing rests on it.
    pub fn read(results: &ResultsFolder) -> Option<Self> {
        let text = read_text(&results.progress()).ok()??;
        toml::from_str(&text).ok()
    }

    /// Takes away what a run left, also one that was killed.
    pub fn remove(results: &ResultsFolder) {
        let _ = atomic::remove(&results.progress());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        assert_eq!(RunState::read(&results), None);
        let cell = CellState {
            id: "aa".into(),
            label: "home[rank=2]/1".into(),
            stage: Some("making rows".into()),
            ..CellState::default()
        };
        let state = RunState {
            phase: "trials".into(),
            total: 3,
            left_seconds: Some(1.5),
            num_said: 1,
            said: vec!["two\nlines".into()],
            cells: vec![cell],
            ..RunState::default()
        };
        state.write(&results);
        assert_eq!(RunState::read(&results), Some(state));
        RunState::remove(&results);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
