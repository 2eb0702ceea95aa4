//! What a model reads of a row, as far as a description tells.

use super::{FeatureKind, Protocol, Source};

/// An input of a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedInput {
    /// Name of the feature.
    pub name: String,
    /// What a row has of it.
    pub kind: InputKind,
    /// Name of the embedding table that it reads; its own of a number, which reads none.
    pub table: String,
}

/// What a row has of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// One id.
    Single,
    /// A list of ids.
    List,
    /// A number.
    Number,
}

impl Protocol {
    /// Its inputs, in the order of the features.
    pub fn inputs(&self) -> Vec<DescribedInput> {
        let of_own_table = |kind: InputKind| {
            move |name: String| DescribedInput {
                table: name.clone(),
                name,
                kind,
            }
        };
        match &self.source {
            Source::Table(plan) => {
                let inputs = plan.features.iter().map(|feature| DescribedInput {
                    name: feature.name.clone(),
                    kind: match feature.kind {
                        FeatureKind::Numeric { .. } => InputKind::Number,
                        FeatureKind::List { .. } => InputKind::List,
                        FeatureKind::Categorical { .. }
                        | FeatureKind::Bucket { .. }
                        | FeatureKind::Hash { .. } => InputKind::Single,
                    },
                    table: feature.table().to_owned(),
                });
                inputs.collect()
            }
            Source::Generated(config) => {
                let single = config.categorical().into_iter().map(|feature| feature.name);
                let single = single.map(of_own_table(InputKind::Single));
                let numbers = config.numeric().into_iter();
                single
                    .chain(numbers.map(of_own_table(InputKind::Number)))
                    .collect()
            }
        }
    }
}
