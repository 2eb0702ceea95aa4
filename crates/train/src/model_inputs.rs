//! What a dataset's schema is to models: tasks and groups, sizes of features, and the columns of each.

use homebench_data::Schema;
use homebench_model::{FeatureDims, InputFeature, TaskGroup, TaskLayout};

/// The tasks and groups of a schema, as a model sees them.
pub fn task_layout(schema: &Schema) -> TaskLayout {
    let in_group = |group: usize| {
        let tasks = schema.tasks.iter().enumerate();
        tasks
            .filter(move |(_, task)| task.group == group)
            .map(|(index, _)| index)
    };
    TaskLayout {
        tasks: schema.tasks.iter().map(|task| task.name.clone()).collect(),
        groups: schema
            .groups
            .iter()
            .enumerate()
            .map(|(group, name)| TaskGroup {
                name: name.clone(),
                tasks: in_group(group).collect(),
            })
            .collect(),
    }
}

/// The features of a schema, as an input sees them.
pub fn feature_dims(schema: &Schema, embedding_dim: usize) -> FeatureDims {
    FeatureDims {
        vocabularies: schema
            .categorical
            .iter()
            .map(|feature| (feature.name.clone(), feature.vocabulary_size))
            .collect(),
        lists: schema
            .lists
            .iter()
            .map(|list| {
                (
                    list.name.clone(),
                    list.vocabulary_size,
                    operator_pooling(list.pooling),
                )
            })
            .collect(),
        num_numeric: schema.numeric.len(),
        embedding_dim,
    }
}

/// The features of a schema in the order of a model's input, with their columns. Those of single ids come first, so that the scenario
/// has its place among them here too.
pub fn input_features(schema: &Schema, embedding_dim: usize) -> Vec<InputFeature> {
    let single = schema.categorical.iter().map(|feature| &feature.name);
    let lists = schema.lists.iter().map(|list| &list.name);
    let embedded = single.chain(lists).map(|name| (name, embedding_dim));
    let widths = embedded.chain(schema.numeric.iter().map(|name| (name, 1)));
    let mut start = 0;
    let feature = |(name, width): (&String, usize)| {
        let first = start;
        start += width;
        InputFeature {
            name: name.clone(),
            columns: first..start,
        }
    };
    widths.map(feature).collect()
}

/// A description's word for pooling as the operators have it.
fn operator_pooling(
    pooling: homebench_data::schema::Pooling,
) -> homebench_kernels::optimizer::Pooling {
    use homebench_data::schema::Pooling as Described;
    use homebench_kernels::optimizer::Pooling;
    match pooling {
        Described::Sum => Pooling::Sum,
        Described::Mean => Pooling::Mean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_data::{CategoricalFeature, ListFeature};

    #[test]
    fn features_stand_in_the_input_as_the_tables_give_them() {
        let single = |name: &str| CategoricalFeature {
            name: name.to_owned(),
            vocabulary_size: 9,
        };
        let schema = Schema {
            categorical: vec![single("user"), single("tab")],
            lists: vec![ListFeature {
                name: "tags".to_owned(),
                vocabulary_size: 5,
                pooling: Default::default(),
            }],
            numeric: vec!["age".to_owned(), "price".to_owned()],
            tasks: Vec::new(),
            groups: Vec::new(),
            user: None,
            weight: None,
            scenario: Some(1),
        };
        let found = input_features(&schema, 4);
        let found: Vec<_> = found
            .iter()
            .map(|f| (f.name.as_str(), f.columns.clone()))
            .collect();
        let expected = [
            ("user", 0..4),
            ("tab", 4..8),
            ("tags", 8..12),
            ("age", 12..13),
            ("price", 13..14),
        ];
        assert_eq!(found, expected);
        assert_eq!(feature_dims(&schema, 4).input_dim(), 14);
    }
}
