//! A run as lines for a terminal: one for the experiment, one for each cell that runs, none wider than the terminal.

use homebench_report::number;
use homebench_results::{CellState, RunState};

/// Columns after a cell's name and bar: header and width.
const COLUMNS: [(&str, usize); 5] = [
    ("epoch", 7),
    ("rows/s", 9),
    ("loss", 8),
    ("validation", 11),
    ("left", 7),
];
/// A bar with its brackets.
// Eight steps between the brackets.
const NARROWEST_BAR: usize = 10;
const WIDEST_BAR: usize = 32;
/// A name is never cut to less.
// Below that, names of one experiment can no longer be told apart, so a column is left out instead.
const SHORTEST_NAME: usize = 12;
/// Rows of the terminal that are left to what passes above.
const SPARE_ROWS: usize = 4;

/// The lines of a run on a terminal of so many rows and columns.
pub(super) fn lines(run: &RunState, (rows, columns): (usize, usize)) -> Vec<String> {
    // The last column stays free: some terminals wrap when it is written to.
    let width = columns.saturating_sub(1).max(20);
    let mut lines = vec![experiment(run, width)];
    let most = rows.saturating_sub(SPARE_ROWS).max(1);
    let shown = run.cells.len().min(most);
    let cells = &run.cells[..shown];
    if !cells.is_empty() {
        let layout = Layout::new(cells, width);
        lines.push(layout.header());
        lines.extend(cells.iter().map(|cell| layout.cell(cell)));
    }
    if shown < run.cells.len() {
        lines.push(format!("and {} more cells", run.cells.len() - shown));
    }
    lines.iter().map(|line| cut_end(line, width)).collect()
}

