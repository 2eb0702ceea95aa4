//! What is said of tasks that means over tasks leave out, the same in the report, in figures and on a terminal.

use super::analysis::{Analysis, SharedTasks, TasksOfBoth};
use super::format::{counted, named};
use homebench_results::read::distinct;

/// Of means that stand beside each other; nothing where all variants have all tasks.
pub(crate) fn of_means(analysis: &Analysis, shared: &SharedTasks) -> Option<String> {
    let variants = shared.variants_left_out.iter();
    let variants: Vec<String> = variants
        .map(|variant| analysis.summary.variants[*variant].clone())
        .collect();
    let mut said = Vec::new();
    if !shared.tasks_left_out.is_empty() {
        let all = match variants.is_empty() {
            true => "all variants",
            false => "all other variants",
        };
        said.push(format!(
            "Means are over the tasks on which {all} here have a test score: {}.",
            are_left_out(shared.tasks_left_out.clone())
        ));
    }
    if !variants.is_empty() {
        let have = if variants.len() == 1 { "has" } else { "have" };
        said.push(format!(
            "{} {have} no mean here, without a test score on some of these tasks.",
            named(variants)
        ));
    }
    (!said.is_empty()).then(|| said.join(" "))
}

/// The one task that is left on all datasets, where there were others; a mean over datasets is no mean over tasks.
pub(crate) fn only_task(analysis: &Analysis, shared: &SharedTasks) -> Option<String> {
    let parts = shared.parts.iter();
    let tasks = distinct(parts.map(|(panel, _)| &analysis.summary.panels[*panel].task));
    match &tasks[..] {
        [one] if !shared.tasks_left_out.is_empty() => Some((*one).clone()),
        _ => None,
    }
}

/// `the mean over 3 tasks`, and of fewer than there are, which are left out.
pub(crate) fn mean_over(analysis: &Analysis, both: &TasksOfBoth) -> String {
    match both.left_out.is_empty() {
        true => format!(
            "the mean over {}",
            counted(analysis.parts_of_mean().len(), "task")
        ),
        false => format!(
            "the mean over {}",
            tasks_of_both(analysis, both.num_tasks, &both.left_out)
        ),
    }
}

/// Of differences of means of these variants to another one; nothing where they are over all tasks.
pub(crate) fn of_differences(
    analysis: &Analysis,
    other: usize,
    variants: &[(usize, &TasksOfBoth)],
) -> Option<String> {
    let partial: Vec<&(usize, &TasksOfBoth)> = variants
        .iter()
        .filter(|(_, both)| !both.left_out.is_empty())
        .collect();
    let names = |of: &TasksOfBoth| {
        let same = partial.iter().filter(|(_, both)| *both == of);
        named(
            same.map(|(variant, _)| analysis.summary.variants[*variant].clone())
                .collect(),
        )
    };
    let kinds = distinct(partial.iter().map(|(_, both)| (*both).clone()));
    let other = &analysis.summary.variants[other];
    let (compared, others): (Vec<&TasksOfBoth>, Vec<&TasksOfBoth>) =
        kinds.iter().partition(|both| both.num_tasks > 0);
    let mut said: Vec<String> = compared
        .into_iter()
        .map(|both| {
            format!(
                "The mean over tasks of {} is compared with that of {other} over {}.",
                names(both),
                tasks_of_both(analysis, both.num_tasks, &both.left_out)
            )
        })
        .collect();
    said.extend(others.into_iter().map(|both| {
        format!(
            "The mean over tasks of {} is not compared with that of {other}: fewer than two tasks have a test score of both.",
            names(both)
        )
    }));
    (!said.is_empty()).then(|| said.join(" "))
}

/// The tasks that are left out, by name.
pub(crate) fn titles(analysis: &Analysis, panels: &[usize]) -> Vec<String> {
    let panels = panels.iter();
    panels
        .map(|panel| analysis.summary.panels[*panel].title.clone())
        .collect()
}

fn tasks_of_both(analysis: &Analysis, num_tasks: usize, left_out: &[usize]) -> String {
    format!(
        "the {} that both have ({})",
        counted(num_tasks, "task"),
        are_left_out(titles(analysis, left_out))
    )
}

/// `like is left out`, `like and share are left out`.
fn are_left_out(names: Vec<String>) -> String {
    let is = if names.len() == 1 { "is" } else { "are" };
    format!("{} {is} left out", named(names))
}
