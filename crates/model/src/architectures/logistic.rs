//! Logistic regression: a linear model per task over one-hot features, the baseline that every table needs.
//!
//! Source: the cross-entropy of `sigmoid(y_t)` makes it a logistic regression; a task with another loss gets a linear model.
//! A one-hot feature's weights are an embedding table one unit wide, so the embedded columns are summed as they are.
//!
//! # Shapes
//! - v: [T, B, D], a task's tables giving it columns of its own, or [B, D]
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::Knobs;
use crate::ranker::{BuildContext, Ranker, Trace};
use crate::registry::Architecture;
use crate::var_builder::{Init, VarBuilder};
use candle_core::{Result, Tensor};
use homebench_kernels::{Parameter, sum_of_rows};

pub(super) const LOGISTIC: Architecture = Architecture {
    name: "logistic",
    title: "Logistic regression",
    paper: "baseline",
    equation: "y_t = sum(v_t) + w_t numeric + b_t",
    knobs: Vec::new,
    build,
    tables: Tables::Weights,
    no_bottom: Some(
        "it is linear in the features of a row, and any interaction makes it another model",
    ),
    layers: &[],
};

/// What a task has beside its tables.
struct Linear {
    /// [numeric features, 1]; absent where there is none.
    weight: Option<Parameter>,
    /// [1].
    bias: Parameter,
}

struct Logistic {
    tasks: Vec<Linear>,
    num_embedded: usize,
    num_numeric: usize,
    input_per_task: bool,
}

fn build(
    _: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let num_numeric = context.input_dim - context.num_embedded;
    let linear = |task: &String| -> std::result::Result<Linear, ModelError> {
        let vb = vb.pp("task").pp(task).pp("linear").of_one_task(true);
        // As its tables start: an untrained model says one half of every row.
        let zero = Init::Constant(0.0);
        Ok(Linear {
            // No variable without a number: it could be neither trained nor counted.
            weight: match num_numeric {
                0 => None,
                _ => Some(vb.get((num_numeric, 1), "weight", zero)?),
            },
            bias: vb.get(1, "bias", zero)?,
        })
    };
    Ok(Box::new(Logistic {
        tasks: context
            .layout
            .tasks
            .iter()
            .map(linear)
            .collect::<std::result::Result<_, _>>()?,
        num_embedded: context.num_embedded,
        num_numeric,
        input_per_task: context.input_per_task,
    }))
}

impl Logistic {
    /// One task's logits, [batch, 1], from its input, [batch, input_dim].
    fn logits(&self, linear: &Linear, xs: &Tensor) -> Result<Tensor> {
        let mut sum = linear
            .bias
            .tensor()
            .broadcast_as((xs.dim(0)?, 1))?
            .contiguous()?;
        if let Some(weight) = &linear.weight {
            // Not as a product, whose order of sums candle leaves to the processor.
            let numeric = xs.narrow(1, self.num_embedded, self.num_numeric)?;
            let terms = numeric.broadcast_mul(&weight.tensor().t()?)?;
            sum = (sum + sum_of_rows(&terms)?)?;
        }
        if self.num_embedded > 0 {
            let embedded = xs.narrow(1, 0, self.num_embedded)?;
            sum = (sum + sum_of_rows(&embedded)?)?;
        }
        Ok(sum)
    }
}

impl Ranker for Logistic {
    fn forward_t(&self, xs: &Tensor, _train: bool, _trace: Option<&mut Trace>) -> Result<Tensor> {
        let task = |(index, linear)| match self.input_per_task {
            true => self.logits(linear, &xs.get(index)?),
            false => self.logits(linear, xs),
        };
        let tasks = self.tasks.iter().enumerate().map(task);
        Tensor::cat(&tasks.collect::<Result<Vec<_>>>()?, 1)
    }

    fn flops_per_row(&self) -> usize {
        2 * self.num_numeric * self.tasks.len()
    }
}

#[cfg(test)]
mod tests {
    use crate::{BuildContext, InputColumns, ModelConfig, TaskGroup, TaskLayout, VarBuilder};
    use candle_core::{DType, Device, Tensor};
    use std::collections::BTreeMap;

    #[test]
    fn embedded_columns_are_summed_and_numeric_ones_weighed_task_by_task() {
        let layout = TaskLayout {
            tasks: vec!["a".into(), "b".into()],
            groups: vec![TaskGroup {
                name: "g".into(),
                tasks: vec![0, 1],
            }],
        };
        let context = BuildContext {
            layout: &layout,
            input_dim: 4,
            num_embedded: 2,
            input_per_task: true,
            columns: InputColumns::default(),
            after: &[],
        };
        let tensor = |values: &[f32], shape: &[usize]| {
            Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
        };
        let weights = BTreeMap::from([
            ("task.a.linear.weight".into(), tensor(&[2.0, -1.0], &[2, 1])),
            ("task.a.linear.bias".into(), tensor(&[0.5], &[1])),
            ("task.b.linear.weight".into(), tensor(&[0.0, 4.0], &[2, 1])),
            ("task.b.linear.bias".into(), tensor(&[-1.0], &[1])),
        ]);
        let vb = VarBuilder::from_weights(weights, DType::F32, &Device::Cpu);
        let model = ModelConfig::from_table("logistic", &toml::Table::new()).unwrap();
        let model = model.build(&context, &vb).unwrap();
        // One row; tables of each task gave other weights for it.
        let xs = tensor(&[0.25, 0.5, 3.0, 1.0, -2.0, 1.0, 3.0, 1.0], &[2, 1, 4]);
        let logits = model.forward_t(&xs, true, None).unwrap();
        // a: .25 + .5 + 2·3 - 1·1 + .5; b: -2 + 1 + 0·3 + 4·1 - 1.
        assert_eq!(logits.to_vec2::<f32>().unwrap(), [[6.25, 2.0]]);
        assert_eq!(model.flops_per_row(), 2 * 2 * 2);
    }
}
