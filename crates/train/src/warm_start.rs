//! Training that doesn't start from fresh weights alone: which variables begin as those of another model, and which stay as they are.

use super::TrainError;
use super::network::Network;
use super::variable_shapes::{VariableShapes, is_at_or_below};
use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which variables begin as those of another model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartPaths {
    /// Paths of variables that begin as those of the same path; every variable where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Paths of the other model, each with that of this model whose variables begin as those below it. Where several have one, it
    /// begins as their mean.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
}

/// The weights that a training starts from.
#[derive(Debug, Clone, Copy)]
pub struct StartFrom<'a> {
    /// Which of them.
    pub paths: &'a StartPaths,
    /// All of the other model, by variable path.
    pub weights: &'a BTreeMap<String, Tensor>,
}

/// Which list of paths a path stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKey {
    /// `paths` of what a model starts from.
    Paths,
    /// A key of `rename`, a path of the other model.
    RenamedFrom,
    /// A value of `rename`.
    RenamedTo,
    /// Those that are frozen.
    Freeze,
}

/// A path that can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No variable has it, or is below it.
    #[error("{} has no variable at or below `{path}`", owner(*key))]
    NamesNothing {
        /// The path.
        path: String,
        /// Where it stands.
        key: PathKey,
    },
    /// The other model lacks a variable.
    #[error(
        "`{path}` can't begin as `{source_path}`: the model that it starts from has no such variable"
    )]
    Missing {
        /// The variable.
        path: String,
        /// What it was to begin as.
        source_path: String,
    },
    /// The other model has it in another shape.
    #[error(
        "`{path}` is {dims:?} here, and `{source_path}` of the model that it starts from is {source_dims:?}"
    )]
    Shape {
        /// The variable.
        path: String,
        /// Its shape.
        dims: Vec<usize>,
        /// What it was to begin as.
        source_path: String,
        /// Its shape.
        source_dims: Vec<usize>,
    },
    /// Nothing would begin as anything.
    #[error("no variable is named that begins as another's")]
    Nothing,
    /// Nothing would be left to train.
    #[error("every variable is frozen, so that there is nothing to train")]
    AllFrozen,
}

fn owner(key: PathKey) -> &'static str {
    match key {
        PathKey::RenamedFrom => "the model that it starts from",
        PathKey::Paths | PathKey::RenamedTo | PathKey::Freeze => "the model",
    }
}

impl StartPaths {
    /// For each variable of `own` that begins as another's, those of `other` that it begins as the mean of, in their order.
    ///
    /// # Errors
    /// A path that names nothing, a variable that `other` lacks or has in another shape, or nothing at all.
    pub fn sources(
        &self,
        own: &VariableShapes,
        other: &VariableShapes,
    ) -> Result<BTreeMap<String, Vec<String>>, PathError> {
        let mut sources = BTreeMap::new();
        let mut by_own_name = |path: &str| {
            sources.insert(path.to_owned(), vec![path.to_owned()]);
        };
        match &self.paths {
            None => own.all().for_each(|(path, _)| by_own_name(path)),
            Some(paths) => {
                for path in paths {
                    let named = named(own, path, PathKey::Paths)?;
                    named.into_iter().for_each(&mut by_own_name);
                }
            }
        }
        sources.extend(self.renamed(own, other)?);
        for (path, sources) in &sources {
            for source in sources {
                check(path, own, source, other)?;
            }
        }
        match sources.is_empty() {
            true => Err(PathError::Nothing),
            false => Ok(sources),
        }
    }

    fn renamed(
        &self,
        own: &VariableShapes,
        other: &VariableShapes,
    ) -> Result<BTreeMap<String, Vec<String>>, PathError> {
        let mut renamed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (from, to) in &self.rename {
            named(other, from, PathKey::RenamedFrom)?;
            for path in named(own, to, PathKey::RenamedTo)? {
                // `embedding` names tables that are not below it, which can have no other name for that.
                if !is_at_or_below(path, to) {
                    continue;
                }
                let source = format!("{from}{}", &path[to.len()..]);
                renamed.entry(path.to_owned()).or_default().push(source);
            }
        }
        Ok(renamed)
    }
}

/// The variables that a path names, at least one.
pub(super) fn named<'a>(
    variables: &'a VariableShapes,
    path: &str,
    key: PathKey,
) -> Result<Vec<&'a str>, PathError> {
    let named = variables.named(path);
    let path = path.to_owned();
    match named.is_empty() {
        true => Err(PathError::NamesNothing { path, key }),
        false => Ok(named),
    }
}

fn check(
    path: &str,
    own: &VariableShapes,
    source: &str,
    other: &VariableShapes,
) -> Result<(), PathError> {
    let (path, source_path) = (path.to_owned(), source.to_owned());
    let dims = own.get(&path).map(|shape| shape.dims.clone());
    match (dims, other.get(source)) {
        (_, None) => Err(PathError::Missing { path, source_path }),
        (Some(dims), Some(source)) if dims != source.dims => Err(PathError::Shape {
            path,
            dims,
            source_path,
            source_dims: source.dims.clone(),
        }),
        _ => Ok(()),
    }
}

/// Checks that paths to freeze name variables, and that something is left to train.
///
/// # Errors
/// A path that names nothing; nothing left to train.
pub fn check_frozen(freeze: &[String], variables: &VariableShapes) -> Result<(), PathError> {
    let mut frozen = Vec::new();
    for path in freeze {
        frozen.extend(named(variables, path, PathKey::Freeze)?);
    }
    let is_left = |(path, is_trained)| is_trained && !frozen.contains(&path);
    let mut all = variables
        .all()
        .map(|(path, shape)| (path, shape.is_trained));
    match all.any(is_left) {
        true => Ok(()),
        false => Err(PathError::AllFrozen),
    }
}

