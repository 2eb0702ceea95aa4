//! The indices of a layer, from its sums.

use super::super::{InsideName, Score};
use super::choices::{self, ChoiceSums};
use super::{Collector, ExpertPoint, GatePoint, Moment, SetSums, TracedGate};
use homebench_metric::spearman;
use homebench_model::{GateKind, Owner, TaskLayout};
use std::collections::BTreeMap;

/// With fewer tasks than this a rank correlation says nothing.
const FEWEST_TASKS_TO_RANK: usize = 3;

/// A layer's sets and gates.
pub(super) struct Layer<'a> {
    layer: usize,
    moment: Moment,
    layout: &'a TaskLayout,
    sets: Vec<&'a SetSums>,
    gates: Vec<&'a TracedGate>,
    /// Set and place in it of every expert.
    experts: Vec<(&'a SetSums, usize)>,
    /// What its gates choose together, where they choose.
    choices: Option<&'a ChoiceSums>,
}

impl<'a> Layer<'a> {
    pub(super) fn new(collector: &'a Collector, layer: usize, moment: Moment) -> Self {
        let of_layer = |set: &&SetSums| set.layer == layer;
        let sets: Vec<&SetSums> = collector.sets.iter().filter(of_layer).collect();
        let experts = sets
            .iter()
            .flat_map(|set| (0..set.experts.len()).map(move |expert| (*set, expert)));
        Self {
            layer,
            moment,
            layout: collector.layout,
            experts: experts.collect(),
            choices: collector.choices.get(&layer),
            sets,
            gates: collector
                .gates
                .iter()
                .filter(|gate| gate.layer == layer)
                .collect(),
        }
    }

    fn name(&self, owner: Owner) -> String {
        match owner {
            Owner::All => String::new(),
            Owner::Group(group) => self.layout.groups[group].name.clone(),
            Owner::Task(task) => self.layout.tasks[task].clone(),
        }
    }

    /// Softmax gates of tasks or, where the layer's gates are of groups, of groups.
    fn gates_of_owners(&self) -> impl Iterator<Item = &'a TracedGate> + '_ {
        let owned = |gate: &&TracedGate| gate.kind == GateKind::Softmax && gate.owner != Owner::All;
        self.gates.iter().copied().filter(owned)
    }

    pub(super) fn of_experts(&self, norms: &BTreeMap<String, f64>, points: &mut Vec<ExpertPoint>) {
        let mut push = |path: &str, expert, task: String, metric, value| {
            points.push(ExpertPoint {
                epoch: self.moment.epoch,
                step: self.moment.step,
                layer: self.layer,
                path: path.to_owned(),
                expert,
                task,
                metric,
                value,
            });
        };
        let mut number = 0;
        for set in &self.sets {
            let owner = self.name(set.owner);
            for (expert, sums) in set.experts.iter().enumerate() {
                for (metric, value) in [
                    (InsideName::ZeroRate, sums.zero_rate()),
                    (InsideName::DeadUnits, sums.dead_units()),
                    (InsideName::Mean, sums.mean()),
                    (InsideName::Deviation, sums.deviation()),
                ] {
                    push(&set.path, Some(expert), owner.clone(), metric, value);
                }
                if let Some((occupant, share)) = self.occupancy(set, number) {
                    push(
                        &set.path,
                        Some(expert),
                        occupant,
                        InsideName::Occupancy,
                        Some(share),
                    );
                }
                number += 1;
            }
            if let Some(norm) = norms.get(&set.path) {
                push(
                    &set.path,
                    None,
                    owner,
                    InsideName::GradientNorm,
                    Some(*norm),
                );
            }
        }
        if self.experts.len() > 1 {
            let disparity = self.scale_disparity();
            push(
                "",
                None,
                String::new(),
                InsideName::ScaleDisparity,
                disparity,
            );
        }
        if let Some(choices) = self.choices {
            let chosen = self.gates.iter().filter(|gate| gate.chooses);
            let means: Vec<Vec<f64>> = chosen.filter_map(|gate| gate.sums.means()).collect();
            for (metric, value) in [
                (InsideName::Executed, choices.executed()),
                (InsideName::LoadSkew, choices.load_skew()),
                (InsideName::TaskInformation, choices::information(&means)),
                (InsideName::RoutingSimilarity, choices::similarity(&means)),
            ] {
                push("", None, String::new(), metric, value);
            }
        }
    }

