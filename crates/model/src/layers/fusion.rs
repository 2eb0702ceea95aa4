//! M3oE's two levels of fusion: how the experts of scenarios, and those of tasks, are balanced among themselves, and what each of the two
//! counts for a scenario and a task.
//!
//! Weights are sigmoids of learned numbers. One scenario, or one task, has no others to be balanced with and no number for it.

use crate::ModelError;
use crate::ranker::BuildContext;
use crate::scenario::{ScenarioRows, repeated};
use crate::var_builder::{Init, VarBuilder};
use candle_core::{Result, Tensor};
use homebench_kernels::{Parameter, sigmoid, spread, sum_of_rows};

/// As the authors' code starts by default: sigmoid(1) is .73.
const START: Init = Init::Constant(1.0);

/// The numbers of a task.
struct OfTask {
    /// Absent where there is one task.
    balance: Option<Parameter>,
    scenario_fusion: Parameter,
    task_fusion: Parameter,
}

/// See the module.
pub(crate) struct Fusion {
    /// Absent where there is one scenario.
    balance: Option<Parameter>,
    tasks: Vec<OfTask>,
    num_scenarios: usize,
}

impl Fusion {
    /// Numbers at `scenario.balance`, `task.<task>.balance`, `.scenario_fusion` and `.task_fusion`, or where they are shared four of them under
    /// `shared`.
    pub(crate) fn new(
        is_shared: bool,
        context: &BuildContext<'_>,
        num_scenarios: usize,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let tasks = &context.layout.tasks;
        let where_several = |count: usize, vb: &VarBuilder, size: usize, name: &str| {
            let made = (count > 1).then(|| vb.get(size, name, START));
            made.transpose()
        };
        if is_shared {
            let vb = vb.pp("shared");
            let balance = where_several(num_scenarios, &vb, 1, "scenario_balance")?;
            let of_task = OfTask {
                balance: where_several(tasks.len(), &vb, 1, "task_balance")?,
                scenario_fusion: vb.get(1, "scenario_fusion", START)?,
                task_fusion: vb.get(1, "task_fusion", START)?,
            };
            let each = |_: &String| OfTask {
                balance: of_task.balance.clone(),
                scenario_fusion: of_task.scenario_fusion.clone(),
                task_fusion: of_task.task_fusion.clone(),
            };
            return Ok(Self {
                balance,
                tasks: tasks.iter().map(each).collect(),
                num_scenarios,
            });
        }
        let own = vb.of_one_task(true).pp("task");
        let of_task = |task: &String| {
            let vb = own.pp(task);
            Ok::<_, ModelError>(OfTask {
                balance: where_several(tasks.len(), &vb, 1, "balance")?,
                scenario_fusion: vb.get(num_scenarios, "scenario_fusion", START)?,
                task_fusion: vb.get(num_scenarios, "task_fusion", START)?,
            })
        };
        Ok(Self {
            balance: where_several(num_scenarios, &vb.pp("scenario"), num_scenarios, "balance")?,
            tasks: tasks
                .iter()
                .map(of_task)
                .collect::<std::result::Result<_, _>>()?,
            num_scenarios,
        })
    }

    /// What a row's balance among the experts of scenarios is, [batch, scenarios]: the sigmoid of its number for the own one, and the rest in
    /// equal parts for the others. A row of no known scenario has equal parts of all.
    pub(crate) fn of_scenarios(&self, rows: &ScenarioRows) -> Result<Tensor> {
        let Some(balance) = &self.balance else {
            return rows.shares();
        };
        let count = self.num_scenarios;
        let even = Tensor::ones(1, balance.tensor().dtype(), balance.tensor().device())?;
        // Its own is none of them: what is left is all that it has, and one scenario more than others have to share it.
        let even = (even / count as f64)?;
        let share = self.by_row(balance, Some(even), rows)?;
        let (share, own) = (spread(&share, count)?, rows.is_own()?);
        balanced(&share, &own, count)
    }

    /// What the experts of scenarios, [batch, scenarios], and those of tasks, [batch, tasks], count for a task; `balances` is what
    /// [`Self::of_scenarios`] gives.
    pub(crate) fn of_task(
        &self,
        task: usize,
        balances: &Tensor,
        rows: &ScenarioRows,
    ) -> Result<[Tensor; 2]> {
        let (numbers, num_tasks) = (&self.tasks[task], self.tasks.len());
        let fusion = |parameter: &Parameter, width: usize| {
            spread(&self.by_row(parameter, None, rows)?, width)
        };
        let of_scenarios = (fusion(&numbers.scenario_fusion, self.num_scenarios)? * balances)?;
        let flags: Vec<f32> = (0..num_tasks)
            .map(|other| f32::from(u8::from(other == task)))
            .collect();
        let own = Tensor::from_vec(flags, (1, num_tasks), balances.device())?;
        let own = own.to_dtype(balances.dtype())?;
        let shares = match &numbers.balance {
            None => own,
            Some(balance) => {
                let share = sigmoid(balance.tensor())?.unsqueeze(0)?;
                balanced(&spread(&share, num_tasks)?, &own, num_tasks)?
            }
        };
        let shares = repeated(&shares.squeeze(0)?, rows.groups.num_rows())?;
        let of_tasks = (fusion(&numbers.task_fusion, num_tasks)? * shares)?;
        Ok([of_scenarios, of_tasks])
    }

    /// The sigmoid of each row's number, [batch, 1]; of a row of no known scenario `of_unknown`, or the mean of all.
    fn by_row(
        &self,
        numbers: &Parameter,
        of_unknown: Option<Tensor>,
        rows: &ScenarioRows,
    ) -> Result<Tensor> {
        let weights = sigmoid(numbers.tensor())?;
        let weights = match weights.dim(0)? == self.num_scenarios {
            true => weights,
            false => repeated(&weights.squeeze(0)?, self.num_scenarios)?,
        };
        let of_unknown = match of_unknown {
            Some(share) => share,
            None => (sum_of_rows(&weights)? / self.num_scenarios as f64)?,
        };
        rows.pick(&Tensor::cat(&[of_unknown, weights], 0)?.unsqueeze(1)?)
    }
}

/// `share` of the own one, and `(1 - share) / (count - 1)` of each other.
fn balanced(share: &Tensor, own: &Tensor, count: usize) -> Result<Tensor> {
    let rest = (share.affine(-1.0, 1.0)? / (count as f64 - 1.0))?;
    (share * own)? + (rest * own.affine(-1.0, 1.0)?)?
}
