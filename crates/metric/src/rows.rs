//! A task's rows on a split, and every score that they have.

use super::group_order::each_group;
use super::grouped_auc::GroupAreas;
use super::ranking_means::Rankings;
use super::score_order::{Areas, areas};
use super::{
    Cutoff, GroupedAuc, Metric, Needs, RankedGroups, RankingMeans, WeightedAreas, auc,
    mean_squared_error, weighted_areas,
};
use std::cell::OnceCell;

/// What a task's scores are computed from, a value for each row; empty where rows have no such thing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs {
    /// Whether labels are numbers, and not classes.
    pub is_regression: bool,
    /// Logits, or predicted numbers of a regression.
    pub predictions: Vec<f32>,
    /// 0 or 1, or numbers; NaN where the row doesn't count.
    pub labels: Vec<f32>,
    /// The user of each row.
    pub users: Vec<u32>,
    /// Where rows are ranked within something else than their user: what.
    pub groups: Vec<u32>,
    /// True logits or expected labels.
    pub truth: Vec<f32>,
    /// How much each row counts in weighted metrics, 0 or more.
    pub weights: Vec<f32>,
}

impl Inputs {
    /// Those of some of the rows, by their index.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn of_rows(&self, rows: &[u32]) -> Self {
        fn taken<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
            match values.is_empty() {
                true => Vec::new(),
                false => rows.iter().map(|row| values[*row as usize]).collect(),
            }
        }
        Self {
            is_regression: self.is_regression,
            predictions: taken(&self.predictions, rows),
            labels: taken(&self.labels, rows),
            users: taken(&self.users, rows),
            groups: taken(&self.groups, rows),
            truth: taken(&self.truth, rows),
            weights: taken(&self.weights, rows),
        }
    }
}

/// The rows that observe a task, and what is wanted of them.
#[derive(Debug, PartialEq)]
pub struct Rows {
    inputs: Inputs,
    wanted: Vec<Metric>,
    cutoffs: Vec<Cutoff>,
    // Several metrics share these, and each is a sort of all rows or a pass over them.
    areas: OnceCell<Areas>,
    best_auc: OnceCell<Option<f64>>,
    weighted_areas: OnceCell<WeightedAreas>,
    within_users: OnceCell<(GroupedAuc, Option<Ranked>)>,
    within_groups: OnceCell<Ranked>,
    squared_error: OnceCell<Option<f64>>,
    best_squared_error: OnceCell<Option<f64>>,
}

/// How many groups were ranked, and the means for each cutoff.
type Ranked = (RankedGroups, Vec<Option<RankingMeans>>);

impl Rows {
    /// Keeps those rows that observe the task: whose label is not NaN. `wanted` is what [`Self::scores`] is to compute, where such
    /// rows have it.
    pub fn observed(wanted: &[Metric], inputs: Inputs) -> Self {
        let is_observed: Vec<bool> = inputs.labels.iter().map(|label| !label.is_nan()).collect();
        let mut cutoffs: Vec<Cutoff> = wanted.iter().filter_map(|metric| metric.cutoff()).collect();
        cutoffs.sort_unstable();
        cutoffs.dedup();
        Self {
            inputs: Inputs {
                is_regression: inputs.is_regression,
                predictions: kept(inputs.predictions, &is_observed),
                labels: kept(inputs.labels, &is_observed),
                users: kept(inputs.users, &is_observed),
                groups: kept(inputs.groups, &is_observed),
                truth: kept(inputs.truth, &is_observed),
                weights: kept(inputs.weights, &is_observed),
            },
            wanted: wanted.to_vec(),
            cutoffs,
            areas: OnceCell::new(),
            best_auc: OnceCell::new(),
            weighted_areas: OnceCell::new(),
            within_users: OnceCell::new(),
            within_groups: OnceCell::new(),
            squared_error: OnceCell::new(),
            best_squared_error: OnceCell::new(),
        }
    }

    /// Every wanted metric that such rows have, in the order in which they are wanted; a value is absent where it is undefined.
    pub fn scores(&self) -> Vec<(Metric, Option<f64>)> {
        let metrics = self.wanted.iter();
        metrics
            .filter_map(|metric| Some((*metric, metric.compute(self)?)))
            .collect()
    }

    /// How many there are.
    pub fn num_rows(&self) -> usize {
        self.labels().len()
    }

    /// Rows of the positive class, where there are classes.
    pub fn positives(&self) -> Option<usize> {
        let labels = self.labels().iter();
        let positives = labels.filter(|label| super::is_positive(**label));
        (!self.is_regression()).then(|| positives.count())
    }

    pub(crate) fn is_regression(&self) -> bool {
        self.inputs.is_regression
    }

    pub(crate) fn has_users(&self) -> bool {
        !self.inputs.users.is_empty()
    }

    pub(crate) fn has_groups(&self) -> bool {
        !self.groups().is_empty()
    }

