//! Embedded sources of rows: what all of them have in common, and how their rows are written.

use super::feed::{self, Feed, FeedConfig};
use super::packed::{PackedWriter, Widths, Written};
use super::pipeline::pipeline;
use super::two_task::{TwoTask, TwoTaskConfig};
use super::{Batch, CategoricalFeature, Observer, RowSubset, SPLITS};
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

/// The place of a row in all random streams.
pub(super) fn index(split: usize, row: u64) -> u64 {
    // Room for 2^40 rows a split; splits share no number.
    (split as u64) << 40 | row
}

/// Knobs of an embedded source.
#[derive(Debug, Clone, PartialEq)]
pub enum Generated {
    /// The short-video feed.
    Feed(FeedConfig),
    /// Two regressions whose correlation is a knob.
    TwoTask(TwoTaskConfig),
}

impl Generated {
    /// Rows of train, validation and test.
    fn rows(&self) -> [u64; 3] {
        match self {
            Self::Feed(config) => config.rows,
            Self::TwoTask(config) => config.rows,
        }
    }

    /// The column whose values group rows, where there is one.
    pub fn user(&self) -> Option<&'static str> {
        match self {
            Self::Feed(_) => Some(feed::USER),
            Self::TwoTask(_) => None,
        }
    }

    pub(super) fn categorical(&self) -> Vec<CategoricalFeature> {
        match self {
            Self::Feed(config) => config.categorical(),
            Self::TwoTask(_) => Vec::new(),
        }
    }

    pub(super) fn numeric(&self) -> Vec<String> {
        match self {
            Self::Feed(config) => config.numeric(),
            Self::TwoTask(config) => config.numeric(),
        }
    }

    fn num_tasks(&self) -> usize {
        match self {
            Self::Feed(config) => config.tasks.len(),
            Self::TwoTask(_) => 2,
        }
    }

    /// The tasks whose labels are numbers.
    fn regressions(&self) -> Range<usize> {
        match self {
            Self::Feed(_) => 0..0,
            Self::TwoTask(_) => 0..2,
        }
    }

    /// Everything that decides the rows, in a line.
    pub(super) fn canonical(&self) -> String {
        match self {
            Self::Feed(config) => format!("feed {config:?}"),
            Self::TwoTask(config) => format!("two tasks {config:?}"),
        }
    }

    fn generator(&self) -> Generator {
        match self {
            Self::Feed(config) => Generator::Feed(Box::new(Feed::new(config))),
            Self::TwoTask(config) => Generator::TwoTask(TwoTask::new(config)),
        }
    }
}

/// What makes rows.
#[derive(Debug)]
enum Generator {
    Feed(Box<Feed>),
    TwoTask(TwoTask),
}

impl Generator {
    fn rows(&self, split: usize, range: Range<u64>) -> Batch {
        match self {
            Self::Feed(feed) => feed.rows(split, range),
            Self::TwoTask(pair) => pair.rows(split, range),
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
        match self.generator.get_or_init(|| self.config.generator()) {
            Generator::Feed(feed) => {
                let probabilities = feed.probabilities(split, range);
                let of_task = probabilities.iter().skip(task);
                of_task
                    .step_by(self.config.num_tasks())
                    .map(|probability| libm::log(probability / (1.0 - probability)) as f32)
                    .collect()
            }
            Generator::TwoTask(pair) => pair.expected(split, range, task),
        }
    }
}

/// Writes the three splits into `folder`.
pub(super) fn prepare(
    config: &Generated,
    subset: RowSubset,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<[Written; 3], Diagnostic> {
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
            .measuring(config.regressions());
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
