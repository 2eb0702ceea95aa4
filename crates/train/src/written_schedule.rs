//! Learning-rate schedules as a spec writes them: `kind`, and what that kind needs.

use super::schedule::Schedule;
use serde::{Deserialize, Serialize};

/// The kinds of schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// One step size throughout.
    Constant,
    /// A line up to the step size, which then stays.
    WarmUp,
    /// Half a cosine down over all epochs.
    Cosine,
    /// Multiplied by a factor at equal distances.
    Step,
}

/// A table `[training.schedule]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenSchedule {
    /// Which schedule.
    pub kind: ScheduleKind,
    /// Steps of the warm-up: all kinds but `constant`; needed by `warm_up`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up_steps: Option<usize>,
    /// Share of the step size at the end: `cosine`; 0 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_share: Option<f64>,
    /// Steps between two drops: needed by `step`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_steps: Option<usize>,
    /// What a drop leaves: `step`; 0.1 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
}

/// What a drop leaves where nothing is said.
const USUAL_FACTOR: f64 = 0.1;

impl ScheduleKind {
    /// The key that this kind can't do without.
    pub fn needed_key(self) -> Option<&'static str> {
        match self {
            Self::Constant | Self::Cosine => None,
            Self::WarmUp => Some("warm_up_steps"),
            Self::Step => Some("every_steps"),
        }
    }
}

impl WrittenSchedule {
    /// The keys that are written beside `kind`.
    pub fn written_keys(&self) -> Vec<&'static str> {
        let written = [
            ("warm_up_steps", self.warm_up_steps.is_some()),
            ("final_share", self.final_share.is_some()),
            ("every_steps", self.every_steps.is_some()),
            ("factor", self.factor.is_some()),
        ];
        let present = written.into_iter().filter(|(_, present)| *present);
        present.map(|(key, _)| key).collect()
    }
}

/// Of a table that has been checked: what it lacks is at its default.
impl From<WrittenSchedule> for Schedule {
    fn from(written: WrittenSchedule) -> Self {
        let warm_up_steps = written.warm_up_steps.unwrap_or(0);
        match written.kind {
            ScheduleKind::Constant => Self::Constant,
            ScheduleKind::WarmUp => Self::WarmUp { warm_up_steps },
            ScheduleKind::Cosine => Self::Cosine {
                warm_up_steps,
                final_share: written.final_share.unwrap_or(0.0),
            },
            ScheduleKind::Step => Self::Step {
                warm_up_steps,
                every_steps: written.every_steps.unwrap_or(1),
                factor: written.factor.unwrap_or(USUAL_FACTOR),
            },
        }
    }
}

/// With every default written out.
impl From<Schedule> for WrittenSchedule {
    fn from(schedule: Schedule) -> Self {
        let written = |kind, warm_up_steps| Self {
            kind,
            warm_up_steps,
            final_share: None,
            every_steps: None,
            factor: None,
        };
        match schedule {
            Schedule::Constant => written(ScheduleKind::Constant, None),
            Schedule::WarmUp { warm_up_steps } => {
                written(ScheduleKind::WarmUp, Some(warm_up_steps))
            }
            Schedule::Cosine {
                warm_up_steps,
                final_share,
            } => Self {
                final_share: Some(final_share),
                ..written(ScheduleKind::Cosine, Some(warm_up_steps))
            },
            Schedule::Step {
                warm_up_steps,
                every_steps,
                factor,
            } => Self {
                every_steps: Some(every_steps),
                factor: Some(factor),
                ..written(ScheduleKind::Step, Some(warm_up_steps))
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_come_back_as_they_were_and_with_the_keys_of_their_kind() {
        let (warm_up_steps, every_steps) = (3, 5);
        for schedule in [
            Schedule::Constant,
            Schedule::WarmUp { warm_up_steps },
            Schedule::Cosine {
                warm_up_steps,
                final_share: 0.5,
            },
            Schedule::Step {
                warm_up_steps,
                every_steps,
                factor: 0.3,
            },
        ] {
            let written = WrittenSchedule::from(schedule);
            assert_eq!(Schedule::from(written), schedule);
            let text = toml::to_string(&schedule).unwrap();
            assert_eq!(text.lines().count(), 1 + written.written_keys().len());
            assert_eq!(toml::from_str::<Schedule>(&text).unwrap(), schedule);
        }
    }
}