/// Gives the variables that begin as another model's their values.
///
/// # Errors
/// A path that can't be meant; a tensor that can't be read.
pub(super) fn begin(network: &Network, start: &StartFrom<'_>) -> Result<(), TrainError> {
    let other = VariableShapes::of_weights(start.weights);
    let sources = start.paths.sources(&network.variable_shapes(), &other)?;
    for parameter in network.variables().parameters() {
        let Some(sources) = sources.get(parameter.path()) else {
            continue;
        };
        let sources: Vec<&Tensor> = sources.iter().map(|path| &start.weights[path]).collect();
        let own = parameter.tensor();
        let values = mean(&sources)?.to_dtype(own.dtype())?;
        parameter.var().set(&values.to_device(own.device())?)?;
    }
    Ok(())
}

/// The mean of tensors of one shape; of one, its own bytes.
fn mean(sources: &[&Tensor]) -> candle_core::Result<Tensor> {
    let (first, others) = sources
        .split_first()
        .expect("a variable begins as something");
    if others.is_empty() {
        return first.copy();
    }
    // In 64 bits and in the order of paths, so that no sum depends on how the paths were written.
    let mut sums = first
        .flatten_all()?
        .to_dtype(DType::F64)?
        .to_vec1::<f64>()?;
    for other in others {
        let values = other
            .flatten_all()?
            .to_dtype(DType::F64)?
            .to_vec1::<f64>()?;
        sums.iter_mut()
            .zip(values)
            .for_each(|(sum, value)| *sum += value);
    }
    let count = sources.len() as f64;
    let means: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
    Tensor::from_vec(means, first.shape(), first.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use homebench_model::{Init, VarBuilder};

    fn shapes(of: &[(&str, usize)]) -> VariableShapes {
        let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
        for (path, width) in of {
            vb.pp(path)
                .get(*width, "weight", Init::Constant(0.0))
                .unwrap();
        }
        VariableShapes::new(&vb.finish().unwrap(), &[])
    }

    fn start(paths: Option<&[&str]>, rename: &[(&str, &str)]) -> StartPaths {
        let owned = |text: &&str| (*text).to_owned();
        StartPaths {
            paths: paths.map(|paths| paths.iter().map(owned).collect()),
            rename: rename.iter().map(|(a, b)| (owned(a), owned(b))).collect(),
        }
    }

    const OWN: &[(&str, usize)] = &[("expert", 3), ("task.a.gate", 2), ("task.b.gate", 2)];

    #[test]
    fn every_variable_is_meant_where_none_is_named_and_several_sources_make_a_mean() {
        let own = shapes(OWN);
        let all = start(None, &[]).sources(&own, &own).unwrap();
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|(path, sources)| *sources == [path.clone()]));
        let gates = [
            ("task.b.gate", "task.a.gate"),
            ("task.a.gate", "task.a.gate"),
        ];
        let renamed = start(Some(&["expert"]), &gates)
            .sources(&own, &own)
            .unwrap();
        assert_eq!(renamed["expert.weight"], ["expert.weight"]);
        let both = ["task.a.gate.weight", "task.b.gate.weight"];
        assert_eq!(renamed["task.a.gate.weight"], both);
        assert_eq!(renamed.len(), 2);
    }

    #[test]
    fn what_can_not_be_meant_is_refused_in_words() {
        let own = shapes(OWN);
        let other = shapes(&[("expert", 4), ("task.a.gate", 2)]);
        let said = |start: StartPaths| start.sources(&own, &other).unwrap_err().to_string();
        let found = [
            said(start(Some(&["task", "experts"]), &[])),
            said(start(Some(&["expert"]), &[])),
            said(start(Some(&["task"]), &[])),
            said(start(Some(&[]), &[("task.c", "task.b")])),
            said(start(Some(&[]), &[("task.a", "task.c")])),
            said(start(Some(&[]), &[("expert", "task.b.gate")])),
            said(start(Some(&[]), &[])),
        ];
        insta::assert_snapshot!(found.join("\n"), @r#"
        the model has no variable at or below `experts`
        `expert.weight` is [3] here, and `expert.weight` of the model that it starts from is [4]
        `task.b.gate.weight` can't begin as `task.b.gate.weight`: the model that it starts from has no such variable
        the model that it starts from has no variable at or below `task.c`
        the model has no variable at or below `task.c`
        `task.b.gate.weight` is [2] here, and `expert.weight` of the model that it starts from is [4]
        no variable is named that begins as another's
        "#);
    }

    #[test]
    fn paths_to_freeze_leave_something_to_train() {
        let own = shapes(OWN);
        let check = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            check_frozen(&paths, &own)
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["expert", "task.a"]), Ok(()));
        assert_eq!(check(&["expert", "task"]), Err(PathError::AllFrozen));
        let nothing = check(&["expert.0"]).unwrap_err();
        assert_eq!(
            nothing.to_string(),
            "the model has no variable at or below `expert.0`"
        );
    }

    #[test]
    fn a_mean_is_taken_element_by_element_and_of_one_it_is_its_bytes() {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let (a, b) = (tensor(&[1.0, 0.1]), tensor(&[2.0, 0.3]));
        let values = |tensor: Tensor| tensor.to_vec1::<f32>().unwrap();
        assert_eq!(values(mean(&[&a]).unwrap()), [1.0, 0.1]);
        assert_eq!(values(mean(&[&a, &b]).unwrap()), [1.5, 0.2]);
    }
}
