//! The command line: what is asked for, and what is said to the terminal. Data goes to stdout, the rest to stderr.

mod arguments;
mod board;
mod cell;
pub mod data;
mod devices;
mod diff;
mod forward;
mod init;
mod instructions;
mod interruption;
mod model_file;
mod models;
mod pack;
mod plan;
mod progress;
mod report;
mod run;
mod run_records;
mod screen;
mod session;
mod status;
mod style;
mod watch;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Exit code of a bad spec, dataset or argument, and of output that can't be written.
// clap's own code for a command line that it can't read.
const EXIT_REFUSED: u8 = 2;

/// A reproducible benchmark harness for multi-task mixture-of-experts rankers.
///
/// A question is a TOML file; the answer is a folder of tables, charts and raw CSV that another person can get again.
#[derive(Debug, Parser)]
#[command(name = "homebench", bin_name = "homebench", version, after_help = HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
Example:
  homebench run experiments/quickstart.toml

Exit codes: 0 done; 1 a cell failed, or `diff` saw a regression; 2 a bad spec, dataset or argument, or output that can't be written.";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArguments),
    Plan(plan::PlanArguments),
    Status(status::StatusArguments),
    Report(report::ReportArguments),
    Figures(report::FiguresArguments),
    Diff(diff::DiffArguments),
    Pack(pack::PackArguments),
    /// Get, describe, prepare and check datasets
    Data(data::DataArgs),
    Models(models::ModelsArguments),
    Devices(devices::DevicesArguments),
    Init(init::InitArguments),
    Forward(forward::ForwardArguments),
    #[command(hide = true)]
    Cell(cell::CellArguments),
}

/// Reads the command line, does what it asks for, and gives the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(refusal) = instructions::check() {
        style::say_error(&refusal.into());
        return ExitCode::from(EXIT_REFUSED);
    }
    let result = match cli.command {
        Command::Run(arguments) => arguments.run(),
        Command::Plan(arguments) => arguments.run(),
        Command::Status(arguments) => arguments.run(),
        Command::Report(arguments) => arguments.run(),
        Command::Figures(arguments) => arguments.run(),
        Command::Diff(arguments) => arguments.run(),
        Command::Pack(arguments) => arguments.run(),
        Command::Data(arguments) => data::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Models(arguments) => arguments.run(),
        Command::Devices(arguments) => arguments.run(),
        Command::Init(arguments) => arguments.run(),
        Command::Forward(arguments) => arguments.run(),
        // Its errors go to its parent and not to a person.
        Command::Cell(arguments) => return arguments.run(),
    };
    result.unwrap_or_else(|error| {
        style::say_error(&error);
        ExitCode::from(EXIT_REFUSED)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_help_with_an_example() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} has no description");
            let after = command.get_after_help().map(ToString::to_string);
            let example = format!("homebench {name}");
            let shows_one = after.is_some_and(|text| text.contains(&example));
            assert!(shows_one || name == "help", "{name} has no example");
        }
        cli.debug_assert();
    }
}
