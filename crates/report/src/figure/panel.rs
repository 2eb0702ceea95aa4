//! Panels side by side and below each other, with frames, titles, axes and a legend.

use super::axis::Axis;
use super::canvas::{Anchor, Bounds, Canvas, Point, inches, points};
use super::palette::{FAINT_TEXT, FRAME, GRID, TEXT, look, marker};
use super::{font, labels};
use crate::analysis::Summary;

/// Width of a page's column.
pub(super) const COLUMN_WIDTH: f64 = inches(3.5);
/// Width of both columns of a page. Both are IEEE's, so that a figure goes into a paper at its own size, with its letters
/// as large as they are meant.
pub(super) const PAGE_WIDTH: f64 = inches(7.16);
/// Size of tick labels, names and legends.
pub(super) const SMALL: f64 = points(6.5);
/// Size of titles and of axis labels.
pub(super) const MEDIUM: f64 = points(7.5);
/// Thin strokes.
pub(super) const THIN: f64 = points(0.6);
/// Distance between things that belong together.
pub(super) const GAP: f64 = points(3.5);
/// Distance from the edge of the canvas.
pub(super) const MARGIN: f64 = points(4.0);
/// Height of a panel's title.
const TITLE: f64 = points(12.0);
/// Height of a row of tick labels.
const TICK_LABELS: f64 = points(10.5);
/// Height of an axis label.
const AXIS_LABEL: f64 = points(10.0);
/// Height of a legend's line.
const LEGEND_LINE: f64 = points(10.5);

// Room for a label of the last tick, which may reach a gap beyond its frame.
const OVERHANG: f64 = points(6.0);

/// Where the panels of a figure lie.
pub(super) struct Grid {
    /// Width of the whole figure.
    pub(super) width: f64,
    /// Panels in a row.
    pub(super) columns: usize,
    panels: usize,
    left: f64,
    between: f64,
    panel_width: f64,
    panel_height: f64,
}

impl Grid {
    /// One column of a page for few panels, its whole width for many. `left` is kept free before the first column,
    /// `between` before each other one.
    pub(super) fn new(panels: usize, left: f64, between: f64, panel_height: f64) -> Self {
        let (columns, width) = match panels {
            0..=3 => (1, COLUMN_WIDTH),
            // Three in a row would leave one alone below them.
            4 => (2, PAGE_WIDTH),
            _ => (3, PAGE_WIDTH),
        };
        let left = MARGIN + left;
        let gaps = between * (columns - 1) as f64;
        let panel_width = (width - left - gaps - MARGIN - OVERHANG) / columns as f64;
        Self {
            width,
            columns,
            panels,
            left,
            between,
            panel_width,
            panel_height,
        }
    }

    /// All panels in one row: one column of a page for one panel, its whole width for more.
    pub(super) fn side_by_side(panels: usize, left: f64, between: f64, panel_height: f64) -> Self {
        let width = if panels > 1 { PAGE_WIDTH } else { COLUMN_WIDTH };
        let left = MARGIN + left;
        let gaps = between * (panels - 1) as f64;
        Self {
            width,
            columns: panels,
            panels,
            left,
            between,
            panel_width: (width - left - gaps - MARGIN - OVERHANG) / panels as f64,
            panel_height,
        }
    }

    /// Panels in so many columns of a figure of this width.
    pub(super) fn in_columns(
        panels: usize,
        columns: usize,
        width: f64,
        (left, between): (f64, f64),
        panel_height: f64,
    ) -> Self {
        let left = MARGIN + left;
        let gaps = between * (columns - 1) as f64;
        Self {
            width,
            columns,
            panels,
            left,
            between,
            panel_width: (width - left - gaps - MARGIN - OVERHANG) / columns as f64,
            panel_height,
        }
    }

    /// Width of a panel's frame.
    pub(super) fn panel_width(&self) -> f64 {
        self.panel_width
    }

    /// Number of rows of panels.
    pub(super) fn rows(&self) -> usize {
        self.panels.div_ceil(self.columns)
    }

    /// Frame of a panel.
    pub(super) fn frame(&self, panel: usize) -> Bounds {
        let (row, column) = (panel / self.columns, panel % self.columns);
        let left = self.left + column as f64 * (self.panel_width + self.between);
        let pitch = TITLE + self.panel_height + TICK_LABELS + GAP;
        // A panel with an axis label has panels of the next row beside it, not below it.
        let label = if self.has_short_last_row() && row + 1 == self.rows() {
            AXIS_LABEL
        } else {
            0.0
        };
        let upper = MARGIN + row as f64 * pitch + TITLE + label;
        (
            left,
            upper,
            left + self.panel_width,
            upper + self.panel_height,
        )
    }

