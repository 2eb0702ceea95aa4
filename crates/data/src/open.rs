//! From a reference in a spec to rows: prepare, check, open.

use super::cache::{self, CacheEntry};
use super::carried::{CarriedSplits, with_columns};
use super::described::{folder_of, resolve};
use super::generated::LazyGenerator;
use super::manifest::CategoricalEntry;
use super::predictions::{PredictionLayout, ScoreScale};
use super::schema::{Description, Protocol, Source};
use super::source_files::{self, Located, Trust};
use super::split::{Split, SplitTruth};
use super::table::fitted_files::{FittedNumbers, NUMBERS, VOCABULARIES, texts_of};
use super::table::split_assignment::{TEST, TRAIN, VALIDATION};
use super::{
    CategoricalFeature, DatasetRef, ListFeature, Observer, Origin, Places, Prepared, Schema,
    SealedSplit, SplitSummary, Summary, Task,
};
use crate::expression::Reading;
use crate::schema::Pooling;
use anyhow::Result;
use homebench_diagnostic::{Diagnostic, regular_file};
use std::path::PathBuf;
use std::sync::Arc;

/// Prepares the dataset if its cache isn't there, reads every byte of it, and describes it without opening a split.
///
/// # Errors
/// See [`check`](super::check); source files that are missing or not as described; a cache folder that can't be written.
pub fn prepare(
    reference: &DatasetRef,
    places: &Places,
    observer: &mut dyn Observer,
) -> Result<Summary> {
    let found = Resolved::new(reference, places, Trust::Remembered, observer)?;
    let entry = found.obtain_mapped(observer)?;
    // Said by every run, whether it prepared the data or found them.
    for warning in &entry.manifest.warnings {
        observer.notice(&warning.message);
    }
    Ok(found.summary(&entry))
}

/// Opens a dataset, preparing it first if its cache isn't there. Safe to call from several processes at once.
///
/// # Errors
/// See [`prepare`].
pub fn open(
    reference: &DatasetRef,
    places: &Places,
    observer: &mut dyn Observer,
) -> Result<Prepared> {
    open_checked(reference, places, None, observer)
}

/// As [`open`]; `checked` is the [`CacheHold::identity`](super::CacheHold::identity) of files whose bytes another process has
/// read, which are not read again.
///
/// # Errors
/// See [`prepare`].
pub fn open_checked(
    reference: &DatasetRef,
    places: &Places,
    checked: Option<&str>,
    observer: &mut dyn Observer,
) -> Result<Prepared> {
    let found = Resolved::new(reference, places, Trust::Remembered, observer)?;
    let entry = found.wanted().obtain(checked, None, observer)?;
    match found.open(&entry) {
        Ok(prepared) => Ok(prepared),
        Err(why) => {
            drop(entry);
            let entry = found.wanted().obtain(None, Some(why), observer)?;
            // A file with the right bytes that can't be mapped was changed a moment ago, or another version wrote it. It is
            // made again once; what fails then is told.
            let again = found.open(&entry);
            Ok(again.map_err(|why| Diagnostic::new(entry.folder.display().to_string(), why))?)
        }
    }
}

/// The dataset's files, prepared if they aren't there, and what they hold.
pub(super) fn files(
    reference: &DatasetRef,
    places: &Places,
    observer: &mut dyn Observer,
) -> Result<(CacheEntry, Summary)> {
    let found = Resolved::new(reference, places, Trust::Remembered, observer)?;
    let entry = found.obtain_mapped(observer)?;
    let summary = found.summary(&entry);
    Ok((entry, summary))
}

