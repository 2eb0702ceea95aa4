//! `homebench models`: the registry, and the bottoms that models can have.

use super::screen::for_stdout;
use crate::output::write_answer;
use clap::Args;
use homebench_model::Knob;
use std::fmt::Write;
use std::process::ExitCode;

/// List the models and bottoms: name, paper, equation, and every knob with its default
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  homebench models\n  homebench models home")]
pub(super) struct ModelsArguments {
    /// Only this model, or this bottom
    name: Option<String>,
}

impl ModelsArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (models, bottoms) = (homebench_model::registry(), homebench_model::bottoms());
        let models = models.iter().map(|model| Listed {
            name: model.name,
            called: model.name.to_owned(),
            words: [model.paper, model.equation],
            knobs: &model.knobs,
        });
        let bottoms = bottoms.iter().map(|bottom| Listed {
            name: bottom.name,
            called: format!("bottom = \"{}\"", bottom.name),
            words: [bottom.paper, bottom.equation],
            knobs: bottom.knobs,
        });
        let listed: Vec<Listed<'_>> = models.chain(bottoms).collect();
        let names: Vec<&str> = listed.iter().map(|one| one.name).collect();
        if let Some(name) = &self.name
            && !names.contains(&name.as_str())
        {
            let message = format!("unknown model; expected one of: {}", names.join(", "));
            return Err(homebench_diagnostic::Diagnostic::new(name, message)
                .did_you_mean(name, names)
                .into());
        }
        let asked = |one: &&Listed<'_>| self.name.as_deref().is_none_or(|only| only == one.name);
        let mut text = String::new();
        for (index, one) in listed.iter().filter(asked).enumerate() {
            if index > 0 {
                text.push('\n');
            }
            one.write(&mut text)?;
        }
        write_answer(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A model, or a bottom.
struct Listed<'a> {
    name: &'static str,
    called: String,
    words: [&'static str; 2],
    knobs: &'a [Knob],
}

impl Listed<'_> {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        // Where the words about a knob begin.
        let below_docs = " ".repeat(45);
        writeln!(text, "{}", self.called)?;
        for words in self.words {
            writeln!(text, "{}", for_stdout(&format!("  {words}"), "    "))?;
        }
        for knob in self.knobs {
            let setting = format!("{} = {}", knob.name, knob.default_value());
            let line = format!("    {setting:<40} {}", knob.doc);
            writeln!(text, "{}", for_stdout(&line, &below_docs))?;
        }
        Ok(())
    }
}
