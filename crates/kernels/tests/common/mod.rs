//! Shared by the operators' tests: subjects built from a seed, runs of one path with all of its gradients, comparisons.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary takes its part of this module"
)]

pub mod mixture;
pub mod place;

use candle_core::{DType, Device, Result, Tensor, Var};
use homebench_kernels::cuda::{Order, on_host};
use homebench_kernels::{Parameter, Role, Stack};
use homebench_random::Philox;
use std::collections::BTreeMap;

/// Batch sizes around the borders of vectors, blocks (256 rows) and chunks (64 rows and more).
pub const BATCHES: [usize; 6] = [1, 2, 7, 64, 257, 1030];

/// Which implementation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    Fused,
    Composed,
}

/// Makes parameters and inputs whose values depend on their names alone, and records the parameters.
///
/// Values are multiples of 1/64 (biases: odd multiples of 2^-18), so that f32 and f64 hold the same ones, that products
/// of the first layers are exact in both, and that no ReLU stands on its kink.
pub struct Builder {
    pub dtype: DType,
    pub parameters: Vec<Parameter>,
}

/// Stands among a stack's counts for a parameter without the dimension of experts.
pub const UNSTACKED: usize = 0;

impl Builder {
    pub fn new(dtype: DType) -> Self {
        Self {
            dtype,
            parameters: Vec::new(),
        }
    }

    /// The reference in f64 stays on the processor, so that another device is held against that.
    pub fn device(&self) -> Device {
        match self.dtype {
            DType::F64 => Device::Cpu,
            _ => place::device(),
        }
    }

    fn values(&self, name: &str, shape: &[usize], value: impl Fn(f32) -> f32) -> Result<Tensor> {
        let stream = Philox::new(7, "test", name);
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count as u64)
            .map(|index| value(stream.uniform(index) * 2.0 - 1.0))
            .collect();
        Tensor::from_vec(values, shape, &self.device())?.to_dtype(self.dtype)
    }

    /// Uniform in ±`reach`, in steps of 1/64.
    pub fn tensor(&self, name: &str, shape: &[usize], reach: f32) -> Result<Tensor> {
        self.values(name, shape, |unit| (unit * reach * 64.0).round() / 64.0)
    }

    fn record(&mut self, path: &str, values: Tensor, role: Role) -> Result<Parameter> {
        let parameter = Parameter::new(path, Var::from_tensor(&values)?, role);
        self.parameters.push(parameter.clone());
        Ok(parameter)
    }

    /// A trained parameter within ±`reach`.
    pub fn parameter(&mut self, path: &str, shape: &[usize], reach: f32) -> Result<Parameter> {
        let values = self.tensor(path, shape, reach)?;
        self.record(path, values, Role::Trained)
    }

    /// A trained parameter on no multiple of 2^-17.
    pub fn bias(&mut self, path: &str, shape: &[usize]) -> Result<Parameter> {
        const STEP: f32 = 1.0 / 131_072.0;
        let values = self.values(path, shape, |unit| ((unit * 30_000.0).floor() + 0.5) * STEP)?;
        self.record(path, values, Role::Trained)
    }

    /// A parameter within 1 ± .5: the scale of a norm, or a variance.
    pub fn positive(&mut self, path: &str, shape: &[usize], role: Role) -> Result<Parameter> {
        let values = self.values(path, shape, |unit| 1.0 + (unit * 32.0).round() / 64.0)?;
        self.record(path, values, role)
    }

    /// A statistic within ±.5.
    pub fn statistic(&mut self, path: &str, shape: &[usize]) -> Result<Parameter> {
        let values = self.tensor(path, shape, 0.5)?;
        self.record(path, values, Role::Statistic)
    }

    /// A stack of one parameter per count, made by `make` from the builder, a path and a shape.
    pub fn stack(
        &mut self,
        path: &str,
        counts: &[usize],
        shape: &[usize],
        make: impl Fn(&mut Self, &str, &[usize]) -> Result<Parameter>,
    ) -> Result<Stack> {
        let mut parameters = Vec::new();
        for (index, count) in counts.iter().enumerate() {
            let mut full = shape.to_vec();
            if *count != UNSTACKED {
                full.insert(0, *count);
            }
            parameters.push(make(self, &format!("{path}.{index}"), &full)?);
        }
        Stack::new(parameters, shape)
    }
}

