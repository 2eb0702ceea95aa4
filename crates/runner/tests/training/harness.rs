//! What these trainings have in common: data that needs no files, small models, settings, and who looks on.

use homebench_data::{self as data, DatasetRef, Places, Prepared, Quiet};
use homebench_model::ModelConfig;
use homebench_train::{
    self as train, CellResult, CellSettings, Keeper, MetricChoice, Observer, Progress,
    SelectionConfig, TrainError, TrainingConfig,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::sync::LazyLock;

static SELECTION: LazyLock<SelectionConfig> = LazyLock::new(SelectionConfig::default);
static METRICS: LazyLock<MetricChoice> = LazyLock::new(MetricChoice::default);

/// Looks at nothing.
pub(crate) struct Unseen;

impl Observer for Unseen {
    fn progress(&mut self, _: &Progress) {}
}

/// Keeps what it is given, and counts steps.
#[derive(Default)]
pub(crate) struct Kept {
    file: Option<File>,
    pub(crate) steps: usize,
    pub(crate) refused: Option<String>,
}

impl Keeper for Kept {
    fn key(&self) -> &str {
        "training"
    }

    fn is_due(&mut self, _: usize) -> bool {
        self.steps += 1;
        false
    }

    fn keep(&mut self, fill: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<()>) {
        let mut file = tempfile::tempfile().unwrap();
        fill(&mut file).unwrap();
        self.file = Some(file);
    }

    fn kept(&mut self) -> Option<File> {
        let mut file = self.file.as_ref()?.try_clone().unwrap();
        file.rewind().unwrap();
        Some(file)
    }

    fn refused(&mut self, why: &str) {
        self.refused = Some(why.to_owned());
    }

    fn is_stopping(&self) -> bool {
        false
    }
}

/// Opens a source that makes its rows up.
pub(crate) fn made_up(reference: &DatasetRef) -> Prepared {
    let descriptions = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
    let places = Places::resolve(Some(&descriptions), None, None);
    data::open(reference, &places, &mut Quiet).expect("the embedded source opens")
}

/// A model of experts of four units, or what stands for these in it.
pub(crate) fn small_model((name, knobs): (&str, &str)) -> ModelConfig {
    let widths = match name {
        "logistic" => "",
        _ => "expert_dims = [4]\ntower_dims = [3]\n",
    };
    let knobs = format!("{widths}{knobs}").parse().unwrap();
    ModelConfig::from_table(name, &knobs).unwrap()
}

/// Of seed 1, with the default of everything else.
pub(crate) fn settings(training: &TrainingConfig) -> CellSettings<'_> {
    static NO_COHORTS: BTreeMap<String, train::Cohort> = BTreeMap::new();
    CellSettings {
        training,
        selection: &SELECTION,
        metrics: &METRICS,
        cohorts: &NO_COHORTS,
        last_epoch: None,
        seed: 1,
        start: None,
        freeze: &[],
        distill: None,
    }
}

/// Trains on the processor.
pub(crate) fn train(
    dataset: Prepared,
    model: &ModelConfig,
    settings: &CellSettings<'_>,
    keeper: &mut dyn Keeper,
) -> Result<CellResult, TrainError> {
    let device = candle_core::Device::Cpu;
    train::train(dataset, model, settings, None, &device, &mut Unseen, keeper)
}

/// The values of each variable, by path.
pub(crate) fn values(result: &CellResult) -> BTreeMap<String, Vec<f32>> {
    let of = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
    let weights = result.weights.iter();
    weights
        .map(|(path, tensor)| (path.clone(), of(tensor)))
        .collect()
}