/// Reads columns of a dataset's rows that are neither inputs nor labels, by name, and keeps them in the cache; they are those of the
/// rows of files, of its joined tables in use, and computed ones. An expression over columns is one of its own, called by its text. Nothing
/// where rows are made by an embedded source.
///
/// # Errors
/// See [`prepare`]; a column that the protocol doesn't have.
pub fn carry(
    reference: &DatasetRef,
    places: &Places,
    columns: &[&str],
    observer: &mut dyn Observer,
) -> Result<Option<CarriedSplits>> {
    let found = Resolved::new(reference, places, Trust::Remembered, observer)?;
    let (name, protocol) = (&found.description.name, &found.protocol);
    let Some((protocol, columns)) = with_columns(name, protocol, columns)? else {
        return Ok(None);
    };
    let columns: Vec<(usize, Reading)> = columns
        .into_iter()
        .map(|column| (column, Reading::Raw))
        .collect();
    let wanted = cache::Wanted {
        protocol: &protocol,
        carried: Some(&columns),
        ..found.wanted()
    };
    Ok(Some(carried_splits(&wanted, observer)?))
}

/// A dataset with the columns by which its predictions name their rows, and the labels of regressions as their column has them.
///
/// # Errors
/// See [`carry`].
pub fn with_prediction_columns(
    prepared: Prepared,
    reference: &DatasetRef,
    places: &Places,
    observer: &mut dyn Observer,
) -> Result<(Prepared, PredictionLayout)> {
    let found = Resolved::new(reference, places, Trust::Remembered, observer)?;
    let layout =
        PredictionLayout::of_protocol(&found.description.name, &found.protocol, &prepared.scales)?;
    let prepared = match &found.protocol.source {
        Source::Table(_) => prepared.with_named(found.carry(layout.carried(), observer)?)?,
        Source::Generated(_) => prepared,
    };
    Ok((prepared, layout))
}

/// The carried columns that are wanted, of every split.
fn carried_splits(
    wanted: &cache::Wanted<'_>,
    observer: &mut dyn Observer,
) -> Result<CarriedSplits, Diagnostic> {
    let mapped = |entry: &CacheEntry| -> Result<CarriedSplits, String> {
        Ok(CarriedSplits {
            rows: [
                entry.map_carried(TRAIN)?,
                entry.map_carried(VALIDATION)?,
                entry.map_carried(TEST)?,
            ],
            watch: entry.watch(),
        })
    };
    let entry = wanted.obtain(None, None, observer)?;
    let why = match mapped(&entry) {
        Ok(carried) => return Ok(carried),
        Err(why) => why,
    };
    drop(entry);
    // As of the splits: made again once.
    let entry = wanted.obtain(None, Some(why), observer)?;
    mapped(&entry).map_err(|why| Diagnostic::new(entry.folder.display().to_string(), why))
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Source files, every byte of which was read, with their SHA-256.
    pub sources: Vec<(PathBuf, String)>,
    /// The prepared dataset, whole, if there is one.
    pub prepared: Option<PathBuf>,
}

/// Reads every byte of the source files, and of the prepared dataset if there is one.
///
/// # Errors
/// See [`check`](super::check); a source file that is missing or not as described; a prepared file that changed.
pub fn verify(
    reference: &DatasetRef,
    places: &Places,
    observer: &mut dyn Observer,
) -> Result<Verified> {
    let found = Resolved::new(reference, places, Trust::Nothing, observer)?;
    let mut prepared = None;
    let hash = cache::content_hash(&found.protocol, reference.rows, &found.sources);
    let folder = cache::folder(&found.cache, &found.description.name, &hash);
    let refuse = |why: String| {
        Diagnostic::new(
            folder.display().to_string(),
            format!("the prepared dataset is damaged: {why}"),
        )
        .hint("remove the folder; it is made again when it is needed")
    };
    if CacheEntry::find(&folder, &hash, None)
        .map_err(refuse)?
        .is_some()
    {
        prepared = Some(folder.clone());
    }
    Ok(Verified {
        sources: found
            .sources
            .into_iter()
            .map(|located| (located.path, located.sha256))
            .collect(),
        prepared,
    })
}

