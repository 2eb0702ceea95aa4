//! The command line: what is asked for, and what is said to the terminal. Data goes to stdout, the rest to stderr.

mod arguments;
mod board;
mod broken;
mod cache;
mod cancel;
mod cell;
mod cell_list;
mod compare;
pub mod data;
mod devices;
mod diff;
mod finished_cell;
mod forward;
mod init;
mod instructions;
mod integrity;
mod interruption;
mod kept_data;
mod model_columns;
mod model_file;
mod models;
mod new;
mod on_cluster;
mod open_folder;
mod output_path;
mod pack;
mod plan;
mod predict;
mod progress;
mod relatedness;
mod report;
mod routing;
mod run;
mod run_records;
mod screen;
mod session;
mod status;
mod style;
mod task;
mod watch;

use crate::bundled::{self, Bundle};
use crate::output;
use crate::signals;
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
  homebench run quickstart

Exit codes: 0 done; 1 a cell failed, `diff` saw a regression, or a file of the results is gone, altered or not merged; \
2 a bad spec, dataset or argument, or output that can't be written; 4 cells are under way on a cluster (`run --no-wait`); 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArguments),
    New(new::NewArguments),
    Plan(plan::PlanArguments),
    Status(status::StatusArguments),
    Cancel(cancel::CancelArguments),
    Report(report::ReportArguments),
    Figures(report::FiguresArguments),
    Diff(diff::DiffArguments),
    Compare(compare::CompareArguments),
    Pack(pack::PackArguments),
    Predict(predict::PredictArguments),
    Relatedness(relatedness::RelatednessArguments),
    Routing(routing::RoutingArguments),
    /// Get, describe, prepare and check datasets
    Data(data::DataArgs),
    Cache(cache::CacheArguments),
    Models(models::ModelsArguments),
    Devices(devices::DevicesArguments),
    Init(init::InitArguments),
    Forward(forward::ForwardArguments),
    #[command(hide = true)]
    Cell(cell::CellArguments),
    #[command(hide = true)]
    Task(task::TaskArguments),
}

/// Reads the command line, does what it asks for, and gives the exit code. `bundle` is what the binary carries.
pub fn main(bundle: Bundle) -> ExitCode {
    bundled::carry(bundle);
    signals::ignore_size_limit();
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
        Command::New(arguments) => arguments.run(),
        Command::Plan(arguments) => arguments.run(),
        Command::Status(arguments) => arguments.run(),
        Command::Cancel(arguments) => arguments.run(),
        Command::Report(arguments) => arguments.run(),
        Command::Figures(arguments) => arguments.run(),
        Command::Diff(arguments) => arguments.run(),
        Command::Compare(arguments) => arguments.run(),
        Command::Pack(arguments) => arguments.run(),
        Command::Predict(arguments) => arguments.run(),
        Command::Relatedness(arguments) => arguments.run(),
        Command::Routing(arguments) => arguments.run(),
        Command::Data(arguments) => data::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Cache(arguments) => arguments.run(),
        Command::Models(arguments) => arguments.run(),
        Command::Devices(arguments) => arguments.run(),
        Command::Init(arguments) => arguments.run(),
        Command::Forward(arguments) => arguments.run(),
        Command::Cell(arguments) => Ok(arguments.run()),
        Command::Task(arguments) => arguments.run(),
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

    /// Flags of a command and of those below it.
    fn flags(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(clap::Arg::get_long);
        let own = own.map(str::to_owned);
        let below = command.get_subcommands().flat_map(flags);
        own.chain(below).collect()
    }

    /// Words of a text that are flags: `--only`.
    fn named_flags(text: &str) -> Vec<&str> {
        let starts = text.match_indices("--").filter(|(place, _)| {
            let before = text[..*place].chars().next_back();
            before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '-')
        });
        let names = starts.map(|(place, _)| {
            let rest = &text[place + 2..];
            let end = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
            &rest[..end.unwrap_or(rest.len())]
        });
        names.filter(|name| !name.is_empty()).collect()
    }

    /// What of a hint is no flag that `homebench` has, or that the command has which it names between backticks.
    fn wrong_flags(cli: &clap::Command, hint: &str) -> Vec<String> {
        let all = flags(cli);
        let mut wrong = Vec::new();
        for (place, part) in hint.split('`').enumerate() {
            let mut words = part.split_whitespace();
            let program = words.next().filter(|_| place % 2 == 1);
            let known = match program {
                Some("homebench") => {
                    let name = words.next().unwrap_or_default();
                    let found = cli.find_subcommand(name);
                    found.map_or(Vec::new(), flags)
                }
                // Other programs have flags of their own.
                Some(program) if !program.starts_with("--") => continue,
                _ => all.clone(),
            };
            let of_part = named_flags(part).into_iter();
            let missing = of_part.filter(|flag| !known.iter().any(|one| one == flag));
            wrong.extend(missing.map(str::to_owned));
        }
        wrong
    }

    /// Every `hint(...)` of the sources, as it is written.
    fn hints(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                hints(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for (place, _) in text.match_indices("hint(") {
                    let rest = &text[place + 5..];
                    let mut depth = 1;
                    let end = rest.find(|letter: char| {
                        depth += i32::from(letter == '(') - i32::from(letter == ')');
                        depth == 0
                    });
                    found.push(rest[..end.unwrap_or(0)].to_owned());
                }
            }
        }
    }

    #[test]
    fn hints_name_flags_that_the_command_has() {
        let mut cli = Cli::command();
        cli.build();
        let mut found = Vec::new();
        let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for package in std::fs::read_dir(sources).unwrap() {
            let source = package.unwrap().path().join("src");
            if source.is_dir() {
                hints(&source, &mut found);
            }
        }
        let with_flags = found.iter().filter(|hint| !named_flags(hint).is_empty());
        assert!(with_flags.count() > 10, "the sources have hints with flags");
        let wrong: Vec<(&String, Vec<String>)> = found
            .iter()
            .map(|hint| (hint, wrong_flags(&cli, hint)))
            .filter(|(_, wrong)| !wrong.is_empty())
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        // The test itself sees a flag that nobody has, and one of another command.
        assert_eq!(wrong_flags(&cli, "give `--fresher`"), ["fresher"]);
        assert_eq!(
            wrong_flags(&cli, "`homebench figures DIR --baseline x`"),
            ["baseline"]
        );
        assert!(wrong_flags(&cli, "`homebench report DIR --baseline x`").is_empty());
        assert!(wrong_flags(&cli, "`cargo build --features cuda` --fresh").is_empty());
    }
}
