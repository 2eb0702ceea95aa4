//! How a run goes, on stderr: bars on a terminal, a line now and then in a log file; and in a file for `status --watch`.

use super::board::{self, short_time};
use super::screen::Screen;
use crate::execute::Message;
use crate::output::note;
use crate::parent::Watcher;
use homebench_data as data;
use homebench_experiment::plan::PlannedCell;
use homebench_report::number;
use homebench_results::{CellState, Outcome, ResultsFolder, RunState, Status};
use homebench_train::Progress;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Least time between two lines of a cell in a log file; of a long cell a tenth of its time so far.
const LINE_EVERY: Duration = Duration::from_secs(10);
// However long a cell takes, its silence must not look like a hang.
const LINE_EVERY_AT_MOST: Duration = Duration::from_secs(300);
/// Least time between two changes of the bars.
// Faster than this nobody reads numbers.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// Least time between two changes of the file for `status --watch`.
const KEEP_EVERY: Duration = Duration::from_millis(500);
/// Lines that the file has.
// The file is written anew twice a second, and a long experiment says a line or more for each cell.
const MOST_SAID: usize = 20;
/// Share of the work that has to be done before a time left is said.
// Before that, starting up and reading data are most of what was measured.
const LEAST_WORK: f64 = 0.02;

/// Shows the cells of a phase.
pub(super) struct RunView {
    screen: Option<Screen>,
    /// Where the state is kept for others.
    results: Option<ResultsFolder>,
    state: RunState,
    running: BTreeMap<String, RunningCell>,
    /// Expected seconds of each cell: what its share of the work is.
    expected: BTreeMap<String, f64>,
    work_ended: f64,
    work_total: f64,
    start: Instant,
    shown: Instant,
    kept: Option<Instant>,
}

/// A cell under way.
struct RunningCell {
    start: Instant,
    last_line: Instant,
    /// When training was first heard of, and how much of it was done then, maybe by an earlier process.
    first: Option<(Instant, f64)>,
}

impl RunView {
    /// A view of what comes before cells: nothing is kept for others.
    pub(super) fn preparing() -> Self {
        Self::new("preparing", [], None)
    }

    /// A view of cells, by id with the seconds that each is expected to take.
    pub(super) fn new(
        phase: &str,
        expected: impl IntoIterator<Item = (String, f64)>,
        results: Option<ResultsFolder>,
    ) -> Self {
        // A cell that is expected to cost nothing would never be seen as done.
        let expected: BTreeMap<String, f64> = expected
            .into_iter()
            .map(|(id, seconds)| (id, seconds.max(1e-3)))
            .collect();
        let now = Instant::now();
        Self {
            screen: Screen::on_stderr(),
            results,
            state: RunState {
                phase: phase.to_owned(),
                total: expected.len(),
                ..RunState::default()
            },
            running: BTreeMap::new(),
            work_ended: 0.0,
            work_total: expected.values().sum(),
            expected,
            start: now,
            shown: now,
            kept: None,
        }
    }

    /// A line that stays.
    pub(super) fn line(&mut self, text: &str) {
        match &self.screen {
            Some(screen) => screen.line(text),
            None => note!("{text}"),
        }
        self.state.num_said += 1;
        self.state.said.push(text.to_owned());
        if self.state.said.len() > MOST_SAID {
            self.state.said.remove(0);
        }
    }

    /// Takes the bars away, and the file of them where the folder is still the run's.
    pub(super) fn finish(&self, is_own_folder: bool) {
        if let Some(screen) = &self.screen {
            screen.clear();
        }
        if let Some(results) = &self.results
            && is_own_folder
        {
            RunState::remove(results);
        }
    }

    /// What is left of the phase, from the time that its work so far took.
    fn left_seconds(&self) -> Option<f64> {
        let running = self.state.cells.iter().map(|cell| {
            let whole = self.expected.get(&cell.id).copied().unwrap_or_default();
            whole * cell.done.clamp(0.0, 1.0)
        });
        let done = self.work_ended + running.sum::<f64>();
        let is_known = done > LEAST_WORK * self.work_total && self.state.ended < self.state.total;
        let elapsed = self.start.elapsed().as_secs_f64();
        is_known.then(|| elapsed * (self.work_total - done).max(0.0) / done)
    }

