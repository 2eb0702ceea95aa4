//! `homebench models`: the registry.

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
        for (index, entry) in entries.iter().filter(|entry| asked(entry.name)).enumerate() {
            if index > 0 {
                text.push('\n');
            }
            writeln!(
                text,
                "{}\n  {}\n  {}",
                entry.name, entry.paper, entry.equation
            )?;
            for knob in &entry.knobs {
                let setting = format!("{} = {}", knob.name, knob.default_value());
                writeln!(text, "    {setting:<40} {}", knob.doc)?;
            }
        }
        write_answer(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
