//! Reading back what preparation learned, from the files that it writes for people and for whoever scores new rows.

use super::column_slots::{ColumnSlots, ListColumn};
use super::encode::RowEncoder;
use super::fit::{Encoder, ListIds};
use super::interner::Interner;
use super::opened_rows::KindsByName;
use super::text_kinds::TextKind;
use crate::predictions::ScoreScale;
use crate::schema::{Feature, FeatureKind, Label, LabelValue, TablePlan, Vocabulary};
use crate::{CategoricalFeature, ListFeature};
use std::collections::BTreeMap;
use std::io::Read;

/// Distinct texts of features and their ids.
pub(crate) const VOCABULARIES: &str = "vocabularies.csv";
/// What numbers are made with.
pub(crate) const NUMBERS: &str = "numbers.csv";

/// What numbers are made with, as `numbers.csv` has it.
#[derive(Debug, Default)]
pub(crate) struct FittedNumbers {
    features: BTreeMap<String, FittedNumber>,
    /// Of the labels of regressions, in the order of their tasks.
    labels: Vec<FittedNumber>,
    /// Of columns of texts that are computed with.
    pub(crate) kinds: KindsByName,
}

/// What stands before the name of a column of texts, whose kind is in the place of `log1p`.
pub(super) const COLUMN: &str = "column ";

#[derive(Debug, Clone)]
struct FittedNumber {
    log1p: bool,
    mean: f64,
    scale: f64,
    edges: Vec<f64>,
}

impl FittedNumbers {
    /// Reads the file.
    ///
    /// # Errors
    /// Why it is not what preparation wrote.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut numbers = Self::default();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            let field = |index: usize| record.get(index).unwrap_or_default();
            if let Some(column) = field(0).strip_prefix(COLUMN)
                && let Some(kind) = TextKind::of_word(field(1))
            {
                numbers.kinds.insert(column.to_owned(), kind);
                continue;
            }
            let number = |text: &str| {
                text.parse::<f64>()
                    .map_err(|_| format!("`{text}` is no number"))
            };
            let fitted = FittedNumber {
                log1p: field(1) == "true",
                mean: number(if field(2).is_empty() { "0" } else { field(2) })?,
                scale: number(if field(3).is_empty() { "1" } else { field(3) })?,
                edges: field(4)
                    .split_whitespace()
                    .map(number)
                    .collect::<Result<_, _>>()?,
            };
            match field(0).strip_prefix("label ") {
                Some(_) => numbers.labels.push(fitted),
                None => drop(numbers.features.insert(field(0).to_owned(), fitted)),
            }
        }
        Ok(numbers)
    }

    /// What turns outputs into scores, by task.
    ///
    /// # Errors
    /// A task whose labels it doesn't have.
    pub(crate) fn scales(&self, plan: &TablePlan) -> Result<Vec<ScoreScale>, String> {
        let mut labels = self.labels.iter();
        let scale = |label: &Label| -> Result<ScoreScale, String> {
            match label.value {
                LabelValue::Condition(_) | LabelValue::Binary(_) => Ok(ScoreScale::Probability),
                LabelValue::Number { log1p, .. } => {
                    let fitted = labels.next().ok_or("a label is missing")?;
                    Ok(ScoreScale::Number {
                        log1p,
                        mean: fitted.mean,
                        scale: fitted.scale,
                    })
                }
            }
        };
        plan.labels.iter().map(scale).collect()
    }

    fn of_feature(&self, feature: &Feature) -> Result<&FittedNumber, String> {
        let found = self.features.get(&feature.name);
        found.ok_or_else(|| format!("{NUMBERS}: the feature `{}` is missing", feature.name))
    }
}

/// Vocabularies by feature; the id of a text is its number in the interner and one.
///
/// # Errors
/// Why the file is not what preparation wrote.
pub(crate) fn read_vocabularies(file: impl Read) -> Result<BTreeMap<String, Interner>, String> {
    let mut vocabularies: BTreeMap<String, Interner> = BTreeMap::new();
    let mut reader = csv::Reader::from_reader(file);
    let mut record = csv::ByteRecord::new();
    let mut last = String::new();
    // Its features stand one after another, so that few rows look for another interner.
    let mut words = Interner::default();
    let damaged = |why: &str| format!("{VOCABULARIES}: {why}");
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| damaged(&error.to_string()))?
    {
        let (Some(feature), Some(id), Some(text)) = (record.get(0), record.get(1), record.get(2))
        else {
            return Err(damaged("a row has too few fields"));
        };
        if feature != last.as_bytes() {
            let whole = std::mem::take(&mut words);
            vocabularies.insert(std::mem::take(&mut last), whole);
            last = String::from_utf8_lossy(feature).into_owned();
        }
        let number = words.intern(text, 0);
        let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
        if id != Some(number + 1) || words.is_full() {
            return Err(damaged("ids are not in order"));
        }
    }
    vocabularies.insert(last, words);
    Ok(vocabularies)
}

