//! What a dataset's schema is to models: tasks and groups, sizes of features, and the columns of each.

use crate::TrainingConfig;
use homebench_data::Schema;
use homebench_model::{
    AttendingList, Attention, FeatureDims, FeatureTable, InputFeature, Tables, TaskGroup,
    TaskLayout,
};

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

/// The features of a schema, as an input sees them that wants such tables.
pub fn feature_dims(schema: &Schema, tables: Tables, training: &TrainingConfig) -> FeatureDims {
    let embedding_dim = tables.width(training.embedding_dim);
    let table = |feature: &String| {
        let name = schema.tables.get(feature).unwrap_or(feature);
        let width = training.embedding_dims.get(name);
        let width = width.map_or(embedding_dim, |width| tables.width(*width));
        let is_other = name != feature || width != embedding_dim;
        let table = FeatureTable {
            name: name.clone(),
            width,
        };
        is_other.then(|| (feature.clone(), table))
    };
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
        tables: embedded(schema).filter_map(table).collect(),
        attention: attention(schema, training),
    }
}

/// The lists that attend to a target, with their mean lengths.
fn attention(schema: &Schema, training: &TrainingConfig) -> Attention {
    let attending = |(list, target): (&String, &String)| {
        let mut lists = schema.lists.iter();
        let feature = lists.find(|feature| feature.name == *list);
        AttendingList {
            list: list.clone(),
            target: target.clone(),
            mean_length: feature.map_or(0.0, |feature| feature.mean_length),
        }
    };
    Attention {
        lists: training.attention.lists.iter().map(attending).collect(),
        hidden_dims: training.attention.hidden_dims.clone(),
    }
}

/// Features of ids in the order of a model's input. Those of single ids come first, so that the scenario has its place among them here too.
fn embedded(schema: &Schema) -> impl Iterator<Item = &String> {
    let single = schema.categorical.iter().map(|feature| &feature.name);
    single.chain(schema.lists.iter().map(|list| &list.name))
}

/// The features of a schema in the order of a model's input, with their columns.
pub fn input_features(schema: &Schema, dims: &FeatureDims) -> Vec<InputFeature> {
    let embedded = embedded(schema).map(|name| (name, dims.table_of(name).1));
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
    use crate::AttentionConfig;
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
                mean_length: 2.5,
            }],
            numeric: vec!["age".to_owned(), "price".to_owned()],
            tasks: Vec::new(),
            groups: Vec::new(),
            user: None,
            weight: None,
            scenario: Some(1),
            tables: Default::default(),
        };
        let training = |dims: &[(&str, usize)]| TrainingConfig {
            embedding_dim: 4,
            embedding_dims: dims
                .iter()
                .map(|(name, width)| ((*name).to_owned(), *width))
                .collect(),
            ..TrainingConfig::default()
        };
        let dims = feature_dims(&schema, Tables::Shared, &training(&[]));
        let found = input_features(&schema, &dims);
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
        assert_eq!((dims.input_dim(), dims.num_table_numbers()), (14, 4 * 23));
        // Tags read the table of users, which is narrow; a linear model's tables are one unit wide whatever is said.
        let shared = Schema {
            tables: [("tags".to_owned(), "user".to_owned())].into(),
            ..schema
        };
        for (tables, width, input_dim) in [(Tables::Shared, 3, 12), (Tables::Weights, 1, 5)] {
            let dims = feature_dims(&shared, tables, &training(&[("user", 3)]));
            assert_eq!(dims.table_of("tags"), ("user", width));
            assert_eq!(
                (dims.input_dim(), dims.num_embedded()),
                (input_dim, input_dim - 2)
            );
            let tab = tables.width(4);
            assert_eq!(dims.num_table_numbers(), (9 * width + 9 * tab) as u128);
            let columns = input_features(&shared, &dims)[2].columns.clone();
            assert_eq!(columns, width + tab..2 * width + tab);
        }
        let attending = TrainingConfig {
            attention: AttentionConfig {
                lists: [("tags".to_owned(), "user".to_owned())].into(),
                ..AttentionConfig::default()
            },
            ..TrainingConfig::default()
        };
        let attention = feature_dims(&shared, Tables::Shared, &attending).attention;
        let expected = AttendingList {
            list: "tags".to_owned(),
            target: "user".to_owned(),
            mean_length: 2.5,
        };
        assert_eq!(
            (attention.lists, attention.hidden_dims),
            (vec![expected], vec![36])
        );
    }
}
