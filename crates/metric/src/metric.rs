//! What may be asked of a metric: its names, which way is better, which values there are, and what rows it is computed from.

use super::about::{About, By, GROUPS, USERS};
use super::cutoff::{Cutoff, interned};
use super::rows::Rows;
use super::{Metric, Needs};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// No metric is called so.
    Unknown,
    /// The metric is not of a group's first rows, so that `@` says nothing.
    NoCutoff,
    /// The metric says nothing without a number of first rows.
    NeedsCutoff,
    /// What follows `@` is no number of rows, as it is written: 1 or more.
    NoNumber,
}

impl Metric {
    /// The metric of this name; nothing where there is none.
    pub fn named(name: &str) -> Option<Self> {
        Self::parse(name).ok()
    }

    /// The metric of this name, of a group's first rows with their number after `@`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let (family, rows) = match name.split_once('@') {
            Some((family, rows)) => (family, Some(rows)),
            None => (name, None),
        };
        let mut all = Self::ALL.iter().copied();
        let found = all.find(|metric| metric.family() == family);
        let metric = found.ok_or(NameError::Unknown)?;
        let Some(rows) = rows else {
            return match metric.needs_cutoff() {
                true => Err(NameError::NeedsCutoff),
                false => Ok(metric),
            };
        };
        if metric.cutoff().is_none() {
            return Err(NameError::NoCutoff);
        }
        let cutoff = rows.parse().ok().and_then(Cutoff::first);
        let metric = metric.with_cutoff(cutoff.ok_or(NameError::NoNumber)?);
        // One metric has one name: `ndcg@010` would be another row of the same.
        match metric.name() == name {
            true => Ok(metric),
            false => Err(NameError::NoNumber),
        }
    }

    /// Its name without a number of first rows.
    pub fn family(self) -> &'static str {
        self.with_cutoff(Cutoff::NONE).name()
    }

    /// An example of how a spec or a table names it: of a group's first rows with a number of them.
    pub fn example_name(self) -> String {
        match self.has_cutoff() {
            true => format!("{}@10", self.family()),
            false => self.name().to_owned(),
        }
    }

    /// Whether it says nothing without a number of first rows.
    pub fn needs_cutoff(self) -> bool {
        let computed = self.about().computed;
        computed.is_some_and(|computed| computed.needs_cutoff)
    }

    /// Whether it is of a group's first rows, of which a name may say the number.
    pub fn has_cutoff(self) -> bool {
        self.cutoff().is_some()
    }

    /// What readers call it.
    pub fn title(self) -> &'static str {
        let title = self.about().title;
        match self.cutoff().filter(|cutoff| cutoff.limit().is_some()) {
            Some(cutoff) => interned(cutoff.after(title)),
            None => title,
        }
    }

    /// Its title and unit.
    pub fn label(self) -> String {
        let (title, About { unit, .. }) = (self.title(), self.about());
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
        [USERS, GROUPS].contains(&self.about().unit)
    }

    /// Whether selection and learning curves need it: it is computed at every evaluation, and not at the end alone.
    pub fn is_in_curves(self) -> bool {
        let computed = self.about().computed;
        computed.is_some_and(|computed| computed.in_curves)
    }

    /// Whether it is computed only where a spec asks for it.
    pub fn is_on_request(self) -> bool {
        let computed = self.about().computed;
        computed.is_some_and(|computed| computed.on_request)
    }

    /// Whether tasks whose labels are numbers have it, and not those of classes; nothing of what training makes.
    pub fn is_of_numbers(self) -> Option<bool> {
        let computed = self.about().computed?;
        Some(computed.of_numbers)
    }

    /// What rows must have beside predictions and labels.
    pub fn needs(self) -> Needs {
        let computed = self.about().computed;
        computed.map_or(Needs::Nothing, |computed| computed.needs)
    }

    /// Why nothing can be selected by it, whatever the task; nothing where something can.
    pub fn why_not_selecting(self) -> Option<&'static str> {
        let about = self.about();
        match about.computed.map(|computed| computed.needs) {
            None => Some("training makes it, and not the scoring of a split"),
            Some(Needs::Truth) => {
                Some("it is computed from the truth of made-up data, which no choice may know")
            }
            Some(_) if about.higher_is_better.is_none() => Some("neither way of it is better"),
            Some(_) => None,
        }
    }

    /// Whether a value may be below 0.
    pub fn may_be_negative(self) -> bool {
        self.about().range.0 < 0.0
    }

    /// What a split is scored by, in the order of tables: the metrics that every experiment has, those that a spec asks for beside
    /// them, and with rankings of groups how many groups there were and how many were left out.
    pub fn wanted(extra: &[Self]) -> Vec<Self> {
        let ranks = extra.iter().any(|metric| metric.needs() == Needs::Groups);
        let counts = [Self::RankedGroups, Self::RankedGroupsLeftOut];
        let all = Self::ALL
            .iter()
            .copied()
            .filter(|metric| !metric.is_on_request() || (ranks && counts.contains(metric)));
        let mut wanted: Vec<Self> = all.chain(extra.iter().copied()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// Its value on a task's rows, absent where it is undefined; nothing at all where such rows have no such metric.
    pub(crate) fn compute(self, rows: &Rows) -> Option<Option<f64>> {
        let computed = self.about().computed?;
        let has_inputs = match computed.needs {
            Needs::Nothing => true,
            Needs::Users => rows.has_users(),
            Needs::Truth => rows.has_truth(),
            Needs::Weights => rows.has_weights(),
            Needs::Groups => rows.has_groups(),
        };
        let applies = computed.of_numbers == rows.is_regression() && has_inputs;
        applies.then(|| match computed.by {
            By::Rows(by) => by(rows),
            By::Ranking(by) => rows.ranking_means(self.cutoff()?).map(|means| by(&means)),
        })
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown = || {
            serde::de::Error::custom(format!(
                "unknown variant `{name}`, expected a metric's name"
            ))
        };
        Self::named(&name).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_no_two_are_the_same() {
        for (place, metric) in Metric::ALL.iter().enumerate() {
            let name = metric
                .needs_cutoff()
                .then(|| format!("{}@3", metric.name()));
            let name = name.as_deref().unwrap_or(metric.name());
            assert_eq!(
                Metric::named(name).map(|read| (read.name(), read.about().title)),
                Some((name, metric.title()))
            );
            assert!(
                Metric::ALL[place + 1..]
                    .iter()
                    .all(|other| other.title() != metric.title())
            );
        }
        assert_eq!(Metric::named("my_metric"), None);
    }

    #[test]
    fn a_name_has_one_number_of_first_rows_where_the_metric_has_one() {
        let ten = Metric::Ndcg(Cutoff::first(10).unwrap());
        assert_eq!(Metric::parse("ndcg@10"), Ok(ten));
        assert_eq!(
            (ten.name(), ten.title(), ten.family()),
            ("ndcg@10", "NDCG@10", "ndcg")
        );
        assert_eq!(
            Metric::parse("mrr"),
            Ok(Metric::ReciprocalRank(Cutoff::NONE))
        );
        for (name, why) in [
            ("ndgc@10", NameError::Unknown),
            ("auc@10", NameError::NoCutoff),
            ("recall", NameError::NeedsCutoff),
            ("recall@0", NameError::NoNumber),
            ("recall@-1", NameError::NoNumber),
            ("recall@010", NameError::NoNumber),
            ("recall@+10", NameError::NoNumber),
            ("recall@4294967295", NameError::NoNumber),
            ("recall@4294967296", NameError::NoNumber),
            ("recall@", NameError::NoNumber),
            ("ndcg@ten", NameError::NoNumber),
            ("ndcg@1@2", NameError::NoNumber),
        ] {
            assert_eq!(Metric::parse(name), Err(why), "{name}");
        }
    }

    #[test]
    fn an_experiment_that_asks_for_nothing_is_scored_by_what_it_always_was_and_extras_come_after() {
        let wanted = Metric::wanted(&[]);
        assert_eq!(wanted.len(), 19);
        assert!(wanted.iter().all(|metric| *metric <= Metric::LossWeight));
        let extra = ["recall@20", "ndcg@10", "recall@5", "pr_auc", "ndcg@10"];
        let extra = extra.map(|name| Metric::named(name).unwrap());
        let names: Vec<&str> = Metric::wanted(&extra)[19..]
            .iter()
            .map(|metric| metric.name())
            .collect();
        let counts = ["ranked_groups", "ranked_groups_left_out"];
        assert_eq!(
            names,
            [
                &["pr_auc"],
                &counts[..],
                &["ndcg@10", "recall@5", "recall@20"]
            ]
            .concat()
        );
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
            .filter(|metric| metric.judges() && !metric.is_on_request())
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
