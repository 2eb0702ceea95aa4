//! What a metric is called, its unit, and which way is better.

/// A metric as its readers know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetricName<'a> {
    name: &'a str,
    title: &'a str,
    unit: &'a str,
    higher_is_better: Option<bool>,
    /// The metric of which it is another scale on the same rows.
    restates: Option<&'a str>,
    /// Whether it says something of the rows and nothing of the model, so that it is the same for every variant.
    is_of_rows: bool,
}

const KNOWN: [MetricName; 15] = [
    known("auc", "AUC", "", true),
    known("log_loss", "log-loss", "nats", false),
    known("gauc", "GAUC", "", true),
    known("gauc_unweighted", "GAUC, unweighted", "", true),
    of_rows("best_auc", "AUC of the truth", ""),
    MetricName {
        restates: Some("auc"),
        ..known("auc_regret", "regret to the truth's AUC", "", false)
    },
    of_rows("gauc_users", "users in GAUC", "users"),
    of_rows(
        "gauc_users_left_out",
        "users of one class, left out of GAUC",
        "users",
    ),
    MetricName {
        restates: Some("log_loss"),
        ..known("normalised_entropy", "normalised entropy", "", false)
    },
    known(
        "expected_calibration_error",
        "expected calibration error",
        "",
        false,
    ),
    known("r_squared", "R²", "", true),
    MetricName {
        restates: Some("r_squared"),
        ..known("mse", "mean squared error", "", false)
    },
    // The same for every variant.
    neither_way("best_mse", "mean squared error of the truth", ""),
    MetricName {
        restates: Some("r_squared"),
        ..known(
            "mse_regret",
            "regret to the truth's mean squared error",
            "",
            false,
        )
    },
    // Best at 1, so neither way is better.
    neither_way("calibration", "calibration", "predicted / observed"),
];

const fn known(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    higher: bool,
) -> MetricName<'static> {
    MetricName {
        name,
        title,
        unit,
        higher_is_better: Some(higher),
        restates: None,
        is_of_rows: false,
    }
}

const fn neither_way(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
) -> MetricName<'static> {
    MetricName {
        higher_is_better: None,
        ..known(name, title, unit, true)
    }
}

const fn of_rows(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
) -> MetricName<'static> {
    MetricName {
        is_of_rows: true,
        ..neither_way(name, title, unit)
    }
}

impl<'a> MetricName<'a> {
    /// The metric of this name; an unknown one is called as it is written, and no way is better.
    pub(crate) fn of(name: &'a str) -> Self {
        let unknown = Self {
            name,
            title: name,
            unit: "",
            higher_is_better: None,
            restates: None,
            is_of_rows: false,
        };
        KNOWN
            .into_iter()
            .find(|known| known.name == name)
            .unwrap_or(unknown)
    }

    /// Its title and unit.
    pub(crate) fn label(&self) -> String {
        match self.unit {
            "" => self.title.to_owned(),
            unit => format!("{} ({unit})", self.title),
        }
    }

    /// The metric whose relative change is a gain: that of R², which may be near 0 or below it, says nothing.
    pub(crate) fn of_gains(&self) -> &'a str {
        match self.name {
            "r_squared" => "mse",
            name => name,
        }
    }

    /// Its title.
    pub(crate) fn title(&self) -> &'a str {
        self.title
    }

    /// Its name in files.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    /// Whether it is the same for every variant: nothing to chart or to compare.
    pub(crate) fn is_of_rows(&self) -> bool {
        self.is_of_rows
    }

    /// Whether it counts something.
    pub(crate) fn is_count(&self) -> bool {
        self.unit == "users"
    }

    /// Whether it says something of its own about who is better: a way is, and no other metric says the same.
    pub(crate) fn judges(&self) -> bool {
        self.higher_is_better.is_some() && self.restates.is_none()
    }

    /// Whether higher is better; nothing where neither way is.
    pub(crate) fn higher_is_better(&self) -> Option<bool> {
        self.higher_is_better
    }

    /// Which way is better, in words; nothing where neither is.
    pub(crate) fn direction(&self) -> Option<&'static str> {
        Some(if self.higher_is_better? {
            "higher is better"
        } else {
            "lower is better"
        })
    }

    /// How much better a is than b: positive where it is, in the metric's unit. Nothing where neither way is better.
    pub(crate) fn advantage(&self, a: f64, b: f64) -> Option<f64> {
        Some(if self.higher_is_better? { a - b } else { b - a })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_higher_for_auc_and_lower_for_losses() {
        assert!(MetricName::of("auc").advantage(0.9, 0.8).unwrap() > 0.0);
        assert!(MetricName::of("log_loss").advantage(0.9, 0.8).unwrap() < 0.0);
        assert_eq!(MetricName::of("calibration").advantage(0.9, 0.8), None);
        assert_eq!(MetricName::of("log_loss").label(), "log-loss (nats)");
        assert_eq!(MetricName::of("my_metric").label(), "my_metric");
    }
}
