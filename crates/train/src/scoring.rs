//! What the rows of a split are scored by beside what every experiment has: metrics on request, the groups in which rows are ranked, and
//! cohorts.

use super::cohorts::{CodedCohort, TrainingUsers};
use super::{CellSettings, SelectionConfig, SplitName, TrainError};
use homebench_data::{Prepared, Split};
use homebench_diagnostic::Diagnostic;
use homebench_metric::{Metric, NO_GROUP, Needs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Metrics that a spec asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricChoice {
    /// Those beside the metrics that every experiment has, in the order of tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<Metric>,
    /// The column in whose values rows are ranked; absent where it is the description's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl MetricChoice {
    /// Whether nothing is asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What divides the rows of a split into cohorts, each of which is scored by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cohort {
    /// An expression over the columns of a row, a column's name at its plainest: each of its values is a cohort. Or [`NEW_USERS`].
    Expression(String),
    /// Buckets by the number of training rows of the row's user.
    TrainingRows {
        /// Where buckets begin, after the one that begins at 0; rising.
        training_rows: Vec<u64>,
    },
}

/// The words that divide rows by whether their user has a row in training.
pub const NEW_USERS: &str = "user not in train";

impl Cohort {
    /// Whether it asks who the user of a row is.
    pub fn is_of_users(&self) -> bool {
        match self {
            Self::Expression(text) => text == NEW_USERS,
            Self::TrainingRows { .. } => true,
        }
    }

    /// The expression over columns, where it is one.
    pub fn expression(&self) -> Option<&str> {
        match self {
            Self::Expression(text) if text != NEW_USERS => Some(text),
            _ => None,
        }
    }
}

/// Everything that a spec asks of scores.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scoring {
    /// Metrics on request.
    pub metrics: MetricChoice,
    /// Cohorts by name.
    pub cohorts: BTreeMap<String, Cohort>,
}

impl Scoring {
    /// What of it trials have, which `selection` chooses between: what that goes by. Nobody reads more of them.
    pub fn of_trials(&self, selection: &SelectionConfig) -> Self {
        let ranks = selection.metric.map(Metric::needs) == Some(Needs::Groups);
        let group = self.metrics.group.clone().filter(|_| ranks);
        Self {
            metrics: MetricChoice {
                group,
                ..MetricChoice::default()
            },
            cohorts: BTreeMap::new(),
        }
    }

    /// Columns and expressions over columns that have to stay with the rows.
    pub fn carried(&self) -> Vec<&str> {
        carried(&self.metrics, &self.cohorts)
    }
}

/// Columns and expressions over columns that have to stay with the rows for these, in order, each once.
pub fn carried<'a>(
    metrics: &'a MetricChoice,
    cohorts: &'a BTreeMap<String, Cohort>,
) -> Vec<&'a str> {
    let group = metrics.group.as_deref();
    let cohorts = cohorts.values().filter_map(Cohort::expression);
    let mut carried: Vec<&str> = group.into_iter().chain(cohorts).collect();
    carried.sort_unstable();
    carried.dedup();
    carried
}

/// What the splits of a cell are scored by, as far as it is known before the end.
pub(super) struct Scored<'a> {
    settings: &'a CellSettings<'a>,
    /// Where cohorts ask for users.
    users: Option<TrainingUsers>,
    /// Where rows have a scenario, and no cohort of the spec has its name.
    scenarios: Option<Scenarios>,
    validation: SplitScoring,
}

/// What divides rows by their scenario, as the cohort [`SCENARIO`].
#[derive(Debug)]
pub(super) struct Scenarios {
    /// Its place among features of ids.
    pub(super) feature: usize,
    /// What ids from 1 on stand for.
    pub(super) values: Vec<String>,
}

/// The cohort that rows with a scenario have without being asked for.
pub const SCENARIO: &str = "scenario";

impl<'a> Scored<'a> {
    /// With `by_scenario`, rows are scored by their scenario too, where they have one.
    ///
    /// # Errors
    /// As of [`SplitScoring`].
    pub(super) fn new(
        settings: &'a CellSettings<'a>,
        dataset: &Prepared,
        by_scenario: bool,
    ) -> Result<Self, TrainError> {
        let by_scenario = by_scenario && !settings.cohorts.contains_key(SCENARIO);
        let scenarios =
            (dataset.schema.scenario.filter(|_| by_scenario)).map(|feature| Scenarios {
                feature,
                values: dataset.scenarios.clone(),
            });
        let mut cohorts = settings.cohorts.values();
        let asks_for_users = cohorts.any(|cohort| cohort.is_of_users());
        let users = asks_for_users.then(|| TrainingUsers::of(&dataset.train));
        let name = SplitName::Validation;
        if weighs(settings) && !dataset.test.has_weight() {
            let name = SplitName::Test;
            return Err(unscorable(name)(no_weight(settings, name)));
        }
        Ok(Self {
            validation: SplitScoring::new(
                settings,
                &dataset.validation,
                name,
                (users.as_ref(), scenarios.as_ref()),
            )?,
            users,
            scenarios,
            settings,
        })
    }

    pub(super) fn validation(&self) -> &SplitScoring {
        &self.validation
    }

    pub(super) fn test(&self, test: &Split) -> Result<SplitScoring, TrainError> {
        let dividing = (self.users.as_ref(), self.scenarios.as_ref());
        SplitScoring::new(self.settings, test, SplitName::Test, dividing)
    }
}

fn unscorable(split: SplitName) -> impl Fn(Diagnostic) -> TrainError {
    move |said| TrainError::Unscorable {
        split: split.name(),
        source: Box::new(said),
    }
}

