//! Validation of what tasks come after.

use super::check_table::CheckedTask;
use super::{LabelValue, one_of, path};
use homebench_diagnostic::{Diagnostic, Document, nearest};

/// Refuses a task that comes after none that there is, after itself, or after or before numbers.
pub(super) fn check(document: &Document, tasks: &[CheckedTask]) -> Result<(), Diagnostic> {
    let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    let find = |name: &str| tasks.iter().find(|task| task.name == name);
    for task in tasks {
        let Some(after) = &task.after else {
            continue;
        };
        let at = path(&["tasks", &task.name, "after"]);
        let Some(before) = find(after) else {
            let message = format!(
                "there is no task `{after}`; {}",
                one_of("there are", &names)
            );
            let said = document.at_value(&at, message);
            return Err(match nearest(after, names.iter().copied()) {
                Some(near) => said.hint(format!("did you mean `{near}`?")),
                None => said.hint("name a task that is described below [tasks]"),
            });
        };
        let is_number = |task: &&CheckedTask| matches!(task.label.value, LabelValue::Number { .. });
        if let Some(number) = [task, before].into_iter().find(is_number) {
            let message = format!(
                "the task `{}` predicts a number: chains are of tasks of two classes, whose probabilities they multiply",
                number.name
            );
            return Err(document
                .at_value(&at, message)
                .hint("leave `after` out, or make both tasks of two classes"));
        }
        let mut ring = vec![task.name.as_str()];
        let mut next = Some(after.as_str());
        while let Some(name) = next {
            ring.push(name);
            if name == task.name {
                let message = format!(
                    "tasks come after each other in a ring: `{}`",
                    ring.join("` after `")
                );
                return Err(document
                    .at_value(&at, message)
                    .hint("leave `after` out of the task that comes first"));
            }
            // A ring that this task only leads into is told of one of its own.
            if ring.len() > tasks.len() {
                break;
            }
            next = find(name).and_then(|task| task.after.as_deref());
        }
    }
    Ok(())
}