    /// The largest over the smallest standard deviation; undefined where an expert's outputs don't vary.
    fn scale_disparity(&self) -> Option<f64> {
        let deviations: Option<Vec<f64>> = self
            .experts
            .iter()
            .map(|(set, expert)| set.experts[*expert].deviation())
            .collect();
        let deviations = deviations?;
        let largest = deviations.iter().copied().fold(0.0, f64::max);
        let smallest = deviations.iter().copied().fold(f64::INFINITY, f64::min);
        (smallest > 0.0).then(|| largest / smallest)
    }

    /// Who occupies an expert that several owners' gates see, and with what share of their weights. An expert of one of those
    /// owners is not shared.
    fn occupancy(&self, set: &SetSums, expert: usize) -> Option<(String, f64)> {
        if self.gates_of_owners().any(|gate| gate.owner == set.owner) {
            return None;
        }
        let weight = |gate: &TracedGate| {
            let place = gate.seen.iter().position(|seen| *seen == expert)?;
            Some((gate.owner, gate.sums.means()?[place]))
        };
        let weights: Vec<(Owner, f64)> = self.gates_of_owners().filter_map(weight).collect();
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        if weights.len() < 2 || total <= 0.0 {
            return None;
        }
        // Of equals the first gate, so that no tie is decided by chance.
        let larger = |a: (Owner, f64), b: (Owner, f64)| if b.1 > a.1 { b } else { a };
        let (owner, weight) = weights.into_iter().reduce(larger)?;
        Some((self.name(owner), weight / total))
    }

    pub(super) fn of_gates(&self, scores: &[Score], points: &mut Vec<GatePoint>) {
        let mut push = |path: &str, task: &str, expert: Option<(&str, usize)>, metric, value| {
            points.push(GatePoint {
                epoch: self.moment.epoch,
                step: self.moment.step,
                layer: self.layer,
                path: path.to_owned(),
                task: task.to_owned(),
                expert_path: expert.map_or("", |(path, _)| path).to_owned(),
                expert: expert.map(|(_, expert)| expert),
                metric,
                value,
            });
        };
        for gate in &self.gates {
            let (path, task) = (&gate.path, self.name(gate.owner));
            let means = gate.sums.means();
            for (place, seen) in gate.seen.iter().enumerate() {
                let (set, expert) = self.experts[*seen];
                let mean = means.as_ref().map(|means| means[place]);
                push(
                    path,
                    &task,
                    Some((&set.path, expert)),
                    InsideName::Weight,
                    mean,
                );
            }
            // One expert's self-gate is a sigmoid, whose weight is no distribution.
            if gate.kind == GateKind::Softmax || gate.seen.len() > 1 {
                push(path, &task, None, InsideName::Entropy, gate.sums.entropy());
            }
            push(path, &task, None, InsideName::Spread, gate.sums.spread());
            if let Some(weight) = self.specific_weight(gate) {
                push(path, &task, None, InsideName::SpecificWeight, Some(weight));
            }
        }
        let (rates, weights) = self.rates_and_weights(scores);
        if rates.len() >= FEWEST_TASKS_TO_RANK {
            let rho = spearman(&rates, &weights);
            push("", "", None, InsideName::SpecificWeightRho, rho);
        }
    }

    /// Mean weight of an owner's gate on the owner's own experts; nothing where there are none.
    fn specific_weight(&self, gate: &TracedGate) -> Option<f64> {
        if gate.kind != GateKind::Softmax || gate.owner == Owner::All {
            return None;
        }
        let means = gate.sums.means()?;
        let own = |(_, seen): &(f64, &usize)| self.experts[**seen].0.owner == gate.owner;
        let weights: Vec<f64> = means
            .into_iter()
            .zip(&gate.seen)
            .filter(own)
            .map(|(weight, _)| weight)
            .collect();
        (!weights.is_empty()).then(|| weights.iter().sum())
    }

    /// Log positive rate and specific weight of every task that has both.
    fn rates_and_weights(&self, scores: &[Score]) -> (Vec<f64>, Vec<f64>) {
        let pair = |gate: &TracedGate| {
            let Owner::Task(task) = gate.owner else {
                return None;
            };
            let name = &self.layout.tasks[task];
            let score = scores.iter().find(|score| score.task == *name)?;
            let rate = score.positives? as f64 / score.rows as f64;
            let weight = self.specific_weight(gate)?;
            (rate > 0.0 && rate.is_finite()).then(|| (libm::log(rate), weight))
        };
        self.gates_of_owners().filter_map(pair).unzip()
    }
}
