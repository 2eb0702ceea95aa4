//! The list of metrics: what each is called, which way is better, and what it is computed from.

use super::rows::Rows;
use super::{calibration, expected_calibration_error, log_loss, normalised_entropy, r_squared};
use serde::{Deserialize, Serialize};

/// Bins of the expected calibration error. Part of the metric's definition: scores with another number can't be compared.
const CALIBRATION_BINS: usize = 20;

macro_rules! metrics {
    ($($variant:ident = $name:literal: $about:expr;)+) => {
        /// A number that says something of a model, by the name that tables, checkpoints and command lines give it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Metric {
            $(#[doc = concat!("`", $name, "`")] #[serde(rename = $name)] $variant,)+
        }

        impl Metric {
            /// Every metric, in the order in which a task's scores are written.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            fn about(self) -> About {
                match self { $(Self::$variant => $about),+ }
            }
        }
    };
}

// A new metric is a file with its computation and an entry here. The order is that of `metrics.csv` and, through it, of every
// table and figure; the first metric of a task that judges is its main one.
metrics! {
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
}

const USERS: &str = "users";

/// What is known of a metric.
struct About {
    title: &'static str,
    unit: &'static str,
    higher_is_better: Option<bool>,
    restates: Option<Metric>,
    gains_of: Option<Metric>,
    describes_rows: bool,
    /// The least and the largest value there can be.
    range: (f64, f64),
    meaning: Option<&'static str>,
    /// Absent where training makes it and not the scoring of a split.
    computed: Option<Computed>,
}

/// How a metric is computed from a task's rows.
struct Computed {
    /// Whether labels are numbers, and not classes.
    of_numbers: bool,
    needs: Needs,
    in_curves: bool,
    by: fn(&Rows) -> Option<f64>,
}

/// What rows must have beside predictions and labels.
enum Needs {
    Nothing,
    Users,
    Truth,
}

fn classes(title: &'static str, by: fn(&Rows) -> Option<f64>) -> About {
    About::computed(title, false, by)
}

fn numbers(title: &'static str, by: fn(&Rows) -> Option<f64>) -> About {
    About::computed(title, true, by)
}

impl About {
    fn new(title: &'static str) -> Self {
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

    fn computed(title: &'static str, of_numbers: bool, by: fn(&Rows) -> Option<f64>) -> Self {
        let computed = Computed {
            of_numbers,
            needs: Needs::Nothing,
            in_curves: false,
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

    fn of_users(self) -> Self {
        self.with(|computed| computed.needs = Needs::Users)
    }

    fn of_truth(self) -> Self {
        self.with(|computed| computed.needs = Needs::Truth)
    }

    fn in_curves(self) -> Self {
        self.with(|computed| computed.in_curves = true)
    }

    fn higher(self) -> Self {
        Self {
            higher_is_better: Some(true),
            ..self
        }
    }

    fn lower(self) -> Self {
        Self {
            higher_is_better: Some(false),
            ..self
        }
    }

    fn within(self, least: f64, most: f64) -> Self {
        Self {
            range: (least, most),
            ..self
        }
    }

    fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    fn restates(self, other: Metric) -> Self {
        Self {
            restates: Some(other),
            ..self
        }
    }

    fn gains_of(self, other: Metric) -> Self {
        Self {
            gains_of: Some(other),
            ..self
        }
    }

    fn describes_rows(self) -> Self {
        Self {
            describes_rows: true,
            ..self
        }
    }

    fn meaning(self, meaning: &'static str) -> Self {
        Self {
            meaning: Some(meaning),
            ..self
        }
    }
}

impl Metric {
    /// The metric of this name; nothing where there is none.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|metric| metric.name() == name)
    }

    /// What readers call it.
    pub fn title(self) -> &'static str {
        self.about().title
    }

    /// Its title and unit.
    pub fn label(self) -> String {
        let About { title, unit, .. } = self.about();
        match unit {
            "" => title.to_owned(),
            unit => format!("{title} ({unit})"),
        }
    }

    /// What it means, for a reader who has nothing else.
    pub fn meaning(self) -> Option<&'static str> {
        self.about().meaning
    }

    /// Whether higher is better; nothing where neither way is.
    pub fn higher_is_better(self) -> Option<bool> {
        self.about().higher_is_better
    }

