//! What is known of a metric, and how an entry of the list says it.

use super::Metric;
use super::ranking_means::RankingMeans;
use super::rows::Rows;

/// Unit of what counts users.
pub(super) const USERS: &str = "users";
/// Unit of what counts groups of rows that are ranked.
pub(super) const GROUPS: &str = "groups";

/// What is known of a metric.
pub(super) struct About {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) higher_is_better: Option<bool>,
    pub(super) restates: Option<Metric>,
    pub(super) gains_of: Option<Metric>,
    pub(super) describes_rows: bool,
    /// The least and the largest value there can be.
    pub(super) range: (f64, f64),
    pub(super) meaning: Option<&'static str>,
    /// Absent where training makes it and not the scoring of a split.
    pub(super) computed: Option<Computed>,
}

/// How a metric is computed from a task's rows.
pub(super) struct Computed {
    /// Whether labels are numbers, and not classes.
    pub(super) of_numbers: bool,
    pub(super) needs: Needs,
    pub(super) in_curves: bool,
    /// Whether it is computed only where a spec asks for it.
    pub(super) on_request: bool,
    /// Whether it says nothing without a number of first rows.
    pub(super) needs_cutoff: bool,
    pub(super) by: By,
}

/// What computes it.
pub(super) enum By {
    Rows(fn(&Rows) -> Option<f64>),
    Ranking(fn(&RankingMeans) -> f64),
}

/// What rows must have beside predictions and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing else.
    Nothing,
    /// The user of each row.
    Users,
    /// What made each label, of an embedded source.
    Truth,
    /// The weight of each row.
    Weights,
    /// The group in which each row is ranked: its user, or the value of another column.
    Groups,
}

pub(super) fn classes(title: &'static str, by: fn(&Rows) -> Option<f64>) -> About {
    About::computed(title, false, By::Rows(by))
}

pub(super) fn numbers(title: &'static str, by: fn(&Rows) -> Option<f64>) -> About {
    About::computed(title, true, By::Rows(by))
}

/// The mean over groups of something that is computed from each group's first rows.
pub(super) fn ranking(title: &'static str, by: fn(&RankingMeans) -> f64) -> About {
    About::computed(title, false, By::Ranking(by)).of_groups()
}

impl About {
    pub(super) fn new(title: &'static str) -> Self {
        Self {
            title,
            unit: "",
            higher_is_better: None,
            restates: None,
            gains_of: None,
            describes_rows: false,
            range: (f64::MIN, f64::MAX),
            meaning: None,
            computed: None,
        }
    }

    fn computed(title: &'static str, of_numbers: bool, by: By) -> Self {
        let computed = Computed {
            of_numbers,
            needs: Needs::Nothing,
            in_curves: false,
            on_request: false,
            needs_cutoff: false,
            by,
        };
        Self {
            computed: Some(computed),
            ..Self::new(title)
        }
    }

    fn with(mut self, change: impl FnMut(&mut Computed)) -> Self {
        self.computed.iter_mut().for_each(change);
        self
    }

    pub(super) fn of_users(self) -> Self {
        self.with(|computed| computed.needs = Needs::Users)
    }

    pub(super) fn of_truth(self) -> Self {
        self.with(|computed| computed.needs = Needs::Truth)
    }

    pub(super) fn of_weights(self) -> Self {
        self.with(|computed| computed.needs = Needs::Weights)
            .on_request()
    }

    pub(super) fn of_groups(self) -> Self {
        self.with(|computed| computed.needs = Needs::Groups)
            .on_request()
    }

    pub(super) fn on_request(self) -> Self {
        self.with(|computed| computed.on_request = true)
    }

    pub(super) fn needs_cutoff(self) -> Self {
        self.with(|computed| computed.needs_cutoff = true)
    }

    pub(super) fn in_curves(self) -> Self {
        self.with(|computed| computed.in_curves = true)
    }

    pub(super) fn higher(self) -> Self {
        Self {
            higher_is_better: Some(true),
            ..self
        }
    }

    pub(super) fn lower(self) -> Self {
        Self {
            higher_is_better: Some(false),
            ..self
        }
    }

    pub(super) fn within(self, least: f64, most: f64) -> Self {
        Self {
            range: (least, most),
            ..self
        }
    }

    pub(super) fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    pub(super) fn restates(self, other: Metric) -> Self {
        Self {
            restates: Some(other),
            ..self
        }
    }

    pub(super) fn gains_of(self, other: Metric) -> Self {
        Self {
            gains_of: Some(other),
            ..self
        }
    }

    pub(super) fn describes_rows(self) -> Self {
        Self {
            describes_rows: true,
            ..self
        }
    }

    pub(super) fn meaning(self, meaning: &'static str) -> Self {
        Self {
            meaning: Some(meaning),
            ..self
        }
    }
}
