//! Embedded sources of rows: what all of them have in common, and how their rows are written.

use super::click_chain::{ClickChain, ClickChainConfig};
use super::feed::{self, Feed, FeedConfig};
use super::normal_inputs::NormalInputs;
use super::packed::{PackedWriter, Watched, Widths, Written};
use super::pipeline::pipeline;
use super::task_arc::{TaskArc, TaskArcConfig};
use super::task_depths::{TaskDepths, TaskDepthsConfig};
use super::two_task::{TwoTask, TwoTaskConfig};
use super::unit_tasks::UnitTasks;
use super::{Batch, CategoricalFeature, Observer, RowSubset, SPLITS, Task};
use homebench_diagnostic::Diagnostic;
use rayon::prelude::*;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

/// Rows made at a time; fixed, so that files don't depend on the number of threads.
// Of no meaning for the rows themselves: each depends on its index alone.
const BLOCK: usize = 8192;

/// Blocks made before they are written; a bound on memory.
const WAVE: usize = 16;

/// The split whose rows calibrate what generators are made of.
// Behind the three real ones: nothing may be fitted to rows that are scored.
pub(super) const CALIBRATION_SPLIT: usize = 3;

/// The place of a row in all random streams.
pub(super) fn index(split: usize, row: u64) -> u64 {
    // Room for 2^40 rows a split; splits share no number.
    (split as u64) << 40 | row
}

/// The probability of a logit.
pub(super) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}

/// Knobs of an embedded source.
#[derive(Debug, Clone, PartialEq)]
pub enum Generated {
    /// The short-video feed.
    Feed(FeedConfig),
    /// Two regressions whose correlation is a knob.
    TwoTask(TwoTaskConfig),
    /// Tasks that agree the less the further apart they are.
    TaskArc(TaskArcConfig),
    /// Tasks that need features of different depths.
    TaskDepths(TaskDepthsConfig),
    /// Tasks that come one after another.
    ClickChain(ClickChainConfig),
}

impl Generated {
    /// Rows of train, validation and test.
    fn rows(&self) -> [u64; 3] {
        match self {
            Self::Feed(config) => config.rows,
            Self::TwoTask(config) => config.rows,
            Self::TaskArc(config) => config.rows,
            Self::TaskDepths(config) => config.rows,
            Self::ClickChain(config) => config.rows,
        }
    }

    /// The column whose values group rows, where there is one.
    pub fn user(&self) -> Option<&'static str> {
        matches!(self, Self::Feed(_)).then_some(feed::USER)
    }

    /// The feature whose value is the scenario of a row, where there is one.
    pub(super) fn scenario(&self) -> Option<&'static str> {
        match self {
            Self::Feed(config) => config.has_scenarios().then_some(feed::SCENARIO),
            Self::TwoTask(_) | Self::TaskArc(_) | Self::TaskDepths(_) | Self::ClickChain(_) => None,
        }
    }

    pub(super) fn categorical(&self) -> Vec<CategoricalFeature> {
        match self {
            Self::Feed(config) => config.categorical(),
            Self::TwoTask(_) | Self::TaskArc(_) | Self::TaskDepths(_) | Self::ClickChain(_) => {
                Vec::new()
            }
        }
    }

    pub(super) fn numeric(&self) -> Vec<String> {
        match self {
            Self::Feed(config) => config.numeric(),
            Self::TwoTask(config) => NormalInputs::names(config.input_dim),
            Self::TaskArc(config) => NormalInputs::names(config.input_dim),
            Self::TaskDepths(config) => NormalInputs::names(config.input_dim),
            Self::ClickChain(config) => NormalInputs::names(config.input_dim),
        }
    }

    fn num_tasks(&self) -> usize {
        match self {
            Self::Feed(config) => config.tasks.len(),
            Self::TwoTask(_) => 2,
            Self::TaskArc(config) => config.labels.tasks.len(),
            Self::TaskDepths(config) => config.labels.tasks.len(),
            Self::ClickChain(config) => config.tasks.len(),
        }
    }

    /// The tasks whose labels are numbers.
    fn regressions(&self) -> Vec<usize> {
        match self {
            Self::Feed(_) | Self::ClickChain(_) => Vec::new(),
            Self::TwoTask(_) => vec![0, 1],
            Self::TaskArc(config) => config.labels.regressions(),
            Self::TaskDepths(config) => config.labels.regressions(),
        }
    }

    /// Everything that decides the rows, in a line.
    pub(super) fn canonical(&self) -> String {
        match self {
            Self::Feed(config) => format!("feed {config:?}"),
            Self::TwoTask(config) => format!("two tasks {config:?}"),
            Self::TaskArc(config) => format!("task arc {config:?}"),
            Self::TaskDepths(config) => format!("task depths {config:?}"),
            Self::ClickChain(config) => format!("click chain {config:?}"),
        }
    }

    /// Correlations of the tasks' true functions or logits, [tasks, tasks], where any two have one.
    pub(super) fn correlations(&self) -> Option<Vec<Vec<f64>>> {
        let of: Box<dyn Fn(usize, usize) -> f64> = match self {
            Self::Feed(config) => Box::new(|task, other| config.correlation(task, other)),
            Self::TwoTask(config) => Box::new(|task, other| match task == other {
                true => 1.0,
                false => config.correlation,
            }),
            Self::TaskArc(config) => Box::new(|task, other| config.correlation(task, other)),
            Self::TaskDepths(_) | Self::ClickChain(_) => return None,
        };
        let tasks = 0..self.num_tasks();
        let row = |task| tasks.clone().map(|other| of(task, other)).collect();
        Some(tasks.clone().map(row).collect())
    }

    fn generator(&self) -> Generator {
        match self {
            Self::Feed(config) => Generator::Feed(Box::new(Feed::new(config))),
            Self::TwoTask(config) => Generator::TwoTask(TwoTask::new(config)),
            Self::TaskArc(config) => Generator::TaskArc(config.generator()),
            Self::TaskDepths(config) => Generator::TaskDepths(config.generator()),
            Self::ClickChain(config) => Generator::ClickChain(Box::new(ClickChain::new(config))),
        }
    }
}

