//! `homebench new`: a spec to write a question of one's own into.

use crate::bundled;
use crate::output::write_answer;
use anyhow::Result;
use clap::Args;
use homebench_diagnostic::{Diagnostic, shell_word, visible};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write a commented spec for a question of your own, which runs as it stands
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homebench new my-question && homebench run my-question
  homebench new experiments/wider --like census")]
pub(super) struct NewArguments {
    /// The file, with or without .toml; its name becomes that of the experiment
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// Begin with a copy of this experiment, one that homebench carries or a file, in place of the commented spec
    #[arg(long, value_name = "EXPERIMENT")]
    like: Option<String>,
}

const TEMPLATE: &str = include_str!("template.toml");
/// What stands in the template for the experiment's name.
const NAME: &str = "NAME";

impl NewArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let path = with_ending(&self.path)?;
        let text = match &self.like {
            Some(like) => text_of(like)?,
            // The command to run it, which is not the only place where a name may stand.
            None => TEMPLATE.replacen(NAME, &shown_in_comment(&path), 1),
        };
        write_new(&path, &text)?;
        let (shown, word) = (path.display(), shell_word(&path));
        write_answer(&format!("{shown}: edit it, then: homebench run {word}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The path as a word of a command in a comment, which ends with its line.
fn shown_in_comment(path: &Path) -> String {
    visible(&shell_word(path)).into_owned()
}

/// The path with `.toml`.
fn with_ending(path: &Path) -> Result<PathBuf, Diagnostic> {
    let name = path.file_name().and_then(|name| name.to_str());
    match name {
        Some(name) if name.ends_with(".toml") && name != ".toml" => Ok(path.to_owned()),
        // Not `with_extension`, which would take `question` from `my.question`.
        Some(name) => Ok(path.with_file_name(format!("{name}.toml"))),
        None => {
            let said = Diagnostic::new(path.display().to_string(), "can't be the name of a file");
            Err(said.hint("write a name such as my-question"))
        }
    }
}

/// The experiment that is copied.
fn text_of(like: &str) -> Result<String, Diagnostic> {
    let path = Path::new(like);
    if path.is_file() {
        let text = homebench_diagnostic::regular_file::read_text(path);
        return text.map_err(|error| Diagnostic::new(like, format!("can't be read: {error}")));
    }
    bundled::experiment_text(like)
        .map(str::to_owned)
        .ok_or_else(|| {
            let said = Diagnostic::new(
                like,
                "no such file, and no experiment that homebench carries",
            );
            said.hint("leave --like out for a commented spec")
                .did_you_mean(like, bundled::experiments())
        })
}

/// Writes over nothing.
fn write_new(path: &Path, text: &str) -> Result<(), Diagnostic> {
    let refuse = |message: String| Diagnostic::new(path.display().to_string(), message);
    let made = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    made.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => refuse("there is something already".to_owned())
            .hint("choose another name, or remove it first"),
        ErrorKind::NotFound => {
            refuse("can't write: its folder is not there".to_owned()).hint("make the folder first")
        }
        _ => refuse(format!("can't write: {error}")).hint("choose a folder that can be written"),
    })
}
