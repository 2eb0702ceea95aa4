//! How large a model is and what it costs, known before it is trained.

use crate::spec::Configured;
use homebench_data::Schema;
use homebench_model::{BuildContext, ModelError, VarBuilder};
use homebench_train::{feature_dims, task_layout};

/// The budget of a model on a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Trainable numbers, embeddings included.
    pub parameters: usize,
    /// Floating-point operations of the products of a forward pass, per row.
    pub flops_per_row: usize,
}

/// Builds the model without training it: what it would cost, or why it can't be built for these tasks and features.
///
/// # Errors
/// Tasks, groups and knobs that make no model together.
pub fn budget(configured: &Configured, schema: &Schema) -> Result<Budget, ModelError> {
    let layout = task_layout(schema);
    let tables = configured.model.tables();
    let features = feature_dims(schema, tables.width(configured.training.embedding_dim));
    let context = BuildContext {
        layout: &layout,
        input_dim: features.input_dim(),
        num_embedded: features.num_embedded(),
        input_per_task: tables.per_task(),
    };
    let variables = VarBuilder::for_counting();
    let ranker = configured.model.build(&context, &variables)?;
    let rows = features.num_table_rows();
    let copies = if tables.per_task() {
        layout.tasks.len()
    } else {
        1
    };
    Ok(Budget {
        parameters: variables.finish()?.num_trained() + copies * rows * features.embedding_dim,
        flops_per_row: ranker.flops_per_row(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_data::{CategoricalFeature, Task, TaskKind};
    use homebench_model::ModelConfig;
    use homebench_train::TrainingConfig;

    #[test]
    fn parameters_and_operations_are_those_counted_by_hand() {
        let schema = Schema {
            categorical: vec![CategoricalFeature {
                name: "author".into(),
                vocabulary_size: 10,
            }],
            lists: Vec::new(),
            numeric: vec!["age".into()],
            tasks: vec![Task {
                name: "click".into(),
                group: 0,
                kind: TaskKind::default(),
            }],
            groups: vec!["watch".into()],
            user: None,
            weight: None,
        };
        let knobs = toml::from_str("expert_dims = [5]\ntower_dims = []").unwrap();
        let configured = Configured {
            model: ModelConfig::from_table("shared_bottom", &knobs).unwrap(),
            training: TrainingConfig {
                embedding_dim: 2,
                ..TrainingConfig::default()
            },
            settings: Vec::new(),
        };
        let budget = budget(&configured, &schema).unwrap();
        // Embeddings 10 x 2; 3 inputs to 5 units and their biases; 5 units to a logit and its bias.
        assert_eq!(budget.parameters, 20 + (15 + 5) + (5 + 1));
        assert_eq!(budget.flops_per_row, 2 * (15 + 5));
    }
}