/// What makes rows.
#[derive(Debug)]
enum Generator {
    Feed(Box<Feed>),
    TwoTask(TwoTask),
    TaskArc(UnitTasks<TaskArc>),
    TaskDepths(UnitTasks<TaskDepths>),
    ClickChain(Box<ClickChain>),
}

impl Generator {
    fn rows(&self, split: usize, range: Range<u64>) -> Batch {
        match self {
            Self::Feed(feed) => feed.rows(split, range),
            Self::TwoTask(pair) => pair.rows(split, range),
            Self::TaskArc(arc) => arc.rows(split, range),
            Self::TaskDepths(depths) => depths.rows(split, range),
            Self::ClickChain(chain) => chain.rows(split, range),
        }
    }

    fn truth(&self, split: usize, range: Range<u64>, task: usize) -> Vec<f32> {
        match self {
            Self::Feed(feed) => feed.true_logits(split, range, task),
            Self::TwoTask(pair) => pair.expected(split, range, task),
            Self::TaskArc(arc) => arc.true_outputs(split, range, task),
            Self::TaskDepths(depths) => depths.true_outputs(split, range, task),
            Self::ClickChain(chain) => chain.true_logits(split, range, task),
        }
    }
}

/// A generator that is built when it is first asked.
#[derive(Debug)]
pub(super) struct LazyGenerator {
    config: Generated,
    // Hidden factors and a calibration: made for who asks for the truth, which training never does.
    generator: OnceLock<Generator>,
}

impl LazyGenerator {
    pub(super) fn new(config: &Generated) -> Self {
        Self {
            config: config.clone(),
            generator: OnceLock::new(),
        }
    }

    /// What a model that knows the truth would put out for a task on these rows: the logit of the label's probability, or the
    /// expected label of a regression.
    pub(super) fn truth(&self, split: usize, range: Range<u64>, task: usize) -> Vec<f32> {
        let generator = self.generator.get_or_init(|| self.config.generator());
        generator.truth(split, range, task)
    }
}

/// Writes the three splits into `folder`.
pub(super) fn prepare(
    config: &Generated,
    tasks: &[Task],
    subset: RowSubset,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<[Written; 3], Diagnostic> {
    let watched = Watched::new(tasks, config.scenario(), &config.categorical());
    let widths = Widths {
        categorical: config.categorical().len(),
        lists: 0,
        numeric: config.numeric().len(),
        labels: config.num_tasks(),
        user: usize::from(config.user().is_some()),
        weight: 0,
    };
    let counts = subset_of(config.rows(), subset);
    super::disk_space::check_room(counts, widths, folder, observer)?;
    let generator = config.generator();
    let total = counts.iter().sum();
    let mut done = 0;
    let mut written = Vec::with_capacity(3);
    for (split, (name, count)) in SPLITS.iter().zip(counts).enumerate() {
        let mut writer = PackedWriter::create(folder.join(format!("{name}.arrow")), widths)?
            .measuring(config.regressions())
            .watching(watched.clone());
        let starts: Vec<u64> = (0..count).step_by(BLOCK).collect();
        // Any range of rows can be made by itself, so blocks are made in parallel and written in
        // order.
        let make = |wave: &[u64]| -> Vec<Batch> {
            let starts = wave.par_iter();
            starts
                .map(|start| generator.rows(split, *start..(start + BLOCK as u64).min(count)))
                .collect()
        };
        pipeline(starts.chunks(WAVE), make, |batches| {
            for batch in &batches {
                writer.append(batch)?;
                done += batch.num_rows as u64;
            }
            observer.progress("making rows", done, total);
            Ok(())
        })?;
        written.push(writer.finish()?);
    }
    Ok(written.try_into().expect("one for each split"))
}

/// The rows of the splits of a part of generated data.
fn subset_of(rows: [u64; 3], subset: RowSubset) -> [u64; 3] {
    let fraction = match subset {
        RowSubset::All => 1.0,
        RowSubset::Fraction(fraction) => fraction,
        // Rows are made, not found: more than the description's are as good.
        RowSubset::TrainRows(train) => train as f64 / rows[0] as f64,
    };
    // A split never becomes empty by being small.
    rows.map(|rows| ((rows as f64 * fraction).round() as u64).max(1))
}