    /// Which way is better, in words; nothing where neither is.
    pub fn direction(self) -> Option<&'static str> {
        self.higher_is_better().map(|higher| match higher {
            true => "higher is better",
            false => "lower is better",
        })
    }

    /// How much better a is than b: positive where it is, in the metric's unit. Nothing where neither way is better.
    pub fn advantage(self, a: f64, b: f64) -> Option<f64> {
        let higher = self.higher_is_better()?;
        Some(if higher { a - b } else { b - a })
    }

    /// Whether it says something of its own about who is better: a way is, and no other metric says the same on another scale.
    pub fn judges(self) -> bool {
        let about = self.about();
        about.higher_is_better.is_some() && about.restates.is_none()
    }

    /// The metric whose relative change is a gain in this one.
    pub fn of_gains(self) -> Self {
        self.about().gains_of.unwrap_or(self)
    }

    /// A value on the scale that tasks of classes and of numbers have in common, on which 0 is a constant prediction and 1 a perfect
    /// one: 2 AUC - 1, and R² as it is. Nothing for other metrics.
    pub fn skill(self, value: f64) -> Option<f64> {
        match self {
            Self::Auc => Some(2.0 * value - 1.0),
            Self::RSquared => Some(value),
            _ => None,
        }
    }

    /// Whether it says something of the rows and nothing of the model, so that it is the same for every variant: nothing to chart or
    /// to compare.
    pub fn describes_rows(self) -> bool {
        self.about().describes_rows
    }

    /// Why no rows can have this value, if none can: what values there are.
    pub fn impossible(self, value: f64) -> Option<String> {
        let (least, most) = self.about().range;
        let is_whole = !self.is_count() || value.fract() == 0.0;
        if (least..=most).contains(&value) && is_whole {
            return None;
        }
        let kind = if self.is_count() {
            "a whole number"
        } else {
            "a number"
        };
        Some(match (least == f64::MIN, most == f64::MAX) {
            (false, false) => format!("{kind} from {least} to {most}"),
            (false, true) => format!("{kind}, {least} or more"),
            (true, false) => format!("{kind} up to {most}"),
            (true, true) => format!("a finite {}", kind.trim_start_matches("a ")),
        })
    }

    /// Whether it counts something.
    pub fn is_count(self) -> bool {
        self.about().unit == USERS
    }

    /// Whether selection and learning curves need it: it is computed at every evaluation, and not at the end alone.
    pub fn is_in_curves(self) -> bool {
        let computed = self.about().computed;
        computed.is_some_and(|computed| computed.in_curves)
    }

    /// Its value on a task's rows, absent where it is undefined; nothing at all where such rows have no such metric.
    pub(crate) fn compute(self, rows: &Rows) -> Option<Option<f64>> {
        let computed = self.about().computed?;
        let has_inputs = match computed.needs {
            Needs::Nothing => true,
            Needs::Users => rows.has_users(),
            Needs::Truth => rows.has_truth(),
        };
        let applies = computed.of_numbers == rows.is_regression() && has_inputs;
        applies.then(|| (computed.by)(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_no_two_are_the_same() {
        for (place, metric) in Metric::ALL.iter().enumerate() {
            assert_eq!(Metric::named(metric.name()), Some(*metric));
            assert!(
                Metric::ALL[place + 1..]
                    .iter()
                    .all(|other| other.title() != metric.title())
            );
        }
        assert_eq!(Metric::named("my_metric"), None);
    }

    #[test]
    fn better_is_higher_for_auc_and_lower_for_losses() {
        assert!(Metric::Auc.advantage(0.9, 0.8).unwrap() > 0.0);
        assert!(Metric::LogLoss.advantage(0.9, 0.8).unwrap() < 0.0);
        assert_eq!(Metric::Calibration.advantage(0.9, 0.8), None);
        assert_eq!(Metric::LogLoss.label(), "log-loss (nats)");
    }

    #[test]
    fn values_that_no_rows_can_have_are_told_with_those_that_there_are() {
        for (metric, value, expected) in [
            (Metric::Auc, 0.0, None),
            (Metric::Auc, 1.0, None),
            (Metric::Auc, 1.7, Some("a number from 0 to 1")),
            (Metric::Gauc, -0.1, Some("a number from 0 to 1")),
            (Metric::LogLoss, 9.5, None),
            (Metric::LogLoss, -1e-9, Some("a number, 0 or more")),
            (Metric::RSquared, -7.0, None),
            (Metric::RSquared, 1.1, Some("a number up to 1")),
            (Metric::AucRegret, -0.01, None),
            (Metric::GaucUsers, 3.0, None),
            (Metric::GaucUsers, 3.5, Some("a whole number, 0 or more")),
            (Metric::MeanSquaredErrorRegret, -2.0, None),
            (Metric::Auc, f64::NAN, Some("a number from 0 to 1")),
        ] {
            assert_eq!(
                metric.impossible(value).as_deref(),
                expected,
                "{metric:?} {value}"
            );
        }
    }

    #[test]
    fn what_restates_another_metric_judges_nothing() {
        let judges: Vec<&str> = Metric::ALL
            .iter()
            .filter(|metric| metric.judges())
            .map(|metric| metric.name())
            .collect();
        assert_eq!(
            judges,
            [
                "auc",
                "log_loss",
                "expected_calibration_error",
                "gauc",
                "gauc_unweighted",
                "r_squared"
            ]
        );
    }
}
