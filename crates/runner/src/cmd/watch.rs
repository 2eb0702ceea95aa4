//! `homebench status --watch`: a run as another terminal sees it, until it ends.

use super::board;
use super::screen::Screen;
use crate::execute::at_work;
use crate::output::{Reader, note, write_answer};
use homebench_diagnostic::Diagnostic;
use homebench_results::{ResultsFolder, RunState};
use std::time::Duration;

/// How often what the run has left is looked at.
// A run leaves its state every half a second, so a look sees each of them.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Shows the run that is at work in a folder: its bars and what it says on a terminal, what it says alone elsewhere.
///
/// # Errors
/// What the run says can't be passed on.
pub(super) fn watch(results: &ResultsFolder) -> Result<(), Diagnostic> {
    let Some(mut holder) = at_work_itself(results) else {
        note!("no run is at work in {}", results.path().display());
        return Ok(());
    };
    note!("process {holder} is at work; Ctrl-C ends the watching, not the run");
    let screen = Screen::on_stdout();
    let mut heard = Heard::default();
    loop {
        if let Some(state) = RunState::read(results) {
            for line in heard.news(&state) {
                match &screen {
                    Some(screen) => screen.line(line),
                    // Without a reader there is nothing left to do.
                    None if write_answer(&format!("{line}\n"))? == Reader::HasLeft => return Ok(()),
                    None => {}
                }
            }
            if let Some(screen) = &screen {
                screen.show(&board::lines(&state, screen.size()));
            }
        }
        std::thread::sleep(LOOK_EVERY);
        match at_work_itself(results) {
            Some(now) => holder = now,
            None => break,
        }
    }
    if let Some(screen) = &screen {
        screen.clear();
    }
    note!("process {holder} has ended");
    Ok(())
}

/// Whose run is at work; cells that a killed parent left are nobody's run, and neither is a report.
fn at_work_itself(results: &ResultsFolder) -> Option<String> {
    let found = at_work(results).filter(|found| found.is_run && !found.is_gone)?;
    Some(found.holder)
}

/// How much of what a run said was passed on.
#[derive(Default)]
struct Heard {
    phase: String,
    num_said: usize,
}

impl Heard {
    /// The lines that are new, as far as they are still there.
    fn news<'a>(&mut self, state: &'a RunState) -> &'a [String] {
        // Another phase, or another run, counts from zero.
        if state.phase != self.phase || state.num_said < self.num_said {
            self.num_said = 0;
        }
        let new = (state.num_said - self.num_said).min(state.said.len());
        self.phase.clone_from(&state.phase);
        self.num_said = state.num_said;
        &state.said[state.said.len() - new..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_passed_on_once() {
        let state = |phase: &str, num_said: usize, said: &[&str]| RunState {
            phase: phase.into(),
            num_said,
            said: said.iter().map(ToString::to_string).collect(),
            ..RunState::default()
        };
        let mut heard = Heard::default();
        let first = state("trials", 5, &["d", "e"]);
        assert_eq!(heard.news(&first), ["d", "e"]);
        assert!(heard.news(&first).is_empty());
        assert_eq!(heard.news(&state("trials", 6, &["e", "f"])), ["f"]);
        assert_eq!(heard.news(&state("trials", 90, &["x", "y"])), ["x", "y"]);
        assert_eq!(heard.news(&state("final cells", 91, &["z"])), ["z"]);
        assert_eq!(heard.news(&state("final cells", 1, &["a"])), ["a"]);
    }
}
