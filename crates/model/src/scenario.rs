//! Rows by their scenario, for models that have weights for each.

use crate::ModelError;
use crate::ranker::BuildContext;
use candle_core::{Result, Tensor};
use homebench_kernels::grouped::RowGroups;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// No model has weights for more scenarios: a column of more values is a user or an item, and each value would have a network.
pub const MOST_SCENARIOS: usize = 1000;

/// Where a model that has weights for each scenario finds the scenarios of the rows of a pass.
///
/// An id from 1 on is a scenario of training, in the order of the vocabulary. 0 is none of them: a value that training doesn't have, or
/// none at all. Each such model says what it does with a row of id 0.
#[derive(Debug)]
pub struct RowScenarios {
    num_scenarios: usize,
    of_pass: Mutex<Option<RowGroups>>,
}

impl RowScenarios {
    /// # Errors
    /// No scenario is known, or it has no values in training, or more than a model can have weights for.
    pub(crate) fn new(
        model: &str,
        context: &BuildContext<'_>,
    ) -> std::result::Result<Self, ModelError> {
        let refuse = |message: String| Err(ModelError::InvalidLayout { message });
        let Some(feature) = context.columns.scenario else {
            return refuse(format!(
                "`{model}` has weights for each scenario, and the dataset has none; write scenario = \"a_column\" in its description, or \
                 take another model"
            ));
        };
        let name = &context.columns.features[feature].name;
        match context.columns.num_scenarios {
            0 => refuse(format!(
                "`{model}` has weights for each scenario, and no training row has a value of the scenario `{name}`; name a column that \
                 has values there as `scenario`, or lower min_count of its feature"
            )),
            count if count > MOST_SCENARIOS => refuse(format!(
                "`{model}` has weights for each scenario, and `{name}` has {count} values in training; expected at most \
                 {MOST_SCENARIOS}: name a column of fewer values as `scenario`, or raise min_count of its feature"
            )),
            num_scenarios => Ok(Self {
                num_scenarios,
                of_pass: Mutex::new(None),
            }),
        }
    }

    /// Number of scenarios, without that of rows of none.
    pub fn num_scenarios(&self) -> usize {
        self.num_scenarios
    }

    /// What a pass of the model gives on rows of these scenarios.
    ///
    /// # Errors
    /// An id of no scenario, no rows, or that of the pass.
    pub fn during<T, E: From<candle_core::Error>>(
        &self,
        ids: &[u32],
        pass: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let groups = RowGroups::new(ids, self.num_scenarios + 1)?;
        *self.state() = Some(groups);
        let given = pass();
        *self.state() = None;
        given
    }

    /// The rows of a pass, whose input is `xs`, [batch, width].
    pub(crate) fn rows(&self, xs: &Tensor) -> Result<ScenarioRows> {
        let Some(groups) = self.state().clone() else {
            candle_core::bail!("the model needs the scenario of each row, and none was given");
        };
        let num_rows = xs.dim(0)?;
        if groups.num_rows() != num_rows {
            candle_core::bail!("{num_rows} rows have {} scenarios", groups.num_rows());
        }
        Ok(ScenarioRows {
            ids: Tensor::new(groups.of_rows(), xs.device())?,
            one_hot: groups.one_hot(xs.dtype(), xs.device())?,
            groups,
        })
    }

    fn state(&self) -> MutexGuard<'_, Option<RowGroups>> {
        self.of_pass.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The columns of the scenario's embedding.
pub(crate) fn embedding_columns(context: &BuildContext<'_>) -> Range<usize> {
    let scenario = context.columns.scenario;
    scenario.map_or(0..0, |feature| {
        context.columns.features[feature].columns.clone()
    })
}

/// The rows of a pass by their scenario.
pub(crate) struct ScenarioRows {
    /// Group 0 is of rows of no known scenario.
    pub(crate) groups: RowGroups,
    /// The group of each row, `[batch]`, where the pass is.
    pub(crate) ids: Tensor,
    one_hot: Tensor,
}

impl ScenarioRows {
    /// Each row's row of a table, [scenarios + 1, width]: the first is of rows of no known scenario.
    // The gradient of a table's row is a chain over the batch's rows, in their order.
    pub(crate) fn pick(&self, table: &Tensor) -> Result<Tensor> {
        table.contiguous()?.index_select(&self.ids, 0)
    }

    /// 1 in the column of a row's scenario, else 0, [batch, scenarios].
    pub(crate) fn is_own(&self) -> Result<Tensor> {
        let count = self.groups.num_groups() - 1;
        self.one_hot.narrow(1, 1, count)?.contiguous()
    }

    /// 1 for a row of no known scenario, else 0, [batch, 1].
    pub(crate) fn is_unknown(&self) -> Result<Tensor> {
        self.one_hot.narrow(1, 0, 1)?.contiguous()
    }

    /// Whether there is such a row.
    pub(crate) fn has_unknown(&self) -> bool {
        self.groups.num_rows_of(0) > 0
    }

    /// What each scenario counts of a row where nothing is known but its own: 1 for that, and one over their number each for a row of
    /// none, [batch, scenarios].
    pub(crate) fn shares(&self) -> Result<Tensor> {
        let own = self.is_own()?;
        let count = own.dim(1)?;
        let even = (self.is_unknown()? / count as f64)?;
        own + even.broadcast_as((self.groups.num_rows(), count))?
    }
}

/// The same tensor so many times, along a new first dimension.
// By an index, whose gradient is a chain in the order of the copies. candle would sum that of a broadcast in an order of its own.
pub(crate) fn repeated(tensor: &Tensor, count: usize) -> Result<Tensor> {
    let zeros = Tensor::zeros(count, candle_core::DType::U32, tensor.device())?;
    tensor.unsqueeze(0)?.contiguous()?.index_select(&zeros, 0)
}
