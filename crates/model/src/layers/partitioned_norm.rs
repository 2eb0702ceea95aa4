//! Partitioned normalisation (STAR, arXiv:2101.11427): `gamma * gamma_s (x - mean_s) / sqrt(variance_s + 1e-5) + beta + beta_s`, with the
//! statistics of the rows of scenario s.
//!
//! Rows of no known scenario have gamma and beta alone, and the statistics of all rows. A scenario with one row in a batch has no variance
//! there: it is normalised by its running statistics, which stay. They stay too where it has no row.

use crate::ModelError;
use crate::scenario::{ScenarioRows, repeated};
use crate::var_builder::{Init, VarBuilder};
use candle_core::{Result, Tensor};
use homebench_kernels::Parameter;
use homebench_kernels::stacked_mlp::{BATCH_NORM_MOMENTUM, NORM_EPSILON};

/// A mean and a variance.
struct Statistics {
    mean: Tensor,
    variance: Tensor,
}

/// The same, of training so far.
struct Running {
    mean: Parameter,
    variance: Parameter,
}

/// See the module.
pub(crate) struct PartitionedNorm {
    scale: Parameter,
    shift: Parameter,
    scenario_scale: Parameter,
    scenario_shift: Parameter,
    of_all: Running,
    of_scenarios: Running,
    num_scenarios: usize,
}

impl PartitionedNorm {
    pub(crate) fn new(
        width: usize,
        num_scenarios: usize,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let [one, zero] = [1.0, 0.0].map(Init::Constant);
        let each = (num_scenarios, width);
        Ok(Self {
            scale: vb.get(width, "weight", one)?,
            shift: vb.get(width, "bias", zero)?,
            scenario_scale: vb.get(each, "scenario_weight", one)?,
            scenario_shift: vb.get(each, "scenario_offset", zero)?,
            of_all: Running {
                mean: vb.statistic(width, "running_mean", zero)?,
                variance: vb.statistic(width, "running_var", one)?,
            },
            of_scenarios: Running {
                mean: vb.statistic(each, "scenario_running_mean", zero)?,
                variance: vb.statistic(each, "scenario_running_var", one)?,
            },
            num_scenarios,
        })
    }

    /// # Shapes
    /// - xs, result: [batch, width]
    pub(crate) fn forward_t(
        &self,
        xs: &Tensor,
        rows: &ScenarioRows,
        train: bool,
    ) -> Result<Tensor> {
        let (scale, shift) = (self.scale.tensor(), self.shift.tensor());
        let count = self.num_scenarios;
        let scales = (repeated(scale, count)? * self.scenario_scale.tensor())?;
        let shifts = (repeated(shift, count)? + self.scenario_shift.tensor())?;
        let of_all = self.of_all(xs, rows, train)?;
        let of_scenarios = self.of_scenarios(xs, rows, train)?;
        let pick = |first: &Tensor, others: &Tensor| {
            rows.pick(&Tensor::cat(&[&first.unsqueeze(0)?, others], 0)?)
        };
        let centred = (xs - pick(&of_all.mean, &of_scenarios.mean)?)?;
        let variance = pick(&of_all.variance, &of_scenarios.variance)?;
        let normalised = (centred / (variance + NORM_EPSILON)?.sqrt()?)?;
        (normalised * pick(scale, &scales)?)? + pick(shift, &shifts)?
    }

