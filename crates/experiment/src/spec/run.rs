//! `[run]`: how cells are run. Nothing here is part of a cell's id, because no number depends on it.

use super::source::Source;
use super::wire::WireRun;
use bytesize::ByteSize;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_train::{Device, SplitName};
use std::time::Duration;

/// How cells are run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// Cells at once; 1 where absent.
    pub jobs: Option<usize>,
    /// Threads of a cell; the cores shared by the jobs where absent.
    pub threads: Option<usize>,
    /// Where tensors are.
    pub device: Device,
    /// How often a cell is started again after its process broke.
    pub retries: usize,
    /// What a cell may use.
    pub limits: Limits,
    /// Least time between two checkpoints of a cell; zero keeps one after every step.
    pub checkpoint_every: Duration,
    /// The splits whose predictions every final cell keeps.
    pub predictions: Vec<SplitName>,
    /// Whether learning curves are written as TensorBoard's event files too.
    pub tensorboard: bool,
}

/// What the process of a cell may use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// From the start of the process.
    pub time: Option<Duration>,
    /// Memory that the process fills itself; pages of mapped files are not counted.
    pub memory_bytes: Option<u64>,
}

/// A minute of training is what a kill costs at most.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            jobs: None,
            threads: None,
            device: Device::default(),
            retries: 0,
            limits: Limits::default(),
            checkpoint_every: CHECKPOINT_EVERY,
            predictions: Vec::new(),
            tensorboard: false,
        }
    }
}

/// The most cells at once, and the most threads of one: more than any machine has cores.
pub const MOST_AT_ONCE: usize = 4096;

/// The splits that are predicted. Nobody asks how well rows are told apart that were learned.
const PREDICTED: [SplitName; 2] = [SplitName::Validation, SplitName::Test];

/// The split of this name, where it is one that is predicted.
pub fn predicted_split(name: &str) -> Option<SplitName> {
    PREDICTED.into_iter().find(|split| split.name() == name)
}

pub(super) fn resolve(wire: &WireRun, source: &Source) -> Result<RunConfig, Diagnostic> {
    let at = RunTable(source);
    let device = match &wire.device {
        None => Device::default(),
        Some(text) => text
            .parse()
            .map_err(|message: String| at.refuse("device", message))?,
    };
    let time = at.seconds("time_limit_seconds", wire.time_limit_seconds)?;
    if time == Some(Duration::ZERO) {
        return Err(at
            .refuse("time_limit_seconds", "expected a time above 0, found 0")
            .hint("leave the key out to set no limit"));
    }
    Ok(RunConfig {
        jobs: at.count("jobs", wire.jobs)?,
        threads: at.count("threads", wire.threads)?,
        device,
        retries: wire.retries.unwrap_or(0),
        limits: Limits {
            time,
            memory_bytes: at.memory("memory_limit_bytes", wire.memory_limit_bytes.as_ref())?,
        },
        checkpoint_every: at
            .seconds("checkpoint_every_seconds", wire.checkpoint_every_seconds)?
            .unwrap_or(CHECKPOINT_EVERY),
        predictions: at.predictions(&wire.predictions)?,
        tensorboard: wire.tensorboard.unwrap_or(false),
    })
}

/// The values of `[run]`, at their places in the spec.
struct RunTable<'a>(&'a Source);

impl RunTable<'_> {
    fn refuse(&self, key: &str, message: impl std::fmt::Display) -> Diagnostic {
        let path = KeyPath::new(["run", key]);
        self.0.at_value(&path, format!("`{path}`: {message}"))
    }

    fn count(&self, key: &str, value: Option<usize>) -> Result<Option<usize>, Diagnostic> {
        match value {
            Some(0) => Err(self.refuse(key, "expected a whole number, 1 or more, found 0")),
            Some(count) if count > MOST_AT_ONCE => {
                let message = format!("expected at most {MOST_AT_ONCE}, found {count}");
                Err(self.refuse(key, message))
            }
            other => Ok(other),
        }
    }

    fn seconds(&self, key: &str, value: Option<f64>) -> Result<Option<Duration>, Diagnostic> {
        value
            .map(|seconds| {
                // Refuses what is negative, infinite or no number.
                Duration::try_from_secs_f64(seconds).map_err(|_| {
                    self.refuse(
                        key,
                        format!("expected a number of seconds, found {seconds}"),
                    )
                })
            })
            .transpose()
    }

    fn predictions(&self, names: &[String]) -> Result<Vec<SplitName>, Diagnostic> {
        let split = |(index, name): (usize, &String)| {
            predicted_split(name).ok_or_else(|| {
                let path = KeyPath::new(["run", "predictions"]).join(index.to_string());
                let message =
                    format!("`run.predictions`: expected `validation` or `test`, found `{name}`");
                let said = self.0.at_value(&path, message);
                said.did_you_mean(name, PREDICTED.map(SplitName::name))
            })
        };
        names.iter().enumerate().map(split).collect()
    }

    fn memory(&self, key: &str, value: Option<&toml::Value>) -> Result<Option<u64>, Diagnostic> {
        let Some(value) = value else {
            return Ok(None);
        };
        let bytes = match value {
            toml::Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            toml::Value::String(text) => text.parse::<ByteSize>().ok().map(|size| size.as_u64()),
            _ => None,
        };
        match bytes {
            // A limit of 0 would end every cell as it starts.
            Some(bytes) if bytes > 0 => Ok(Some(bytes)),
            _ => Err(self
                .refuse(
                    key,
                    format!("expected a number of bytes, or a text with its unit, found {value}"),
                )
                .hint("such as 2147483648, \"2GiB\" or \"500MB\"")),
        }
    }
}
