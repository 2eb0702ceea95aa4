//! Codes and raw numbers into what models read.

use super::fit::{Encoder, Word, log1p_signed};
use super::parse::Columns;
use super::spill::Rows;
use crate::data::description::{Feature, TablePlan};
use crate::data::packed::Widths;
use crate::data::{Batch, CategoricalFeature};
use std::path::Path;

/// Encoders in the order of the prepared columns.
#[derive(Debug)]
pub(super) struct Encoding {
    categorical: Vec<Encoder>,
    numeric: Vec<Encoder>,
    /// Place of the user among a row's codes.
    user: Option<usize>,
    /// Place of the weight among a row's numbers.
    weight: Option<usize>,
    pub(super) categorical_features: Vec<CategoricalFeature>,
    pub(super) numeric_features: Vec<String>,
}

impl Encoding {
    pub(super) fn new(plan: &TablePlan, columns: &Columns, encoders: Vec<Encoder>) -> Self {
        let mut encoding = Self {
            categorical: Vec::new(),
            numeric: Vec::new(),
            user: plan.user.map(|column| columns.text_slot(column)),
            weight: plan.weight.map(|column| columns.number_slot(column)),
            categorical_features: Vec::new(),
            numeric_features: Vec::new(),
        };
        for (feature, encoder) in plan.features.iter().zip(encoders) {
            let name = feature.name.clone();
            let vocabulary_size = match &encoder {
                Encoder::Categorical {
                    vocabulary_size, ..
                } => *vocabulary_size,
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
            numeric: self.numeric.len(),
            labels,
            user: usize::from(self.user.is_some()),
            weight: usize::from(self.weight.is_some()),
        }
    }

    /// Standardised features that are the same on every training row.
    pub(super) fn constants(&self) -> impl Iterator<Item = &str> {
        let is_constant =
            |encoder: &Encoder| matches!(encoder, Encoder::Numeric { scale, .. } if *scale == 0.0);
        self.numeric_features
            .iter()
            .zip(&self.numeric)
            .filter(move |(_, encoder)| is_constant(encoder))
            .map(|(name, _)| name.as_str())
    }

    /// Encodes some rows, of `texts` codes and `numbers` numbers each.
    pub(super) fn encode(&self, rows: &Rows, texts: usize, numbers: usize) -> Batch {
        let mut categorical = Vec::with_capacity(rows.num_rows * self.categorical.len());
        let mut numeric = Vec::with_capacity(rows.num_rows * self.numeric.len());
        for row in 0..rows.num_rows {
            let codes = &rows.codes[row * texts..(row + 1) * texts];
            let values = &rows.numbers[row * numbers..(row + 1) * numbers];
            categorical.extend(self.categorical.iter().map(|encoder| match encoder {
                Encoder::Categorical { slot, ids, .. } => ids[codes[*slot] as usize],
                Encoder::Bucket { slot, .. } if values[*slot].is_nan() => 0,
                Encoder::Bucket { slot, edges } => {
                    1 + edges.partition_point(|edge| *edge <= values[*slot]) as u32
                }
                Encoder::Numeric { .. } => {
                    unreachable!("numeric features have a column of their own")
                }
            }));
            numeric.extend(self.numeric.iter().map(|encoder| match encoder {
                Encoder::Numeric {
                    slot,
                    log1p,
                    mean,
                    scale,
                } => {
                    let value = values[*slot];
                    // What is missing counts as the mean.
                    if value.is_nan() {
                        return 0.0;
                    }
                    let value = if *log1p { log1p_signed(value) } else { value };
                    ((value - mean) * scale) as f32
                }
                _ => unreachable!("ids have a column of their own"),
            }));
        }
        let rows_of = |slot: Option<usize>| {
            slot.into_iter()
                .flat_map(|slot| (0..rows.num_rows).map(move |row| (row, slot)))
        };
        Batch {
            users: rows_of(self.user)
                .map(|(row, slot)| rows.codes[row * texts + slot])
                .collect(),
            weights: rows_of(self.weight)
                .map(|(row, slot)| rows.numbers[row * numbers + slot] as f32)
                .collect(),
            num_rows: rows.num_rows,
            categorical,
            numeric,
            labels: rows.labels.to_vec(),
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
pub(super) fn write_numbers(path: &Path, encoding: &Encoding) -> std::io::Result<()> {
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
            Encoder::Categorical { .. } => continue,
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
    writer.flush()
}
