//! Codes and raw numbers into what models read.

use super::column_slots::ColumnSlots;
use super::fit::{Encoder, LabelScale, ListIds, Word, log1p_signed};
use super::fitted_files::COLUMN;
use super::interner::Interner;
use super::opened_rows::KindsByName;
use super::row::bucket;
use super::row_lists::RowLists;
use super::row_spill::CodedRows;
use crate::packed::Widths;
use crate::schema::{Feature, LabelValue, TablePlan};
use crate::{Batch, CategoricalFeature, ListFeature};
use std::path::Path;

/// The user of rows that have none; in no group of a grouped metric.
pub const NOBODY: u32 = u32::MAX;

/// Encoders in the order of the prepared columns.
#[derive(Debug)]
pub(super) struct RowEncoder {
    categorical: Vec<Encoder>,
    lists: Vec<Encoder>,
    numeric: Vec<Encoder>,
    /// Place of the user among a row's codes.
    user: Option<usize>,
    /// The code of rows without a user.
    nobody: Option<u32>,
    /// Place of the weight among a row's numbers.
    weight: Option<usize>,
    /// By task, where labels are standardised.
    labels: Vec<Option<LabelScale>>,
    pub(super) categorical_features: Vec<CategoricalFeature>,
    pub(super) list_features: Vec<ListFeature>,
    pub(super) numeric_features: Vec<String>,
}

impl RowEncoder {
    pub(super) fn new(
        plan: &TablePlan,
        columns: &ColumnSlots,
        texts: &[Interner],
        encoders: Vec<Encoder>,
        labels: Vec<Option<LabelScale>>,
    ) -> Self {
        let mut encoding = Self {
            categorical: Vec::new(),
            lists: Vec::new(),
            numeric: Vec::new(),
            user: plan.user.map(|column| columns.text_slot(column)),
            nobody: plan
                .user
                .and_then(|column| texts[columns.text_slot(column)].get(b"")),
            weight: plan.weight.map(|column| columns.number_slot(column)),
            labels,
            categorical_features: Vec::new(),
            list_features: Vec::new(),
            numeric_features: Vec::new(),
        };
        for (feature, encoder) in plan.features.iter().zip(encoders) {
            let name = feature.name.clone();
            let vocabulary_size = match &encoder {
                Encoder::Categorical {
                    vocabulary_size, ..
                } => *vocabulary_size,
                Encoder::Hash { buckets, .. } => *buckets as usize + 1,
                Encoder::List {
                    vocabulary_size,
                    pooling,
                    ..
                } => {
                    encoding.list_features.push(ListFeature {
                        name,
                        vocabulary_size: *vocabulary_size,
                        pooling: *pooling,
                        // Known once the rows are written.
                        mean_length: 0.0,
                    });
                    encoding.lists.push(encoder);
                    continue;
                }
                // Id 0 is kept for values that are not there.
                Encoder::Bucket { edges, .. } => edges.len() + 2,
                Encoder::Numeric { .. } => {
                    encoding.numeric_features.push(name);
                    encoding.numeric.push(encoder);
                    continue;
                }
            };
            encoding.categorical_features.push(CategoricalFeature {
                name,
                vocabulary_size,
            });
            encoding.categorical.push(encoder);
        }
        encoding
    }

    pub(super) fn widths(&self, labels: usize) -> Widths {
        Widths {
            categorical: self.categorical.len(),
            lists: self.lists.len(),
            numeric: self.numeric.len(),
            labels,
            user: usize::from(self.user.is_some()),
            weight: usize::from(self.weight.is_some()),
        }
    }

    /// Encodes some rows.
    pub(super) fn encode(&self, rows: &CodedRows, columns: &ColumnSlots) -> Batch {
        let (texts, numbers) = (columns.num_codes(), columns.numbers.len());
        let lists = self.encode_lists(rows, columns.lists.len());
        let mut categorical = vec![0; rows.num_rows * self.categorical.len()];
        let mut numeric = vec![0.0; rows.num_rows * self.numeric.len()];
        // Some rows that stay in the cache while feature after feature reads them.
        for start in (0..rows.num_rows).step_by(TILE_ROWS) {
            let end = rows.num_rows.min(start + TILE_ROWS);
            let tile = Tile {
                codes: &rows.codes[start * texts..end * texts],
                texts,
                numbers: &rows.numbers[start * numbers..end * numbers],
                width: numbers,
            };
            let columns = self.categorical.len();
            let to = &mut categorical[start * columns..end * columns];
            for (column, encoder) in self.categorical.iter().enumerate() {
                tile.encode_ids(encoder, to.iter_mut().skip(column).step_by(columns));
            }
            let columns = self.numeric.len();
            let to = &mut numeric[start * columns..end * columns];
            for (column, encoder) in self.numeric.iter().enumerate() {
                tile.encode_numbers(encoder, to.iter_mut().skip(column).step_by(columns));
            }
        }
        let rows_of = |slot: Option<usize>| {
            slot.into_iter()
                .flat_map(|slot| (0..rows.num_rows).map(move |row| (row, slot)))
        };
        Batch {
            users: rows_of(self.user)
                .map(|(row, slot)| match rows.codes[row * texts + slot] {
                    code if Some(code) == self.nobody => NOBODY,
                    code => code,
                })
                .collect(),
            weights: rows_of(self.weight)
                .map(|(row, slot)| rows.numbers[row * numbers + slot] as f32)
                .collect(),
            num_rows: rows.num_rows,
            categorical,
            list_ids: lists.values,
            list_ends: lists.ends,
            numeric,
            labels: self.encode_labels(&rows.labels),
        }
    }

