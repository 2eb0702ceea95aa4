//! Chains of tasks: one comes after another, as a purchase after a click, and its label can be 1 only where that one's is.

use crate::ModelError;

/// Checks what tasks come after: tasks that there are, and no ring of them.
///
/// # Errors
/// Says which task is wrong.
pub(crate) fn check(after: &[Option<usize>], tasks: &[String]) -> Result<(), ModelError> {
    let refuse = |message: String| Err(ModelError::InvalidLayout { message });
    if !after.is_empty() && after.len() != tasks.len() {
        let (found, expected) = (after.len(), tasks.len());
        return refuse(format!(
            "expected what each of {expected} tasks comes after, found {found}"
        ));
    }
    for (task, name) in tasks.iter().enumerate().take(after.len()) {
        let (mut at, mut steps) = (task, 0);
        while let Some(before) = after[at] {
            steps += 1;
            if before >= tasks.len() {
                return refuse(format!(
                    "task `{name}` comes after task {before} of {}",
                    tasks.len()
                ));
            }
            if steps == tasks.len() {
                return refuse(format!("task `{name}` comes after itself"));
            }
            at = before;
        }
    }
    Ok(())
}

/// Whether no task comes after this one, so that the loss of no other reaches what is its own.
pub(crate) fn is_last(after: &[Option<usize>], task: usize) -> bool {
    !after.contains(&Some(task))
}

/// The tasks so that each stands behind the one that it comes after, each with that one; of those that are free, the first.
pub(crate) fn in_order(after: &[Option<usize>]) -> Vec<(usize, Option<usize>)> {
    let depth = |task: usize| std::iter::successors(after[task], |before| after[*before]).count();
    let mut order: Vec<usize> = (0..after.len()).collect();
    order.sort_by_key(|task| depth(*task));
    order.into_iter().map(|task| (task, after[task])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(after: &[Option<usize>]) -> Option<String> {
        let tasks = ["a", "b", "c"].map(str::to_owned);
        check(after, &tasks).err().map(|error| error.to_string())
    }

    #[test]
    fn rings_and_tasks_that_there_are_not_are_refused() {
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[None, Some(2), Some(0)]), None);
        assert_eq!(said(&[None, Some(0), Some(0)]), None);
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(
            said(&[Some(0), None, None]),
            of("task `a` comes after itself")
        );
        assert_eq!(
            said(&[Some(1), Some(2), Some(0)]),
            of("task `a` comes after itself")
        );
        // It leads into a ring.
        assert_eq!(
            said(&[Some(1), Some(2), Some(1)]),
            of("task `a` comes after itself")
        );
        assert_eq!(
            said(&[None, Some(3), None]),
            of("task `b` comes after task 3 of 3")
        );
        assert_eq!(
            said(&[None]),
            of("expected what each of 3 tasks comes after, found 1")
        );
    }

    #[test]
    fn a_task_stands_behind_the_one_that_it_comes_after() {
        assert_eq!(
            in_order(&[Some(2), None, Some(1), Some(1)]),
            [(1, None), (2, Some(1)), (3, Some(1)), (0, Some(2))]
        );
    }
}
