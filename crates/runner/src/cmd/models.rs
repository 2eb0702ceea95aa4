//! `homebench models`: the registry.

use super::screen::for_stdout;
use crate::output::write_answer;
use clap::Args;
use std::fmt::Write;
use std::process::ExitCode;

/// List the models: name, paper, equation, and every knob with its default
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  homebench models\n  homebench models home")]
pub(super) struct ModelsArguments {
    /// Only this model
    name: Option<String>,
}

impl ModelsArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let entries = homebench_model::registry();
        let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
        if let Some(name) = &self.name
            && !names.contains(&name.as_str())
        {
            let message = format!("unknown model; expected one of: {}", names.join(", "));
            return Err(homebench_diagnostic::Diagnostic::new(name, message)
                .did_you_mean(name, names)
                .into());
        }
        let asked = |name: &str| self.name.as_deref().is_none_or(|only| only == name);
        let mut text = String::new();
        // Where the words about a knob begin.
        let below_docs = " ".repeat(45);
        for (index, entry) in entries.iter().filter(|entry| asked(entry.name)).enumerate() {
            if index > 0 {
                text.push('\n');
            }
            writeln!(text, "{}", entry.name)?;
            for words in [entry.paper, entry.equation] {
                writeln!(text, "{}", for_stdout(&format!("  {words}"), "    "))?;
            }
            for knob in &entry.knobs {
                let setting = format!("{} = {}", knob.name, knob.default_value());
                let line = format!("    {setting:<40} {}", knob.doc);
                writeln!(text, "{}", for_stdout(&line, &below_docs))?;
            }
        }
        write_answer(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
