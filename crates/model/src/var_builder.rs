//! Variables by path: made from a seed or loaded, the same whatever the order in which a model asks for them.

use crate::ModelError;
use crate::part::Part;
use crate::variables::{Variables, loaded};
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, DType, Device, Shape, Storage, Tensor, Var};
use homebench_kernels::{Parameter, Role};
use homebench_random::Philox;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Initial values of a variable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// One value everywhere.
    Constant(f32),
    /// Uniform between minus and plus this bound.
    Uniform(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
    /// A square matrix of so many rows with one value on its diagonal, and another beside it.
    Diagonal {
        /// Number of rows and columns.
        size: usize,
        /// On the diagonal.
        on: f32,
        /// Elsewhere.
        off: f32,
    },
}

impl Init {
    /// Uniform within one over the root of the number of inputs, as PyTorch's linear layers start.
    pub fn fan_in(inputs: usize) -> Self {
        // So that a training here and one of the same model in PyTorch start alike.
        Self::Uniform(1.0 / (inputs.max(1) as f32).sqrt())
    }

    fn values(self, seed: u64, path: &str, count: usize) -> Vec<f32> {
        // Keyed by the path, and each value by its index: the same weights whatever else a model has, and in whatever order,
        // so that an ablation starts from the weights of the whole model.
        let stream = Philox::new(seed, "init", path);
        let indices = 0..count as u64;
        match self {
            Self::Constant(value) => vec![value; count],
            Self::Diagonal { size, on, off } => (0..count)
                .map(|index| if index % (size + 1) == 0 { on } else { off })
                .collect(),
            Self::Uniform(bound) => indices
                .map(|index| (stream.uniform(index) * 2.0 - 1.0) * bound)
                .collect(),
            Self::Normal(deviation) => indices
                .map(|index| stream.normal(index) * deviation)
                .collect(),
        }
    }
}

enum Origin {
    Seed(u64),
    Weights(BTreeMap<String, Tensor>),
    Nothing,
}

struct Shared {
    origin: Origin,
    dtype: DType,
    device: Device,
    made: Mutex<Made>,
}

/// No model has more numbers: 128 GiB of weights, and with gradients and an optimiser's state four times as much. What is larger is a
/// slip of the pen, and has to be refused before memory for it is asked for, which would abort the process.
pub const MOST_PARAMETERS: u128 = 1 << 35;

/// Bytes that are asked for while a number of a variable is made: its value, and the copy that the variable keeps.
const VALUE_BYTES: u128 = 8;

/// No model has more variables. Each costs some hundreds of bytes whatever its size, so that many levels of few units are a slip too.
const MOST_VARIABLES: usize = 1 << 18;

/// A variable and what was said of it when it was made.
#[derive(Clone)]
struct MadeParameter {
    parameter: Parameter,
    part: Option<Arc<Part>>,
    of_one_task: bool,
}

/// What was made so far, in the order of paths: the same whatever the order in which a model asks for it.
#[derive(Default)]
struct Made {
    parameters: BTreeMap<String, MadeParameter>,
    parts: BTreeMap<String, Arc<Part>>,
    /// Numbers of all variables that were asked for.
    num_numbers: u128,
}

/// Makes variables.
///
/// ```
/// use candle_core::{DType, Device};
/// use homebench_model::{Init, VarBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vb = VarBuilder::from_seed(7, DType::F32, &Device::Cpu);
/// let weight = vb.pp("tower").get((3, 1), "weight", Init::fan_in(3))?;
/// assert_eq!(weight.path(), "tower.weight");
///
/// // Saved weights make the same variables again.
/// let saved = vb.finish()?.snapshot()?;
/// let vb = VarBuilder::from_weights(saved, DType::F32, &Device::Cpu);
/// let again = vb.pp("tower").get((3, 1), "weight", Init::fan_in(3))?;
/// assert_eq!(again.tensor().to_vec2::<f32>()?, weight.tensor().to_vec2::<f32>()?);
/// # Ok(())
/// # }
/// ```
///
/// Hands out variables under a path, as candle's own builder does, but as [`Parameter`]s: initial values depend on seed and
/// path alone, and a gradient buffer stands beside each.
#[derive(Clone)]
pub struct VarBuilder {
    shared: Arc<Shared>,
    path: String,
    /// What the variables belong to.
    part: Option<Arc<Part>>,
    /// Whether one task alone learns the variables.
    of_one_task: bool,
}

impl VarBuilder {
    /// Variables with initial values from `seed`.
    pub fn from_seed(seed: u64, dtype: DType, device: &Device) -> Self {
        Self::new(Origin::Seed(seed), dtype, device)
    }

    /// Variables with the values of `weights`, by variable path.
    pub fn from_weights(weights: BTreeMap<String, Tensor>, dtype: DType, device: &Device) -> Self {
        Self::new(Origin::Weights(weights), dtype, device)
    }

    /// Variables without values, for a model that is only counted: they have their shapes, and nothing may compute with them.
    pub fn for_counting() -> Self {
        Self::new(Origin::Nothing, DType::U8, &Device::Cpu)
    }

