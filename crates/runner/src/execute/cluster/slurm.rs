//! Slurm, by its programs: `sbatch`, `squeue`, `scancel` and `scontrol`. Jobs are asked for by name, since an id is known only to whoever
//! got the answer to a submission.

use super::calls::{Called, call};
use super::engine::{Engine, Known, States, Submitted, TaskNeeds};
use super::settings::ClusterSettings;
use super::slurm_states::{FORMAT, read_states};
use super::submission::Submission;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use std::time::Duration;

/// Slurm's own default of `MaxArraySize`, where nobody says what it is.
const MOST_TASKS: usize = 1001;
/// Before its time is over a task hears so, early enough for its cell to write a checkpoint. Slurm may say it a minute sooner.
const SIGNAL: &str = "--signal=B:USR1@120";
/// Variables that a task gets in any case.
const VARIABLES: [&str; 3] = ["PATH", "HOME", "HOMEBENCH_INSTRUCTIONS"];
const NOT_HERE: &str = "is not here, so tasks can't be submitted to Slurm";
const NOT_HERE_HINT: &str = "run homebench where `sbatch` works, such as on the cluster's login node, or leave `--executor slurm` out";

/// A cluster that Slurm manages.
#[derive(Debug)]
pub(crate) struct Slurm {
    settings: ClusterSettings,
}

impl Slurm {
    pub(crate) fn new(settings: ClusterSettings) -> Self {
        Self { settings }
    }

    /// The arguments of `sbatch`, but for what is of one submission.
    fn common(&self, needs: &TaskNeeds) -> Vec<String> {
        let settings = &self.settings;
        let variables = VARIABLES.iter().map(ToString::to_string);
        let variables = variables.chain(settings.environment.iter().cloned());
        let variables: Vec<String> = variables
            .filter(|name| std::env::var_os(name).is_some())
            .collect();
        let minutes = needs.time.as_secs().div_ceil(60).max(1);
        let mut arguments = vec![
            "--no-requeue".to_owned(),
            "--open-mode=append".to_owned(),
            format!("--export={}", variables.join(",")),
            // Limits of the login node's shell are not a task's.
            "--propagate=NONE".to_owned(),
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--cpus-per-task={}", needs.threads),
            format!("--time={minutes}"),
            SIGNAL.to_owned(),
        ];
        if let Some(bytes) = needs.memory_bytes {
            arguments.push(format!("--mem={}M", bytes.div_ceil(1 << 20)));
        }
        if let Some(constraint) = &settings.constraint {
            arguments.push(format!("--constraint={constraint}"));
        }
        if !needs.excluded.is_empty() {
            arguments.push(format!("--exclude={}", needs.excluded.join(",")));
        }
        let asks_for_gpu =
            |argument: &String| argument.starts_with("--gres") || argument.starts_with("--gpus");
        if needs.wants_gpu && !settings.arguments.iter().any(asks_for_gpu) {
            arguments.push("--gres=gpu:1".to_owned());
        }
        arguments.extend(settings.arguments.iter().cloned());
        arguments
    }

    fn refused(&self, complaint: &str) -> Diagnostic {
        Diagnostic::new("sbatch", format!("refuses the tasks: {complaint}"))
            .hint("change what cluster.toml asks for (partition, account, time, memory); `sinfo` lists what there is")
    }
}

/// What `scontrol show config` says of a number.
fn configured(text: &str, key: &str) -> Option<usize> {
    let line = text.lines().find(|line| {
        line.split('=')
            .next()
            .is_some_and(|name| name.trim() == key)
    })?;
    line.split_once('=')?.1.trim().parse().ok()
}

impl Engine for Slurm {
    fn most_tasks(&self) -> Result<usize> {
        let arguments = ["show".to_owned(), "config".to_owned()];
        let text = match call("scontrol", &arguments) {
            Called::NotThere => {
                return Err(Diagnostic::new("scontrol", NOT_HERE)
                    .hint(NOT_HERE_HINT)
                    .into());
            }
            Called::Ended(answer) if answer.is_success => answer.stdout,
            // It may be away for a while; `sbatch` then says so.
            Called::Ended(_) | Called::TooLate => String::new(),
        };
        // The first bounds the index, from 0. Over the second `sbatch` doesn't refuse but hangs, and others have jobs too.
        let array = configured(&text, "MaxArraySize").unwrap_or(MOST_TASKS);
        let jobs = configured(&text, "MaxJobCount").map_or(usize::MAX, |jobs| jobs / 2);
        if array == 0 {
            return Err(Diagnostic::new(
                "scontrol",
                "this Slurm allows no job arrays (MaxArraySize=0)",
            )
            .hint("use `--executor manual`, or ask for arrays")
            .into());
        }
        Ok(array.min(jobs).max(1))
    }

    fn check(&self, needs: &TaskNeeds) -> Result<()> {
        let mut arguments = vec!["--test-only".to_owned(), "--wrap=true".to_owned()];
        arguments.extend(self.common(needs));
        match call("sbatch", &arguments) {
            Called::NotThere => Err(Diagnostic::new("sbatch", NOT_HERE)
                .hint(NOT_HERE_HINT)
                .into()),
            Called::Ended(answer) if !answer.is_success => {
                Err(self.refused(&answer.complaint()).into())
            }
            // A controller that doesn't answer now is asked again when tasks are submitted.
            Called::Ended(_) | Called::TooLate => Ok(()),
        }
    }

