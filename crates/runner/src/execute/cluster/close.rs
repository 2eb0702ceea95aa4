//! What becomes of the cells of a task that is followed no longer.

use super::Cluster;
use super::batch::WaitingCell;
use super::engine::TaskState;
use super::look::Close;
use crate::execute::Verdict;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use std::collections::BTreeMap;

/// Cells that a task has left, by id.
type Left = BTreeMap<String, WaitingCell>;

impl Cluster {
    /// Follows a task no longer, and finds what is left of its cells.
    pub(super) fn close(&mut self, (number, task): (usize, usize), close: Close) -> Result<()> {
        let cells: Vec<String> = self.batches[number].tasks[task]
            .cells
            .keys()
            .cloned()
            .collect();
        for cell in &cells {
            self.settle((number, task), cell);
        }
        let followed = &mut self.batches[number].tasks[task];
        followed.is_closed = true;
        let left = std::mem::take(&mut followed.cells);
        for cell in left.keys() {
            self.places.remove(cell);
        }
        if let Close::Lost(_) = close {
            let batch = &self.batches[number];
            // Before anything else runs them: a copy that lives on somewhere reads it and ends.
            batch.submission.supersede(Some(task))?;
            self.engine.cancel(&batch.submission, Some(task));
        }
        if left.is_empty() {
            return Ok(());
        }
        if self.is_stopping {
            left.keys()
                .for_each(|cell| self.end(cell, Verdict::Stopped));
            return Ok(());
        }
        let batch = &mut self.batches[number];
        batch.had_trouble = true;
        let followed = &batch.tasks[task];
        let (host, name) = (followed.host(), batch.submission.task_name(task));
        let is_of_memory = matches!(
            followed.state,
            Some(TaskState::Ended {
                out_of_memory: true,
                ..
            })
        );
        let (refused, broken) = (followed.refused.clone(), followed.broken.clone());
        let running = followed
            .running
            .clone()
            .filter(|cell| left.contains_key(cell));
        if let Some(why) = refused {
            return self.exclude(host, &format!("{name} does not run: {why}"), left);
        }
        if let Some(why) = broken {
            // One node may have a disk that is full; of a second one the trouble is believed.
            if self.engine.can_exclude() && host.is_some() && !self.has_broken_host {
                self.has_broken_host = true;
                return self.exclude(host, &format!("{name}: {why}"), left);
            }
            let blamed = running.or_else(|| left.keys().next().cloned());
            if let Some(cell) = blamed {
                self.end(&cell, Verdict::Environment(why));
                left.keys()
                    .filter(|other| **other != cell)
                    .for_each(|other| self.end(other, Verdict::Stopped));
            }
            return Ok(());
        }
        let how = match close {
            Close::Over => "it ended before its cells did".to_owned(),
            Close::Lost(how) => how,
        };
        if followed.start.is_none() {
            let log = batch.submission.log(task);
            let words = batch.last_words(task);
            let said = words.clone().unwrap_or_else(|| "it left no log".to_owned());
            let what = format!("{name} ended before it began ({how}): {said}");
            let is_by_others = followed
                .state
                .as_ref()
                .is_some_and(TaskState::is_ended_by_others);
            if !self.has_seen_start && !is_by_others {
                let mend = match words {
                    Some(_) => format!("its log is {}", log.display()),
                    None => format!(
                        "every node has to see {} under this path: try `srun ls` of it",
                        self.results.path().display()
                    ),
                };
                return Err(Diagnostic::new("--executor", what).hint(mend).into());
            }
            return self.submit_again(left, None, &what);
        }
        if is_of_memory && let Some(cell) = running.clone() {
            let mut left = left;
            left.remove(&cell);
            let reason = "it filled more memory than the batch system allows its task".to_owned();
            self.end(
                &cell,
                Verdict::Failed {
                    reason,
                    is_final: true,
                },
            );
            return self.submit_again(left, None, &format!("{name}: {how}"));
        }
        self.submit_again(left, running.as_deref(), &format!("{name}: {how}"))
    }

    /// Submits cells again without a node.
    fn exclude(&mut self, host: Option<String>, why: &str, left: Left) -> Result<()> {
        let Some(host) = host.filter(|_| self.engine.can_exclude()) else {
            let said = Diagnostic::new("--executor", why);
            return Err(said
                .hint("let tasks run on machines of one kind, or set `processors = \"any\"`")
                .into());
        };
        if !self.excluded.insert(host.clone()) {
            // It was left out already, so the batch system goes by another name for it.
            return self.submit_again(left, None, why);
        }
        self.notice(format!(
            "{why}; its {} cells are submitted again without {host}",
            left.len()
        ));
        let results = self.results.clone();
        left.into_values()
            .for_each(|cell| self.gather(cell.again(&results)));
        Ok(())
    }

    /// Submits the cells of a task that was lost again, but those that are lost too often without getting on.
    fn submit_again(&mut self, left: Left, running: Option<&str>, why: &str) -> Result<()> {
        let results = self.results.clone();
        let has_progressed = left.values().any(|cell| cell.has_progressed(&results));
        let most = self.run.settings.resubmissions;
        let mut num_again = 0;
        for (id, cell) in left {
            // Those that waited behind another are not to blame.
            let counts = running.is_none_or(|running| running == id);
            let losses = self.losses.entry(id.clone()).or_default();
            *losses = match has_progressed {
                true => 0,
                false => *losses + usize::from(counts),
            };
            if *losses > most {
                let reason = format!(
                    "its task was lost {losses} times without getting on; the last time {why}"
                );
                self.end(
                    &id,
                    Verdict::Failed {
                        reason,
                        is_final: false,
                    },
                );
            } else {
                num_again += 1;
                self.gather(cell.again(&results));
            }
        }
        if num_again > 0 {
            self.notice(format!("{why}; {num_again} cells are submitted again"));
        }
        Ok(())
    }
}