/// The texts of a feature, in the order of their ids from 1 on.
///
/// # Errors
/// Why the file is not what preparation wrote.
pub(crate) fn texts_of(file: impl Read, feature: &str) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    for record in csv::Reader::from_reader(file).into_byte_records() {
        let record = record.map_err(|error| format!("{VOCABULARIES}: {error}"))?;
        if record.get(0) == Some(feature.as_bytes()) {
            texts.push(String::from_utf8_lossy(record.get(2).unwrap_or_default()).into_owned());
        }
    }
    Ok(texts)
}

/// The vocabulary of a feature that has none of its own yet.
static EMPTY: std::sync::LazyLock<Interner> = std::sync::LazyLock::new(Interner::default);

/// How new rows become inputs: encoders without ids of texts, and the vocabularies that give them.
pub(crate) struct KeptEncoders<'a> {
    encoders: Vec<Encoder>,
    vocabularies: &'a BTreeMap<String, Interner>,
    names: Vec<String>,
}

impl<'a> KeptEncoders<'a> {
    /// Of the features of a plan.
    ///
    /// # Errors
    /// A feature that the files don't have.
    pub(crate) fn new(
        plan: &TablePlan,
        columns: &ColumnSlots,
        vocabularies: &'a BTreeMap<String, Interner>,
        numbers: &FittedNumbers,
    ) -> Result<Self, String> {
        let size = |feature: &Feature| {
            let words = vocabularies.get(&feature.name).map_or(0, Interner::len);
            words + 1
        };
        let encoder = |feature: &Feature| -> Result<Encoder, String> {
            Ok(match feature.kind {
                FeatureKind::Categorical { .. } => Encoder::Categorical {
                    slot: columns.text_slot(feature.column),
                    ids: Vec::new(),
                    vocabulary_size: size(feature),
                },
                FeatureKind::Hash { buckets } => Encoder::Hash {
                    slot: columns.hash_slot(feature.column),
                    buckets,
                },
                FeatureKind::List {
                    separator,
                    pooling,
                    vocabulary,
                } => {
                    let (ids, vocabulary_size) = match vocabulary {
                        Vocabulary::Learned { .. } => (ListIds::Learned(Vec::new()), size(feature)),
                        Vocabulary::Hashed { buckets } => {
                            (ListIds::Hashed(buckets), buckets as usize + 1)
                        }
                    };
                    Encoder::List {
                        slot: columns.list_slot(ListColumn {
                            column: feature.column,
                            separator,
                            is_hashed: matches!(vocabulary, Vocabulary::Hashed { .. }),
                        }),
                        ids,
                        vocabulary_size,
                        pooling,
                    }
                }
                FeatureKind::Bucket { .. } => Encoder::Bucket {
                    slot: columns.number_slot(feature.column),
                    edges: numbers.of_feature(feature)?.edges.clone(),
                },
                FeatureKind::Numeric { .. } => {
                    let fitted = numbers.of_feature(feature)?;
                    Encoder::Numeric {
                        slot: columns.number_slot(feature.column),
                        log1p: fitted.log1p,
                        mean: fitted.mean,
                        scale: fitted.scale,
                    }
                }
            })
        };
        let encoders = plan
            .features
            .iter()
            .map(encoder)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            encoders,
            names: plan
                .features
                .iter()
                .map(|feature| feature.name.clone())
                .collect(),
            vocabularies,
        })
    }

    /// What models read.
    pub(crate) fn inputs(
        &self,
        plan: &TablePlan,
        columns: &ColumnSlots,
    ) -> (Vec<CategoricalFeature>, Vec<ListFeature>, Vec<String>) {
        let encoding = self.row_encoder(plan, columns, &[], &[]);
        (
            encoding.categorical_features,
            encoding.list_features,
            encoding.numeric_features,
        )
    }

    /// What encodes rows whose texts have these numbers.
    pub(super) fn row_encoder(
        &self,
        plan: &TablePlan,
        columns: &ColumnSlots,
        texts: &[Interner],
        lists: &[Interner],
    ) -> RowEncoder {
        RowEncoder::new(
            plan,
            columns,
            texts,
            self.for_texts(texts, lists),
            Vec::new(),
        )
    }

    /// Encoders for rows whose texts have these numbers.
    fn for_texts(&self, texts: &[Interner], lists: &[Interner]) -> Vec<Encoder> {
        let ids = |name: &String, texts: Option<&Interner>| -> Vec<u32> {
            let Some(texts) = texts else {
                return Vec::new();
            };
            let words = self.vocabularies.get(name).unwrap_or(&EMPTY);
            let id = |code| words.get(texts.text(code)).map_or(0, |number| number + 1);
            (0..texts.len() as u32).map(id).collect()
        };
        let encoders = self.encoders.iter().zip(&self.names);
        let encoder = |(encoder, name): (&Encoder, &String)| match encoder {
            Encoder::Categorical {
                slot,
                vocabulary_size,
                ..
            } => Encoder::Categorical {
                slot: *slot,
                ids: ids(name, texts.get(*slot)),
                vocabulary_size: *vocabulary_size,
            },
            Encoder::List {
                slot,
                ids: ListIds::Learned(_),
                vocabulary_size,
                pooling,
            } => Encoder::List {
                slot: *slot,
                ids: ListIds::Learned(ids(name, lists.get(*slot))),
                vocabulary_size: *vocabulary_size,
                pooling: *pooling,
            },
            other => other.clone(),
        };
        encoders.map(encoder).collect()
    }
}
