//! What is known of a model before it is trained: how large it is, what it costs, and of which parts it is made.

use crate::spec::{CellContent, Configured};
use homebench_data::Schema;
use homebench_model::{
    BuildContext, FeatureDims, InputColumns, MOST_PARAMETERS, ModelConfig, ModelError, Owner,
    Ranker, TargetAttention, TaskLayout, VarBuilder, Variables, table_shapes,
};
use homebench_results::tables::{ModelPartsRow, Scope};
use homebench_train::{TrainingConfig, VariableShapes, feature_dims, input_features, task_layout};

/// The budget of a model on a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Trainable numbers, embeddings included.
    pub parameters: usize,
    /// Numbers that a pass computes of each row, at least: the inputs, and one of each unit with a bias.
    pub activations_per_row: usize,
    /// Floating-point operations of the products of a forward pass, per row.
    pub flops_per_row: usize,
}

/// A model that is built to be looked at.
struct Built {
    layout: TaskLayout,
    features: FeatureDims,
    variables: Variables,
    attention: Option<TargetAttention>,
    ranker: Box<dyn Ranker>,
}

impl Built {
    fn new(
        model: &ModelConfig,
        training: &TrainingConfig,
        schema: &Schema,
    ) -> Result<Self, ModelError> {
        let layout = task_layout(schema);
        let tables = model.tables();
        let features = feature_dims(schema, tables, training);
        // Before anything is multiplied in 64 bits.
        let copies = tables.num_sets(layout.tasks.len()) as u128;
        let embedded = copies.saturating_mul(features.num_table_numbers());
        if embedded > MOST_PARAMETERS {
            return Err(ModelError::TooLarge {
                parameters: embedded,
                most: MOST_PARAMETERS,
                knob: None,
            });
        }
        let columns = input_features(schema, &features);
        let context = BuildContext {
            layout: &layout,
            input_dim: features.input_dim(),
            num_embedded: features.num_embedded(),
            input_per_task: tables.per_task(),
            columns: InputColumns {
                features: &columns,
                scenario: schema.scenario,
                num_scenarios: schema.num_scenarios(),
                embedding_dim: features.embedding_dim,
            },
            after: &schema.after(),
        };
        let variables = VarBuilder::for_counting();
        let ranker = model.build(&context, &variables)?;
        let attention = TargetAttention::new(&features, &layout, tables, &variables)?;
        Ok(Self {
            variables: variables.finish()?,
            layout,
            features,
            attention,
            ranker,
        })
    }
}

/// Builds the model without training it: what it would cost, or why it can't be built for these tasks and features.
///
/// # Errors
/// Tasks, groups and knobs that make no model together.
pub fn budget(configured: &Configured, schema: &Schema) -> Result<Budget, ModelError> {
    let model = &configured.model;
    if model.is_program() {
        // Not known here; a budget can't be like it, since nothing costs as little.
        return Ok(Budget {
            parameters: 0,
            activations_per_row: 0,
            flops_per_row: 0,
        });
    }
    let built = Built::new(model, &configured.training, schema)?;
    let copies = model.tables().num_sets(built.layout.tasks.len());
    let features = &built.features;
    // As many as were found to be no more than a model may have.
    let embedded = copies * features.num_table_numbers() as usize;
    let biases = built.variables.parameters().iter();
    let biases = biases.filter(|parameter| parameter.path().ends_with("bias"));
    let units: usize = biases.map(|parameter| parameter.num_elements()).sum();
    let before = built.attention.as_ref().map(TargetAttention::flops_per_row);
    Ok(Budget {
        parameters: built.variables.num_trained() + embedded,
        activations_per_row: features.input_dim() + units,
        flops_per_row: before.unwrap_or(0) + built.ranker.flops_per_row(),
    })
}

/// The variables of a model on a dataset, tables included.
///
/// # Errors
/// As [`budget`].
pub(super) fn variable_shapes(
    configured: &Configured,
    schema: &Schema,
) -> Result<VariableShapes, ModelError> {
    let model = &configured.model;
    let built = Built::new(model, &configured.training, schema)?;
    let tables = table_shapes(&built.features, &built.layout, model.tables());
    Ok(VariableShapes::new(&built.variables, &tables))
}

