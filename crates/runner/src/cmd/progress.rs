//! How a run goes, on stderr: bars on a terminal, a line now and then in a log file.

use super::style;
use crate::data;
use crate::record::{Outcome, Status};
use crate::sweep::{Message, PlannedCell, Watcher};
use crate::train::Progress;
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Seconds between two lines of a cell in a log file.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows a run.
pub(super) struct View {
    bars: Option<Bars>,
    cells: BTreeMap<String, CellView>,
    total: usize,
    ended: usize,
    start: Instant,
}

struct Bars {
    multi: MultiProgress,
    experiment: ProgressBar,
}

struct CellView {
    bar: Option<ProgressBar>,
    start: Instant,
    last_line: Instant,
}

impl View {
    /// A view of `total` cells still to be trained.
    pub(super) fn new(total: usize) -> Self {
        let bars = style::is_lively().then(|| {
            let multi = MultiProgress::new();
            let experiment = multi.add(ProgressBar::new(total as u64));
            experiment.set_style(bar_style(
                "{msg:20} [{bar:30}] {pos}/{len} cells  {elapsed} gone",
            ));
            experiment.set_message("experiment");
            experiment.enable_steady_tick(Duration::from_millis(500));
            Bars { multi, experiment }
        });
        Self {
            bars,
            cells: BTreeMap::new(),
            total,
            ended: 0,
            start: Instant::now(),
        }
    }

    /// A line that stays.
    pub(super) fn line(&self, text: &str) {
        match &self.bars {
            // Not through the bars where nothing is drawn: they would swallow it.
            Some(bars) if bars.multi.println(text).is_ok() => {}
            _ => eprintln!("{text}"),
        }
    }

    /// Takes the bars away.
    pub(super) fn finish(&self) {
        if let Some(bars) = &self.bars {
            bars.experiment.finish_and_clear();
        }
    }

    fn remaining(&self) -> String {
        let left = self.total - self.ended;
        if left == 0 || self.ended == 0 {
            return String::new();
        }
        let each = self.start.elapsed().as_secs_f64() / self.ended as f64;
        let seconds = Duration::from_secs_f64(each * left as f64);
        format!(", about {} left", HumanDuration(seconds))
    }
}

impl Watcher for View {
    fn started(&mut self, cell: &PlannedCell) {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.multi.add(ProgressBar::new(1));
            bar.set_style(bar_style("  {prefix:18} [{bar:30}] {msg}"));
            bar.set_prefix(cell.label());
            bar.set_message("starting");
            bar
        });
        if bar.is_none() {
            self.line(&format!("{}: started ({})", cell.label(), cell.id));
        }
        let now = Instant::now();
        let view = CellView {
            bar,
            start: now,
            last_line: now,
        };
        self.cells.insert(cell.id.clone(), view);
    }

    fn message(&mut self, cell: &PlannedCell, message: &Message) {
        if let Message::Notice(text) = message {
            self.line(&format!("{}: {text}", cell.label()));
        }
        let Some(view) = self.cells.get_mut(&cell.id) else {
            return;
        };
        let (done, total, text) = match message {
            Message::Progress(progress) => {
                let (done, total) = work(progress);
                (done, total, describe(progress, view.start.elapsed()))
            }
            Message::Stage { name, done, total } => (*done, *total, name.clone()),
            Message::Notice(_) | Message::Failed(_) => return,
        };
        if let Some(bar) = &view.bar {
            bar.set_length(total.max(1));
            bar.set_position(done);
            bar.set_message(text);
        } else if view.last_line.elapsed() >= LINE_EVERY {
            view.last_line = Instant::now();
            self.line(&format!("{}: {text}", cell.label()));
        }
    }

    fn again(&mut self, cell: &PlannedCell, reason: &str, next: usize, most: usize) {
        let label = cell.label();
        self.line(&format!(
            "{label}: {reason}; starting it again (try {next} of {most})"
        ));
    }

    fn ended(&mut self, cell: &PlannedCell, outcome: &Outcome) {
        self.ended += 1;
        let seconds = self.cells.remove(&cell.id).map_or(0.0, |view| {
            if let Some(bar) = &view.bar {
                bar.finish_and_clear();
                if let Some(bars) = &self.bars {
                    bars.multi.remove(bar);
                }
            }
            view.start.elapsed().as_secs_f64()
        });
        let what = match (outcome.status, &outcome.result) {
            (Status::Done, Some(result)) => format!(
                "done in {seconds:.1} s, validation score {:.4} at epoch {}",
                result.validation_score, result.selected_epoch
            ),
            _ => format!(
                "failed after {seconds:.1} s: {} (cells/{}/log.txt)",
                outcome.error.as_deref().unwrap_or("no reason"),
                cell.id
            ),
        };
        let (ended, total, remaining) = (self.ended, self.total, self.remaining());
        self.line(&format!(
            "[{ended}/{total}{remaining}] {}: {what}",
            cell.label()
        ));
        if let Some(bars) = &self.bars {
            bars.experiment.inc(1);
        }
    }
}

impl data::Observer for View {
    fn notice(&mut self, message: &str) {
        self.line(message);
    }

    fn progress(&mut self, stage: &str, done: u64, total: u64) {
        if let Some(bars) = &self.bars {
            let text = format!("{stage} {done}/{total}");
            bars.experiment.set_message(if done < total {
                text
            } else {
                "experiment".to_owned()
            });
        }
    }
}

/// Rows done and rows there can be.
fn work(progress: &Progress) -> (u64, u64) {
    let before = progress.epoch.saturating_sub(1) * progress.rows_total;
    let total = progress.max_epochs * progress.rows_total;
    ((before + progress.rows_done) as u64, total as u64)
}

/// Early stopping may end a cell sooner, so the time left is the longest it can take.
fn describe(progress: &Progress, elapsed: Duration) -> String {
    let (done, total) = work(progress);
    let best = progress
        .best_validation_score
        .map_or_else(|| "-".to_owned(), |score| format!("{score:.4}"));
    let left = if done == 0 {
        "?".to_owned()
    } else {
        let seconds = elapsed.as_secs_f64() * (total - done.min(total)) as f64 / done as f64;
        format!("{seconds:.0} s")
    };
    format!(
        "epoch {}/{}, {:.0} rows/s, loss {:.4}, best validation {best}, at most {left} left",
        progress.epoch, progress.max_epochs, progress.rows_per_second, progress.loss
    )
}

fn bar_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_counts_the_epochs_before() {
        let progress = Progress {
            epoch: 3,
            max_epochs: 4,
            rows_done: 50,
            rows_total: 100,
            rows_per_second: 1000.0,
            loss: 0.5,
            best_validation_score: Some(0.75),
        };
        assert_eq!(work(&progress), (250, 400));
        assert_eq!(
            describe(&progress, Duration::from_secs(5)),
            "epoch 3/4, 1000 rows/s, loss 0.5000, best validation 0.7500, at most 3 s left"
        );
    }
}
