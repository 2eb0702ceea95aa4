//! The resolved content of a cell, and the id that is its hash.

use super::setting::in_name;
use super::{Configured, training};
use homebench_data::seal::FinalPhase;
use homebench_data::{DatasetRef, RowSubset};
use homebench_diagnostic::Diagnostic;
use homebench_model::ModelConfig;
use homebench_results::{CellFolder, Phase, Unusable, parse_kept};
use homebench_train::{
    CellSettings, Cohort, Device, Distillation, MetricChoice, Scoring, SelectionConfig, StartPaths,
    TrainingConfig, carried,
};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

/// Raised when the same content gives other numbers than before; cells of another version are not reused.
pub const NUMERICS_VERSION: u32 = 3;

// 64 bits: among a million cells two have one id with a chance of 3 in 100 million.
const ID_LENGTH: usize = 16;

/// Everything that decides a cell's numbers, with every default written out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellContent {
    /// See [`NUMERICS_VERSION`].
    pub numerics_version: u32,
    /// Name of the variant.
    pub variant: String,
    /// Seed of the cell.
    pub seed: u64,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Whether it is a trial; a cell that says nothing is none.
    #[serde(default, skip_serializing_if = "Phase::is_final")]
    pub phase: Phase,
    /// The epoch after which it ends, before `max_epochs`, where it is on a rung of successive halving below the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_epoch: Option<usize>,
    /// Paths of the variables that training leaves as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// The cell whose selected weights it starts from; absent where all weights are fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<CellStart>,
    /// The cell from whose features it learns; absent where it learns from labels alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distill: Option<CellDistill>,
    /// Which data.
    pub dataset: CellDataset,
    /// Which model.
    pub model: CellModel,
    /// How it is trained.
    #[serde(serialize_with = "without_later_defaults")]
    pub training: TrainingConfig,
    /// By what its epoch is selected; what is left out is at its default.
    #[serde(default, skip_serializing_if = "SelectionConfig::is_default")]
    pub selection: SelectionConfig,
    /// Metrics beside those that every cell has; of a trial, in what rows are ranked where that is selected by.
    #[serde(default, skip_serializing_if = "MetricChoice::is_default")]
    pub metrics: MetricChoice,
    /// Cohorts of rows that are scored by themselves; none for a trial.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cohorts: BTreeMap<String, Cohort>,
}

/// Training settings that every cell writes. The others came after cells had ids: at their defaults they are left out, so that
/// the ids stay what they were.
const ALWAYS_WRITTEN: [&str; 7] = [
    "batch_size",
    "max_epochs",
    "patience",
    "evaluations_per_epoch",
    "learning_rate",
    "weight_decay",
    "embedding_dim",
];

fn without_later_defaults<S: Serializer>(
    config: &TrainingConfig,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let default = training::written(&TrainingConfig::default());
    let mut table = training::written(config);
    table.retain(|key, value| ALWAYS_WRITTEN.contains(&key) || default.get(key) != Some(value));
    table.serialize(serializer)
}

/// Where a cell starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellStart {
    /// The id of another cell, on the same data: by it, all that decides its weights decides this cell's numbers.
    pub cell: String,
    /// Which of its variables; what is left out is at its default, which is every one.
    #[serde(default)]
    pub variables: StartPaths,
}

/// What a cell learns from beside labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellDistill {
    /// The id of another cell, on the same data: by it, all that decides its features decides this cell's numbers.
    pub cell: String,
    /// What is learned.
    pub how: Distillation,
}

/// Which data a cell learns from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellDataset {
    /// Name of the description.
    pub name: String,
    /// The protocol.
    pub protocol: String,
    /// Training rows, where a number of them is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_rows: Option<usize>,
    /// Share of the rows, where one is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// Seed of the split, where it is another than that of the description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_seed: Option<u64>,
    /// Hash of the description and of every source file.
    pub content_hash: String,
    /// Knobs of an embedded source in place of those of its description.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub knobs: toml::Table,
}

/// Which model a cell trains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellModel {
    /// Name in the registry.
    pub name: String,
    /// Every knob.
    pub knobs: toml::Table,
}

