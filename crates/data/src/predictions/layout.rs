//! The columns of a file of predictions.

use super::ScoreScale;
use super::sink::{LABEL, OBSERVED, ROW, SCORE, SOURCE_ROW};
use crate::expression::Reading;
use crate::schema::{LabelValue, Protocol, Source, TablePlan};
use homebench_diagnostic::Diagnostic;

/// What a file of predictions says of each row of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionLayout {
    /// Columns that stay with the rows: those that name them, then labels of regressions. As indices into the plan's.
    carried: Vec<(usize, Reading)>,
    /// How many of them name rows.
    pub(super) num_named: usize,
    /// The user of rows that an embedded source makes.
    pub(super) made_user: Option<String>,
    pub(super) tasks: Vec<PredictedTask>,
}

/// A task in a file of predictions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PredictedTask {
    pub(super) name: String,
    pub(super) scale: ScoreScale,
    /// Place of its label among the carried columns, where it is a number of one.
    pub(super) label: Option<usize>,
}

impl PredictionLayout {
    /// That of a protocol whose outputs have these scales.
    ///
    /// # Errors
    /// A key that has the name of another column of the file.
    pub(crate) fn of_protocol(
        description: &str,
        protocol: &Protocol,
        scales: &[ScoreScale],
    ) -> Result<Self, Diagnostic> {
        let tasks = protocol.tasks.iter().zip(scales);
        let mut layout = Self {
            carried: Vec::new(),
            num_named: 0,
            made_user: None,
            tasks: tasks
                .map(|(task, scale)| PredictedTask {
                    name: task.name.clone(),
                    scale: *scale,
                    label: None,
                })
                .collect(),
        };
        let plan = match &protocol.source {
            Source::Generated(config) => {
                layout.made_user = config.user().map(str::to_owned);
                return Ok(layout);
            }
            Source::Table(plan) => plan,
        };
        let named = named_columns(
            description,
            plan,
            layout.tasks.iter().map(|task| &*task.name),
        )?;
        layout.num_named = named.len();
        layout.carried = named;
        for (task, label) in layout.tasks.iter_mut().zip(&plan.labels) {
            if let LabelValue::Number { column, .. } = label.value {
                task.label = Some(layout.carried.len());
                layout.carried.push((column, Reading::Number));
            }
        }
        Ok(layout)
    }

    /// Columns that stay with the rows.
    pub(crate) fn carried(&self) -> &[(usize, Reading)] {
        &self.carried
    }
}

/// The columns that name rows: the user, then the keys.
///
/// # Errors
/// One that has the name of another column of a file of predictions.
pub(crate) fn named_columns<'a>(
    description: &str,
    plan: &TablePlan,
    tasks: impl Iterator<Item = &'a str>,
) -> Result<Vec<(usize, Reading)>, Diagnostic> {
    let mut named: Vec<usize> = plan.user.into_iter().collect();
    for key in &plan.keys {
        if !named.contains(key) {
            named.push(*key);
        }
    }
    let mut taken = vec![ROW.to_owned(), SOURCE_ROW.to_owned()];
    for task in tasks {
        taken.extend([LABEL, OBSERVED, SCORE].map(|what| format!("{what}{task}")));
    }
    let clash = named.iter().map(|column| &plan.columns[*column]);
    if let Some(name) = clash.into_iter().find(|name| taken.contains(name)) {
        let message = format!("the column `{name}` has the name of another column of predictions");
        return Err(Diagnostic::new(description, message).hint(format!(
            "give it another name in the description: add {{ name = \"my_{name}\", expression = \"{name}\" }} to `columns`, and name \
             `my_{name}` in place of it"
        )));
    }
    Ok(named
        .into_iter()
        .map(|column| (column, Reading::Raw))
        .collect())
}
