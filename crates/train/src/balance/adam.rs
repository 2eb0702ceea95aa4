//! Adam on a few numbers in f64, each with its own count of updates.
//!
//! Source: Kingma and Ba, "Adam", ICLR 2015, algorithm 1; weight decay joins the gradient.

use serde::{Deserialize, Serialize};

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// A number for each task, and what Adam keeps of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Scalars {
    pub(super) values: Vec<f64>,
    first_moments: Vec<f64>,
    second_moments: Vec<f64>,
    updates: Vec<u32>,
}

impl Scalars {
    pub(super) fn new(count: usize, initial: f64) -> Self {
        Self {
            values: vec![initial; count],
            first_moments: vec![0.0; count],
            second_moments: vec![0.0; count],
            updates: vec![0; count],
        }
    }

    /// Updates one number. Others, their moments included, stay: a task that a batch does not observe moves nothing.
    pub(super) fn update(
        &mut self,
        place: usize,
        gradient: f64,
        learning_rate: f64,
        weight_decay: f64,
    ) {
        let gradient = gradient + weight_decay * self.values[place];
        self.updates[place] = self.updates[place].saturating_add(1);
        let first = &mut self.first_moments[place];
        *first = BETA_1 * *first + (1.0 - BETA_1) * gradient;
        let second = &mut self.second_moments[place];
        *second = BETA_2 * *second + (1.0 - BETA_2) * gradient * gradient;
        let power = f64::from(self.updates[place]);
        let first = *first / (1.0 - libm::pow(BETA_1, power));
        let second = *second / (1.0 - libm::pow(BETA_2, power));
        self.values[place] -= learning_rate * first / (second.sqrt() + EPSILON);
    }
}
