//! The list of metrics: what each is called, which way is better, and what it is computed from.

use super::about::{About, GROUPS, USERS, classes, numbers, ranking};
use super::cutoff::{Cutoff, interned};
use super::rows::Rows;
use super::{
    brier, calibration, expected_calibration_error, log_loss, mean_absolute_error,
    normalised_entropy, probability, r_squared, rank_correlation, regression,
    root_mean_squared_error, weighted,
};

/// Bins of the expected calibration error. Part of the metric's definition: scores with another number can't be compared.
const CALIBRATION_BINS: usize = 20;

macro_rules! metrics {
    ({ $($variant:ident = $name:literal: $about:expr;)+ } of_first_rows { $($cut:ident = $cut_name:literal: $cut_about:expr;)+ }) => {
        /// A number that says something of a model, by the name that tables, checkpoints and command lines give it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
            $(#[doc = concat!("`", $cut_name, "` of a group's first rows, `", $cut_name, "@10`")] $cut(Cutoff),)+
        }

        impl Metric {
            /// Every metric, in the order in which a task's scores are written; those of a group's first rows stand for any number of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+ $(Self::$cut(Cutoff::NONE)),+];

            /// Its name in files.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                    $(Self::$cut(cutoff) => interned(cutoff.after($cut_name)),)+
                }
            }

            /// Of how many of a group's first rows it is, where it is of such.
            pub(crate) fn cutoff(self) -> Option<Cutoff> {
                match self {
                    $(Self::$cut(cutoff) => Some(cutoff),)+
                    _ => None,
                }
            }

            /// The same of so many first rows; itself where it isn't of such.
            pub(crate) fn with_cutoff(self, cutoff: Cutoff) -> Self {
                match self {
                    $(Self::$cut(_) => Self::$cut(cutoff),)+
                    other => other,
                }
            }

            pub(crate) fn about(self) -> About {
                match self {
                    $(Self::$variant => $about,)+
                    $(Self::$cut(_) => $cut_about,)+
                }
            }
        }
    };
}

