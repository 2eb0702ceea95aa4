//! A model with weights for each scenario, whose rows are in scenarios that a test chooses.

use super::{ByPath, config, features, place, three_tasks, values};
use candle_core::{DType, Tensor, Var};
use homebench_kernels::Role;
use homebench_model::{
    BuildContext, InputColumns, NoiseSource, Ranker, Trace, TrainingPass, VarBuilder, Variables,
};
use homebench_random::Philox;
use std::collections::BTreeMap;

/// Of inputs.
pub(crate) const WIDTH: usize = 7;

/// A model of so many scenarios, with the weights of a seed or with given ones.
pub(crate) struct Scened {
    pub(crate) model: Box<dyn Ranker>,
    pub(crate) variables: Variables,
}

fn build(name: &str, knobs: &str, num_scenarios: usize, vb: &VarBuilder) -> Scened {
    let (layout, features) = (three_tasks(), features(WIDTH));
    let context = BuildContext {
        layout: &layout,
        input_dim: WIDTH,
        num_embedded: 0,
        input_per_task: false,
        columns: InputColumns {
            features: &features,
            scenario: Some(1),
            num_scenarios,
            ..InputColumns::default()
        },
        after: &[],
    };
    let model = config(name, knobs).build(&context, vb).unwrap();
    Scened {
        model,
        variables: vb.finish().unwrap(),
    }
}

pub(crate) fn fresh(name: &str, knobs: &str, num_scenarios: usize) -> Scened {
    let vb = VarBuilder::from_seed(3, DType::F32, &place::device());
    build(name, knobs, num_scenarios, &vb)
}

/// A model of which no number is at its start: what is 1 or 0 there would hide what it is multiplied with or added to.
pub(crate) fn stirred(name: &str, knobs: &str, num_scenarios: usize) -> Scened {
    let made = fresh(name, knobs, num_scenarios);
    let mut weights = ByPath::new();
    for parameter in made.variables.parameters() {
        let stream = Philox::new(9, "stirred", parameter.path());
        let change = match parameter.path().contains("var") {
            true => 0.5,
            false => 1.0,
        };
        let stir = |(at, value): (usize, f32)| value + (stream.uniform(at as u64) - 0.5) * change;
        let new: Vec<f32> = values(parameter.tensor())
            .into_iter()
            .enumerate()
            .map(stir)
            .collect();
        let new = Tensor::from_vec(new, parameter.tensor().shape(), &place::device()).unwrap();
        weights.insert(parameter.path().to_owned(), new);
    }
    with(name, knobs, num_scenarios, weights)
}

pub(crate) fn with(name: &str, knobs: &str, num_scenarios: usize, weights: ByPath) -> Scened {
    let vb = VarBuilder::from_weights(weights, DType::F32, &place::device());
    build(name, knobs, num_scenarios, &vb)
}

impl Scened {
    pub(crate) fn logits(&self, xs: &Tensor, ids: &[u32], train: bool) -> Vec<f32> {
        let pass = || self.model.forward_t(xs, train, None);
        let slot = self.model.scenarios().unwrap();
        values(&slot.during(ids, pass).unwrap())
    }

    pub(crate) fn trace(&self, xs: &Tensor, ids: &[u32]) -> Trace {
        let mut trace = Trace::default();
        let pass = || self.model.forward_t(xs, false, Some(&mut trace));
        self.model.scenarios().unwrap().during(ids, pass).unwrap();
        trace
    }

    /// Gradients of a step's logits, each with a slope of its own, by path; those of inputs at "xs".
    pub(crate) fn gradients(&self, xs: &Tensor, ids: &[u32]) -> BTreeMap<String, Vec<f32>> {
        let xs = Var::from_tensor(xs).unwrap();
        let pass = TrainingPass {
            observed: None,
            labels: None,
            noise: NoiseSource::Step { seed: 1, step: 0 },
            cut: None,
        };
        let slot = self.model.scenarios().unwrap();
        let output = slot.during(ids, || self.model.forward_step(&xs, &pass, None));
        let logits = output.unwrap().logits;
        let slopes: Vec<f32> = (0..logits.elem_count())
            .map(|at| 1.0 + at as f32 / 9.0)
            .collect();
        let slopes = Tensor::from_vec(slopes, logits.shape(), &place::device()).unwrap();
        let store = (logits * slopes)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let mut found = BTreeMap::from([("xs".to_owned(), values(store.get(&xs).unwrap()))]);
        for parameter in self.variables.parameters() {
            parameter.collect(&store).unwrap();
            if let Some(gradient) = parameter.gradient() {
                found.insert(parameter.path().to_owned(), gradient);
            }
            parameter.consume_gradient(|_| {});
        }
        found
    }

    pub(crate) fn statistics(&self) -> BTreeMap<String, Vec<f32>> {
        let all = self.variables.parameters().iter();
        all.filter(|parameter| parameter.role() == Role::Statistic)
            .map(|parameter| (parameter.path().to_owned(), values(parameter.tensor())))
            .collect()
    }

    pub(crate) fn weights(&self) -> ByPath {
        self.variables.snapshot().unwrap()
    }
}