    fn new(origin: Origin, dtype: DType, device: &Device) -> Self {
        Self {
            shared: Arc::new(Shared {
                origin,
                dtype,
                device: device.clone(),
                made: Mutex::default(),
            }),
            path: String::new(),
            part: None,
            of_one_task: false,
        }
    }

    /// The builder one level down.
    pub fn pp(&self, name: impl std::fmt::Display) -> Self {
        Self {
            shared: self.shared.clone(),
            path: self.join(&name.to_string()),
            part: self.part.clone(),
            of_one_task: self.of_one_task,
        }
    }

    /// The builder of a part's variables, which are remembered as that part's.
    ///
    /// # Panics
    /// Two parts of a model have one path.
    pub(crate) fn part(&self, part: &Part) -> Self {
        let part = Arc::new(part.clone());
        let other = self.made().parts.insert(part.path.clone(), part.clone());
        assert!(other.is_none(), "two parts at `{}`", part.path);
        Self {
            part: Some(part.clone()),
            ..self.pp(&part.path)
        }
    }

    /// The builder of variables that one task's loss alone reaches, where `is_so`: a tower, a gate behind which nothing is shared. What an
    /// architecture does not say this of is shared.
    // Said where variables are made, by whoever knows what reads them: names and owners don't tell, since AdaTT's tasks read each other's
    // experts.
    pub(crate) fn of_one_task(&self, is_so: bool) -> Self {
        Self {
            of_one_task: self.of_one_task || is_so,
            ..self.clone()
        }
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        // A panic elsewhere leaves whole entries behind: each is inserted in one call.
        let made = self.shared.made.lock();
        made.unwrap_or_else(PoisonError::into_inner)
    }

    /// Where variables are made.
    pub fn device(&self) -> &Device {
        &self.shared.device
    }

    /// The type of variables.
    pub(crate) fn dtype(&self) -> DType {
        self.shared.dtype
    }

    /// The path that names are put under.
    pub fn prefix(&self) -> &str {
        &self.path
    }

    /// The builder one level up, and the last part of the path.
    pub(crate) fn split(&self) -> (Self, String) {
        let (parent, name) = self.path.rsplit_once('.').unwrap_or(("", &self.path));
        let up = Self {
            shared: self.shared.clone(),
            path: parent.to_string(),
            part: self.part.clone(),
            of_one_task: self.of_one_task,
        };
        (up, name.to_string())
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// A trained variable.
    ///
    /// # Errors
    /// The path was asked for before, or weights to load lack it or have it in another shape.
    pub fn get(
        &self,
        shape: impl Into<Shape>,
        name: &str,
        init: Init,
    ) -> Result<Parameter, ModelError> {
        self.make(shape.into(), name, init, Role::Trained)
    }

    /// A running statistic: saved with the weights, not trained.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn statistic(
        &self,
        shape: impl Into<Shape>,
        name: &str,
        init: Init,
    ) -> Result<Parameter, ModelError> {
        self.make(shape.into(), name, init, Role::Statistic)
    }

    fn make(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        role: Role,
    ) -> Result<Parameter, ModelError> {
        let path = self.join(name);
        self.make_room(&shape)?;
        let var = match &self.shared.origin {
            // Budgets count models many times over: no random number is drawn, and no memory is asked for.
            Origin::Nothing => {
                let storage = Storage::Cpu(CpuStorage::U8(Vec::new()));
                let tensor = Tensor::from_storage(storage, shape, BackpropOp::none(), true);
                Var::from_tensor(&tensor)?
            }
            Origin::Seed(_) | Origin::Weights(_) => {
                // A copy: the variable must not share storage with what it was loaded from.
                let tensor = self.initial(shape, &path, init)?;
                let tensor = tensor.to_dtype(self.shared.dtype)?.contiguous()?.copy()?;
                Var::from_tensor(&tensor)?
            }
        };
        let parameter = Parameter::new(path.clone(), var, role);
        let entry = MadeParameter {
            parameter: parameter.clone(),
            part: self.part.clone(),
            of_one_task: self.of_one_task,
        };
        let other = self.made().parameters.insert(path.clone(), entry);
        if other.is_some() {
            return Err(ModelError::InvalidWeights {
                message: format!("two variables have the path `{path}`"),
            });
        }
        Ok(parameter)
    }

