//! Tasks on an arc: neighbours agree, and the further apart two tasks are, the less, down to the opposite.
//!
//! Inputs x are standard normal. Task t has the true function `f_t = (g(w_t·x) - mean) / deviation` with
//! `w_t = cos(θ t) u_1 + sin(θ t) u_2` for two orthogonal unit vectors u, and `g(s) = s + sum_i sin(a_i s + b_i)`; mean and deviation
//! are those of g over a standard normal s. Without waves f_t is w_t·x and the correlation of two tasks is cos(θ (t - t')). All such
//! functions lie in one plane, so that two features serve any number of tasks; waves take them out of it. Where all phases are 0, g is
//! odd: the correlation still falls with the distance, and to -1 at half a turn.

use super::normal_inputs::NormalInputs;
use super::two_task::directions;
use super::unit_tasks::{LabelConfig, TrueFunctions, UnitTasks};
use homebench_random::Philox;

/// Names the streams of this source.
const SOURCE: &str = "task arc";

/// Knobs of tasks on an arc.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskArcConfig {
    /// Seed of everything.
    pub seed: u64,
    /// Rows of train, validation and test.
    pub rows: [u64; 3],
    /// Number of inputs; 2 or more.
    pub input_dim: usize,
    /// Angle θ between the weights of a task and the next.
    pub step_degrees: f64,
    /// Frequencies a of the waves.
    pub frequencies: Vec<f64>,
    /// Phases b of the waves, as many.
    pub phases: Vec<f64>,
    /// Tasks along the arc, and what their labels are.
    pub labels: LabelConfig,
}

impl TaskArcConfig {
    /// The generator of these knobs.
    pub(super) fn generator(&self) -> UnitTasks<TaskArc> {
        let inputs = Philox::new(self.seed, SOURCE, "inputs");
        let inputs = NormalInputs::new(inputs, self.input_dim);
        UnitTasks::new(
            (self.seed, SOURCE),
            inputs,
            &self.labels,
            TaskArc::new(self),
        )
    }

    /// Correlation of the true functions of two tasks.
    pub fn correlation(&self, task: usize, other: usize) -> f64 {
        let steps = task.abs_diff(other) as f64;
        let cosine = libm::cos((steps * self.step_degrees).to_radians());
        self.shape().covariance(cosine) / self.variance()
    }

    /// Variance of a true function before it is made 1.
    pub(super) fn variance(&self) -> f64 {
        self.shape().covariance(1.0)
    }

    fn shape(&self) -> WaveShape {
        let waves = self.frequencies.iter().copied();
        WaveShape {
            waves: waves.zip(self.phases.iter().copied()).collect(),
        }
    }
}

/// The true functions of tasks on an arc.
#[derive(Debug)]
pub(super) struct TaskArc {
    /// The vectors u.
    axes: [Vec<f64>; 2],
    /// Parts of each task's weights along them.
    parts: Vec<[f64; 2]>,
    shape: WaveShape,
    mean: f64,
    deviation: f64,
}

impl TaskArc {
    fn new(config: &TaskArcConfig) -> Self {
        let stream = Philox::new(config.seed, SOURCE, "directions");
        let parts = (0..config.labels.tasks.len()).map(|task| {
            let angle = (task as f64 * config.step_degrees).to_radians();
            [libm::cos(angle), libm::sin(angle)]
        });
        Self {
            axes: directions(stream, config.input_dim),
            parts: parts.collect(),
            mean: config.shape().mean(),
            deviation: config.variance().sqrt(),
            shape: config.shape(),
        }
    }
}

impl TrueFunctions for TaskArc {
    fn values(&self, inputs: &[f32], to: &mut [f64]) {
        let [first, second] = self.axes.each_ref().map(|axis| -> f64 {
            let products = axis.iter().zip(inputs);
            products.map(|(u, x)| u * f64::from(*x)).sum()
        });
        for (to, [along, across]) in to.iter_mut().zip(&self.parts) {
            let projection = along * first + across * second;
            *to = (self.shape.value(projection) - self.mean) / self.deviation;
        }
    }
}

/// The function `g(s) = s + sum sin(a s + b)`, and its moments over standard normal s.
#[derive(Debug)]
struct WaveShape {
    waves: Vec<(f64, f64)>,
}

impl WaveShape {
    fn value(&self, s: f64) -> f64 {
        let waves = self.waves.iter();
        s + waves.map(|(a, b)| libm::sin(a * s + b)).sum::<f64>()
    }

    fn mean(&self) -> f64 {
        let waves = self.waves.iter();
        waves.map(|(a, b)| damping(a * a) * libm::sin(*b)).sum()
    }

    /// Covariance of g(s) and g(s') where s and s' have this correlation.
    // From E cos(z) = exp(-var z / 2) for a normal z of mean 0, and E s sin(a s' + b) by its derivative.
    fn covariance(&self, correlation: f64) -> f64 {
        let mut moment = correlation;
        for (a, b) in &self.waves {
            moment += 2.0 * correlation * a * damping(a * a) * libm::cos(*b);
            for (other_a, other_b) in &self.waves {
                let (squares, product) =
                    (a * a + other_a * other_a, 2.0 * a * other_a * correlation);
                let [apart, together] = [squares - product, squares + product].map(damping);
                moment +=
                    (apart * libm::cos(b - other_b) - together * libm::cos(b + other_b)) / 2.0;
            }
        }
        moment - self.mean() * self.mean()
    }
}

/// Mean of the cosine of a normal number of mean 0 and this variance.
fn damping(variance: f64) -> f64 {
    libm::exp(-variance / 2.0)
}

#[cfg(test)]
mod tests;
