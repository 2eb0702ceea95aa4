//! The variables of a model by their paths and shapes, and which of them a path names.

use candle_core::Tensor;
use homebench_kernels::{Parameter, Role};
use homebench_model::Variables;
use std::collections::{BTreeMap, BTreeSet};

/// The word that stands for every embedding table, those of each task included.
const TABLES: &str = "embedding";

/// What is known of a variable without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableShape {
    /// Its shape.
    pub dims: Vec<usize>,
    /// Whether it is learned; a running statistic is not.
    pub is_trained: bool,
    is_table: bool,
}

/// The variables of a model, tables included, in the order of their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableShapes(BTreeMap<String, VariableShape>);

impl VariableShapes {
    /// Those of a model whose tables have these paths and shapes.
    pub fn new(variables: &Variables, tables: &[(String, [usize; 2])]) -> Self {
        let dense = |parameter: &Parameter| {
            let shape = VariableShape {
                dims: parameter.tensor().dims().to_vec(),
                is_trained: parameter.role() == Role::Trained,
                is_table: false,
            };
            (parameter.path().to_owned(), shape)
        };
        let table = |(path, dims): &(String, [usize; 2])| {
            let shape = VariableShape {
                dims: dims.to_vec(),
                is_trained: true,
                is_table: true,
            };
            (path.clone(), shape)
        };
        let dense = variables.parameters().iter().map(dense);
        Self(dense.chain(tables.iter().map(table)).collect())
    }

    /// Those that weights are of, as far as weights tell.
    pub(super) fn of_weights(weights: &BTreeMap<String, Tensor>) -> Self {
        let shape = |tensor: &Tensor| VariableShape {
            dims: tensor.dims().to_vec(),
            is_trained: true,
            is_table: false,
        };
        let weights = weights.iter();
        Self(
            weights
                .map(|(path, tensor)| (path.clone(), shape(tensor)))
                .collect(),
        )
    }

    /// Every variable.
    pub fn all(&self) -> impl Iterator<Item = (&str, &VariableShape)> {
        self.0.iter().map(|(path, shape)| (path.as_str(), shape))
    }

    /// The variable of this path.
    pub fn get(&self, path: &str) -> Option<&VariableShape> {
        self.0.get(path)
    }

    /// The variables that a path names: one, or all below a dot. `embedding` names every table.
    pub fn named(&self, path: &str) -> Vec<&str> {
        let is_named = |variable: &str, shape: &VariableShape| {
            is_at_or_below(variable, path) || path == TABLES && shape.is_table
        };
        let named = self
            .all()
            .filter(|(variable, shape)| is_named(variable, shape));
        named.map(|(variable, _)| variable).collect()
    }

    /// Every path that names a variable, for whoever mistyped one.
    pub fn paths(&self) -> BTreeSet<&str> {
        let mut paths = BTreeSet::new();
        for path in self.0.keys() {
            let dots = path.match_indices('.').map(|(place, _)| &path[..place]);
            paths.extend(dots.chain([path.as_str()]));
        }
        paths
    }
}

/// Whether `variable` is that of `path`, or below it at a dot.
pub(super) fn is_at_or_below(variable: &str, path: &str) -> bool {
    let rest = variable.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) && !path.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use homebench_model::{Init, VarBuilder};

    fn shapes() -> VariableShapes {
        let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
        for path in [
            "shared.expert.0",
            "shared.expert.1",
            "task.like.gate",
            "task.like",
        ] {
            vb.pp(path)
                .get((2, 3), "weight", Init::Constant(0.0))
                .unwrap();
        }
        let mean = vb.pp("shared.expert.0.norm");
        mean.statistic(3, "running_mean", Init::Constant(0.0))
            .unwrap();
        let tables = ["embedding.user.weight", "task.like.embedding.user.weight"];
        let tables = tables.map(|path| (path.to_owned(), [10, 4]));
        VariableShapes::new(&vb.finish().unwrap(), &tables)
    }

    #[test]
    fn a_path_names_a_variable_or_all_below_a_dot() {
        let shapes = shapes();
        assert_eq!(shapes.named("task.like.weight"), ["task.like.weight"]);
        assert_eq!(
            shapes.named("shared.expert.0"),
            [
                "shared.expert.0.norm.running_mean",
                "shared.expert.0.weight"
            ]
        );
        assert_eq!(shapes.named("shared").len(), 3);
        for nothing in ["", "shared.exp", "shared.", "task.like.gate.weight.0"] {
            assert!(shapes.named(nothing).is_empty(), "{nothing}");
        }
        let statistic = shapes.get("shared.expert.0.norm.running_mean").unwrap();
        assert_eq!(
            (statistic.is_trained, &statistic.dims[..]),
            (false, &[3][..])
        );
    }

    #[test]
    fn embedding_names_every_table_and_a_table_has_its_own_name_too() {
        let shapes = shapes();
        let tables = ["embedding.user.weight", "task.like.embedding.user.weight"];
        assert_eq!(shapes.named("embedding"), tables);
        assert_eq!(shapes.named("embedding.user"), tables[..1]);
        assert_eq!(shapes.named("task.like.embedding"), tables[1..]);
        assert!(shapes.paths().contains("task.like.embedding"));
    }
}
