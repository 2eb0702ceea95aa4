//! What a model's towers read in a pass, for whoever compares it with another model's.

use candle_core::{Result, Tensor};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The features of every task in one pass.
#[derive(Debug, Clone)]
pub struct TaskFeatures {
    outputs: Tensor,
    sources: Vec<usize>,
}

impl TaskFeatures {
    /// Those of a task, [batch, width], in candle's graph.
    ///
    /// # Errors
    /// There is no such task.
    pub fn of_task(&self, task: usize) -> Result<Tensor> {
        match self.sources.get(task) {
            Some(source) => self.outputs.get(*source),
            None => candle_core::bail!("features of task {task} among {}", self.sources.len()),
        }
    }
}

/// Where a model leaves the features that its towers read, while somebody wants them.
#[derive(Debug)]
pub struct FeatureTap {
    width: usize,
    sources: Vec<usize>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed,
    Open,
    Filled(Tensor),
}

impl FeatureTap {
    /// Task t has the features `sources[t]`, of this width.
    pub(crate) fn new(width: usize, sources: Vec<usize>) -> Self {
        Self {
            width,
            sources,
            state: Mutex::new(State::Closed),
        }
    }

    /// Units of a task's features.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Lets features by, [outputs, batch, width].
    pub(crate) fn pass(&self, outputs: &Tensor) {
        let mut state = self.state();
        if let State::Open = *state {
            *state = State::Filled(outputs.clone());
        }
    }

    /// What a pass of the model gives, and the features that it had. Passes without it keep nothing.
    ///
    /// # Errors
    /// That of the pass; a pass of another model.
    pub fn during<T, E: From<candle_core::Error>>(
        &self,
        pass: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<(T, TaskFeatures), E> {
        *self.state() = State::Open;
        let given = pass();
        let left = std::mem::replace(&mut *self.state(), State::Closed);
        let given = given?;
        let State::Filled(outputs) = left else {
            let error = candle_core::Error::Msg("no features came by".to_owned());
            return Err(error.bt().into());
        };
        let sources = self.sources.clone();
        Ok((given, TaskFeatures { outputs, sources }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
