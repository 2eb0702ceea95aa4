//! The three anomalies as numbers (PAPERS: "The three anomalies"): what experts give and gates choose on the validation split, and
//! what gradients experts receive.
//!
//! Values are summed in f64, block of rows after block, each expert and gate by one thread from its first row to its last:
//! the same bytes at any number of threads. METHODOLOGY defines every index.

mod choices;
mod gradients;
mod histogram;
mod indices;
mod sums;

pub(super) use gradients::{GradientNorms, NormsSoFar};

use super::{InsideName, Score, TrainError};
use candle_core::{CpuStorage, DType, Storage, Tensor};
use choices::ChoiceSums;
use histogram::Histogram;
use homebench_model::{GateKind, GateTrace, Owner, TaskLayout, Trace};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use sums::{ExpertSums, GateSums};

/// Everything that was measured of a cell's experts and gates.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Diagnostics {
    /// Of experts, their sets and layers.
    #[serde(default)]
    pub experts: Vec<ExpertPoint>,
    /// Of gates and layers.
    #[serde(default)]
    pub gates: Vec<GatePoint>,
    /// How the outputs of each expert are distributed, with the selected weights.
    #[serde(default)]
    pub histograms: Vec<HistogramPoint>,
}

/// A number of an expert, a set of experts, or all experts of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpertPoint {
    /// Passes over the training rows begun, from 1.
    pub epoch: usize,
    /// Steps done.
    pub step: usize,
    /// Layer or level, from 0.
    pub layer: usize,
    /// Variable path of the set; empty for a number of the layer.
    pub path: String,
    /// Place in the set; absent for a number of the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expert: Option<usize>,
    /// Whom the set belongs to, or, with `occupancy`, who occupies the expert: a task, or a group where gates are of groups.
    pub task: String,
    /// `zero_rate`, `std` and so on: METHODOLOGY lists them.
    pub metric: InsideName,
    /// The value; absent where it is undefined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// A number of a gate, of an expert that it sees, or of all gates of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatePoint {
    /// Passes over the training rows begun, from 1.
    pub epoch: usize,
    /// Steps done.
    pub step: usize,
    /// Layer or level, from 0.
    pub layer: usize,
    /// Variable path of the gate; empty for a number of the layer.
    pub path: String,
    /// Whom the gate belongs to: a task or group; empty where it is nobody's.
    pub task: String,
    /// Variable path of the set of the expert; empty for a number of the gate.
    pub expert_path: String,
    /// Place of the expert in its set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expert: Option<usize>,
    /// `weight`, `entropy` and so on. An expert that the gate doesn't see has no `weight`.
    pub metric: InsideName,
    /// The value; absent where it is undefined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// How many outputs of an expert lie in a range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistogramPoint {
    /// Epoch of the selected weights.
    pub epoch: usize,
    /// Steps done when they were selected.
    pub step: usize,
    /// Layer or level, from 0.
    pub layer: usize,
    /// Variable path of the set.
    pub path: String,
    /// Place in the set.
    pub expert: usize,
    /// Lower end; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Outputs in it, one or more.
    pub count: u64,
}

/// When something was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moment {
    pub(super) epoch: usize,
    pub(super) step: usize,
}

/// Sums over the rows of a split.
pub(crate) struct Collector<'a> {
    layout: &'a TaskLayout,
    sets: Vec<SetSums>,
    gates: Vec<TracedGate>,
    with_histograms: bool,
    /// By layer, where gates run a few of the experts that they see.
    choices: BTreeMap<usize, ChoiceSums>,
}

/// A set of experts.
struct SetSums {
    path: String,
    layer: usize,
    owner: Owner,
    experts: Vec<ExpertSums>,
    /// One an expert, or none.
    histograms: Vec<Histogram>,
}

/// A gate.
struct TracedGate {
    path: String,
    layer: usize,
    owner: Owner,
    kind: GateKind,
    chooses: bool,
    seen: Vec<usize>,
    sums: GateSums,
}

