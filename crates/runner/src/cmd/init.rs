//! `homebench init`: a model's initial weights, by variable path.

use super::model_file::ModelFile;
use super::output_path::output_path;
use crate::cell::write_tensors;
use anyhow::Result;
use candle_core::{DType, Device};
use clap::Args;
use homebench_model::{BuildContext, VarBuilder};
use std::path::PathBuf;
use std::process::ExitCode;

/// Write the initial weights of a model, by variable path
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  homebench init --model model.toml --input-dim 64 --seed 1 --weights w.safetensors")]
pub(super) struct InitArguments {
    /// The architecture, its tasks, groups and knobs
    #[arg(long, value_name = "TOML")]
    model: PathBuf,
    /// Width of the model's input
    #[arg(long, value_name = "D")]
    input_dim: usize,
    /// Seed of the initial values
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write the weights
    #[arg(long, value_name = "SAFETENSORS")]
    weights: PathBuf,
}

impl InitArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let file = ModelFile::read(&self.model)?;
        let weights = output_path(&self.weights, &[&self.model])?;
        let vb = VarBuilder::from_seed(self.seed, DType::F32, &Device::Cpu);
        let context = BuildContext {
            layout: &file.layout,
            input_dim: self.input_dim,
            num_embedded: file.columns.num_embedded,
            input_per_task: false,
            columns: file.columns.columns(),
            after: &file.columns.after,
        };
        file.config
            .build(&context, &vb)
            .map_err(|error| file.refuse(&error))?;
        write_tensors(&weights, &vb.finish()?.snapshot()?)?;
        Ok(ExitCode::SUCCESS)
    }
}