fn experiment(run: &RunState, width: usize) -> String {
    let mut text = format!("{}/{} cells", run.ended, run.total);
    if run.failed > 0 {
        text += &format!(", {} failed", run.failed);
    }
    text += &format!(", {} gone", short_time(run.elapsed_seconds));
    if let Some(left) = run.left_seconds {
        text += &format!(", about {} left", short_time(left));
    }
    let room = width.saturating_sub(run.phase.len() + text.len() + 2);
    let done = run.ended as f64 + run.cells.iter().map(|cell| cell.done).sum::<f64>();
    let bar = bar(done / run.total.max(1) as f64, room.min(WIDEST_BAR));
    [run.phase.as_str(), &bar, &text]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Widths that all cells share, so that columns stand below each other.
struct Layout {
    name: usize,
    bar: usize,
    /// How many of [`COLUMNS`] there is room for.
    columns: usize,
}

impl Layout {
    fn new(cells: &[CellState], width: usize) -> Self {
        let longest = cells.iter().map(|cell| cell.label.chars().count()).max();
        let longest = longest.unwrap_or(0).max(SHORTEST_NAME);
        let taken = |count: usize| -> usize { COLUMNS[..count].iter().map(|(_, w)| w).sum() };
        let fits = |count: &usize| SHORTEST_NAME + 1 + NARROWEST_BAR + taken(*count) <= width;
        let columns = (0..=COLUMNS.len()).rev().find(fits).unwrap_or(0);
        let room = width.saturating_sub(taken(columns) + 1);
        let name = longest.min(room.saturating_sub(NARROWEST_BAR)).max(1);
        Self {
            name,
            bar: room.saturating_sub(name).min(WIDEST_BAR),
            columns,
        }
    }

    fn header(&self) -> String {
        let names = COLUMNS[..self.columns].iter();
        let columns: String = names
            .map(|(name, width)| format!("{name:>width$}"))
            .collect();
        format!("{:<1$}{columns}", "cell", self.name + 1 + self.bar)
    }

    fn cell(&self, cell: &CellState) -> String {
        let name = cut_middle(&cell.label, self.name);
        let bar = bar(cell.done, self.bar);
        let start = format!("{name:<0$} {bar}", self.name);
        if let Some(stage) = &cell.stage {
            return format!("{start}  {stage}");
        }
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let texts = [
            format!("{}/{}", cell.epoch, cell.max_epochs),
            format!("{:.0}", cell.rows_per_second),
            number(cell.loss),
            or_dash(cell.best_validation_score.map(number)),
            or_dash(cell.left_seconds.map(short_time)),
        ];
        let columns = texts.iter().zip(COLUMNS).take(self.columns);
        let columns: String = columns
            .map(|(text, (_, w))| format!("{text:>w$}"))
            .collect();
        start + &columns
    }
}

/// A bar with its brackets, or nothing where there is no room for one.
fn bar(done: f64, width: usize) -> String {
    let Some(inside) = width.checked_sub(2).filter(|inside| *inside >= 4) else {
        return String::new();
    };
    // Rounded down: a full bar means done.
    let filled = (done.clamp(0.0, 1.0) * inside as f64).floor() as usize;
    let head = if filled < inside { ">" } else { "" };
    format!("[{:<inside$}]", "=".repeat(filled) + head)
}

/// A name of at most so many characters: what is left out is in the middle, since seeds come last.
fn cut_middle(text: &str, width: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let (start, end) = (kept - kept / 2, kept / 2);
    let end = &characters[characters.len() - end..];
    characters[..start]
        .iter()
        .chain(&['…'])
        .chain(end)
        .collect()
}

fn cut_end(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

/// Seconds in at most six characters: `12s`, `3m05s`, `2h07m`, `4d03h`.
pub(super) fn short_time(seconds: f64) -> String {
    // An estimate from the first moments may be huge, and must still fit its column.
    let seconds = seconds.clamp(0.0, 1e9).round() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(label: &str) -> CellState {
        CellState {
            label: label.into(),
            done: 0.42,
            epoch: 3,
            max_epochs: 10,
            rows_per_second: 123_456.7,
            loss: 1.23456,
            best_validation_score: Some(0.75432),
            left_seconds: Some(185.0),
            ..CellState::default()
        }
    }

    fn run() -> RunState {
        let starting = CellState {
            label: "mmoe/2".into(),
            stage: Some("starting".into()),
            ..CellState::default()
        };
        let untested = CellState {
            best_validation_score: None,
            left_seconds: None,
            done: 1.0,
            ..cell("home[rank=16,learning_rate=0.001,num_lora=2]/12")
        };
        RunState {
            phase: "final cells".into(),
            total: 24,
            ended: 7,
            failed: 1,
            elapsed_seconds: 72.0,
            left_seconds: Some(9000.0),
            cells: vec![cell("shared_bottom/1"), untested, starting],
            ..RunState::default()
        }
    }

    #[test]
    fn a_run_at_the_usual_widths() {
        insta::assert_snapshot!(lines(&run(), (24, 80)).join("\n"), @r"
        final cells [====>         ] 7/24 cells, 1 failed, 1m12s gone, about 2h30m left
        cell                                   epoch   rows/s    loss validation   left
        shared_bottom/1            [===>    ]   3/10   123457  1.2346     0.7543  3m05s
        home[rank=16,…m_lora=2]/12 [========]   3/10   123457  1.2346          -      -
        mmoe/2                     [>       ]  starting
        ");
        insta::assert_snapshot!(lines(&run(), (24, 120)).join("\n"), @r"
        final cells [==========>                   ] 7/24 cells, 1 failed, 1m12s gone, about 2h30m left
        cell                                                                           epoch   rows/s    loss validation   left
        shared_bottom/1                                 [===========>               ]   3/10   123457  1.2346     0.7543  3m05s
        home[rank=16,learning_rate=0.001,num_lora=2]/12 [===========================]   3/10   123457  1.2346          -      -
        mmoe/2                                          [>                          ]  starting
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_frame_higher() {
        for columns in 20..200 {
            for line in lines(&run(), (24, columns)) {
                assert!(line.chars().count() < columns.max(21), "{columns}: {line}");
            }
        }
        let mut many = run();
        many.cells = vec![cell("home/1"); 30];
        let lines = lines(&many, (10, 80));
        assert_eq!(lines.len(), 2 + 6 + 1);
        assert_eq!(lines[8], "and 24 more cells");
    }

    #[test]
    fn a_name_that_is_cut_keeps_its_end() {
        assert_eq!(cut_middle("home/1", 6), "home/1");
        assert_eq!(cut_middle("home[rank=8]/12", 9), "home…]/12");
    }

    #[test]
    fn times_are_short() {
        let times = [0.4, 59.4, 185.0, 7640.0, 273_600.0].map(short_time);
        assert_eq!(times, ["0s", "59s", "3m05s", "2h07m", "3d04h"]);
    }
}