impl<'a> Collector<'a> {
    /// Of experts and gates.
    pub(super) fn new(layout: &'a TaskLayout) -> Self {
        Self {
            layout,
            sets: Vec::new(),
            gates: Vec::new(),
            with_histograms: false,
            choices: BTreeMap::new(),
        }
    }

    /// With the distribution of each expert's outputs.
    pub(super) fn with_histograms(layout: &'a TaskLayout) -> Self {
        Self {
            with_histograms: true,
            ..Self::new(layout)
        }
    }

    /// Adds the rows of one forward pass.
    pub(super) fn add(&mut self, trace: &Trace) -> candle_core::Result<()> {
        // What there is and how wide is known from the first trace alone.
        if self.sets.is_empty() && self.gates.is_empty() {
            self.begin(trace)?;
        }
        let outputs = trace
            .experts
            .iter()
            .map(|set| Host::of_tensor(&set.outputs));
        let outputs: Vec<Host> = outputs.collect::<candle_core::Result<_>>()?;
        let weights = trace
            .gates
            .iter()
            .map(|gate| Host::of_tensor(&gate.weights));
        let weights: Vec<Host> = weights.collect::<candle_core::Result<_>>()?;
        // A job is an expert or a gate, never a range of rows: each sum then has one order of
        // additions at any number of threads.
        let mut jobs = Vec::new();
        for (set, outputs) in self.sets.iter_mut().zip(&outputs) {
            let parts = outputs.chunks_exact((outputs.len() / set.experts.len()).max(1));
            let mut histograms = set.histograms.iter_mut();
            for (sums, outputs) in set.experts.iter_mut().zip(parts) {
                jobs.push(Job::Expert(sums, histograms.next(), outputs));
            }
        }
        for (gate, weights) in self.gates.iter_mut().zip(&weights) {
            jobs.push(Job::Gate(&mut gate.sums, weights));
        }
        for (layer, sums) in &mut self.choices {
            let of_layer = trace.gates.iter().zip(&weights);
            let of_layer = of_layer.filter(|(gate, _)| gate.chooses && gate.layer == *layer);
            let of_layer = of_layer.map(|(gate, weights)| (gate, &**weights)).collect();
            jobs.push(Job::Choices(sums, of_layer));
        }
        jobs.into_par_iter().for_each(Job::run);
        Ok(())
    }

    /// Empty sums for what a trace holds.
    fn begin(&mut self, trace: &Trace) -> candle_core::Result<()> {
        for set in &trace.experts {
            let (num_experts, _, width) = set.outputs.dims3()?;
            // Of the selected weights alone: a count of every output by bin is dearer than its
            // sums.
            let num_histograms = if self.with_histograms { num_experts } else { 0 };
            self.sets.push(SetSums {
                path: set.path.clone(),
                layer: set.layer,
                owner: set.owner,
                experts: vec![ExpertSums::new(width); num_experts],
                histograms: vec![Histogram::default(); num_histograms],
            });
        }
        for gate in &trace.gates {
            self.gates.push(TracedGate {
                path: gate.path.clone(),
                layer: gate.layer,
                owner: gate.owner,
                kind: gate.kind,
                chooses: gate.chooses,
                seen: gate.seen.clone(),
                sums: GateSums::new(gate.seen.len()),
            });
        }
        for gate in trace.gates.iter().filter(|gate| gate.chooses) {
            // A layer's choosing gates all see the experts that come first in it.
            let num_experts = gate.seen.iter().max().map_or(0, |last| last + 1);
            let sums = ChoiceSums::new(num_experts);
            self.choices.entry(gate.layer).or_insert(sums);
        }
        Ok(())
    }