    fn encode_labels(&self, labels: &[f64]) -> Vec<f32> {
        let scales = self.labels.iter().cycle();
        let encode = |(label, scale): (&f64, &Option<LabelScale>)| match scale {
            // In f64 and rounded once: with a mean far from 0, a difference in f32 would have few
            // digits left.
            Some(LabelScale { mean, scale }) => ((label - mean) * scale) as f32,
            // Minus nothing becomes 0.
            None => *label as f32 + 0.0,
        };
        labels.iter().zip(scales).map(encode).collect()
    }

    /// The first input of a batch that 32 bits don't hold: its name, and its number before it was transformed.
    pub(super) fn beyond(
        &self,
        batch: &Batch,
        rows: &CodedRows,
        columns: &ColumnSlots,
    ) -> Option<(&str, f64)> {
        let at = batch.numeric.iter().position(|value| !value.is_finite())?;
        let (row, feature) = (at / self.numeric.len(), at % self.numeric.len());
        let Encoder::Numeric { slot, .. } = &self.numeric[feature] else {
            unreachable!("only numbers have this column")
        };
        let value = rows.numbers[row * columns.numbers.len() + slot];
        Some((&self.numeric_features[feature], value))
    }

    /// The encoders of the columns of ids and of lists, for what is counted about them.
    pub(super) fn of_ids(&self) -> impl Iterator<Item = (&str, &Encoder)> {
        let categorical = self
            .categorical_features
            .iter()
            .map(|feature| feature.name.as_str());
        let lists = self
            .list_features
            .iter()
            .map(|feature| feature.name.as_str());
        let encoders = self.categorical.iter().chain(&self.lists);
        categorical.chain(lists).zip(encoders)
    }

    /// The encoders of the columns of numbers.
    pub(super) fn of_numbers(&self) -> impl Iterator<Item = (&str, &Encoder)> {
        self.numeric_features
            .iter()
            .map(String::as_str)
            .zip(&self.numeric)
    }

    /// The ids of the rows' lists, from `width` lists of codes a row.
    fn encode_lists(&self, rows: &CodedRows, width: usize) -> RowLists {
        let mut lists = RowLists::default();
        if self.lists.is_empty() {
            return lists;
        }
        for row in 0..rows.num_rows {
            for encoder in &self.lists {
                let Encoder::List { slot, ids, .. } = encoder else {
                    unreachable!("only lists have this column")
                };
                let range = RowLists::range(&rows.list_ends, row * width + slot);
                let codes = &rows.list_codes[range];
                match ids {
                    ListIds::Learned(ids) => {
                        let ids = codes.iter().map(|code| ids[*code as usize]);
                        lists.values.extend(ids);
                    }
                    ListIds::Hashed(buckets) => {
                        let ids = codes.iter().map(|code| bucket(*code, *buckets));
                        lists.values.extend(ids);
                    }
                }
                lists.end_list();
            }
        }
        lists
    }
}

/// Rows that every feature encodes before the next rows.
const TILE_ROWS: usize = 64;

/// Some rows of raw codes and numbers.
struct Tile<'a> {
    codes: &'a [u32],
    texts: usize,
    numbers: &'a [f64],
    width: usize,
}