    /// What rows of no known scenario are normalised by, `[width]`.
    fn of_all(&self, xs: &Tensor, rows: &ScenarioRows, train: bool) -> Result<Statistics> {
        let before = self.of_all.values()?;
        let num_rows = xs.dim(0)?;
        if !train || self.of_all.is_frozen() || num_rows < 2 {
            return Ok(before);
        }
        // Without such a row they are for evaluation alone.
        let xs = match rows.has_unknown() {
            true => xs.clone(),
            false => xs.detach(),
        };
        let zeros = rows.ids.zeros_like()?;
        let mean_of = |values: &Tensor| -> Result<Tensor> {
            let none = values.narrow(0, 0, 1)?.zeros_like()?;
            none.index_add(&zeros, values, 0)? / num_rows as f64
        };
        let mean = mean_of(&xs)?;
        let centred = (&xs - mean.contiguous()?.index_select(&zeros, 0)?)?;
        let batch = Statistics {
            variance: mean_of(&centred.sqr()?)?.squeeze(0)?,
            mean: mean.squeeze(0)?,
        };
        let unbiased = (&batch.variance * (num_rows as f64 / (num_rows as f64 - 1.0)))?;
        self.of_all.set(
            &moved(&before.mean, &batch.mean)?,
            &moved(&before.variance, &unbiased)?,
        )?;
        Ok(batch)
    }

    /// What rows of each scenario are normalised by, [scenarios, width].
    fn of_scenarios(&self, xs: &Tensor, rows: &ScenarioRows, train: bool) -> Result<Statistics> {
        let before = self.of_scenarios.values()?;
        if !train || self.of_scenarios.is_frozen() {
            return Ok(before);
        }
        let (_, width) = xs.dims2()?;
        let counts: Vec<f64> = (1..=self.num_scenarios)
            .map(|group| rows.groups.num_rows_of(group) as f64)
            .collect();
        // One number a scenario, in each of its units.
        let each = |of: &dyn Fn(f64) -> f64| {
            let values: Vec<f64> = (counts.iter())
                .flat_map(|count| std::iter::repeat_n(of(*count), width))
                .collect();
            let values = Tensor::from_vec(values, (self.num_scenarios, width), xs.device())?;
            values.to_dtype(xs.dtype())
        };
        let sizes = each(&|count| count.max(1.0))?;
        let reads_batch = each(&|count| f64::from(u8::from(count >= 2.0)))?;
        let stays = each(&|count| f64::from(u8::from(count < 2.0)))?;
        let unbiased = each(&|count| count.max(2.0) / (count.max(2.0) - 1.0))?;
        let none = Tensor::zeros((self.num_scenarios + 1, width), xs.dtype(), xs.device())?;
        let means_of = |values: &Tensor| -> Result<Tensor> {
            let sums = none.index_add(&rows.ids, values, 0)?;
            sums.narrow(0, 1, self.num_scenarios)? / &sizes
        };
        let choose = |batch: &Tensor, before: &Tensor| (batch * &reads_batch)? + (before * &stays)?;
        let mean = choose(&means_of(xs)?, &before.mean)?;
        let whole = Tensor::cat(&[&none.narrow(0, 0, 1)?, &mean], 0)?;
        let squares = (xs - rows.pick(&whole)?)?.sqr()?;
        let variance = choose(&means_of(&squares)?, &before.variance)?;
        let new_variance = moved(&before.variance, &(&variance * unbiased)?)?;
        self.of_scenarios.set(
            &choose(&moved(&before.mean, &mean)?, &before.mean)?,
            &choose(&new_variance, &before.variance)?,
        )?;
        Ok(Statistics { mean, variance })
    }
}

/// Running statistics after those of a batch, apart from candle's graph.
fn moved(before: &Tensor, batch: &Tensor) -> Result<Tensor> {
    (before * (1.0 - BATCH_NORM_MOMENTUM))? + (batch.detach() * BATCH_NORM_MOMENTUM)?
}

impl Running {
    fn is_frozen(&self) -> bool {
        self.mean.is_frozen() || self.variance.is_frozen()
    }

    /// Copies: the variables change in place.
    fn values(&self) -> Result<Statistics> {
        Ok(Statistics {
            mean: self.mean.tensor().detach().copy()?,
            variance: self.variance.tensor().detach().copy()?,
        })
    }

    fn set(&self, mean: &Tensor, variance: &Tensor) -> Result<()> {
        self.mean.var().set(&mean.detach())?;
        self.variance.var().set(&variance.detach())
    }
}