/// What the rows of one split are scored by.
#[derive(Debug)]
pub(super) struct SplitScoring {
    /// Of the selected weights.
    pub(super) metrics: Vec<Metric>,
    /// Of every evaluation: those of curves, and that by which is selected.
    pub(super) selection_metrics: Vec<Metric>,
    /// In which each row is ranked, where that is another than its user; empty else.
    pub(super) groups: Vec<u32>,
    /// Empty where no metric weighs rows.
    pub(super) weights: Vec<f32>,
    pub(super) cohorts: Vec<CodedCohort>,
}

impl SplitScoring {
    /// # Errors
    /// Groups or weights that leave nothing to be scored, too many cohorts.
    pub(super) fn new(
        settings: &CellSettings<'_>,
        split: &Split,
        name: SplitName,
        dividing: (Option<&TrainingUsers>, Option<&Scenarios>),
    ) -> Result<Self, TrainError> {
        Self::checked(settings, split, name, dividing).map_err(unscorable(name))
    }

    fn checked(
        settings: &CellSettings<'_>,
        split: &Split,
        name: SplitName,
        (users, scenarios): (Option<&TrainingUsers>, Option<&Scenarios>),
    ) -> Result<Self, Diagnostic> {
        let groups = match &settings.metrics.group {
            Some(column) => groups(split, column, name)?,
            None => Vec::new(),
        };
        let weights = match weighs(settings) {
            true => split.weights(),
            false => Vec::new(),
        };
        if weights.iter().all(|weight| *weight == 0.0) && weighs(settings) {
            return Err(no_weight(settings, name));
        }
        let extra: Vec<Metric> = extra(settings).collect();
        let selects = |metric: &Metric| settings.selection.metric == Some(*metric);
        let all = Metric::wanted(&extra);
        let in_evaluations = all.iter().copied();
        let in_evaluations =
            in_evaluations.filter(|metric| metric.is_in_curves() || selects(metric));
        let cohorts = settings.cohorts.iter();
        let cohorts = cohorts.map(|(cohort, kind)| CodedCohort::new(cohort, kind, split, users));
        let by_scenario = scenarios.map(|scenarios| CodedCohort::of_scenarios(scenarios, split));
        Ok(Self {
            selection_metrics: in_evaluations.collect(),
            metrics: all,
            groups,
            weights,
            cohorts: cohorts.chain(by_scenario).collect::<Result<_, _>>()?,
        })
    }
}

/// Metrics beside those that every cell has: what is selected by is in the tables too.
fn extra(settings: &CellSettings<'_>) -> impl Iterator<Item = Metric> {
    let extra = settings.metrics.extra.iter().copied();
    extra.chain(settings.selection.metric)
}

fn weighs(settings: &CellSettings<'_>) -> bool {
    extra(settings).any(|metric| metric.needs() == Needs::Weights)
}

fn no_weight(settings: &CellSettings<'_>, name: SplitName) -> Diagnostic {
    let mut asked = settings.metrics.extra.iter();
    let (place, fix) = match asked.any(|metric| metric.needs() == Needs::Weights) {
        true => ("`metrics.extra`", "leave the weighted metrics out"),
        false => ("`selection.metric`", "select by another metric"),
    };
    let message = format!(
        "every row of the {} split has the weight 0, so it has no weighted metric",
        name.name()
    );
    Diagnostic::new(place, message).hint(format!(
        "{fix}, or give the rows weights in the column that the description's `weight` names"
    ))
}

/// The group of each row of a split.
fn groups(split: &Split, column: &str, name: SplitName) -> Result<Vec<u32>, Diagnostic> {
    let codes = super::cohorts::coded(split, column)?.codes;
    if codes.iter().all(|code| *code == NO_GROUP) {
        let message = format!(
            "the column `{column}` is empty on all {} rows of the {} split, so no row is in a group",
            codes.len(),
            name.name()
        );
        return Err(Diagnostic::new("metrics.group", message)
            .hint("name a column that has values, or leave `group` out to rank within users"));
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_stay_with_rows_is_what_groups_and_cohorts_are_computed_from() {
        let cohort = |text: &str| Cohort::Expression(text.to_owned());
        let scoring = Scoring {
            metrics: MetricChoice {
                extra: Vec::new(),
                group: Some("session".to_owned()),
            },
            cohorts: [
                ("tab".to_owned(), cohort("tab")),
                ("page".to_owned(), cohort("session")),
                ("new".to_owned(), cohort(NEW_USERS)),
                ("long".to_owned(), cohort("duration > 9")),
                (
                    "activity".to_owned(),
                    Cohort::TrainingRows {
                        training_rows: vec![1],
                    },
                ),
            ]
            .into(),
        };
        assert_eq!(scoring.carried(), ["duration > 9", "session", "tab"]);
        let of_users = scoring.cohorts.values().filter(|one| one.is_of_users());
        assert_eq!(of_users.count(), 2);
        assert!(Scoring::default().carried().is_empty());
    }

    #[test]
    fn a_cohort_stands_in_a_file_as_a_spec_writes_it() {
        let text = "activity = { training_rows = [1, 10] }\nlong = \"duration > 9\"\n";
        let read: BTreeMap<String, Cohort> = toml::from_str(text).unwrap();
        let again = toml::to_string(&read).unwrap();
        assert_eq!(
            toml::from_str::<BTreeMap<String, Cohort>>(&again).unwrap(),
            read
        );
        assert!(read["activity"].is_of_users());
    }
}