    pub(crate) fn has_truth(&self) -> bool {
        !self.inputs.truth.is_empty()
    }

    pub(crate) fn has_weights(&self) -> bool {
        !self.inputs.weights.is_empty()
    }

    pub(crate) fn predictions(&self) -> &[f32] {
        &self.inputs.predictions
    }

    pub(crate) fn labels(&self) -> &[f32] {
        &self.inputs.labels
    }

    pub(crate) fn weights(&self) -> &[f32] {
        &self.inputs.weights
    }

    fn wants(&self, metric: Metric) -> bool {
        self.wanted.contains(&metric)
    }

    fn areas(&self) -> Areas {
        let with_precision = self.wants(Metric::PrAuc);
        let compute = || areas(self.predictions(), self.labels(), with_precision);
        *self.areas.get_or_init(compute)
    }

    pub(crate) fn auc(&self) -> Option<f64> {
        self.areas().auc
    }

    pub(crate) fn average_precision(&self) -> Option<f64> {
        self.areas().average_precision
    }

    pub(crate) fn best_auc(&self) -> Option<f64> {
        let compute = || auc(&self.inputs.truth, self.labels());
        *self.best_auc.get_or_init(compute)
    }

    pub(crate) fn weighted_areas(&self) -> &WeightedAreas {
        let compute = || weighted_areas(self.predictions(), self.labels(), self.weights());
        self.weighted_areas.get_or_init(compute)
    }

    pub(crate) fn within_users(&self) -> &GroupedAuc {
        &self.of_users().0
    }

    pub(crate) fn ranked_groups(&self) -> RankedGroups {
        self.ranked().0
    }

    pub(crate) fn ranking_means(&self, cutoff: Cutoff) -> Option<RankingMeans> {
        let place = self.cutoffs.iter().position(|other| *other == cutoff)?;
        self.ranked().1[place]
    }

    /// In what rows are ranked: their users, unless something else is said.
    fn groups(&self) -> &[u32] {
        match self.inputs.groups.is_empty() {
            true => &self.inputs.users,
            false => &self.inputs.groups,
        }
    }

    fn ranked(&self) -> &Ranked {
        // Where users are the groups, one sort within them serves all.
        if self.inputs.groups.is_empty()
            && let Some(ranked) = &self.of_users().1
        {
            return ranked;
        }
        self.within_groups.get_or_init(|| {
            super::ranking_means(
                self.predictions(),
                self.labels(),
                self.groups(),
                &self.cutoffs,
            )
        })
    }

    /// What one sort within users gives.
    fn of_users(&self) -> &(GroupedAuc, Option<Ranked>) {
        self.within_users.get_or_init(|| {
            let wanted = self.wanted.iter();
            let ranks = wanted.filter(|metric| metric.needs() == Needs::Groups);
            let ranks = ranks.count() > 0 && self.inputs.groups.is_empty();
            let cutoffs = &self.cutoffs;
            let pieces = each_group(
                self.predictions(),
                self.labels(),
                &self.inputs.users,
                || (GroupAreas::default(), Rankings::new(cutoffs)),
                |(areas, rankings), group| {
                    areas.add(group);
                    if ranks {
                        rankings.add(group);
                    }
                },
            );
            let (areas, rankings): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
            let rankings = Rankings::joined(cutoffs, rankings);
            let ranked = ranks.then(|| rankings.means());
            (GroupAreas::joined(areas).summary(), ranked)
        })
    }

    pub(crate) fn squared_error(&self) -> Option<f64> {
        let compute = || mean_squared_error(self.predictions(), self.labels());
        *self.squared_error.get_or_init(compute)
    }

    pub(crate) fn best_squared_error(&self) -> Option<f64> {
        let compute = || mean_squared_error(&self.inputs.truth, self.labels());
        *self.best_squared_error.get_or_init(compute)
    }
}