impl CellDataset {
    /// The data that `reference` asks for; `protocol` and `content_hash` are what preparation found.
    pub fn new(reference: &DatasetRef, protocol: &str, content_hash: &str) -> Self {
        let (train_rows, fraction) = match reference.rows {
            RowSubset::All => (None, None),
            RowSubset::TrainRows(rows) => (Some(rows), None),
            RowSubset::Fraction(share) => (None, Some(share)),
        };
        Self {
            name: reference.name.clone(),
            protocol: protocol.to_owned(),
            train_rows,
            fraction,
            split_seed: reference.split_seed,
            content_hash: content_hash.to_owned(),
            knobs: reference.knobs.clone(),
        }
    }

    /// What tables call it: its name, with the knobs that are no longer those of its description, such as
    /// `two-task[correlation=0.5]`.
    pub fn title(&self) -> String {
        match self.knobs.is_empty() {
            true => self.name.clone(),
            false => format!("{}[{}]", self.name, self.knobs_in_name()),
        }
    }

    /// The knobs as a part of a name, such as `correlation=0.5`.
    pub fn knobs_in_name(&self) -> String {
        let knobs = self.knobs.iter();
        let parts: Vec<String> = knobs
            .map(|(knob, value)| format!("{knob}={}", in_name(value)))
            .collect();
        parts.join(",")
    }
}

impl CellContent {
    /// The cell of a configuration of the variant `variant` and a seed.
    pub fn new(
        variant: &str,
        configured: &Configured,
        seed: u64,
        phase: Phase,
        device: Device,
        dataset: CellDataset,
        scoring: &Scoring,
        selection: SelectionConfig,
    ) -> Self {
        let scoring = match phase.is_final() {
            true => scoring.clone(),
            false => scoring.of_trials(&selection),
        };
        Self {
            numerics_version: NUMERICS_VERSION,
            variant: variant.to_owned(),
            seed,
            device: device.kind().to_owned(),
            phase,
            dataset,
            model: CellModel {
                name: configured.model.name().to_owned(),
                knobs: configured.model.knobs().clone(),
            },
            training: configured.training.clone(),
            selection,
            last_epoch: None,
            freeze: Vec::new(),
            init_from: None,
            distill: None,
            metrics: scoring.metrics,
            cohorts: scoring.cohorts,
        }
    }

    /// The id of the whole training that it is a part of: cells of one trial on several rungs go on from each other.
    pub fn training_id(&self) -> String {
        let whole = Self {
            last_epoch: None,
            ..self.clone()
        };
        whole.id()
    }

    /// Columns and expressions over columns that have to stay with the rows.
    pub fn carried(&self) -> Vec<&str> {
        carried(&self.metrics, &self.cohorts)
    }