    fn cell_mut(&mut self, id: &str) -> Option<(&mut CellState, &mut RunningCell)> {
        let cell = self.state.cells.iter_mut().find(|cell| cell.id == id)?;
        Some((cell, self.running.get_mut(id)?))
    }
}

impl Watcher for RunView {
    fn started(&mut self, cell: &PlannedCell) {
        // On a terminal its own line shows it.
        if self.screen.is_none() {
            self.line(&format!("{}: started ({})", cell.label(), cell.id));
        }
        let now = Instant::now();
        let running = RunningCell {
            start: now,
            last_line: now,
            first: None,
        };
        self.running.insert(cell.id.clone(), running);
        self.state.cells.push(CellState {
            id: cell.id.clone(),
            label: cell.label(),
            stage: Some("starting".to_owned()),
            ..CellState::default()
        });
    }

    fn message(&mut self, cell: &PlannedCell, message: &Message) {
        match message {
            Message::Notice(text) => self.line(&format!("{}: {text}", cell.label())),
            Message::Stage { name, done, total } => {
                if let Some((state, _)) = self.cell_mut(&cell.id) {
                    state.stage = Some(name.clone());
                    state.done = *done as f64 / (*total).max(1) as f64;
                }
            }
            Message::Progress(progress) => {
                let is_drawn = self.screen.is_some();
                let Some((state, running)) = self.cell_mut(&cell.id) else {
                    return;
                };
                take_in(state, running, progress);
                let wait = (running.start.elapsed() / 10).clamp(LINE_EVERY, LINE_EVERY_AT_MOST);
                if !is_drawn && running.last_line.elapsed() >= wait {
                    running.last_line = Instant::now();
                    let text = describe(state);
                    self.line(&format!("{}: {text}", cell.label()));
                }
            }
            // It is told with the end of the cell, where it is known whether it is tried again.
            Message::Failed(_) => {}
        }
    }

    fn again(&mut self, cell: &PlannedCell, reason: &str, next: usize, most: usize) {
        let label = cell.label();
        self.line(&format!(
            "{label}: {reason}; starting it again (try {next} of {most})"
        ));
    }

    fn ended(&mut self, cell: &PlannedCell, outcome: &Outcome) {
        self.state.ended += 1;
        self.state.failed += usize::from(outcome.status == Status::Failed);
        self.state.cells.retain(|state| state.id != cell.id);
        self.work_ended += self.expected.get(&cell.id).copied().unwrap_or_default();
        let running = self.running.remove(&cell.id);
        // On a cluster one may have ended before it was seen to run.
        let time = |word: &str| {
            let seconds = running
                .as_ref()
                .map(|cell| cell.start.elapsed().as_secs_f64());
            seconds.map_or_else(String::new, |seconds| format!(" {word} {seconds:.1} s"))
        };
        let what = match (outcome.status, &outcome.result) {
            (Status::Done, Some(result)) => format!(
                "done{}, validation score {} at epoch {}",
                time("in"),
                number(result.validation_score),
                result.selected_epoch
            ),
            // It was never started.
            _ if outcome.tries == Some(0) => format!(
                "left out: {}",
                outcome.error.as_deref().unwrap_or("no reason")
            ),
            _ => format!(
                "failed{}: {} (cells/{}/log.txt)",
                time("after"),
                outcome.error.as_deref().unwrap_or("no reason"),
                cell.id
            ),
        };
        let (ended, total) = (self.state.ended, self.state.total);
        let left = self.left_seconds();
        let left = left.map_or_else(String::new, |s| format!(", about {} left", short_time(s)));
        self.line(&format!("[{ended}/{total}{left}] {}: {what}", cell.label()));
    }

    fn stopped(&mut self, cell: &PlannedCell) {
        self.state.cells.retain(|state| state.id != cell.id);
        self.running.remove(&cell.id);
        let label = cell.label();
        self.line(&format!(
            "{label}: was asked to end (SIGTERM); the next run goes on with it"
        ));
    }

    fn stopping(&mut self) {
        self.line("ending the cells; Ctrl-C again ends them at once");
    }

    fn noticed(&mut self, words: &str) {
        self.line(words);
    }

