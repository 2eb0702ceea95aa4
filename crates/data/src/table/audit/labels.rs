//! Labels of the splits that may be looked at.

use crate::schema::{LabelValue, TablePlan};
use crate::table::fit::{is_constant, limits};
use crate::table::row_spill::CodedRows;
use crate::table::split_assignment::{TEST, TRAIN};
use crate::{DataWarning, SPLITS, Task};

/// From here on integers that differ may be one number of 64 bits: 2 to the power of 53.
const FIRST_ROUNDED: f64 = 9_007_199_254_740_992.0;

/// Warnings about the labels of the splits that may be looked at, from what was written of them.
pub(crate) fn of_labels(
    tasks: &[Task],
    written: &[crate::packed::Written; 3],
    constants: &[Vec<Option<ConstantLabel>>],
) -> Vec<DataWarning> {
    let mut warnings = Vec::new();
    let mut warn = |kind: &str, message: String| {
        warnings.push(DataWarning {
            kind: kind.to_owned(),
            is_loud: false,
            message,
        });
    };
    for (split, (name, written)) in SPLITS.iter().zip(written).enumerate().take(TEST) {
        let counts = written.positives.iter().zip(&written.observed);
        for (task, (positives, observed)) in tasks.iter().zip(counts) {
            if !task.is_regression() && (*positives == 0 || positives == observed) {
                let which = if *positives == 0 { "no" } else { "every" };
                warn(
                    "one_class",
                    format!(
                        "{which} label of the task `{}` is positive in the {name} split ({observed} rows): it has no AUC there",
                        task.name
                    ),
                );
            }
        }
        let of_split = constants.get(split);
        for (task, numbers) in &written.numbers {
            let name_of_task = &tasks[*task].name;
            // As the file has it, not as it was scaled.
            let constant = of_split.map(|constants| constants[*task]);
            if numbers.least != numbers.most && constant.flatten().is_none() {
                continue;
            }
            match constant {
                Some(None) => warn(
                    "rounded_labels",
                    format!(
                        "the labels of the task `{name_of_task}` differ in the {name} split, and 32 bits round them to one number: give \
                         the task transform = [\"standardise\"]"
                    ),
                ),
                found => {
                    let ConstantLabel { label, is_rounded } =
                        found.flatten().unwrap_or(ConstantLabel {
                            label: f64::from(numbers.least),
                            is_rounded: false,
                        });
                    let rounded = match is_rounded {
                        false => "",
                        true => ", or differs from it by rounding in 64 bits alone,",
                    };
                    warn(
                        "constant_label",
                        format!(
                            "every label of the task `{name_of_task}` is {label}{rounded} in the {name} split ({} rows): it has no R² there",
                            written.observed[*task]
                        ),
                    );
                }
            }
        }
    }
    say_scales(tasks, &written[TRAIN], &mut warn);
    warnings
}

/// Says where the losses of tasks are of very different sizes.
fn say_scales(tasks: &[Task], train: &crate::packed::Written, warn: &mut dyn FnMut(&str, String)) {
    // The loss of the best constant: the variance of numbers, the entropy of classes.
    let loss = |task: usize| -> Option<f64> {
        let numbers = train.numbers.iter().find(|(of, _)| *of == task);
        if let Some((_, numbers)) = numbers {
            return Some(numbers.deviation * numbers.deviation);
        }
        let (positives, observed) = (train.positives[task] as f64, train.observed[task] as f64);
        let rate = positives / observed;
        (rate > 0.0 && rate < 1.0)
            .then(|| -rate * libm::log(rate) - (1.0 - rate) * libm::log(1.0 - rate))
    };
    let losses: Vec<(usize, f64)> = (0..tasks.len())
        .filter_map(|task| Some((task, loss(task)?)))
        .filter(|(_, loss)| *loss > 0.0)
        .collect();
    let by_loss = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
    let (Some(least), Some(most)) = (losses.iter().min_by(by_loss), losses.iter().max_by(by_loss))
    else {
        return;
    };
    if most.1 > 100.0 * least.1 && tasks.iter().any(Task::is_regression) {
        warn(
            "loss_scales",
            format!(
                "the loss of the task `{}` is about {:.0} times that of `{}` before anything is learned, and rules the sum of \
                 losses: standardise the labels, or set task_weights",
                tasks[most.0].name,
                most.1 / least.1,
                tasks[least.0].name
            ),
        );
    }
}

/// The label that all rows of a split have of a task of regression, before it is scaled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConstantLabel {
    label: f64,
    /// Whether the file may have had others, or the labels differ by the rounding of what computed them.
    is_rounded: bool,
}

/// By task, the label of all these rows; none where they differ.
pub(crate) fn constant_labels(plan: &TablePlan, rows: &[CodedRows]) -> Vec<Option<ConstantLabel>> {
    let width = plan.labels.len();
    let label = |(task, label): (usize, &crate::schema::Label)| {
        if !matches!(label.value, LabelValue::Number { .. }) {
            return None;
        }
        let labels = rows
            .iter()
            .flat_map(|rows| rows.labels.iter().skip(task).step_by(width))
            .filter(|label| !label.is_nan());
        let (least, largest) = limits(labels.copied())?;
        is_constant(least, largest).then_some(ConstantLabel {
            label: least,
            is_rounded: least != largest || least.abs() >= FIRST_ROUNDED,
        })
    };
    plan.labels.iter().enumerate().map(label).collect()
}
