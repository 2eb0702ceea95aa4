//! A terminal on which a few lines stay at the bottom and change, while others pass above them.

use crate::output::NARROWEST;
use console::Term;
use homebench_report::text_table::in_lines;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Where a terminal doesn't tell its size.
// That of the terminals of old, which every other can show.
const USUAL_SIZE: (u16, u16) = (24, 80);

/// Columns of the terminal that an answer goes to; nothing where it goes to a file or another program.
pub(super) fn terminal_width() -> Option<usize> {
    let is_terminal = std::io::stdout().is_terminal() && !super::style::is_dumb();
    let size = is_terminal.then(|| Term::stdout().size_checked().unwrap_or(USUAL_SIZE));
    size.map(|(_, columns)| usize::from(columns))
}

/// Columns of lines that are broken for whoever reads them, wherever they go.
pub(super) fn answer_width() -> usize {
    // In a wider one a line is hard to follow.
    terminal_width()
        .unwrap_or(usize::from(USUAL_SIZE.1))
        .clamp(NARROWEST, 160)
}

/// A text in lines that the terminal at stdout need not break, those after the first behind the indentation; as it is where it goes to a
/// file or another program.
pub(super) fn for_stdout(text: &str, indentation: &str) -> String {
    match terminal_width() {
        Some(width) => in_lines(text, indentation, width.max(NARROWEST)),
        None => text.to_owned(),
    }
}

/// The lines at the bottom of a terminal.
pub(super) struct Screen {
    term: Term,
    /// One bar whose message is all the lines, so that they change at once.
    bar: ProgressBar,
}

impl Screen {
    /// On stderr, where that is a terminal that may be drawn on.
    pub(super) fn on_stderr() -> Option<Self> {
        let is_terminal = std::io::stderr().is_terminal();
        Self::new(is_terminal, Term::stderr(), ProgressDrawTarget::stderr())
    }

    /// On stdout, where that is a terminal that may be drawn on.
    pub(super) fn on_stdout() -> Option<Self> {
        let is_terminal = std::io::stdout().is_terminal();
        Self::new(is_terminal, Term::stdout(), ProgressDrawTarget::stdout())
    }

    fn new(is_terminal: bool, term: Term, target: ProgressDrawTarget) -> Option<Self> {
        if !is_terminal || super::style::is_dumb() {
            return None;
        }
        // indicatif draws, because it knows how to leave lines above and to restore the cursor.
        let style = ProgressStyle::with_template("{msg}").ok()?;
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        Some(Self { term, bar })
    }

    /// Rows and columns.
    pub(super) fn size(&self) -> (usize, usize) {
        let (rows, columns) = self.term.size_checked().unwrap_or(USUAL_SIZE);
        (usize::from(rows), usize::from(columns))
    }

    /// Puts these lines in the place of those at the bottom; none may be wider than the terminal.
    pub(super) fn show(&self, lines: &[String]) {
        self.bar.set_message(lines.join("\n"));
    }

    /// A line that stays, above those at the bottom.
    pub(super) fn line(&self, text: &str) {
        let (_, columns) = self.size();
        self.bar.println(in_lines(text, "", columns.max(NARROWEST)));
    }

    /// Takes the lines at the bottom away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