    /// What the trainer is to know, but for the weights that it starts from and its teacher.
    pub fn settings(&self) -> CellSettings<'_> {
        CellSettings {
            training: &self.training,
            selection: &self.selection,
            metrics: &self.metrics,
            cohorts: &self.cohorts,
            last_epoch: self.last_epoch,
            seed: self.seed,
            start: None,
            freeze: &self.freeze,
            distill: None,
        }
    }

    /// The id of the cell that has to be done before it.
    pub fn parent_cell(&self) -> Option<&str> {
        let of_weights = self.init_from.as_ref().map(|start| &start.cell);
        let of_features = self.distill.as_ref().map(|distill| &distill.cell);
        of_weights.or(of_features).map(String::as_str)
    }

    /// Has it another cell before it, where it has one.
    pub(crate) fn set_parent_cell(&mut self, id: &str) {
        if let Some(start) = &mut self.init_from {
            start.cell = id.to_owned();
        }
        if let Some(distill) = &mut self.distill {
            distill.cell = id.to_owned();
        }
    }

    /// The first digits of the content's hash: the same content has the same id however its text was written.
    pub fn id(&self) -> String {
        let table = toml::Table::try_from(self).expect("a cell's content is plain TOML");
        let mut canonical = Vec::new();
        encode(&toml::Value::Table(table), &mut canonical);
        let digest = blake3::hash(&canonical).to_hex();
        digest.as_str()[..ID_LENGTH].to_owned()
    }

    /// The text of `cell.toml`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a cell's content is plain TOML")
    }

    /// Reads the content of a cell.
    ///
    /// # Errors
    /// There is none, or not what [`CellContent::to_toml`] writes.
    pub fn read(folder: &CellFolder) -> Result<Self, Diagnostic> {
        let place = || folder.content().display().to_string();
        let absent = || Diagnostic::new(place(), "no such file");
        Self::read_if_any(folder)?.ok_or_else(absent)
    }

    /// Reads the content of a cell, which may be absent.
    ///
    /// # Errors
    /// Not what [`CellContent::to_toml`] writes, or of a newer homebench.
    pub fn read_if_any(folder: &CellFolder) -> Result<Option<Self>, Unusable> {
        let text = folder.content_text()?;
        text.map(|(file, text)| Self::parse(&file.display().to_string(), &text))
            .transpose()
    }

    /// Reads what a file has of a cell's content.
    ///
    /// # Errors
    /// As of [`Self::read_if_any`].
    pub fn parse(file: &str, text: &str) -> Result<Self, Unusable> {
        Ok(parse_kept(file, text)?.content)
    }

    /// Which data, as the data layer asks for it.
    pub fn dataset_ref(&self) -> DatasetRef {
        let rows = match (self.dataset.train_rows, self.dataset.fraction) {
            (Some(rows), _) => RowSubset::TrainRows(rows),
            (None, Some(share)) => RowSubset::Fraction(share),
            (None, None) => RowSubset::All,
        };
        DatasetRef {
            name: self.dataset.name.clone(),
            protocol: Some(self.dataset.protocol.clone()),
            rows,
            split_seed: self.dataset.split_seed,
            knobs: self.dataset.knobs.clone(),
        }
    }

    /// The permission to read the test split, where the cell is no trial.
    pub fn final_phase(&self) -> Option<FinalPhase> {
        self.phase.is_final().then(FinalPhase::of_a_final_cell)
    }

    /// The model's configuration.
    ///
    /// # Errors
    /// A registry that no longer knows the model or a knob.
    pub fn model_config(&self) -> Result<ModelConfig, homebench_model::ModelError> {
        ModelConfig::from_table(&self.model.name, &self.model.knobs)
    }
}