fn kept<T>(values: Vec<T>, is_observed: &[bool]) -> Vec<T> {
    // Most tasks are observed on every row: nothing is copied then.
    if is_observed.iter().all(|observed| *observed) {
        return values;
    }
    let rows = values.into_iter().zip(is_observed);
    rows.filter(|(_, observed)| **observed)
        .map(|(value, _)| value)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(predictions: &[f32], labels: &[f32], users: &[u32], truth: &[f32]) -> Rows {
        Rows::observed(
            &Metric::wanted(&[]),
            inputs(predictions, labels, users, truth),
        )
    }

    fn inputs(predictions: &[f32], labels: &[f32], users: &[u32], truth: &[f32]) -> Inputs {
        Inputs {
            predictions: predictions.to_vec(),
            labels: labels.to_vec(),
            users: users.to_vec(),
            truth: truth.to_vec(),
            ..Inputs::default()
        }
    }

    fn value(rows: &Rows, metric: Metric) -> Option<f64> {
        let found = rows.scores();
        let mut values = found.iter().filter(|(other, _)| *other == metric);
        let (Some((_, value)), None) = (values.next(), values.next()) else {
            panic!("one score of {metric:?}, found {found:?}");
        };
        *value
    }

    #[test]
    fn rows_that_do_not_observe_a_task_are_not_scored() {
        let all = rows(&[0.5, 1.0, -1.0], &[1.0, f32::NAN, 0.0], &[7, 8, 9], &[]);
        assert_eq!(all, rows(&[0.5, -1.0], &[1.0, 0.0], &[7, 9], &[]));
        let none = rows(&[0.5], &[f32::NAN], &[], &[]);
        assert_eq!(none.num_rows(), 0);
        let found = none.scores();
        assert_eq!(found.len(), 5);
        assert!(found.into_iter().all(|(_, value)| value.is_none()));
    }

    #[test]
    fn a_regression_has_its_own_metrics_and_no_positives() {
        let inputs = Inputs {
            is_regression: true,
            ..inputs(&[1.5, 2.5, 3.5], &[1.0, 2.0, 6.0], &[], &[1.0, 2.0, 3.0])
        };
        let rows = Rows::observed(&Metric::wanted(&[]), inputs);
        let names: Vec<&str> = rows.scores().iter().map(|(m, _)| m.name()).collect();
        assert_eq!(names, ["r_squared", "mse", "best_mse", "mse_regret"]);
        let error = (0.25 + 0.25 + 6.25) / 3.0;
        assert_eq!(value(&rows, Metric::MeanSquaredError), Some(error));
        assert_eq!(value(&rows, Metric::BestMeanSquaredError), Some(3.0));
        assert_eq!(
            value(&rows, Metric::MeanSquaredErrorRegret),
            Some(error - 3.0)
        );
        let r_squared = value(&rows, Metric::RSquared).unwrap();
        assert!((r_squared - (1.0 - 6.75 / 14.0)).abs() < 1e-12);
        assert_eq!(rows.positives(), None);
    }

    #[test]
    fn users_of_one_class_are_left_out_and_counted() {
        let labels = [1.0, 0.0, 1.0, 0.0, 1.0];
        let rows = rows(&[1.0, 0.0, 0.0, 1.0, 5.0], &labels, &[0, 0, 1, 1, 2], &[]);
        assert_eq!(value(&rows, Metric::Gauc), Some(0.5));
        assert_eq!(value(&rows, Metric::GaucUsers), Some(2.0));
        assert_eq!(value(&rows, Metric::GaucUsersLeftOut), Some(1.0));
    }

    #[test]
    fn the_truth_has_no_regret() {
        let truth = [2.0, 0.0, -1.0, -2.0, -3.0];
        let rows = rows(&truth, &[1.0, 0.0, 1.0, 0.0, 0.0], &[], &truth);
        assert_eq!(value(&rows, Metric::AucRegret), Some(0.0));
    }

    #[test]
    fn rankings_are_within_users_unless_rows_have_another_group() {
        let wanted = ["mrr", "recall@1"].map(|name| Metric::named(name).unwrap());
        let wanted = Metric::wanted(&wanted);
        let labels = [1.0, 0.0, 1.0, 0.0, 0.0];
        let of_users = inputs(&[1.0, 0.0, 0.0, 1.0, 5.0], &labels, &[0, 0, 1, 1, 2], &[]);
        let rows = Rows::observed(&wanted, of_users.clone());
        assert_eq!(value(&rows, wanted[wanted.len() - 2]), Some(0.75));
        assert_eq!(value(&rows, wanted[wanted.len() - 1]), Some(0.5));
        assert_eq!(value(&rows, Metric::RankedGroups), Some(2.0));
        assert_eq!(value(&rows, Metric::RankedGroupsLeftOut), Some(1.0));
        let gauc = value(&rows, Metric::Gauc);
        let groups = vec![3; 5];
        let rows = Rows::observed(&wanted, Inputs { groups, ..of_users });
        // Two rows of 1 share ranks 2 and 3, one of them positive; the other positive is further down.
        assert_eq!(
            value(&rows, wanted[wanted.len() - 2]),
            Some((0.5 + 1.0 / 3.0) / 2.0)
        );
        assert_eq!(value(&rows, Metric::RankedGroups), Some(1.0));
        assert_eq!(value(&rows, Metric::Gauc), gauc);
    }

    #[test]
    fn some_of_the_rows_are_scored_as_if_there_were_no_others() {
        let all = inputs(&[1.0, 2.0, 3.0], &[0.0, 1.0, f32::NAN], &[7, 8, 9], &[]);
        let wanted = Metric::wanted(&[]);
        let some = Rows::observed(&wanted, all.of_rows(&[1, 2]));
        assert_eq!(some, rows(&[2.0], &[1.0], &[8], &[]));
        assert_eq!(all.of_rows(&[]).labels, [0.0; 0]);
    }
}