/// A resolved reference and its source files.
pub(super) struct Resolved {
    pub(super) description: Description,
    pub(super) protocol: Protocol,
    pub(super) reference: DatasetRef,
    sources: Vec<Located>,
    cache: PathBuf,
}

impl Resolved {
    /// The files that it is made from.
    pub(super) fn sources(&self) -> &[Located] {
        &self.sources
    }

    pub(super) fn new(
        reference: &DatasetRef,
        places: &Places,
        trust: Trust,
        observer: &mut dyn Observer,
    ) -> Result<Self, Diagnostic> {
        let (description, protocol) = resolve(reference, places)?;
        let memory = places.cache.join("sources.toml");
        let folder = folder_of(&description, &places.data);
        Ok(Self {
            sources: source_files::locate(
                &description,
                protocol.files(),
                &folder,
                &memory,
                trust,
                observer,
            )?,
            description,
            protocol,
            reference: reference.clone(),
            cache: places.cache.clone(),
        })
    }

    pub(super) fn wanted(&self) -> cache::Wanted<'_> {
        cache::Wanted {
            reference: &self.reference,
            description: &self.description,
            protocol: &self.protocol,
            sources: &self.sources,
            cache: &self.cache,
            carried: None,
        }
    }

    /// The prepared dataset, whose every split can be mapped: what can't would fail every cell.
    fn obtain_mapped(&self, observer: &mut dyn Observer) -> Result<CacheEntry, Diagnostic> {
        let entry = self.wanted().obtain(None, None, observer)?;
        let schema = self.schema(&entry);
        let mut splits = [TRAIN, VALIDATION, TEST].into_iter();
        match splits.find_map(|split| entry.map(split, &schema).err()) {
            None => Ok(entry),
            Some(why) => {
                drop(entry);
                self.wanted().obtain(None, Some(why), observer)
            }
        }
    }

    pub(super) fn schema(&self, entry: &CacheEntry) -> Schema {
        let categorical = entry
            .manifest
            .categorical
            .iter()
            .map(|feature| CategoricalFeature {
                name: feature.name.clone(),
                vocabulary_size: feature.vocabulary_size,
            });
        let lists = entry.manifest.lists.iter().map(|feature| ListFeature {
            name: feature.name.clone(),
            vocabulary_size: feature.vocabulary_size,
            pooling: match feature.is_sum {
                true => Pooling::Sum,
                false => Pooling::Mean,
            },
            // There in every dataset that was found whole.
            mean_length: feature.mean_length.unwrap_or(0.0),
        });
        Schema {
            categorical: categorical.collect(),
            lists: lists.collect(),
            numeric: entry.manifest.numeric.clone(),
            tasks: self.protocol.tasks.clone(),
            groups: self.protocol.groups.clone(),
            user: self.protocol.user().map(str::to_owned),
            weight: self.protocol.weight().map(str::to_owned),
            scenario: self.scenario(&entry.manifest.categorical),
            tables: self.protocol.tables(),
        }
    }

    /// The place of the scenario among features of ids.
    fn scenario(&self, categorical: &[CategoricalEntry]) -> Option<usize> {
        let name = self.protocol.scenario()?;
        categorical.iter().position(|feature| feature.name == name)
    }

    /// What the ids of scenarios from 1 on stand for.
    fn scenarios(&self, entry: &CacheEntry, schema: &Schema) -> Result<Vec<String>, String> {
        let Some(scenario) = schema.scenario.map(|place| &schema.categorical[place]) else {
            return Ok(Vec::new());
        };
        if let Source::Generated(_) = &self.protocol.source {
            // Made-up things are known by their numbers from 0.
            return Ok((1..scenario.vocabulary_size)
                .map(|id| (id - 1).to_string())
                .collect());
        }
        let path = entry.folder.join(VOCABULARIES);
        let file =
            regular_file::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let values = texts_of(std::io::BufReader::new(file), &scenario.name)?;
        match values.len() + 1 == scenario.vocabulary_size {
            true => Ok(values),
            false => Err(format!(
                "{VOCABULARIES}: the values of `{}` are not those of its ids",
                scenario.name
            )),
        }
    }

    /// Columns that stay with the rows.
    pub(super) fn carry(
        &self,
        columns: &[(usize, Reading)],
        observer: &mut dyn Observer,
    ) -> Result<CarriedSplits, Diagnostic> {
        let wanted = cache::Wanted {
            carried: Some(columns),
            ..self.wanted()
        };
        carried_splits(&wanted, observer)
    }

    /// What turns outputs of models into scores, by task.
    fn scales(&self, entry: &CacheEntry) -> Result<Vec<ScoreScale>, String> {
        let plan = match &self.protocol.source {
            Source::Table(plan) if plan.regressions().next().is_some() => plan,
            _ => {
                // What an embedded source makes is learned as it is.
                let scale = |task: &Task| match task.is_regression() {
                    true => ScoreScale::IDENTITY,
                    false => ScoreScale::Probability,
                };
                return Ok(self.protocol.tasks.iter().map(scale).collect());
            }
        };
        let path = entry.folder.join(NUMBERS);
        let text = regular_file::read_text(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let numbers = FittedNumbers::parse(&text).map_err(|why| format!("{NUMBERS}: {why}"))?;
        numbers
            .scales(plan)
            .map_err(|why| format!("{NUMBERS}: {why}"))
    }

    fn summary(&self, entry: &CacheEntry) -> Summary {
        let split = |split: usize| {
            let file = &entry.manifest.files[split];
            SplitSummary {
                rows: file.rows,
                positives: file.positives.clone(),
                observed: match file.observed.is_empty() {
                    true => vec![file.rows; file.positives.len()],
                    false => file.observed.clone(),
                },
                numbers: (0..self.protocol.tasks.len())
                    .map(|task| {
                        let entry = file.numbers.iter().find(|entry| entry.task == task)?;
                        Some(entry.numbers())
                    })
                    .collect(),
            }
        };
        Summary {
            name: self.description.name.clone(),
            protocol: self.protocol.name.clone(),
            split_seed: self.protocol.split_seed().ok(),
            content_hash: entry.manifest.content_hash.clone(),
            schema: self.schema(entry),
            train: split(TRAIN),
            validation: split(VALIDATION),
            test_rows: entry.manifest.files[TEST].rows,
            origin: match (&self.description.fetch, self.description.files.is_empty()) {
                (_, true) => Origin::Made,
                (Some(_), false) => Origin::Fetched,
                (None, false) => Origin::Placed,
            },
            pretrained: entry
                .manifest
                .pretrained
                .iter()
                .map(|entry| (entry.table.clone(), entry.width))
                .collect(),
            warnings: entry.manifest.warnings.clone(),
            split_digests: [TRAIN, VALIDATION, TEST]
                .map(|split| entry.manifest.files[split].blake3.clone()),
            hold: entry.hold(),
        }
    }

    fn open(&self, entry: &CacheEntry) -> Result<Prepared, String> {
        let schema = self.schema(entry);
        // What made rows is known of those that are scored, never of those that are learned from.
        let truth = match &self.protocol.source {
            Source::Generated(config) => Some(Arc::new(LazyGenerator::new(config))),
            Source::Table(_) => None,
        };
        let scored = |split: usize| -> Result<Split, String> {
            let rows = entry.map(split, &schema)?;
            Ok(match truth.clone() {
                Some(generator) => rows.with_truth(SplitTruth { generator, split }),
                None => rows,
            })
        };
        Ok(Prepared {
            train: entry.map(TRAIN, &schema)?,
            validation: scored(VALIDATION)?,
            test: SealedSplit::seal(scored(TEST)?),
            content_hash: entry.manifest.content_hash.clone(),
            watch: entry.watch(),
            scales: self.scales(entry)?,
            scenarios: self.scenarios(entry, &schema)?,
            pretrained: entry.pretrained()?,
            schema,
        })
    }
}
