//! What starts tasks: a batch system, this machine, or a person. All that is particular to one is behind [`Engine`].

use super::submission::Submission;
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a task needs of a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TaskNeeds {
    /// Tasks of the submission at once.
    pub(crate) at_once: usize,
    pub(crate) threads: usize,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) time: Duration,
    pub(crate) wants_gpu: bool,
    /// Nodes that are not to be used.
    pub(crate) excluded: Vec<String>,
}

/// What came of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It is accepted, under this name.
    As(String),
    /// No answer came, or none that can be read: it may be accepted.
    Unknown,
}

/// Whether a batch system knows a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// It does, by this name.
    As(String),
    /// It does not, by its own word.
    Not,
    /// It doesn't answer.
    Unanswered,
}

/// What a batch system says of a task: a hint, since files alone are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// It waits, for this reason.
    Queued(String),
    /// It waits, and will for ever, for this reason.
    Never(String),
    /// It runs, there.
    Running(String),
    /// It ended so, there.
    Ended {
        how: String,
        host: String,
        /// Whether the batch system killed it for its memory.
        out_of_memory: bool,
    },
}

/// Ends that say nothing of what a task was to do: somebody or something else ended it.
const BY_OTHERS: [&str; 5] = [
    "BOOT_FAIL",
    "CANCELLED",
    "NODE_FAIL",
    "PREEMPTED",
    "REVOKED",
];

impl TaskState {
    /// Whether the task was ended by somebody, or with its node.
    pub(super) fn is_ended_by_others(&self) -> bool {
        matches!(self, Self::Ended { how, .. } if BY_OTHERS.contains(&how.as_str()))
    }
}

/// States by submission and task. A task that is not in it is unknown, which alone says nothing.
pub(crate) type States = BTreeMap<(String, usize), TaskState>;

/// Starts and ends tasks. Every call comes back in bounded time, and what fails concludes nothing.
pub(crate) trait Engine: Send + Sync {
    /// The most tasks that one submission may have.
    ///
    /// # Errors
    /// What starts tasks is not here.
    fn most_tasks(&self) -> Result<usize>;

    /// Looks whether tasks that need this are accepted, without submitting any.
    ///
    /// # Errors
    /// They are not, with the batch system's words.
    fn check(&self, needs: &TaskNeeds) -> Result<()>;

    /// Starts the tasks of a submission that is written down.
    ///
    /// # Errors
    /// They are refused.
    fn submit(&self, submission: &Submission, needs: &TaskNeeds) -> Result<Submitted>;

    /// Looks for a submission by its name.
    fn find(&self, submission: &Submission) -> Known;

    /// What is known of tasks; absent where nothing can be known at the moment.
    fn states(&self, submissions: &[&Submission]) -> Option<States>;

    /// Takes tasks back that don't run yet, and asks those that run to keep what they can and end.
    fn stop(&self, submissions: &[&Submission]);

    /// Ends tasks, one or all, whatever they do.
    fn cancel(&self, submission: &Submission, task: Option<usize>);

    /// Whether it is told which nodes to leave out.
    fn can_exclude(&self) -> bool {
        false
    }

    /// Whether it knows of every task that lives, so that one which it doesn't know is gone.
    fn knows_tasks(&self) -> bool {
        true
    }

    /// How often files of tasks are looked at.
    fn look_every(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// How long tasks may take to end once they were asked to: to hear it, to write checkpoints, to be seen.
    fn grace(&self) -> Duration {
        Duration::from_secs(60)
    }
}
