//! Names of metrics in a spec, and why a text is none.

use homebench_diagnostic::Diagnostic;
use homebench_metric::{Metric, NameError};

/// Why a text names no metric.
pub(super) struct NoMetric {
    /// To be said at the place of the text.
    pub(super) message: String,
    fix: Fix,
}

enum Fix {
    Write(String),
    /// The nearest of these to the name.
    Nearest(String, Vec<String>),
}

impl NoMetric {
    /// `said`, which has the message, with the fix.
    pub(super) fn of(&self, said: Diagnostic) -> Diagnostic {
        match &self.fix {
            Fix::Write(name) => said.hint(format!("write `{name}`")),
            Fix::Nearest(name, known) => said.did_you_mean(name, known.iter().map(String::as_str)),
        }
    }
}

/// The metric of this name, of a group's first rows with their number; `known` are the names that may stand there.
pub(super) fn named_metric(name: &str, known: &[String]) -> Result<Metric, NoMetric> {
    let family = name.split('@').next().unwrap_or_default();
    let write = |message: String, fix: String| NoMetric {
        message,
        fix: Fix::Write(fix),
    };
    Metric::parse(name).map_err(|error| match error {
        NameError::Unknown => {
            let without = |name: &String| name.split('@').next().unwrap_or(name).to_owned();
            NoMetric {
                message: format!(
                    "there is no metric `{name}`; expected one of: {}",
                    known.join(", ")
                ),
                fix: Fix::Nearest(family.to_owned(), known.iter().map(without).collect()),
            }
        }
        NameError::NoCutoff => write(
            format!("`{family}` is of all rows, not of the first ones of a group"),
            family.to_owned(),
        ),
        NameError::NeedsCutoff => write(
            format!("`{name}` needs the number of first rows that it is of"),
            format!("{name}@10"),
        ),
        NameError::NoNumber => write(
            format!("expected a number of first rows, 1 or more, after the @ of `{name}`"),
            format!("{family}@10"),
        ),
    })
}