    fn has_short_last_row(&self) -> bool {
        self.rows() > 1 && !self.panels.is_multiple_of(self.columns)
    }

    /// Whether the panel is the lowest of its column.
    pub(super) fn is_lowest(&self, panel: usize) -> bool {
        panel + self.columns >= self.panels
    }

    /// Whether the panel is the first of its row.
    pub(super) fn is_leftmost(&self, panel: usize) -> bool {
        panel.is_multiple_of(self.columns)
    }

    /// Where the legend begins.
    pub(super) fn lower_edge(&self) -> f64 {
        let (_, _, _, lower) = self.frame(self.panels.saturating_sub(1));
        lower + TICK_LABELS + AXIS_LABEL
    }
}

/// Draws a panel's title above its frame, over the middle, as much of it as there is room for.
pub(super) fn title(canvas: &mut Canvas, frame: Bounds, text: &str) {
    let (left, upper, right, _) = frame;
    let text = font::shorten(text, MEDIUM, right - left);
    canvas.text(
        ((left + right) / 2.0, upper - TITLE / 2.0),
        &text,
        MEDIUM,
        Anchor::Middle,
        TEXT,
    );
}

/// Draws a panel's frame.
pub(super) fn outline(canvas: &mut Canvas, (left, upper, right, lower): Bounds) {
    let path = vec![
        (left, upper),
        (right, upper),
        (right, lower),
        (left, lower),
        (left, upper),
    ];
    canvas.line(path, THIN, FRAME);
}

/// Fewer ticks, until their labels fit side by side on `length`.
pub(super) fn fit_ticks(axis: Axis, length: f64) -> Axis {
    // More than six are no help to read a value by, and fewer than two are no scale.
    let needs = |axis: &Axis| {
        let labels = axis.ticks().into_iter().map(|tick| axis.label(tick));
        labels
            .map(|label| font::width(&label, SMALL) + 2.0 * GAP)
            .sum::<f64>()
    };
    let mut tried = (2..=6).rev().map(|most| axis.clone().with_ticks(most));
    tried
        .find(|axis| needs(axis) <= length)
        .unwrap_or_else(|| axis.with_ticks(2))
}

/// Draws the grid lines and labels of the axis along the lower edge, and its name where there is one.
pub(super) fn horizontal_axis(canvas: &mut Canvas, frame: Bounds, axis: &Axis, name: Option<&str>) {
    let (left, upper, right, lower) = frame;
    let mut labelled = f64::NEG_INFINITY;
    for tick in axis.ticks() {
        let x = axis.place(tick);
        canvas.line(vec![(x, upper), (x, lower)], THIN, GRID);
        let label = axis.label(tick);
        let half = font::width(&label, SMALL) / 2.0;
        // A label at the very end moves inwards rather than into its neighbour.
        let x = x.clamp(
            left - GAP + half,
            (right + GAP - half).max(left - GAP + half),
        );
        // Where even the fewest ticks have labels too wide to stand side by side, a line without one is better than two on each other.
        if x - half < labelled {
            continue;
        }
        labelled = x + half + GAP / 2.0;
        canvas.text(
            (x, lower + TICK_LABELS * 0.55),
            &label,
            SMALL,
            Anchor::Middle,
            TEXT,
        );
    }
    if let Some(name) = name {
        let y = lower + TICK_LABELS + AXIS_LABEL * 0.45;
        canvas.text(
            ((left + right) / 2.0, y),
            name,
            MEDIUM,
            Anchor::Middle,
            TEXT,
        );
    }
}

/// Draws the grid lines and labels of the axis along the left edge.
pub(super) fn vertical_axis(canvas: &mut Canvas, frame: Bounds, axis: &Axis) {
    let (left, _, right, _) = frame;
    // Labels of a column end at one line, so that their digits stand below each other.
    for tick in axis.ticks() {
        let y = axis.place(tick);
        canvas.line(vec![(left, y), (right, y)], THIN, GRID);
        canvas.text((left - GAP, y), &axis.label(tick), SMALL, Anchor::End, TEXT);
    }
}

/// Room that the labels of a vertical axis take.
pub(super) fn label_room(axis: &Axis) -> f64 {
    let labels = axis
        .ticks()
        .into_iter()
        .map(|tick| font::width(&axis.label(tick), SMALL));
    labels.fold(0.0, f64::max) + GAP
}

/// Names of variants on one or two lines, and the room they take before a panel.
pub(super) struct Names {
    lines: Vec<Vec<String>>,
    /// Room before the panel.
    pub(super) room: f64,
    /// Height of a row.
    pub(super) row_height: f64,
}