// A new metric is a file with its computation and an entry here. The order is that of `metrics.csv` and, through it, of every
// table and figure; the first metric of a task that judges is its main one.
metrics! {
    {
    Auc = "auc": classes("AUC", Rows::auc).higher().within(0.0, 1.0).in_curves().meaning(
        "The probability that a row with a positive label is ranked above one with a negative label: 1 is best, .5 is chance.",
    );
    LogLoss = "log_loss": classes("log-loss", |rows| log_loss(rows.predictions(), rows.labels()))
        .lower().within(0.0, f64::MAX).unit("nats").in_curves();
    NormalisedEntropy = "normalised_entropy":
        classes("normalised entropy", |rows| normalised_entropy(rows.predictions(), rows.labels()))
        .lower().within(0.0, f64::MAX).restates(Metric::LogLoss);
    // Best at 1, so neither way is better.
    Calibration = "calibration": classes("calibration", |rows| calibration(rows.predictions(), rows.labels()))
        .within(0.0, f64::MAX).unit("predicted / observed");
    ExpectedCalibrationError = "expected_calibration_error": classes("expected calibration error", |rows| {
        expected_calibration_error(rows.predictions(), rows.labels(), CALIBRATION_BINS)
    }).lower().within(0.0, 1.0);
    Gauc = "gauc": classes("GAUC", |rows| rows.within_users().weighted).of_users().higher().within(0.0, 1.0);
    GaucUnweighted = "gauc_unweighted": classes("GAUC, unweighted", |rows| rows.within_users().unweighted)
        .of_users().higher().within(0.0, 1.0);
    GaucUsers = "gauc_users": classes("users in GAUC", |rows| Some(rows.within_users().num_groups as f64))
        .of_users().unit(USERS).within(0.0, f64::MAX).describes_rows();
    GaucUsersLeftOut = "gauc_users_left_out":
        classes("users of one class, left out of GAUC", |rows| Some(rows.within_users().num_left_out as f64))
        .of_users().unit(USERS).within(0.0, f64::MAX).describes_rows();
    BestAuc = "best_auc": classes("AUC of the truth", Rows::best_auc).of_truth().within(0.0, 1.0).describes_rows();
    AucRegret = "auc_regret": classes("regret to the truth's AUC", |rows| Some(rows.best_auc()? - rows.auc()?))
        .of_truth().within(-1.0, 1.0).lower().restates(Metric::Auc);
    // A relative change of R², which may be near 0 or below it, says nothing: gains are of the squared error.
    RSquared = "r_squared": numbers("R²", |rows| r_squared(rows.predictions(), rows.labels()))
        .higher().within(f64::MIN, 1.0).in_curves().gains_of(Metric::MeanSquaredError);
    MeanSquaredError = "mse": numbers("mean squared error", Rows::squared_error)
        .lower().within(0.0, f64::MAX).in_curves().restates(Metric::RSquared);
    BestMeanSquaredError = "best_mse": numbers("mean squared error of the truth", Rows::best_squared_error).of_truth().within(0.0, f64::MAX);
    MeanSquaredErrorRegret = "mse_regret": numbers("regret to the truth's mean squared error", |rows| {
        Some(rows.squared_error()? - rows.best_squared_error()?)
    }).of_truth().lower().restates(Metric::RSquared);
    // Losses of variants that balance tasks differently are on different scales, so neither way is better.
    Loss = "loss": About::new("training loss");
    AuxiliaryLoss = "auxiliary_loss": About::new("training loss of the model's own");
    DistillationLoss = "distillation_loss": About::new("training loss of distillation");
    LossWeight = "loss_weight": About::new("weight of the task's training loss");

    PrAuc = "pr_auc": classes("PR-AUC", Rows::average_precision).on_request().higher().within(0.0, 1.0).meaning(
        "Average precision: the mean over positive rows of the share of positives among all rows with at least their score.",
    );
    Brier = "brier": classes("Brier score", |rows| brier(rows.predictions(), rows.labels())).on_request().lower().within(0.0, 1.0);
    MeanAbsoluteError = "mae": numbers("mean absolute error", |rows| mean_absolute_error(rows.predictions(), rows.labels()))
        .on_request().lower().within(0.0, f64::MAX);
    RootMeanSquaredError = "rmse": numbers("root mean squared error", |rows| root_mean_squared_error(rows.predictions(), rows.labels()))
        .on_request().lower().within(0.0, f64::MAX);
    Spearman = "spearman": numbers("Spearman's rho", |rows| rank_correlation(rows.predictions(), rows.labels()))
        .on_request().higher().within(-1.0, 1.0);

    WeightedAuc = "weighted_auc": classes("weighted AUC", |rows| rows.weighted_areas().auc).of_weights().higher().within(0.0, 1.0);
    WeightedPrAuc = "weighted_pr_auc": classes("weighted PR-AUC", |rows| rows.weighted_areas().average_precision)
        .of_weights().higher().within(0.0, 1.0);
    WeightedLogLoss = "weighted_log_loss": classes("weighted log-loss", |rows| weighted::mean(rows, probability::row_loss))
        .of_weights().lower().within(0.0, f64::MAX).unit("nats");
    WeightedBrier = "weighted_brier": classes("weighted Brier score", |rows| weighted::mean(rows, probability::squared_distance))
        .of_weights().lower().within(0.0, 1.0);
    WeightedCalibration = "weighted_calibration": classes("weighted calibration", weighted::calibration)
        .of_weights().within(0.0, f64::MAX).unit("predicted / observed");
    WeightedRSquared = "weighted_r_squared": numbers("weighted R²", weighted::r_squared).of_weights().higher().within(f64::MIN, 1.0);
    WeightedMeanSquaredError = "weighted_mse": numbers("weighted mean squared error", |rows| weighted::mean(rows, regression::squared_distance))
        .of_weights().lower().within(0.0, f64::MAX);
    WeightedRootMeanSquaredError = "weighted_rmse": numbers("weighted root mean squared error", |rows| {
        weighted::mean(rows, regression::squared_distance).map(f64::sqrt)
    }).of_weights().lower().within(0.0, f64::MAX);
    WeightedMeanAbsoluteError = "weighted_mae": numbers("weighted mean absolute error", |rows| weighted::mean(rows, regression::distance))
        .of_weights().lower().within(0.0, f64::MAX);

    RankedGroups = "ranked_groups": classes("ranked groups", |rows| Some(rows.ranked_groups().num_groups as f64))
        .of_groups().unit(GROUPS).within(0.0, f64::MAX).describes_rows();
    RankedGroupsLeftOut = "ranked_groups_left_out":
        classes("groups without a positive row, left out of rankings", |rows| Some(rows.ranked_groups().num_left_out as f64))
        .of_groups().unit(GROUPS).within(0.0, f64::MAX).describes_rows();
    } of_first_rows {
    Ndcg = "ndcg": ranking("NDCG", |means| means.ndcg).higher().within(0.0, 1.0);
    ReciprocalRank = "mrr": ranking("MRR", |means| means.reciprocal_rank).higher().within(0.0, 1.0);
    Recall = "recall": ranking("recall", |means| means.recall).needs_cutoff().higher().within(0.0, 1.0);
    Precision = "precision": ranking("precision", |means| means.precision).needs_cutoff().higher().within(0.0, 1.0);
    HitRate = "hit_rate": ranking("hit rate", |means| means.hit_rate).needs_cutoff().higher().within(0.0, 1.0);
    }
}