    fn tick(&mut self) {
        let is_due = |since: Option<Instant>, every| since.is_none_or(|at| at.elapsed() >= every);
        let shows = self.screen.is_some() && is_due(Some(self.shown), SHOW_EVERY);
        let keeps = self.results.is_some() && is_due(self.kept, KEEP_EVERY);
        if !shows && !keeps {
            return;
        }
        self.state.elapsed_seconds = self.start.elapsed().as_secs_f64();
        self.state.left_seconds = self.left_seconds();
        if let Some(screen) = self.screen.as_ref().filter(|_| shows) {
            screen.show(&board::lines(&self.state, screen.size()));
            self.shown = Instant::now();
        }
        if let Some(results) = self.results.as_ref().filter(|_| keeps) {
            self.state.write(results);
            self.kept = Some(Instant::now());
        }
    }
}

impl data::Observer for RunView {
    fn notice(&mut self, message: &str) {
        self.line(message);
    }

    fn progress(&mut self, stage: &str, done: u64, total: u64) {
        if let Some(screen) = &self.screen
            && self.shown.elapsed() >= SHOW_EVERY
        {
            let percent = 100.0 * done as f64 / total.max(1) as f64;
            screen.show(&[format!("{stage}: {done} of {total} ({percent:.0} %)")]);
            self.shown = Instant::now();
        }
    }
}

/// Early stopping may end a cell sooner, so the time left is the longest it can take.
fn take_in(cell: &mut CellState, running: &mut RunningCell, progress: &Progress) {
    let now = Instant::now();
    cell.stage = None;
    cell.done = share_done(progress);
    // A cell that goes on from a checkpoint begins in the middle: what its earlier process did took none of this one's time.
    let (since, before) = *running.first.get_or_insert((now, cell.done));
    let gained = cell.done - before;
    let seconds = (now - since).as_secs_f64();
    cell.left_seconds = (gained > 0.0).then(|| seconds * (1.0 - cell.done) / gained);
    cell.epoch = progress.epoch;
    cell.max_epochs = progress.max_epochs;
    cell.rows_per_second = progress.rows_per_second;
    cell.loss = progress.loss;
    cell.best_validation_score = progress.best_validation_score;
}

/// Rows done by rows there can be.
fn share_done(progress: &Progress) -> f64 {
    // As floats: a spec may ask for more rows in all than a whole number holds.
    let rows = |epochs: usize| epochs as f64 * progress.rows_total as f64;
    let done = rows(progress.epoch.saturating_sub(1)) + progress.rows_done as f64;
    done / rows(progress.max_epochs).max(1.0)
}

fn describe(cell: &CellState) -> String {
    let best = cell
        .best_validation_score
        .map_or_else(|| "-".to_owned(), number);
    let left = cell
        .left_seconds
        .map_or_else(String::new, |s| format!(", at most {} left", short_time(s)));
    format!(
        "epoch {}/{}, {:.0} rows/s, loss {}, best validation {best}{left}",
        cell.epoch,
        cell.max_epochs,
        cell.rows_per_second,
        number(cell.loss)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_counts_the_epochs_before_and_time_only_what_this_process_did() {
        let progress = |rows_done| Progress {
            epoch: 3,
            max_epochs: 4,
            rows_done,
            rows_total: 100,
            rows_per_second: 1000.0,
            loss: 0.5,
            best_validation_score: Some(0.75),
        };
        let mut cell = CellState::default();
        let start = Instant::now();
        let mut running = RunningCell {
            start,
            last_line: start,
            first: None,
        };
        take_in(&mut cell, &mut running, &progress(0));
        assert_eq!((cell.done, cell.left_seconds), (0.5, None));
        running.first = Some((start - Duration::from_secs(5), 0.5));
        take_in(&mut cell, &mut running, &progress(50));
        assert_eq!(cell.done, 0.625);
        assert_eq!(
            describe(&cell),
            "epoch 3/4, 1000 rows/s, loss 0.5000, best validation 0.7500, at most 15s left"
        );
    }

    #[test]
    fn time_left_weighs_cells_by_what_they_are_expected_to_take() {
        let expected = [("long".to_owned(), 9.0), ("short".to_owned(), 1.0)];
        let mut view = RunView::new("experiment", expected, None);
        assert_eq!(view.left_seconds(), None);
        view.start = Instant::now() - Duration::from_secs(2);
        (view.work_ended, view.state.ended) = (1.0, 1);
        let left = view.left_seconds().unwrap();
        assert!((left - 18.0).abs() < 0.5, "{left}");
    }
}
