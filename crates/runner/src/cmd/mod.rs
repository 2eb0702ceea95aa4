//! The command line: what is asked for, and what is said to the terminal. Data goes to stdout, the rest to stderr.

mod arguments;
mod board;
mod broken;
mod cache;
mod cell;
pub mod data;
mod devices;
mod diff;
mod forward;
mod init;
mod instructions;
mod integrity;
mod interruption;
mod model_file;
mod models;
mod output_path;
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

use crate::output;
use clap::{Parser, Subcommand};
use std::io::ErrorKind;
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

Exit codes: 0 done; 1 a cell failed, `diff` saw a regression, or a file of the results is gone, altered or not merged;\n\
2 a bad spec, dataset or argument, or output that can't be written; 130 interrupted.";

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
    Cache(cache::CacheArguments),
    Models(models::ModelsArguments),
    Devices(devices::DevicesArguments),
    Init(init::InitArguments),
    Forward(forward::ForwardArguments),
    #[command(hide = true)]
    Cell(cell::CellArguments),
}

/// Reads the command line, does what it asks for, and gives the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => return say_of_command_line(&said),
    };
    if let Err(refusal) = instructions::check() {
        style::say_error(&refusal.into());
        output::wait_for_notes();
        return ExitCode::from(EXIT_REFUSED);
    }
    // Its errors and panics go to its parent and not to a person.
    if let Command::Cell(arguments) = cli.command {
        return arguments.run();
    }
    let code = broken::without_panics(|| run(cli.command)).unwrap_or_else(|error| {
        style::say_error(&error);
        ExitCode::from(EXIT_REFUSED)
    });
    output::wait_for_notes();
    code
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(arguments) => arguments.run(),
        Command::Plan(arguments) => arguments.run(),
        Command::Status(arguments) => arguments.run(),
        Command::Report(arguments) => arguments.run(),
        Command::Figures(arguments) => arguments.run(),
        Command::Diff(arguments) => arguments.run(),
        Command::Pack(arguments) => arguments.run(),
        Command::Data(arguments) => data::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Cache(arguments) => arguments.run(),
        Command::Models(arguments) => arguments.run(),
        Command::Devices(arguments) => arguments.run(),
        Command::Init(arguments) => arguments.run(),
        Command::Forward(arguments) => arguments.run(),
        Command::Cell(arguments) => Ok(arguments.run()),
    }
}

/// Help and versions, which were asked for, and what is wrong with a command line.
fn say_of_command_line(said: &clap::Error) -> ExitCode {
    match said.print() {
        Err(error) if !said.use_stderr() && error.kind() != ErrorKind::BrokenPipe => {
            style::say_error(&output::unwritable_answer(&error).into());
            ExitCode::from(EXIT_REFUSED)
        }
        // clap's codes are those of this program: 0 for an answer, 2 for a command line that it can't read.
        _ => ExitCode::from(said.exit_code() as u8),
    }
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