    /// Adds every index to `found`; `scores` are those of the same rows, `gradient_norms` by path of a set.
    ///
    /// # Errors
    /// An index that is not finite. Predictions may still be finite then, behind a ReLU for example, but the weights are broken.
    pub(super) fn finish(
        self,
        moment: Moment,
        scores: &[Score],
        gradient_norms: &BTreeMap<String, f64>,
        found: &mut Diagnostics,
    ) -> Result<(), TrainError> {
        let num_layers = self.num_layers();
        let (first_expert, first_gate) = (found.experts.len(), found.gates.len());
        for layer in 0..num_layers {
            let layer = indices::Layer::new(&self, layer, moment);
            layer.of_experts(gradient_norms, &mut found.experts);
            layer.of_gates(scores, &mut found.gates);
        }
        let experts = found.experts[first_expert..].iter();
        let experts = experts.map(|point| (point.metric, &point.path, point.value));
        let gates = found.gates[first_gate..].iter();
        let gates = gates.map(|point| (point.metric, &point.path, point.value));
        // Gates first: who occupies an expert follows from their weights, and would be blamed in their place.
        for (metric, path, value) in gates.chain(experts) {
            if let Some(value) = value.filter(|value| !value.is_finite()) {
                return Err(TrainError::InsideNotFinite {
                    what: metric.name(),
                    path: path.clone(),
                    value,
                    step: moment.step,
                    epoch: moment.epoch,
                });
            }
        }
        Ok(())
    }

    /// Adds every histogram to `found`.
    pub(super) fn finish_histograms(self, moment: Moment, found: &mut Diagnostics) {
        for set in &self.sets {
            for (expert, histogram) in set.histograms.iter().enumerate() {
                let points = histogram.bins().map(|bin| HistogramPoint {
                    epoch: moment.epoch,
                    step: moment.step,
                    layer: set.layer,
                    path: set.path.clone(),
                    expert,
                    low: bin.low,
                    high: bin.high,
                    count: bin.count,
                });
                found.histograms.extend(points);
            }
        }
    }

    fn num_layers(&self) -> usize {
        let layers = self.sets.iter().map(|set| set.layer + 1);
        layers.max().unwrap_or(0)
    }
}

/// What one thread sums.
enum Job<'a> {
    Expert(&'a mut ExpertSums, Option<&'a mut Histogram>, &'a [f32]),
    Gate(&'a mut GateSums, &'a [f32]),
    Choices(&'a mut ChoiceSums, Vec<(&'a GateTrace, &'a [f32])>),
}

impl Job<'_> {
    fn run(self) {
        match self {
            Self::Expert(sums, histogram, outputs) => {
                sums.add(outputs);
                if let Some(histogram) = histogram {
                    histogram.add(outputs);
                }
            }
            Self::Gate(sums, weights) => sums.add(weights),
            Self::Choices(sums, gates) => sums.add(&gates),
        }
    }
}

/// A tensor's values on the host: in place where they are contiguous f32 on the processor, else copied.
enum Host<'a> {
    InPlace(
        Box<dyn std::ops::Deref<Target = Storage> + 'a>,
        usize,
        usize,
    ),
    Copied(Vec<f32>),
}

impl<'a> Host<'a> {
    fn of_tensor(tensor: &'a Tensor) -> candle_core::Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let is_plain = matches!(&*storage, Storage::Cpu(CpuStorage::F32(_)));
        // Outputs of all experts are as many numbers as the level's activations; they are summed in
        // place.
        if let (true, Some((start, end))) = (is_plain, layout.contiguous_offsets()) {
            return Ok(Self::InPlace(Box::new(storage), start, end));
        }
        drop(storage);
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?;
        Ok(Self::Copied(values.to_vec1()?))
    }
}

impl std::ops::Deref for Host<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::InPlace(storage, start, end) => match &***storage {
                Storage::Cpu(CpuStorage::F32(values)) => &values[*start..*end],
                _ => unreachable!("checked when it was made"),
            },
            Self::Copied(values) => values,
        }
    }
}

#[cfg(test)]
mod tests;