/// What of a model the gradients of tasks can be compared at.
pub(super) struct Comparable {
    /// Whether the losses of more than one task reach a dense variable.
    pub(super) variables: bool,
    /// Whether every task reads one tensor.
    pub(super) representation: bool,
}

/// Whether the tasks of a model share anything on a dataset.
///
/// # Errors
/// As [`budget`].
pub(super) fn comparable(
    configured: &Configured,
    schema: &Schema,
) -> Result<Comparable, ModelError> {
    let built = Built::new(&configured.model, &configured.training, schema)?;
    Ok(Comparable {
        variables: built.variables.shared().next().is_some(),
        representation: built.ranker.has_representation(),
    })
}

/// Whether its tasks have features that a teacher's could be compared with.
pub(super) fn has_features(configured: &Configured, schema: &Schema) -> Result<bool, ModelError> {
    let built = Built::new(&configured.model, &configured.training, schema)?;
    Ok(built.ranker.features().is_some())
}

/// What a cell's model costs.
///
/// # Errors
/// As [`budget`].
pub fn cost_of(content: &CellContent, schema: &Schema) -> Result<Budget, ModelError> {
    let configured = Configured {
        model: content.model_config()?,
        training: content.training.clone(),
        settings: Vec::new(),
    };
    budget(&configured, schema)
}

/// The parts of a cell's model, for whoever shows what experts and gates did: nobody reads it out of their paths.
///
/// # Errors
/// As [`budget`].
pub fn model_parts(
    content: &CellContent,
    schema: &Schema,
) -> Result<Vec<ModelPartsRow>, ModelError> {
    let model = content.model_config()?;
    if model.is_program() {
        return Ok(Vec::new());
    }
    let built = Built::new(&model, &content.training, schema)?;
    let (entry, layout) = (model.entry(), &built.layout);
    let row = |part: &homebench_model::Part| {
        let (scope, owner) = match part.owner {
            Owner::All => (Scope::All, ""),
            Owner::Group(group) => (Scope::Group, layout.groups[group].name.as_str()),
            Owner::Task(task) => (Scope::Task, layout.tasks[task].as_str()),
        };
        ModelPartsRow {
            variant: content.variant.clone(),
            layer: part.layer as u64,
            layer_title: entry.layer_title(part.layer),
            path: part.path.clone(),
            kind: part.kind.name().to_owned(),
            scope,
            owner: owner.to_owned(),
            name: part.name.clone(),
        }
    };
    Ok(built.variables.parts().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_data::{CategoricalFeature, Task, TaskKind};
    use homebench_model::ModelConfig;

    #[test]
    fn tables_and_layers_that_no_memory_holds_are_refused_with_their_size() {
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
                after: None,
            }],
            groups: vec!["watch".into()],
            user: None,
            weight: None,
            scenario: None,
            tables: Default::default(),
        };
        let refused = |knobs: &str, embedding_dim: usize| {
            let configured = Configured {
                model: ModelConfig::from_table("mmoe", &knobs.parse().unwrap()).unwrap(),
                training: TrainingConfig {
                    embedding_dim,
                    ..TrainingConfig::default()
                },
                settings: Vec::new(),
            };
            match budget(&configured, &schema).unwrap_err() {
                ModelError::TooLarge {
                    parameters, knob, ..
                } => (parameters, knob),
                other => panic!("{other}"),
            }
        };
        // 10 rows of the table.
        assert_eq!(refused("", 1 << 61), (10 << 61, None));
        // At least what one layer with so many units has: the first that is too large ends the counting.
        let widths = 1_600_000_000_000;
        let (parameters, knob) = refused(&format!("num_experts = 2\nexpert_dims = [{widths}]"), 2);
        assert_eq!(knob.as_deref(), Some("expert_dims"));
        assert!(parameters >= 3 * widths, "{parameters}");
        let (_, knob) = refused(&format!("expert_dims = [4, {}]", i64::MAX), 2);
        assert_eq!(knob.as_deref(), Some("expert_dims"));
        let (_, knob) = refused(&format!("tower_dims = [{}]", 1_i64 << 62), 2);
        assert_eq!(knob.as_deref(), Some("tower_dims"));
    }

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
                after: None,
            }],
            groups: vec!["watch".into()],
            user: None,
            weight: None,
            scenario: None,
            tables: Default::default(),
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
        // 3 inputs, 5 units, a logit.
        assert_eq!(budget.activations_per_row, 3 + 5 + 1);
    }
}