/// Number of experts of a stack of these counts.
pub fn num_experts(counts: &[usize]) -> usize {
    counts.iter().map(|count| (*count).max(1)).sum()
}

type Forward = Box<dyn Fn(&[Tensor], Path) -> Result<Tensor>>;

/// An operator over its inputs, ready to run by either path.
pub struct Subject {
    pub inputs: Vec<Tensor>,
    pub forward: Forward,
}

impl Subject {
    pub fn new(
        inputs: Vec<Tensor>,
        forward: impl Fn(&[Tensor], Path) -> Result<Tensor> + 'static,
    ) -> Self {
        Self {
            inputs,
            forward: Box::new(forward),
        }
    }
}

/// How one run goes.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub dtype: DType,
    pub path: Path,
    /// Whether inputs are variables.
    pub input_gradients: bool,
    /// Whether the graph is differentiated at all.
    pub backward: bool,
    /// Passes whose gradients add up.
    pub passes: usize,
}

impl Run {
    pub const FUSED: Self = Self {
        dtype: DType::F32,
        path: Path::Fused,
        input_gradients: true,
        backward: true,
        passes: 1,
    };
    /// The composed operators in f64: what every other run is held against.
    pub const REFERENCE: Self = Self {
        dtype: DType::F64,
        path: Path::Composed,
        ..Self::FUSED
    };
    pub const COMPOSED: Self = Self {
        path: Path::Composed,
        ..Self::FUSED
    };
}

/// Everything a run computed, by name. Where no gradient arrived, there is no entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub dims: Vec<usize>,
    pub values: BTreeMap<String, Vec<f64>>,
}

pub fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()
}

/// Builds a subject and runs it: outputs, gradients of every parameter's buffer and of every input, and statistics.
pub fn execute(build: &dyn Fn(&mut Builder) -> Result<Subject>, run: Run) -> Result<Outcome> {
    place::in_place(|| execute_here(build, run))
}

/// The same on the CUDA path with the processor in a device's place.
pub fn execute_on_host(
    build: &dyn Fn(&mut Builder) -> Result<Subject>,
    run: Run,
    order: Order,
) -> Result<Outcome> {
    on_host(place::kernels, order, || execute_here(build, run))
}

fn execute_here(build: &dyn Fn(&mut Builder) -> Result<Subject>, run: Run) -> Result<Outcome> {
    let mut builder = Builder::new(run.dtype);
    let subject = build(&mut builder)?;
    let inputs = subject
        .inputs
        .iter()
        .map(|input| match run.input_gradients {
            true => Ok(Var::from_tensor(input)?.into_inner()),
            false => Ok(input.clone()),
        })
        .collect::<Result<Vec<_>>>()?;
    let mut values = BTreeMap::new();
    let mut dims = Vec::new();
    for _ in 0..run.passes {
        let output = (subject.forward)(&inputs, run.path)?;
        dims = output.dims().to_vec();
        values.insert("output".to_owned(), flat(&output)?);
        if !run.backward {
            continue;
        }
        let upstream = builder.tensor("upstream", output.dims(), 1.0)?;
        let gradients = (output * upstream)?.sum_all()?.backward()?;
        for parameter in &builder.parameters {
            parameter.collect(&gradients)?;
        }
        for (index, input) in inputs.iter().enumerate() {
            if let Some(gradient) = gradients.get(input) {
                values.insert(format!("input {index}"), flat(gradient)?);
            }
        }
    }
    for parameter in &builder.parameters {
        if parameter.role() == Role::Statistic {
            values.insert(parameter.path().to_owned(), flat(parameter.tensor())?);
        } else if let Some(gradient) = parameter.gradient() {
            let gradient = gradient.into_iter().map(f64::from).collect();
            values.insert(parameter.path().to_owned(), gradient);
        }
    }
    Ok(Outcome { dims, values })
}

/// How far two values may lie apart: `relative` of the largest value beside them, and `absolute`.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    pub relative: f64,
    pub absolute: f64,
}

