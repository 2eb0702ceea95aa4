//! The variables of a model, and the parts that they belong to.

use crate::ModelError;
use crate::part::{Part, PartKind};
use candle_core::{Shape, Tensor};
use homebench_kernels::{Parameter, Role};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The variables of a model, in the order of their paths.
#[derive(Debug, Clone)]
pub struct Variables {
    pub(crate) parameters: Vec<Parameter>,
    /// What each of them belongs to.
    pub(crate) parts_of: Vec<Option<Arc<Part>>>,
    /// Whether one task alone learns each of them.
    pub(crate) are_of_one_task: Vec<bool>,
    pub(crate) parts: Vec<Arc<Part>>,
}

impl Variables {
    /// The model's sets of experts, gates and feature gates, in the order of their paths.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().map(AsRef::as_ref)
    }

    /// The part at a path, such as that of a [`GateTrace`](crate::GateTrace).
    ///
    /// # Panics
    /// The model has no such part: its builder hasn't recorded one.
    pub fn part(&self, path: &str) -> &Part {
        let found = self.parts().find(|part| part.path == path);
        found.unwrap_or_else(|| panic!("no part of the model was built at `{path}`"))
    }

    /// Sets of experts, each with its trained variables.
    pub fn expert_sets(&self) -> impl Iterator<Item = (&Part, Vec<&Parameter>)> {
        let sets = self.parts().filter(|part| part.kind == PartKind::Experts);
        sets.map(|set| {
            let variables = self.parameters.iter().zip(&self.parts_of);
            let of_set = variables.filter(|(parameter, part)| {
                parameter.role() == Role::Trained && part.as_deref() == Some(set)
            });
            (set, of_set.map(|(parameter, _)| parameter).collect())
        })
    }

    /// The trained variables that the losses of more than one task reach, as the architecture says: experts and what is before them, but no
    /// tower and no gate that only a tower reads.
    pub fn shared(&self) -> impl Iterator<Item = &Parameter> {
        let all = self.parameters.iter().zip(&self.are_of_one_task);
        all.filter(|(parameter, own)| parameter.role() == Role::Trained && !**own)
            .map(|(parameter, _)| parameter)
    }

    /// All of them, statistics included.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Number of trained numbers.
    pub fn num_trained(&self) -> usize {
        self.parameters
            .iter()
            .filter(|parameter| parameter.role() == Role::Trained)
            .map(Parameter::num_elements)
            .sum()
    }

    /// Copies of all values by path.
    ///
    /// # Errors
    /// A tensor can't be copied.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Tensor>, ModelError> {
        self.parameters
            .iter()
            // A copy, since training writes into the variable's own storage.
            .map(|p| Ok((p.path().to_string(), p.tensor().detach().copy()?)))
            .collect()
    }

    /// Puts the values of a snapshot back.
    ///
    /// # Errors
    /// The snapshot lacks a variable or has it in another shape.
    pub fn restore(&self, snapshot: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
        for parameter in &self.parameters {
            let tensor = loaded(snapshot, parameter.path(), parameter.tensor().shape())?;
            parameter.var().set(tensor)?;
        }
        Ok(())
    }
}

/// The weight of a path, which must be there in this shape.
pub(crate) fn loaded<'a>(
    weights: &'a BTreeMap<String, Tensor>,
    path: &str,
    shape: &Shape,
) -> Result<&'a Tensor, ModelError> {
    let refuse = |message: String| Err(ModelError::InvalidWeights { message });
    match weights.get(path) {
        None => refuse(format!("`{path}` {:?} is missing", shape.dims())),
        Some(tensor) if tensor.shape() != shape => refuse(format!(
            "`{path}`: expected shape {:?}, found {:?}",
            shape.dims(),
            tensor.dims()
        )),
        Some(tensor) => Ok(tensor),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Init, VarBuilder};
    use candle_core::{DType, Device};

    #[test]
    fn a_snapshot_is_not_changed_by_training_and_can_be_restored() {
        let vb = VarBuilder::from_seed(7, DType::F32, &Device::Cpu);
        let parameter = vb.get(3, "a", Init::Normal(1.0)).unwrap();
        let variables = vb.finish().unwrap();
        let snapshot = variables.snapshot().unwrap();
        let before = parameter.tensor().to_vec1::<f32>().unwrap();
        parameter.update(|values| values.fill(9.0)).unwrap();
        variables.restore(&snapshot).unwrap();
        assert_eq!(parameter.tensor().to_vec1::<f32>().unwrap(), before);
    }
}
