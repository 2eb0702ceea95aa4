//! Models of any kind, with scenarios for those that have weights for each.

use super::values;
use candle_core::{DType, Result, Tensor};
use homebench_model::{FeatureTap, Ranker, StepOutput, Trace, TrainingPass};

/// How many scenarios the feature `tab` has.
pub(crate) const NUM_SCENARIOS: usize = 3;

/// A scenario for each row, or none, from what is in the row: so it stays with the row, whatever rows are beside it.
pub(crate) fn scenarios(xs: &Tensor, num_scenarios: usize) -> Vec<u32> {
    let width = xs.dim(1).unwrap();
    let all = values(&xs.to_dtype(DType::F32).unwrap());
    let of_row = |row: &[f32]| {
        let bits = row.iter().fold(0u32, |hash, value| {
            (hash.rotate_left(5) ^ value.to_bits()).wrapping_mul(0x9E37_79B1)
        });
        (bits >> 16) % (num_scenarios as u32 + 1)
    };
    all.chunks_exact(width).map(of_row).collect()
}

/// A model that is told the scenarios of its rows, where it has weights for each.
pub(crate) struct InScenarios(pub(crate) Box<dyn Ranker>);

impl InScenarios {
    fn pass<T>(&self, xs: &Tensor, pass: impl FnOnce(&dyn Ranker) -> Result<T>) -> Result<T> {
        let model = &*self.0;
        match model.scenarios() {
            Some(slot) => slot.during(&scenarios(xs, slot.num_scenarios()), || pass(model)),
            None => pass(model),
        }
    }
}

impl Ranker for InScenarios {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        self.pass(xs, |model| model.forward_t(xs, train, trace))
    }

    fn forward_step(
        &self,
        xs: &Tensor,
        pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        self.pass(xs, |model| model.forward_step(xs, pass, trace))
    }

    fn has_representation(&self) -> bool {
        self.0.has_representation()
    }

    fn features(&self) -> Option<&FeatureTap> {
        self.0.features()
    }

    fn reads_observed(&self) -> bool {
        self.0.reads_observed()
    }

    fn reads_labels(&self) -> bool {
        self.0.reads_labels()
    }

    fn flops_per_row(&self) -> usize {
        self.0.flops_per_row()
    }
}