impl Names {
    /// Breaks and shortens the names to fit into `limit`.
    pub(super) fn new(names: &[String], limit: f64) -> Self {
        let lines = labels::distinct(names, |name| font::wrap(name, SMALL, limit));
        let widths = lines.iter().flatten().map(|line| font::width(line, SMALL));
        let most = lines.iter().map(Vec::len).max().unwrap_or(1);
        Self {
            room: widths.fold(0.0, f64::max) + 2.0 * GAP,
            // All rows are as high as the highest, so that those of panels side by side stay in line.
            row_height: points(if most > 1 { 17.0 } else { 12.0 }),
            lines,
        }
    }

    /// Draws a name so that it ends at `right` and its middle is at `y`.
    pub(super) fn draw(&self, canvas: &mut Canvas, name: usize, right: f64, y: f64) {
        let lines = &self.lines[name];
        // More than capitals and tails reach together, which is 1.04 of the size: the two lines don't touch.
        let line_height = points(7.2);
        let first = y - line_height * (lines.len() - 1) as f64 / 2.0;
        for (place, line) in lines.iter().enumerate() {
            let y = first + place as f64 * line_height;
            canvas.text((right - GAP, y), line, SMALL, Anchor::End, TEXT);
        }
    }
}

/// Draws a sign of a legend around a place.
pub(super) type Sign<'a> = Box<dyn Fn(&mut Canvas, Point) + 'a>;

/// An entry of a legend: its text, and what draws its sign in a space of the given width around the given place.
pub(super) struct Entry<'a> {
    /// What the sign means.
    pub(super) text: String,
    /// Width of the sign.
    pub(super) width: f64,
    /// Draws the sign around a middle.
    pub(super) sign: Sign<'a>,
}

/// Entries with the markers of variants.
pub(super) fn variant_entries<'a>(summary: &'a Summary, variants: &[usize]) -> Vec<Entry<'a>> {
    let entry = |variant: &usize| {
        let look = look(*variant);
        Entry {
            text: summary.variants[*variant].clone(),
            width: points(6.0),
            sign: Box::new(move |canvas: &mut Canvas, at: Point| {
                marker(canvas, look.shape, at, points(2.4), look.ink);
            }),
        }
    };
    variants.iter().map(entry).collect()
}

/// Draws a legend from `upper` on, in as many lines as it needs, and ends the canvas below it.
pub(super) fn legend(canvas: &mut Canvas, upper: f64, entries: &[Entry]) {
    let room = canvas.width - 2.0 * MARGIN;
    let texts: Vec<String> = entries.iter().map(|entry| entry.text.clone()).collect();
    let signs = entries.iter().map(|entry| entry.width);
    let widest = signs.fold(0.0, f64::max);
    let texts = labels::distinct_lines(&texts, SMALL, room - widest - GAP);
    let lengths = entries.iter().zip(&texts);
    let lengths: Vec<f64> = lengths
        .map(|(entry, text)| entry.width + GAP + font::width(text, SMALL) + 3.0 * GAP)
        .collect();
    let widest = lengths.iter().copied().fold(1.0, f64::max);
    // In columns of one width: entries below each other are easier to find than entries that run on.
    let columns = ((room + 3.0 * GAP) / widest).floor().max(1.0) as usize;
    let columns = columns.min(entries.len().max(1));
    let left = MARGIN + ((room + 3.0 * GAP - columns as f64 * widest) / 2.0).max(0.0);
    for (place, (entry, text)) in entries.iter().zip(&texts).enumerate() {
        let x = left + (place % columns) as f64 * widest;
        let y = upper + GAP + ((place / columns) as f64 + 0.5) * LEGEND_LINE;
        (entry.sign)(canvas, (x + entry.width / 2.0, y));
        canvas.text((x + entry.width + GAP, y), text, SMALL, Anchor::Start, TEXT);
    }
    let lines = entries.len().div_ceil(columns);
    canvas.height = upper + GAP + lines as f64 * LEGEND_LINE + MARGIN;
}

/// Writes a note into the middle of an empty panel or row.
pub(super) fn note(canvas: &mut Canvas, (left, upper, right, lower): Bounds, text: &str) {
    let middle = ((left + right) / 2.0, (upper + lower) / 2.0);
    canvas.text(middle, text, SMALL, Anchor::Middle, FAINT_TEXT);
}

/// Adds a remark below everything else, on as many lines as it needs.
pub(super) fn remark(canvas: &mut Canvas, text: &str) {
    // Smaller than every label: it is to be found by who looks for it, and to be read over by who doesn't.
    let size = points(6.0);
    for line in font::lines(text, size, canvas.width - 2.0 * MARGIN) {
        let at = (canvas.width / 2.0, canvas.height + points(2.0));
        canvas.text(at, &line, size, Anchor::Middle, FAINT_TEXT);
        canvas.height += points(8.0);
    }
}