    fn submit(&self, submission: &Submission, needs: &TaskNeeds) -> Result<Submitted> {
        let last = submission.num_tasks() - 1;
        let folder = submission.folder().display();
        let mut arguments = vec![
            "--parsable".to_owned(),
            format!("--job-name={}", submission.name()),
            format!("--array=0-{last}%{}", needs.at_once.max(1)),
            // From the folder of its own, whose path may have letters that mean something there.
            "--output=%a.log".to_owned(),
            format!("--chdir={folder}"),
        ];
        arguments.extend(self.common(needs));
        arguments.push(submission.script().display().to_string());
        match call("sbatch", &arguments) {
            Called::NotThere => Err(Diagnostic::new("sbatch", NOT_HERE)
                .hint(NOT_HERE_HINT)
                .into()),
            Called::TooLate => Ok(Submitted::Unknown),
            Called::Ended(answer) if answer.is_success => {
                let id = answer
                    .stdout
                    .trim()
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
                Ok(if is_id {
                    Submitted::As(id)
                } else {
                    Submitted::Unknown
                })
            }
            // Its answer may have been lost on the way back.
            Called::Ended(answer) => match self.find(submission) {
                Known::As(id) => Ok(Submitted::As(id)),
                Known::Not | Known::Unanswered => Err(self.refused(&answer.complaint()).into()),
            },
        }
    }

    fn find(&self, submission: &Submission) -> Known {
        let arguments = [
            "--me".to_owned(),
            format!("--name={}", submission.name()),
            "--noheader".to_owned(),
            "--states=all".to_owned(),
            "--format=%F".to_owned(),
        ];
        match call("squeue", &arguments) {
            Called::Ended(answer) if answer.is_success => {
                let id = answer
                    .stdout
                    .lines()
                    .map(str::trim)
                    .find(|line| !line.is_empty());
                id.map_or(Known::Not, |id| Known::As(id.to_owned()))
            }
            _ => Known::Unanswered,
        }
    }

    fn states(&self, submissions: &[&Submission]) -> Option<States> {
        let names: Vec<String> = submissions
            .iter()
            .map(|submission| submission.name())
            .collect();
        let arguments = [
            "--me".to_owned(),
            format!("--name={}", names.join(",")),
            "--noheader".to_owned(),
            "--array".to_owned(),
            "--states=all".to_owned(),
            format!("--format={FORMAT}"),
        ];
        match call("squeue", &arguments) {
            Called::Ended(answer) if answer.is_success => Some(read_states(&answer.stdout)),
            _ => None,
        }
    }

    fn stop(&self, submissions: &[&Submission]) {
        for submission in submissions {
            let name = format!("--name={}", submission.name());
            // First those that wait: a signal to an array with such is tried again and again until they run.
            call("scancel", &[name.clone(), "--state=PENDING".to_owned()]);
            // To the task alone, which asks its cells.
            call(
                "scancel",
                &[name, "--batch".to_owned(), "--signal=USR1".to_owned()],
            );
        }
    }

    fn cancel(&self, submission: &Submission, task: Option<usize>) {
        match (task, submission.job()) {
            (Some(task), Some(job)) => {
                call("scancel", &[format!("{job}_{task}")]);
            }
            // Of one whose id never came the name is known alone; its orders keep the task from anything.
            (Some(_), None) => {}
            (None, _) => {
                call("scancel", &[format!("--name={}", submission.name())]);
            }
        }
    }

    fn can_exclude(&self) -> bool {
        true
    }

    fn grace(&self) -> Duration {
        Duration::from_secs(60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::cluster::settings::{EngineKind, read_settings};

    #[test]
    fn numbers_are_read_from_the_configuration() {
        let text = "Configuration data as of now\nMaxArraySize            = 1001\nMaxJobCount             = 10000\nMaxArraySizeOfOthers = 3\n";
        assert_eq!(configured(text, "MaxArraySize"), Some(1001));
        assert_eq!(configured(text, "MaxJobCount"), Some(10_000));
        assert_eq!(configured("garbage", "MaxArraySize"), None);
    }

    #[test]
    fn a_task_asks_for_what_it_needs_and_never_for_a_second_run() {
        let settings = ClusterSettings {
            constraint: Some("icelake".into()),
            arguments: vec!["--partition=batch".into()],
            ..read_settings(None, EngineKind::Slurm).unwrap()
        };
        let needs = TaskNeeds {
            at_once: 4,
            threads: 2,
            memory_bytes: Some((1 << 30) + 1),
            time: Duration::from_secs(301),
            wants_gpu: true,
            excluded: vec!["n1".into(), "n2".into()],
        };
        let arguments = Slurm::new(settings.clone()).common(&needs);
        for expected in [
            "--no-requeue",
            "--cpus-per-task=2",
            "--mem=1025M",
            "--time=6",
            "--signal=B:USR1@120",
            "--constraint=icelake",
            "--exclude=n1,n2",
            "--gres=gpu:1",
            "--partition=batch",
            "--propagate=NONE",
        ] {
            assert!(
                arguments.iter().any(|one| one == expected),
                "{expected}: {arguments:?}"
            );
        }
        let export = arguments
            .iter()
            .find(|one| one.starts_with("--export="))
            .unwrap();
        assert!(export.contains("PATH"), "{export}");
        let own = ClusterSettings {
            arguments: vec!["--gpus=1".into()],
            ..settings
        };
        let arguments = Slurm::new(own).common(&needs);
        assert!(
            !arguments.iter().any(|one| one.starts_with("--gres")),
            "{arguments:?}"
        );
    }
}