impl Tolerance {
    pub const SINGLE: Self = Self {
        relative: 4e-6,
        absolute: 4e-6,
    };
}

/// The largest distance of each value, over the largest value, minus what is allowed; empty where nothing exceeds.
fn excess(found: &Outcome, expected: &Outcome, tolerance: Tolerance) -> Vec<String> {
    let mut complaints = Vec::new();
    if found.dims != expected.dims {
        complaints.push(format!(
            "dimensions {:?}, expected {:?}",
            found.dims, expected.dims
        ));
    }
    let names = |outcome: &Outcome| outcome.values.keys().cloned().collect::<Vec<_>>();
    // Where the reference leaves an input out of its graph, zeros are as good.
    let surplus = |(name, values): (&String, &Vec<f64>)| {
        let zeros = name.starts_with("input") && values.iter().all(|value| *value == 0.0);
        !zeros && !expected.values.contains_key(name)
    };
    let missing = |name: &String| !found.values.contains_key(name);
    if found.values.iter().any(surplus) || expected.values.keys().any(missing) {
        complaints.push(format!(
            "computed {:?}, expected {:?}",
            names(found),
            names(expected)
        ));
    }
    for (name, expected) in &expected.values {
        let Some(found) = found.values.get(name) else {
            continue;
        };
        if found.len() != expected.len() {
            complaints.push(format!("{} values in {name}", found.len()));
        }
        let largest = expected.iter().fold(0f64, |a, v| a.max(v.abs()));
        let allowed = tolerance.relative * largest + tolerance.absolute;
        let worst = (0..expected.len().min(found.len())).max_by(|a, b| {
            let distance = |at: &usize| (found[*at] - expected[*at]).abs();
            // A NaN counts as the farthest.
            distance(a).total_cmp(&distance(b))
        });
        let Some(at) = worst else { continue };
        let (found, expected) = (found[at], expected[at]);
        let distance = (found - expected).abs();
        if distance.is_nan() || distance > allowed {
            complaints.push(format!(
                "{name}[{at}] is {found}, expected {expected} ± {allowed:e}"
            ));
        }
    }
    complaints
}

/// Fails, naming the case and the worst of each value, unless both runs computed the same things.
pub fn assert_close(case: &str, found: &Outcome, expected: &Outcome, tolerance: Tolerance) {
    let complaints = excess(found, expected, tolerance);
    assert!(complaints.is_empty(), "{case}:\n{}", complaints.join("\n"));
}

/// Holds the fused path, the composed one in f32, and on the processor the CUDA path too, against the composed path in f64.
/// What the CUDA path computes must not depend on the order in which threads run, to the last bit.
pub fn check(
    case: &str,
    build: &dyn Fn(&mut Builder) -> Result<Subject>,
    tolerance: Tolerance,
    shape: Run,
) -> Outcome {
    let run = |path, dtype| {
        let run = Run {
            path,
            dtype,
            ..shape
        };
        execute(build, run).unwrap_or_else(|error| panic!("{case}: {error}"))
    };
    let expected = run(Path::Composed, DType::F64);
    let fused = run(Path::Fused, DType::F32);
    let composed = run(Path::Composed, DType::F32);
    let of_fused = excess(&fused, &expected, tolerance);
    let of_composed = excess(&composed, &expected, tolerance);
    assert!(
        of_fused.is_empty() && of_composed.is_empty(),
        "{case}:\nfused: {}\ncomposed: {}",
        of_fused.join("\n"),
        of_composed.join("\n")
    );
    if place::device().is_cpu() {
        let [first, last] = [Order::Ascending, Order::Descending].map(|order| {
            let run = Run {
                path: Path::Fused,
                dtype: DType::F32,
                ..shape
            };
            execute_on_host(build, run, order)
                .unwrap_or_else(|error| panic!("{case}, CUDA path: {error}"))
        });
        let of_cuda = excess(&first, &expected, tolerance);
        assert!(
            of_cuda.is_empty(),
            "{case}, CUDA path:\n{}",
            of_cuda.join("\n")
        );
        assert!(
            first == last,
            "{case}: the order of threads changes numbers"
        );
    }
    fused
}
