//! Tasks that somebody else starts: a person, or a batch system that homebench doesn't know. The submission is written, and what to
//! start is said.

use super::engine::{Engine, Known, States, Submitted, TaskNeeds};
use super::submission::Submission;
use crate::output::note;
use anyhow::Result;

/// Whoever reads what is said.
#[derive(Debug)]
pub(crate) struct Manual;

impl Engine for Manual {
    fn most_tasks(&self) -> Result<usize> {
        Ok(1_000_000)
    }

    fn check(&self, _needs: &TaskNeeds) -> Result<()> {
        Ok(())
    }

    fn submit(&self, submission: &Submission, _needs: &TaskNeeds) -> Result<Submitted> {
        let words = [
            submission.program().display().to_string(),
            "task".to_owned(),
            submission.folder().display().to_string(),
        ];
        let command = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
        let last = submission.num_tasks() - 1;
        note!(
            "start each of the tasks 0 to {last}, wherever this folder is seen:\n  {command} --index N"
        );
        note!("by HyperQueue:\n  hq submit --array 0-{last} {command}");
        Ok(Submitted::As("by hand".to_owned()))
    }

    fn find(&self, _submission: &Submission) -> Known {
        Known::As("by hand".to_owned())
    }

    fn states(&self, _submissions: &[&Submission]) -> Option<States> {
        Some(States::new())
    }

    /// They read it in their orders.
    fn stop(&self, _submissions: &[&Submission]) {}

    fn cancel(&self, _submission: &Submission, _task: Option<usize>) {}

    fn knows_tasks(&self) -> bool {
        false
    }
}
