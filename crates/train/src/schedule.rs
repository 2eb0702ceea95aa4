//! Learning-rate schedules: pure functions of the step.

use super::written_schedule::WrittenSchedule;
use serde::{Deserialize, Serialize};

/// How a step size changes from step to step: the factor that [`Schedule::factor`] gives.
///
/// `warm_up_steps` raise the factor in a line from its share of one step to 1; what follows counts its steps from there.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "WrittenSchedule", into = "WrittenSchedule")]
pub enum Schedule {
    /// 1 throughout.
    #[default]
    Constant,
    /// The warm-up, then 1.
    WarmUp {
        /// Steps of the warm-up, 1 or more.
        warm_up_steps: usize,
    },
    /// Half a cosine from 1 to `final_share` over the rest of all epochs (Loshchilov and Hutter, 2017, without restarts).
    Cosine {
        /// Steps of the warm-up.
        warm_up_steps: usize,
        /// The factor at the end.
        final_share: f64,
    },
    /// Multiplied by `factor` after every `every_steps` steps.
    Step {
        /// Steps of the warm-up.
        warm_up_steps: usize,
        /// Steps of one height.
        every_steps: usize,
        /// What a height is of the one before.
        factor: f64,
    },
}

impl Schedule {
    /// The factor of a step's size. Steps are counted from 0; `total_steps` are those of all epochs, whether or not training
    /// stops before.
    pub fn factor(self, step: usize, total_steps: usize) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::WarmUp { warm_up_steps } => warmed_up(step, warm_up_steps).unwrap_or(1.0),
            Self::Cosine {
                warm_up_steps,
                final_share,
            } => warmed_up(step, warm_up_steps).unwrap_or_else(|| {
                // Steps of all epochs, not of those that early stopping leaves: the factor of a
                // step must not depend on what comes after it.
                let rest = total_steps.saturating_sub(warm_up_steps).max(1);
                let done = ((step - warm_up_steps) as f64 / rest as f64).min(1.0);
                let height = (1.0 + libm::cos(std::f64::consts::PI * done)) / 2.0;
                final_share + (1.0 - final_share) * height
            }),
            Self::Step {
                warm_up_steps,
                every_steps,
                factor,
            } => warmed_up(step, warm_up_steps).unwrap_or_else(|| {
                let drops = (step - warm_up_steps) / every_steps.max(1);
                libm::pow(factor, drops as f64)
            }),
        }
    }
}

/// The factor within the warm-up; none after it.
fn warmed_up(step: usize, warm_up_steps: usize) -> Option<f64> {
    // From a share of one step and not from 0: a first step of size 0 would be a batch without
    // effect.
    (step < warm_up_steps).then(|| (step + 1) as f64 / warm_up_steps as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(schedule: Schedule, steps: &[usize], total: usize) -> Vec<f64> {
        let of = |step: &usize| schedule.factor(*step, total);
        steps.iter().map(of).collect()
    }

    #[test]
    fn a_constant_is_one() {
        assert_eq!(factors(Schedule::Constant, &[0, 5, 99], 10), [1.0; 3]);
    }

    #[test]
    fn a_warm_up_rises_in_a_line_to_one_and_stays() {
        let schedule = Schedule::WarmUp { warm_up_steps: 4 };
        let expected = [0.25, 0.5, 0.75, 1.0, 1.0, 1.0];
        assert_eq!(factors(schedule, &[0, 1, 2, 3, 4, 100], 10), expected);
    }

    #[test]
    fn a_cosine_begins_at_one_is_half_way_down_in_the_middle_and_ends_at_its_share() {
        let schedule = |warm_up_steps| Schedule::Cosine {
            warm_up_steps,
            final_share: 0.2,
        };
        for (warm_up, total) in [(0, 100), (50, 150)] {
            let steps = [warm_up, warm_up + 50, total, total + 7];
            let found = factors(schedule(warm_up), &steps, total);
            for (found, expected) in found.iter().zip([1.0, 0.6, 0.2, 0.2]) {
                assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            }
        }
        assert_eq!(schedule(50).factor(0, 150), 0.02);
        assert_eq!(schedule(50).factor(49, 150), 1.0);
        // The last step is still above the end.
        assert!(schedule(0).factor(99, 100) > 0.2);
        // A warm-up as long as the training leaves no cosine.
        assert_eq!(schedule(10).factor(9, 10), 1.0);
        assert_eq!(schedule(10).factor(10, 10), 1.0);
    }

    #[test]
    fn steps_fall_at_their_edges() {
        let schedule = |warm_up_steps| Schedule::Step {
            warm_up_steps,
            every_steps: 3,
            factor: 0.5,
        };
        let expected = [1.0, 1.0, 0.5, 0.5, 0.25];
        assert_eq!(factors(schedule(0), &[0, 2, 3, 5, 6], 10), expected);
        let expected = [0.5, 1.0, 1.0, 1.0, 0.5];
        assert_eq!(factors(schedule(2), &[0, 1, 2, 4, 5], 10), expected);
    }
}
