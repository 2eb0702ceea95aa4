//! Tasks and their groups, as a model sees them.

use crate::ModelError;
use std::collections::BTreeSet;

/// Tasks and their groups.
///
/// ```
/// use homebench_model::{TaskGroup, TaskLayout};
///
/// let mut layout = TaskLayout {
///     tasks: vec!["click".into(), "long_view".into(), "like".into()],
///     groups: vec![
///         TaskGroup { name: "watch".into(), tasks: vec![0, 1] },
///         TaskGroup { name: "interaction".into(), tasks: vec![2] },
///     ],
/// };
/// assert!(layout.validate().is_ok());
///
/// layout.groups[1].tasks = vec![1];
/// let error = layout.validate().unwrap_err();
/// assert_eq!(error.to_string(), "task `long_view` is in two groups, `watch` and `interaction`");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TaskLayout {
    /// Task names, in the order of the logits.
    pub tasks: Vec<String>,
    /// Groups in order.
    pub groups: Vec<TaskGroup>,
}

/// A task group: the HoME paper's category.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskGroup {
    /// Name of the group.
    pub name: String,
    /// Indices into [`TaskLayout::tasks`].
    pub tasks: Vec<usize>,
}

/// Whom a set of experts or a gate serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// Every task.
    All,
    /// The tasks of a group: an index into [`TaskLayout::groups`].
    Group(usize),
    /// One task: an index into [`TaskLayout::tasks`].
    Task(usize),
}

impl TaskLayout {
    /// Checks that every task has exactly one group, and that names make distinct variable paths.
    ///
    /// # Errors
    /// Says which task or group is wrong.
    pub fn validate(&self) -> Result<(), ModelError> {
        let refuse = |message: String| Err(ModelError::InvalidLayout { message });
        if self.tasks.is_empty() {
            return refuse("a model needs a task; found none".to_string());
        }
        for name in self
            .tasks
            .iter()
            .chain(self.groups.iter().map(|group| &group.name))
        {
            // A dot separates the words of a variable's path; in saved files a word and a slash stand before a path.
            if name.is_empty() || name.contains('.') || name.contains('/') {
                return refuse(format!(
                    "`{name}`: the name of a task or group must not be empty or hold `.` or `/`"
                ));
            }
        }
        let mut names = BTreeSet::new();
        if let Some(task) = self.tasks.iter().find(|task| !names.insert(*task)) {
            return refuse(format!("task `{task}` occurs twice"));
        }
        // HoME's meta experts are at `meta.shared` and `meta.<group>`: a group of that name would share their variables.
        let mut groups = BTreeSet::from(["shared"]);
        let mut owners = vec![None; self.tasks.len()];
        for group in &self.groups {
            if !groups.insert(&group.name) {
                return refuse(format!(
                    "group `{}`: the name is taken by another group or by the shared experts",
                    group.name
                ));
            }
            if group.tasks.is_empty() {
                return refuse(format!("group `{}` names no task", group.name));
            }
            for task in &group.tasks {
                let Some(owner) = owners.get_mut(*task) else {
                    return refuse(format!(
                        "group `{}` names task {task} of {}",
                        group.name,
                        self.tasks.len()
                    ));
                };
                if let Some(other) = owner.replace(group.name.clone()) {
                    return refuse(format!(
                        "task `{}` is in two groups, `{other}` and `{}`",
                        self.tasks[*task], group.name
                    ));
                }
            }
        }
        match owners.iter().position(Option::is_none) {
            Some(task) => refuse(format!("task `{}` is in no group", self.tasks[task])),
            None => Ok(()),
        }
    }

    /// Index of the group of a task.
    pub(crate) fn group_of(&self, task: usize) -> usize {
        self.groups
            .iter()
            .position(|group| group.tasks.contains(&task))
            // Models are built from checked layouts, in which every task has a group.
            .expect("a task is in a group")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(tasks: &[&str], groups: &[(&str, &[usize])]) -> TaskLayout {
        TaskLayout {
            tasks: tasks.iter().map(ToString::to_string).collect(),
            groups: groups
                .iter()
                .map(|(name, tasks)| TaskGroup {
                    name: name.to_string(),
                    tasks: tasks.to_vec(),
                })
                .collect(),
        }
    }

    fn message(layout: &TaskLayout) -> String {
        layout.validate().unwrap_err().to_string()
    }

    #[test]
    fn every_task_needs_exactly_one_group() {
        assert!(
            layout(&["a", "b"], &[("g", &[1]), ("h", &[0])])
                .validate()
                .is_ok()
        );
        assert_eq!(
            message(&layout(&["a", "b"], &[("g", &[0])])),
            "task `b` is in no group"
        );
        assert_eq!(
            message(&layout(&["a"], &[("g", &[0]), ("h", &[0])])),
            "task `a` is in two groups, `g` and `h`"
        );
        assert_eq!(
            message(&layout(&["a"], &[("g", &[])])),
            "group `g` names no task"
        );
        assert_eq!(
            message(&layout(&["a"], &[("g", &[1])])),
            "group `g` names task 1 of 1"
        );
    }

    #[test]
    fn names_must_make_distinct_variable_paths() {
        assert!(message(&layout(&["a", "a"], &[("g", &[0, 1])])).contains("twice"));
        assert!(message(&layout(&["a"], &[("shared", &[0])])).contains("shared experts"));
        assert!(message(&layout(&["a.b"], &[("g", &[0])])).contains("must not"));
    }
}