impl Tile<'_> {
    fn codes(&self, slot: usize) -> impl Iterator<Item = usize> {
        let column = self.codes.iter().skip(slot).step_by(self.texts);
        column.map(|code| *code as usize)
    }

    fn numbers(&self, slot: usize) -> impl Iterator<Item = f64> {
        self.numbers.iter().skip(slot).step_by(self.width).copied()
    }

    fn encode_ids<'a>(&self, encoder: &Encoder, to: impl Iterator<Item = &'a mut u32>) {
        match encoder {
            Encoder::Categorical { slot, ids, .. } => {
                to.zip(self.codes(*slot))
                    .for_each(|(to, code)| *to = ids[code]);
            }
            Encoder::Hash { slot, buckets } => {
                to.zip(self.codes(*slot))
                    .for_each(|(to, code)| *to = bucket(code as u32, *buckets));
            }
            Encoder::Bucket { slot, edges } => {
                for (to, value) in to.zip(self.numbers(*slot)) {
                    *to = match value.is_nan() {
                        true => 0,
                        false => 1 + edges.partition_point(|edge| *edge <= value) as u32,
                    };
                }
            }
            Encoder::Numeric { .. } | Encoder::List { .. } => {
                unreachable!("numbers and lists have columns of their own")
            }
        }
    }

    fn encode_numbers<'a>(&self, encoder: &Encoder, to: impl Iterator<Item = &'a mut f32>) {
        let Encoder::Numeric {
            slot,
            log1p,
            mean,
            scale,
        } = encoder
        else {
            unreachable!("ids have a column of their own")
        };
        for (to, value) in to.zip(self.numbers(*slot)) {
            // As of labels: f64 to the end, one rounding.
            let transformed = if *log1p { log1p_signed(value) } else { value };
            // What is missing counts as the mean.
            *to = match value.is_nan() {
                true => 0.0,
                false => ((transformed - mean) * scale) as f32,
            };
        }
    }
}

/// Writes vocabularies for people: `feature,id,value,train_rows`.
pub(super) fn write_vocabularies(
    path: &Path,
    features: &[Feature],
    words: &[Vec<Word>],
) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(["feature", "id", "value", "train_rows"])?;
    for (feature, words) in features.iter().zip(words) {
        for (id, word) in (1..).zip(words) {
            let (id, count): (u32, u64) = (id, word.count);
            let fields = [
                feature.name.as_bytes(),
                id.to_string().as_bytes(),
                &word.text,
                count.to_string().as_bytes(),
            ]
            .map(<[u8]>::to_vec);
            writer.write_record(fields)?;
        }
    }
    writer.flush()
}

/// Writes what numbers are made with, for people: `feature,log1p,mean,scale,edges`.
pub(super) fn write_numbers(
    path: &Path,
    plan: &TablePlan,
    encoding: &RowEncoder,
    kinds: &KindsByName,
) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(["feature", "log1p", "mean", "scale", "edges"])?;
    let names = encoding
        .categorical_features
        .iter()
        .map(|feature| &feature.name);
    for (name, encoder) in names
        .zip(&encoding.categorical)
        .chain(encoding.numeric_features.iter().zip(&encoding.numeric))
    {
        let fields = match encoder {
            Encoder::Categorical { .. } | Encoder::Hash { .. } | Encoder::List { .. } => continue,
            Encoder::Bucket { edges, .. } => {
                let edges: Vec<String> = edges.iter().map(f64::to_string).collect();
                [String::new(), String::new(), String::new(), edges.join(" ")]
            }
            Encoder::Numeric {
                log1p, mean, scale, ..
            } => [
                log1p.to_string(),
                mean.to_string(),
                scale.to_string(),
                String::new(),
            ],
        };
        writer.write_record(std::iter::once(name).chain(&fields))?;
    }
    for (name, log1p, scale) in labels_of_numbers(plan, encoding) {
        let fields = [
            log1p.to_string(),
            scale.mean.to_string(),
            scale.scale.to_string(),
            String::new(),
        ];
        writer.write_record(std::iter::once(&format!("label {name}")).chain(&fields))?;
    }
    for (name, kind) in kinds {
        writer.write_record([&format!("{COLUMN}{name}"), kind.word(), "", "", ""])?;
    }
    writer.flush()
}

/// Column, transformation and scale of every label that is a number.
fn labels_of_numbers<'a>(
    plan: &'a TablePlan,
    encoding: &'a RowEncoder,
) -> impl Iterator<Item = (&'a str, bool, LabelScale)> {
    let labels = plan.labels.iter().zip(&encoding.labels);
    labels.filter_map(|(label, scale)| match label.value {
        LabelValue::Number { column, log1p, .. } => {
            let identity = LabelScale {
                mean: 0.0,
                scale: 1.0,
            };
            Some((
                plan.columns[column].as_str(),
                log1p,
                scale.unwrap_or(identity),
            ))
        }
        LabelValue::Condition(_) | LabelValue::Binary(_) => None,
    })
}
