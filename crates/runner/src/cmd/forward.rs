//! `homebench forward`: a model's logits, gate weights and expert outputs for given weights and inputs, so that anyone can check
//! this implementation against another.

use super::model_file::ModelFile;
use super::output_path::output_path;
use crate::cell::{read_tensors, write_tensors};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use clap::Args;
use homebench_diagnostic::Diagnostic;
use homebench_kernels::{Parameter, Precision, Role, set_precision};
use homebench_model::{BuildContext, Trace, VarBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write a model's logits, gate weights and expert outputs for given weights and inputs
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  homebench forward --model model.toml --weights w.safetensors --inputs x.safetensors --outputs y.safetensors

The inputs hold `x` [batch, width], and `scenarios` [batch] where the model has weights for each: whole numbers from 1 to \
num_scenarios, 0 of none of them. The outputs hold `logits` [batch, tasks], in the order of the model's tasks, `gate/<path>` \
[batch, experts seen] and `expert/<path>` [experts, batch, width], all f32.")]
pub(super) struct ForwardArguments {
    /// The architecture, its tasks, groups and knobs
    #[arg(long, value_name = "TOML")]
    model: PathBuf,
    /// Weights by variable path, as `homebench init` and a cell write them
    #[arg(long, value_name = "SAFETENSORS")]
    weights: PathBuf,
    /// A file with the tensor `x`
    #[arg(long, value_name = "SAFETENSORS")]
    inputs: PathBuf,
    /// Where to write the results
    #[arg(long, value_name = "SAFETENSORS")]
    outputs: PathBuf,
    /// Use the batch's statistics in batch norm, as in training, instead of the running ones
    #[arg(long)]
    train: bool,
    /// How factors of products are rounded, as `precision` under [training]
    #[arg(long, value_name = "NAME", default_value = "f32", value_parser = ["f32", "bf16", "bf16x3"])]
    precision: String,
}

impl ForwardArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let file = ModelFile::read(&self.model)?;
        let written = output_path(&self.outputs, &[&self.model, &self.weights, &self.inputs])?;
        let mut inputs = load(&self.inputs)?;
        let Some(xs) = inputs.remove("x").filter(|xs| xs.rank() == 2) else {
            let message = "expected a tensor `x` of two dimensions, [batch, width]";
            return Err(Diagnostic::new(self.inputs.display().to_string(), message).into());
        };
        let xs = xs.to_dtype(DType::F32)?;
        let scenarios = inputs.remove("scenarios");
        let (num_rows, width) = xs.dims2()?;
        if num_rows == 0 || width == 0 {
            let what = if num_rows == 0 {
                "no rows"
            } else {
                "rows of width 0"
            };
            return Err(self
                .refuse_inputs(format!("x has {what}"))
                .hint("give one row or more: [batch, width]")
                .into());
        }
        if let Some(named) = file.columns.width().filter(|named| *named != width) {
            return Err(self
                .refuse_inputs(format!(
                    "x has width {width}, the features of the model {named}"
                ))
                .hint("give each feature in `features` its width")
                .into());
        }
        let weights = load(&self.weights)?;
        let vb = VarBuilder::from_weights(weights.clone(), DType::F32, &Device::Cpu);
        let context = BuildContext {
            layout: &file.layout,
            input_dim: width,
            // The input is given as it would come out of the tables.
            num_embedded: file.columns.num_embedded,
            input_per_task: false,
            columns: file.columns.columns(),
            after: &file.columns.after,
        };
        let built = (file.config.build(&context, &vb)).and_then(|model| Ok((model, vb.finish()?)));
        let (model, variables) = built.map_err(|error| match width_of(&weights, &file) {
            Some(other) if other != width => self
                .refuse_inputs(format!("x has width {width}, the weights are for {other}"))
                .hint(format!("give inputs of width {other}, or weights of `homebench init --input-dim {width}`")),
            _ => file.refuse(&error),
        })?;
        // A variance of one row is 0, and batch norm would divide by its epsilon alone.
        let is_statistic = |parameter: &Parameter| parameter.role() == Role::Statistic;
        if self.train && xs.dim(0)? == 1 && variables.parameters().iter().any(is_statistic) {
            let message = "`x` has one row, and batch norm in training needs at least 2";
            return Err(Diagnostic::new(self.inputs.display().to_string(), message)
                .hint("give more rows, or leave out --train")
                .into());
        }
        set_precision(match self.precision.as_str() {
            "bf16" => Precision::Bf16,
            "bf16x3" => Precision::Bf16x3,
            _ => Precision::F32,
        });
        let mut trace = Trace::default();
        let mut pass = || model.forward_t(&xs, self.train, Some(&mut trace));
        let logits = match model.scenarios() {
            Some(slot) => {
                let ids = self.scenarios(scenarios, num_rows, slot.num_scenarios())?;
                slot.during(&ids, pass)?
            }
            None => pass()?,
        };
        let mut outputs = BTreeMap::from([("logits".to_string(), logits)]);
        let gates = trace
            .gates
            .into_iter()
            .map(|gate| (format!("gate/{}", gate.path), gate.weights));
        let experts = trace
            .experts
            .into_iter()
            .map(|set| (format!("expert/{}", set.path), set.outputs));
        outputs.extend(gates.chain(experts));
        write_tensors(&written, &outputs)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The scenario of each row.
    fn scenarios(
        &self,
        given: Option<Tensor>,
        num_rows: usize,
        num_scenarios: usize,
    ) -> Result<Vec<u32>> {
        let refuse = |message: String| {
            self.refuse_inputs(message).hint(format!(
                "give the scenario of each row: {num_rows} whole numbers from 1 to {num_scenarios}, 0 where it is none of them"
            ))
        };
        let Some(given) = given.filter(|given| given.dims() == [num_rows]) else {
            let message = format!("expected a tensor `scenarios` of {num_rows} numbers");
            return Err(refuse(message).into());
        };
        let ids = given.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let is_one = |id: &f64| id.fract() == 0.0 && (0.0..=num_scenarios as f64).contains(id);
        if let Some(row) = ids.iter().position(|id| !is_one(id)) {
            let message = format!("row {row} of `scenarios` is {}", ids[row]);
            return Err(refuse(message).into());
        }
        Ok(ids.into_iter().map(|id| id as u32).collect())
    }

    fn refuse_inputs(&self, message: String) -> Diagnostic {
        Diagnostic::new(self.inputs.display().to_string(), message)
    }
}

/// The width of the inputs that a model's weights are for; none where they are not this model's whatever the width.
fn width_of(weights: &BTreeMap<String, Tensor>, file: &ModelFile) -> Option<usize> {
    let widths = weights.values().flat_map(|tensor| tensor.dims().to_vec());
    // Each width that any weight has: which of them is the input's depends on the architecture.
    let widths: BTreeSet<usize> = widths.filter(|width| *width > 0).collect();
    widths.into_iter().find(|width| {
        let vb = VarBuilder::from_weights(weights.clone(), DType::F32, &Device::Cpu);
        let context = BuildContext {
            layout: &file.layout,
            input_dim: *width,
            num_embedded: file.columns.num_embedded,
            input_per_task: false,
            columns: file.columns.columns(),
            after: &file.columns.after,
        };
        file.config.build(&context, &vb).is_ok() && vb.finish().is_ok()
    })
}

fn load(path: &Path) -> Result<BTreeMap<String, Tensor>, Diagnostic> {
    read_tensors(
        path,
        "can't read as safetensors",
        "expected a file as `homebench init` or the safetensors packages write it",
    )
}
