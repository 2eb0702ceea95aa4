//! `homebench report` and `homebench figures`: both read the CSV files of a results folder and nothing else.

use super::arguments::ResultsArgument;
use super::integrity::{exit_code, look, other_data, say};
use super::open_folder::{is_of_merge, open_folder};
use super::output_path::{is_inside, refuse_other_results};
use super::screen::answer_width;
use crate::execute::FolderLock;
use crate::output::{note, write_answer};
use clap::Args;
use homebench_diagnostic::Diagnostic;
use homebench_report::Folder;
use homebench_results::{ResultsFolder, create_dir, create_dir_inside, seal_external};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Of a report of cells that are in no table yet.
// As where a file is gone: what is there is not what a run leaves at its end.
const EXIT_UNMERGED: u8 = 1;

/// Write report.md, report.html and tables/ of a results folder and print what it answers
///
/// Also of an experiment that has not ended: then it says what is missing, and the exit code is 1 while cells that ended are in no table.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  homebench report results/census\n  homebench report results/census --baseline mmoe\n  \
                  homebench report results/census --only 'home*'   # into results/census/only/home/\n  \
                  homebench report runs/census --out /tmp/so-far   # while it runs"
)]
pub(super) struct ReportArguments {
    #[command(flatten)]
    results: ResultsArgument,
    /// The variant that the others are compared with [default: the spec's `baseline`, single-task, or the first of the plan]
    #[arg(long, value_name = "VARIANT")]
    baseline: Option<String>,
    /// Report only the cells whose variant, variant/seed or id fits the pattern; the report of all stays
    #[arg(long, value_name = "GLOB")]
    only: Option<String>,
    /// Write into this folder [default: the results folder; with --only, only/<pattern> in it]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Take scores in external/ that were changed since they were first seen as they are now
    #[arg(long)]
    accept_external: bool,
}

/// Draw the charts of a results folder as SVG and PNG
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  homebench figures results/census")]
pub(super) struct FiguresArguments {
    #[command(flatten)]
    results: ResultsArgument,
}

impl ReportArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let results = self.results.open()?;
        if let Some(out) = &self.out {
            refuse_other_results(out, Some(&results))?;
        }
        // Elsewhere nobody else writes, and a run may be at work.
        let is_inside = self
            .out
            .as_ref()
            .is_none_or(|out| is_inside(out, results.path()));
        // What is accepted is sealed in the folder, wherever the report goes.
        let lock = (is_inside || self.accept_external).then(|| FolderLock::take_to_draw(&results));
        let _lock = lock.transpose()?;
        let mut found = look(&results)?;
        if self.accept_external {
            found.retain(|finding| !finding.file.starts_with("external/"));
        }
        let opened = open_folder(
            &results,
            &found,
            self.baseline.as_deref(),
            self.only.as_deref(),
        )?;
        found.retain(|finding| !(opened.is_unmerged && is_of_merge(finding)));
        say(&results, &found);
        for other in other_data(&results) {
            note!("{}", results.join(&other).display());
        }
        let mut folder = opened.folder;
        if let Some(out) = self.make_folder(&results)? {
            folder = folder.writing_into(&out, &way(&out, results.path())?);
            folder.write_figures()?;
        }
        let files = folder.write_report()?;
        say_notes(&folder);
        write_answer(&folder.terminal_summary(answer_width())?)?;
        say_report(&files);
        // What is seen for the first time, and was read without a fault, is known from now on.
        match self.accept_external {
            true => seal_external(&results, true)?,
            false if is_inside => seal_new_external(&results)?,
            false => {}
        }
        let code = match opened.is_unmerged {
            true => ExitCode::from(EXIT_UNMERGED),
            false => ExitCode::SUCCESS,
        };
        Ok(exit_code(&found, code))
    }

    /// Makes the folder that the report goes into; nothing where that is the results folder.
    fn make_folder(&self, results: &ResultsFolder) -> Result<Option<PathBuf>, Diagnostic> {
        if let Some(out) = &self.out {
            create_dir(out)?;
            return Ok(Some(out.clone()));
        }
        let Some(pattern) = &self.only else {
            return Ok(None);
        };
        let inside = Path::new("only").join(folder_name(pattern));
        // Not through a link, which nobody named.
        create_dir_inside(results.path(), &inside)?;
        Ok(Some(results.path().join(inside)))
    }
}

/// What the folder of the cells that a pattern fits is called.
fn folder_name(pattern: &str) -> String {
    let fit = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() || "-_.=".contains(letter) => letter,
        _ => ' ',
    };
    let words: String = pattern.chars().map(fit).collect();
    let words: Vec<&str> = words.split_whitespace().collect();
    let name = words.join("_");
    match name.trim_start_matches('.') {
        // A pattern of stars alone has no words.
        "" => "all".to_owned(),
        name => name.to_owned(),
    }
}

impl FiguresArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let results = self.results.open()?;
        let _lock = FolderLock::take_to_draw(&results)?;
        let mut found = look(&results)?;
        let opened = open_folder(&results, &found, None, None)?;
        found.retain(|finding| !(opened.is_unmerged && is_of_merge(finding)));
        say(&results, &found);
        let mut folder = opened.folder;
        let paths = folder.write_figures()?;
        say_notes(&folder);
        let lines = paths.iter().map(|path| format!("{}\n", path.display()));
        write_answer(&lines.collect::<String>())?;
        let code = match opened.is_unmerged {
            true => ExitCode::from(EXIT_UNMERGED),
            false => ExitCode::SUCCESS,
        };
        Ok(exit_code(&found, code))
    }
}

/// Says where the report is.
pub(super) fn say_report(files: &[PathBuf]) {
    let is_page = |file: &&PathBuf| file.extension().is_some_and(|ending| ending == "html");
    if let Some(page) = files.iter().find(is_page) {
        note!("report: {}", page.display());
    }
}

/// The way from one folder to another, as links go it, with a slash at its end.
fn way(from: &Path, to: &Path) -> Result<String, Diagnostic> {
    let whole = |path: &Path| {
        path.canonicalize().map_err(|error| {
            Diagnostic::new(
                path.display().to_string(),
                format!("can't be read: {error}"),
            )
        })
    };
    let (from, to) = (whole(from)?, whole(to)?);
    let shared = from
        .components()
        .zip(to.components())
        .take_while(|(one, other)| one == other)
        .count();
    let up = from.components().skip(shared).map(|_| "..".to_owned());
    let down = to.components().skip(shared);
    let down = down.map(|part| part.as_os_str().to_string_lossy().into_owned());
    Ok(up.chain(down).map(|part| part + "/").collect())
}

/// What was found among the files that were there.
pub(super) fn say_notes(folder: &Folder) {
    for said in folder.notes() {
        note!("{said}");
    }
}

/// A provenance that can't be used was said before.
fn seal_new_external(results: &ResultsFolder) -> anyhow::Result<()> {
    match homebench_results::Ledger::read(results) {
        Ok(_) => seal_external(results, false),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::way;

    #[test]
    fn links_go_up_and_down_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["results/census/only/home", "elsewhere"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        let of = |from: &str, to: &str| way(&path(from), &path(to)).unwrap();
        assert_eq!(of("results/census/only/home", "results/census"), "../../");
        assert_eq!(of("elsewhere", "results/census"), "../results/census/");
        assert_eq!(of("elsewhere", "elsewhere"), "");
    }
}