/// Bytes that two values share only if they are equal: every value with its kind and length, keys in order, numbers
/// by value.
fn encode(value: &toml::Value, out: &mut Vec<u8>) {
    let text = |kind: u8, text: &str, out: &mut Vec<u8>| {
        out.push(kind);
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    match value {
        toml::Value::String(string) => text(b's', string, out),
        toml::Value::Integer(integer) => {
            // Little-endian like every number here, so that an id is the same on every processor.
            out.push(b'i');
            out.extend(integer.to_le_bytes());
        }
        toml::Value::Float(float) => {
            out.push(b'f');
            // -0.0 + 0.0 is 0.0: equal numbers, equal bytes.
            out.extend((float + 0.0).to_bits().to_le_bytes());
        }
        toml::Value::Boolean(boolean) => out.extend([b'b', u8::from(*boolean)]),
        toml::Value::Datetime(datetime) => text(b'd', &datetime.to_string(), out),
        toml::Value::Array(array) => {
            out.push(b'a');
            out.extend((array.len() as u64).to_le_bytes());
            array.iter().for_each(|element| encode(element, out));
        }
        toml::Value::Table(table) => {
            out.push(b't');
            out.extend((table.len() as u64).to_le_bytes());
            // Sorted here: toml keeps the order of the file as soon as any crate of the build asks it to (`preserve_order`).
            let mut keys: Vec<&String> = table.keys().collect();
            keys.sort();
            for key in keys {
                text(b'k', key, out);
                encode(&table[key], out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_train::{BalanceMethod, OptimizerName, PretrainedUse};

    fn cell() -> CellContent {
        CellContent {
            numerics_version: NUMERICS_VERSION,
            variant: "home".into(),
            seed: 1,
            device: "cpu".into(),
            phase: Phase::Final,
            dataset: CellDataset {
                name: "census-income".into(),
                protocol: "torch_rechub".into(),
                train_rows: Some(100),
                fraction: None,
                split_seed: None,
                content_hash: "abc".into(),
                knobs: toml::Table::new(),
            },
            model: CellModel {
                name: "home".into(),
                knobs: toml::from_str("expert_dims = [64, 32]\nrank = 16").unwrap(),
            },
            training: TrainingConfig::default(),
            selection: SelectionConfig::default(),
            last_epoch: None,
            freeze: Vec::new(),
            init_from: None,
            distill: None,
            metrics: MetricChoice::default(),
            cohorts: BTreeMap::new(),
        }
    }

    fn start(cell: &str, path: Option<&str>) -> CellStart {
        CellStart {
            cell: cell.to_owned(),
            variables: StartPaths {
                paths: path.map(|path| vec![path.to_owned()]),
                rename: BTreeMap::new(),
            },
        }
    }

    #[test]
    fn an_id_does_not_depend_on_the_order_of_keys() {
        let mut other = cell();
        other.model.knobs = toml::from_str("rank = 0x10 # hex\nexpert_dims = [ 64,32 ]").unwrap();
        assert_eq!(cell().id(), other.id());
        assert_eq!(cell().id().len(), ID_LENGTH);
    }

    #[test]
    fn every_change_of_content_changes_the_id() {
        let changes: [fn(&mut CellContent); 26] = [
            |cell| cell.seed = 2,
            |cell| cell.variant = "other".into(),
            |cell| cell.device = "cuda".into(),
            |cell| cell.numerics_version += 1,
            |cell| cell.phase = Phase::Tuning,
            |cell| cell.dataset.split_seed = Some(1),
            |cell| cell.dataset.content_hash = "abd".into(),
            |cell| cell.dataset.train_rows = None,
            |cell| cell.dataset.knobs = toml::from_str("correlation = 0.5").unwrap(),
            |cell| cell.metrics.extra = vec![homebench_metric::Metric::PrAuc],
            |cell| cell.metrics.group = Some("session".into()),
            |cell| cell.cohorts = [("tab".into(), Cohort::Expression("tab".into()))].into(),
            |cell| cell.selection.metric = Some(homebench_metric::Metric::Gauc),
            |cell| cell.last_epoch = Some(2),
            |cell| cell.freeze = vec!["embedding".into()],
            |cell| cell.init_from = Some(start("aa", None)),
            |cell| cell.init_from = Some(start("bb", Some("embedding"))),
            |cell| cell.training.learning_rate = 0.002,
            |cell| cell.training.embedding_learning_rate = Some(0.001),
            |cell| cell.training.optimizer = OptimizerName::Adamw,
            |cell| cell.training.pretrained = [("a".to_owned(), PretrainedUse::Frozen)].into(),
            |cell| cell.training.pretrained = [("a".to_owned(), PretrainedUse::Trained)].into(),
            |cell| cell.training.task_weights = [("a".to_owned(), 2.0)].into(),
            |cell| cell.training.balance = BalanceMethod::Uncertainty.defaults(),
            |cell| cell.training.balance = BalanceMethod::Nash.defaults(),
            |cell| cell.model.knobs = toml::from_str("expert_dims = [32, 64]\nrank = 16").unwrap(),
        ];
        let mut ids = std::collections::BTreeSet::from([cell().id()]);
        for change in changes {
            let mut changed = cell();
            change(&mut changed);
            assert!(ids.insert(changed.id()), "{changed:?}");
        }
    }

    #[test]
    fn a_cell_comes_back_from_its_file_with_its_id() {
        let read: CellContent = toml::from_str(&cell().to_toml()).unwrap();
        assert_eq!(read, cell());
        assert_eq!(read.id(), cell().id());
    }

    /// Cells that were run before, each named by the id that it had then.
    #[test]
    fn cells_of_before_keep_their_ids_and_the_keys_that_they_wrote() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cells");
        let mut num_cells = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let cell = CellContent::parse("cell.toml", &text).unwrap();
            assert_eq!(cell.id(), path.file_stem().unwrap().to_string_lossy());
            let written: toml::Table = text.parse().unwrap();
            assert_eq!(toml::Table::try_from(&cell).unwrap(), written);
            num_cells += 1;
        }
        assert_eq!(num_cells, 5);
    }

    #[test]
    fn a_number_and_its_text_are_two_values() {
        let encoded = |value: toml::Value| {
            let mut out = Vec::new();
            encode(&value, &mut out);
            out
        };
        assert_ne!(
            encoded(toml::Value::Integer(1)),
            encoded(toml::Value::Float(1.0))
        );
        assert_eq!(
            encoded(toml::Value::Float(0.0)),
            encoded(toml::Value::Float(-0.0))
        );
        assert_ne!(
            encoded(vec!["ab".to_owned(), "c".to_owned()].into()),
            encoded(vec!["a".to_owned(), "bc".to_owned()].into())
        );
    }
}
