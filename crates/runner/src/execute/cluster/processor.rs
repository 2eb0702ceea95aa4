//! Whether a task's processor is that of the first task of its results. Numbers are the same on every processor; times are not.

use super::submission::Submission;
use crate::provenance::cpu_model;
use homebench_diagnostic::{Diagnostic, regular_file};
use homebench_results::unwritable;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::time::Duration;

/// Beside the submissions: of all of them.
const FILE: &str = "processor.txt";

/// This machine's processor and the instruction set that kernels use.
fn own_kind() -> String {
    let model = cpu_model().unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let set = homebench_kernels::simd::instruction_set().name();
    format!("{model}, {set}")
}

/// Why a task is not to run here; nothing where its processor is the first's, or it is the first.
///
/// # Errors
/// The file can't be written or read.
pub(crate) fn refusal(submission: &Submission) -> Result<Option<String>, Diagnostic> {
    let path = submission.folder().with_file_name(FILE);
    let own = own_kind();
    let failed = |error| unwritable(&path, &error);
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut file) => {
            file.write_all(format!("{own}\n").as_bytes())
                .map_err(failed)?;
            return Ok(None);
        }
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
        Err(_) => {}
    }
    // Whoever made it may be about to write it.
    for _ in 0..50 {
        let text = regular_file::read_text(&path).map_err(failed)?;
        if let Some(first) = text.lines().next().filter(|_| text.ends_with('\n')) {
            let words =
                || format!("the first task had another processor ({first}) than this node ({own})");
            return Ok((first != own).then(words));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(Diagnostic::new(path.display().to_string(), "is empty")
        .hint("remove it: the next task writes it anew"))
}

#[cfg(test)]
mod tests {
    use super::super::settings::EngineKind;
    use super::super::submission::tests::{cell, work};
    use super::*;
    use homebench_results::ResultsFolder;

    #[test]
    fn the_first_task_says_what_the_others_have_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        let chunks = [vec![cell("a")]];
        let submission =
            Submission::intend(&results, EngineKind::Slurm, &chunks, (&work(), "")).unwrap();
        assert_eq!(refusal(&submission).unwrap(), None);
        assert_eq!(refusal(&submission).unwrap(), None);
        std::fs::write(results.cluster().join(FILE), "Abacus 1, beads\n").unwrap();
        let said = refusal(&submission).unwrap().unwrap();
        assert!(
            said.contains("another processor (Abacus 1, beads)"),
            "{said}"
        );
    }
}
