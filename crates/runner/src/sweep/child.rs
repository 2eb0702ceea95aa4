//! The process of one cell: reads its content, trains, writes what came of it.

use super::judge::EXIT_ENVIRONMENT;
use super::message::Message;
use crate::data::{self, Places};
use crate::diagnostic::Diagnostic;
use crate::record::{self, CellFolder, CellTimes};
use crate::spec::{CellContent, Device};
use crate::train::{self, TrainError};
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Instant;

/// What a parent tells its child.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildSettings {
    /// The cell's folder.
    pub folder: CellFolder,
    /// Threads of the pool.
    pub threads: usize,
    /// How many times the cell was started.
    pub tries: usize,
    /// Where tensors are.
    pub device: Device,
    /// Where data is.
    pub places: Places,
}

/// Runs a cell and tells the parent how it goes.
pub fn run_cell(settings: &ChildSettings) -> ExitCode {
    end_with_parent();
    say_panics();
    match try_cell(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            say(&Message::Failed(format!("{error:#}")));
            if is_environment(&error) {
                ExitCode::from(EXIT_ENVIRONMENT as u8)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn try_cell(settings: &ChildSettings) -> Result<()> {
    let start = Instant::now();
    rayon::ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .build_global()
        .context("starting the threads")?;
    let content = CellContent::read(&settings.folder.content())?;
    let model = content.model_config()?;
    let dataset = data::open(&content.dataset_ref(), &settings.places, &mut Teller)?;
    if dataset.content_hash != content.dataset.content_hash {
        return Err(Diagnostic::new(
            content.dataset.name,
            "the data changed after the experiment was planned",
        )
        .hint("run the experiment again: it will be planned on the data as it is now")
        .into());
    }
    let training = (&content.training).into();
    let phase = content.final_phase();
    let result = train::train(dataset, &model, &training, content.seed, phase, &mut Teller)?;
    let times = CellTimes {
        device: settings.device.to_string(),
        threads: settings.threads,
        total_seconds: start.elapsed().as_secs_f64(),
        tries: settings.tries,
    };
    record::write_parts(&settings.folder, &content, &result, &times)
}

/// Whether an error is not the cell's own: every other cell would meet it too.
fn is_environment(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Diagnostic>() || matches!(cause.downcast_ref(), Some(TrainError::Data(_)))
    })
}

/// Prints a message; a parent that is gone hears nothing, and the child ends by its stdin.
fn say(message: &Message) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{message}");
    let _ = stdout.flush();
}

/// The parent holds the other end of stdin and never writes; it closes when the parent ends, however it ends.
fn end_with_parent() {
    std::thread::spawn(|| {
        let mut byte = [0];
        while std::io::stdin()
            .read(&mut byte)
            .is_ok_and(|count| count > 0)
        {}
        eprintln!("the parent is gone; ending");
        std::process::exit(EXIT_ENVIRONMENT);
    });
}

/// A panic is a reason like any other.
fn say_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        let payload = panic.payload();
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = panic.location().map_or_else(String::new, |place| {
            format!(" at {}:{}", place.file(), place.line())
        });
        say(&Message::Failed(format!("panicked{place}: {text}")));
    }));
}

struct Teller;

impl train::Observer for Teller {
    fn progress(&mut self, progress: &train::Progress) {
        say(&Message::Progress(*progress));
    }
}

impl data::Observer for Teller {
    fn notice(&mut self, message: &str) {
        say(&Message::Notice(message.to_owned()));
    }

    fn progress(&mut self, stage: &str, done: u64, total: u64) {
        say(&Message::Stage {
            name: stage.to_owned(),
            done,
            total,
        });
    }
}
