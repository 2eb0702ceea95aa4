//! How tasks run their cells.

use super::ClusterRun;
use anyhow::Result;
use homebench_data::Places;
use homebench_experiment::spec::{Limits, predicted_split};
use homebench_train::{Device, SplitName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How a task runs its cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskWork {
    pub(crate) threads: usize,
    pub(crate) retries: usize,
    pub(crate) device: String,
    /// The folder in which the run was started: commands of variants, and their files, are from there.
    pub(crate) started_in: PathBuf,
    pub(crate) descriptions: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) cache: PathBuf,
    pub(crate) checked_data: BTreeMap<String, String>,
    pub(crate) predictions: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time_limit_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_limit_bytes: Option<u64>,
    pub(crate) checkpoint_every_seconds: f64,
    pub(crate) tensorboard: bool,
    /// Whether a node with another processor than the first is to refuse.
    pub(crate) same_processors: bool,
    /// After so long without a word a task counts as lost.
    pub(crate) silence_seconds: f64,
}

impl TaskWork {
    /// What a run asks of its tasks, with paths that mean the same everywhere.
    ///
    /// # Errors
    /// The folder that this process is in is gone.
    pub(super) fn of_run(run: &ClusterRun) -> Result<Self> {
        let local = &run.local;
        let absolute = |path: &PathBuf| std::path::absolute(path);
        Ok(Self {
            threads: local.threads,
            retries: run.retries,
            device: local.device.to_string(),
            started_in: std::env::current_dir()?,
            descriptions: absolute(&local.places.descriptions)?,
            data: absolute(&local.places.data)?,
            cache: absolute(&local.places.cache)?,
            checked_data: local.checked_data.clone(),
            predictions: local
                .predictions
                .iter()
                .map(|split| split.name().to_owned())
                .collect(),
            time_limit_seconds: local.limits.time.map(|time| time.as_secs_f64()),
            memory_limit_bytes: local.limits.memory_bytes,
            checkpoint_every_seconds: local.checkpoint_every.as_secs_f64(),
            tensorboard: local.tensorboard,
            same_processors: run.settings.same_processors,
            silence_seconds: run.settings.silence.as_secs_f64(),
        })
    }

    pub(crate) fn places(&self) -> Places {
        Places {
            descriptions: self.descriptions.clone(),
            data: self.data.clone(),
            cache: self.cache.clone(),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            time: self.time_limit_seconds.map(Duration::from_secs_f64),
            memory_bytes: self.memory_limit_bytes,
        }
    }

    pub(crate) fn device(&self) -> Result<Device, String> {
        self.device.parse()
    }

    pub(crate) fn predicted(&self) -> Vec<SplitName> {
        let names = self.predictions.iter();
        names.filter_map(|name| predicted_split(name)).collect()
    }

    pub(crate) fn silence(&self) -> Duration {
        Duration::from_secs_f64(self.silence_seconds)
    }
}