    /// Refuses a variable that makes the model too large.
    fn make_room(&self, shape: &Shape) -> Result<(), ModelError> {
        // The product of a shape's widths may be more than 64 bits hold, and candle's own would wrap around.
        let widths = shape.dims().iter();
        let numbers = widths
            .map(|width| *width as u128)
            .try_fold(1, u128::checked_mul)
            .unwrap_or(u128::MAX);
        let mut made = self.made();
        made.num_numbers = made.num_numbers.saturating_add(numbers);
        if made.num_numbers > MOST_PARAMETERS || made.parameters.len() >= MOST_VARIABLES {
            return Err(ModelError::TooLarge {
                parameters: made.num_numbers,
                most: MOST_PARAMETERS,
                knob: None,
            });
        }
        let needs_memory = !matches!(self.shared.origin, Origin::Nothing);
        let bytes = usize::try_from(numbers.saturating_mul(VALUE_BYTES)).unwrap_or(usize::MAX);
        // Where the system says beforehand that it has no such memory, this is an error and no abort.
        if needs_memory && Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
            return Err(ModelError::TooLarge {
                parameters: made.num_numbers,
                most: MOST_PARAMETERS,
                knob: None,
            });
        }
        Ok(())
    }

    fn initial(&self, shape: Shape, path: &str, init: Init) -> Result<Tensor, ModelError> {
        Ok(match &self.shared.origin {
            Origin::Seed(seed) => {
                let values = init.values(*seed, path, shape.elem_count());
                Tensor::from_vec(values, shape, &self.shared.device)?
            }
            Origin::Weights(weights) => {
                loaded(weights, path, &shape)?.to_device(&self.shared.device)?
            }
            Origin::Nothing => unreachable!("a variable that is counted has no value"),
        })
    }

    /// Every variable made so far; for loaded weights, refuses those that nothing asked for.
    ///
    /// # Errors
    /// A loaded weight that the model doesn't have.
    pub fn finish(&self) -> Result<Variables, ModelError> {
        let made = self.made();
        // A weight too many is a sign of another model, as a missing one is.
        if let Origin::Weights(weights) = &self.shared.origin
            && let Some(path) = weights
                .keys()
                .find(|path| !made.parameters.contains_key(*path))
        {
            return Err(ModelError::InvalidWeights {
                message: format!("the model has no variable `{path}`"),
            });
        }
        let all = || made.parameters.values();
        Ok(Variables {
            parameters: all().map(|made| made.parameter.clone()).collect(),
            parts_of: all().map(|made| made.part.clone()).collect(),
            are_of_one_task: all().map(|made| made.of_one_task).collect(),
            parts: made.parts.values().cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> VarBuilder {
        VarBuilder::from_seed(7, DType::F32, &Device::Cpu)
    }

    #[test]
    fn initial_values_depend_on_the_path_and_not_on_the_order() {
        let (first, second) = (builder(), builder());
        let a = first.pp("x").get(8, "a", Init::fan_in(4)).unwrap();
        first.pp("x").get(8, "b", Init::fan_in(4)).unwrap();
        second.get(8, "b", Init::fan_in(4)).unwrap();
        let again = second.pp("x").get(8, "a", Init::fan_in(4)).unwrap();
        let values = |p: &Parameter| p.tensor().to_vec1::<f32>().unwrap();
        assert_eq!(values(&a), values(&again));
        assert!(values(&a).iter().all(|v| v.abs() <= 0.5));
        assert!(values(&a).windows(2).any(|w| w[0] != w[1]));
    }

    #[test]
    fn a_variable_that_no_memory_holds_is_refused_with_its_size_before_memory_is_asked_for() {
        for vb in [builder(), VarBuilder::for_counting()] {
            for shape in [
                (1 << 20, 1 << 20),
                (1 << 40, 1 << 40),
                (usize::MAX, usize::MAX),
            ] {
                let refused = vb.get(shape, "a", Init::fan_in(1)).unwrap_err();
                assert!(matches!(refused, ModelError::TooLarge { .. }), "{refused}");
            }
        }
        // Together they are too many: each is a quarter of the limit.
        let vb = VarBuilder::for_counting();
        for name in ["a", "b", "c", "d"] {
            vb.get((1 << 20, 1 << 13), name, Init::fan_in(1)).unwrap();
        }
        assert_eq!(vb.finish().unwrap().num_trained(), 1 << 35);
        let refused = vb.get(1, "e", Init::fan_in(1)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "this would have at least 34359738369 parameters, 128.0 GiB of 32-bit numbers; expected at most 34359738368"
        );
    }

    #[test]
    fn loading_refuses_missing_misshapen_and_unknown_weights() {
        let weights = |name: &str, len: usize| {
            let tensor = Tensor::zeros(len, DType::F32, &Device::Cpu).unwrap();
            BTreeMap::from([(name.to_string(), tensor)])
        };
        let load = |w| VarBuilder::from_weights(w, DType::F32, &Device::Cpu);
        let message = |vb: &VarBuilder| {
            vb.get(2, "a", Init::Constant(0.0))
                .map(|_| ())
                .and_then(|()| vb.finish().map(|_| ()))
        };
        assert!(message(&load(weights("a", 2))).is_ok());
        let text = |w| message(&load(w)).unwrap_err().to_string();
        assert_eq!(text(weights("b", 2)), "weights: `a` [2] is missing");
        assert_eq!(
            text(weights("a", 3)),
            "weights: `a`: expected shape [2], found [3]"
        );
        let mut both = weights("a", 2);
        both.extend(weights("c", 1));
        assert_eq!(text(both), "weights: the model has no variable `c`");
    }
}
