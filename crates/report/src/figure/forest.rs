//! The forest: by how much each variant is better than the baseline, a panel per task, with the mean over tasks first. It is what a
//! report begins with, so it has a form for a phone, and stays low: few rows, the others are in the tables.

use super::axis::{Axis, range};
use super::canvas::{Anchor, Canvas, Ink, Point, inches, points};
use super::chosen::Chosen;
use super::labels;
use super::outliers;
use super::palette::{FAINT_TEXT, FRAME, GRID, Shape, TEXT, hollow_marker, marker};
use super::panel::{self, Entry, GAP, Grid, MEDIUM, PAGE_WIDTH, SMALL, THIN};
use super::values::{labels as metric_labels, own_metric};
use super::{FOREST, file_name, font};
use crate::analysis::{Advantage, AdvantagePanel, Analysis};
use crate::left_out;
use crate::statistics::Verdict;

/// Variants and tasks that are shown; a chart of more would push the answer off the screen.
const MOST_ROWS: usize = 10;
const MOST_TASKS: usize = 9;
/// Panels beside each other on a page.
const MOST_COLUMNS: usize = 5;
/// Width for a phone: there its letters are as large as those of the text around it.
const NARROW_WIDTH: f64 = inches(2.55);
const ROW_HEIGHT: f64 = points(7.6);
const ROOM_FOR_NAMES: f64 = inches(1.15);
const RADIUS: f64 = points(2.2);
const BAR: f64 = points(1.1);
const ZERO_LINE: f64 = points(0.9);
/// An interval's end is cut that lies so many times as far from zero as means and most intervals do.
const FAR: f64 = 3.0;

const BETTER: Ink = Ink::opaque(0, 114, 178);
const WORSE: Ink = Ink::opaque(213, 94, 0);

/// The figure's name; of another baseline than the folder's own it has that in it, since both may be in `figures/`.
pub(super) fn name(analysis: &Analysis) -> String {
    match analysis.baseline == analysis.own_baseline {
        true => FOREST.to_owned(),
        false => format!("{FOREST}_{}", file_name(analysis.baseline_name())),
    }
}

/// Draws the figure; nothing without a difference of which a way is better.
pub(super) fn draw(analysis: &Analysis) -> Option<Canvas> {
    let variants = analysis.best_on_validation(MOST_ROWS + 1).into_iter();
    let variants: Vec<usize> = variants
        .filter(|variant| *variant != analysis.baseline)
        .collect();
    let chosen = Chosen::at_most(analysis, MOST_TASKS);
    let panels = analysis.advantages(&variants, &chosen.panels);
    if panels.is_empty() {
        return None;
    }
    let rows = panels.len().div_ceil(MOST_COLUMNS);
    let columns = panels.len().div_ceil(rows);
    let mut canvas = figure(analysis, &panels, &variants, &chosen, (columns, PAGE_WIDTH));
    let narrow = figure(analysis, &panels, &variants, &chosen, (1, NARROW_WIDTH));
    canvas.narrow = Some(Box::new(narrow));
    Some(canvas)
}

fn figure(
    analysis: &Analysis,
    panels: &[AdvantagePanel],
    variants: &[usize],
    chosen: &Chosen,
    (columns, width): (usize, f64),
) -> Canvas {
    let names: Vec<String> = variants
        .iter()
        .map(|variant| analysis.summary.variants[*variant].clone())
        .collect();
    let names = labels::distinct_lines(&names, SMALL, ROOM_FOR_NAMES.min(0.42 * width));
    let room = names.iter().map(|name| font::width(name, SMALL));
    let room = room.fold(0.0, f64::max) + 2.0 * GAP;
    let height = ROW_HEIGHT * variants.len() as f64 + GAP;
    let grid = Grid::in_columns(panels.len(), columns, width, (room, points(9.0)), height);
    let label = metric_labels(analysis, chosen.panels.iter().copied());
    let baseline = analysis.baseline_name();
    let all = (analysis.summary.variants.len() - 1, variants.len());
    let best = super::chosen::best_of(all.1, all.0);
    let description = format!(
        "Gain over {baseline} in test {label}, paired by seed: right of the line is better. Bars are 95 % intervals, each by itself; \
         what is filled holds after Holm's correction.{best}{}",
        chosen.remark()
    );
    let tasks = analysis.tasks_of_means(variants);
    let tasks = left_out::of_differences(analysis, analysis.baseline, &tasks);
    let description = match &tasks {
        Some(words) => format!("{description} {words}"),
        None => description,
    };
    let mut canvas = Canvas::new(grid.width, 0.0, &description);
    let mut is_cut = false;
    for (place, panel) in panels.iter().enumerate() {
        let frame = grid.frame(place);
        panel::title(&mut canvas, frame, &title(analysis, panel));
        let axis = Axis::around(reach(panel).into_iter(), frame.0, frame.2);
        let axis = panel::fit_ticks(axis, frame.2 - frame.0);
        panel::horizontal_axis(&mut canvas, frame, &axis, None);
        let zero = axis.place(0.0);
        canvas.line(vec![(zero, frame.1), (zero, frame.3)], ZERO_LINE, FRAME);
        for (row, (name, mark)) in names.iter().zip(&panel.advantages).enumerate() {
            let y = frame.1 + GAP / 2.0 + (row as f64 + 0.5) * ROW_HEIGHT;
            if grid.is_leftmost(place) {
                canvas.text((frame.0 - GAP, y), name, SMALL, Anchor::End, TEXT);
            }
            if let Some(mark) = mark {
                canvas.line(vec![(frame.0, y), (frame.2, y)], THIN, GRID);
                is_cut |= draw_mark(&mut canvas, &axis, y, mark);
            }
        }
        panel::outline(&mut canvas, frame);
    }
    // Of all panels at once: an axis of a fifth of a page has no room for it.
    let words = font::shorten(
        &format!("gain over {baseline} in test {label}"),
        MEDIUM,
        grid.width - 4.0 * GAP,
    );
    let y = grid.lower_edge() - points(4.0);
    canvas.text((grid.width / 2.0, y), &words, MEDIUM, Anchor::Middle, TEXT);
    panel::legend(&mut canvas, grid.lower_edge(), &entries(panels));
    if is_cut {
        panel::remark(
            &mut canvas,
            "What ends in an arrow goes on beyond the axis.",
        );
    }
    if let Some(words) = tasks {
        panel::remark(&mut canvas, &words);
    }
    let remark = format!("{}{}", best.trim_start(), chosen.remark());
    if !remark.is_empty() {
        panel::remark(&mut canvas, remark.trim_start());
    }
    canvas
}

fn title(analysis: &Analysis, panel: &AdvantagePanel) -> String {
    match panel.panel {
        None => "mean over tasks".to_owned(),
        Some(panel) => analysis.summary.panels[panel].title.clone() + &own_metric(analysis, panel),
    }
}

/// What the axis has to show: zero, every mean, and of the intervals what is not far beyond most of them.
fn reach(panel: &AdvantagePanel) -> Vec<f64> {
    let marks = || panel.advantages.iter().flatten();
    let ends = |mark: &Advantage| mark.interval.map(|interval| [interval.low, interval.high]);
    let mut widths: Vec<f64> = marks()
        .filter_map(|mark| Some((ends(mark)?[1] - ends(mark)?[0]) / 2.0))
        .collect();
    widths.sort_by(f64::total_cmp);
    let (low, high) = range(marks().map(|mark| mark.mean).chain([0.0]));
    let usual = outliers::median(&widths).unwrap_or(0.0);
    let limit = FAR * (high - low).max(usual);
    let all = marks().filter_map(ends).flatten();
    let near = all.map(|end| end.clamp(low.min(0.0) - limit, high.max(0.0) + limit));
    near.chain([low, high]).collect()
}

/// Draws a mean with its interval; says whether the axis cuts it.
fn draw_mark(canvas: &mut Canvas, axis: &Axis, y: f64, mark: &Advantage) -> bool {
    let ink = ink(mark.verdict);
    let mut is_cut = false;
    if let Some(interval) = mark.interval {
        let ends = [interval.low, interval.high].map(|end| outliers::place(axis, end));
        canvas.line(ends.map(|(x, _)| (x, y)).to_vec(), BAR, ink);
        for (x, side) in ends.into_iter().filter_map(|(x, side)| Some((x, side?))) {
            outliers::at_edge(canvas, (x, y), (side, 0.0), ink);
            is_cut = true;
        }
    }
    sign_of(mark.verdict, canvas, (axis.place(mark.mean), y));
    is_cut
}

fn ink(verdict: Verdict) -> Ink {
    match verdict {
        Verdict::Better => BETTER,
        Verdict::Worse => WORSE,
        _ => FAINT_TEXT,
    }
}

/// A verdict's sign, told apart in grey by shape and filling.
fn sign_of(verdict: Verdict, canvas: &mut Canvas, at: Point) {
    let ink = ink(verdict);
    match verdict {
        Verdict::Better => marker(canvas, Shape::Circle, at, RADIUS, ink),
        Verdict::Worse => marker(canvas, Shape::Square, at, RADIUS, ink),
        Verdict::NoDifferenceSeen => hollow_marker(canvas, Shape::Circle, at, RADIUS, BAR, ink),
        Verdict::NotJudged => hollow_marker(canvas, Shape::Triangle, at, RADIUS, BAR, ink),
        Verdict::Identical => hollow_marker(canvas, Shape::Diamond, at, RADIUS, BAR, ink),
    }
}

fn entries(panels: &[AdvantagePanel]) -> Vec<Entry<'static>> {
    let marks = || {
        panels
            .iter()
            .flat_map(|panel| panel.advantages.iter().flatten())
    };
    let verdicts = [
        Verdict::Better,
        Verdict::Worse,
        Verdict::NoDifferenceSeen,
        Verdict::NotJudged,
        Verdict::Identical,
    ];
    let shown = verdicts.into_iter();
    let shown = shown.filter(|verdict| marks().any(|mark| mark.verdict == *verdict));
    let entry = |verdict: Verdict| Entry {
        text: verdict.words().to_owned(),
        width: points(6.0),
        sign: Box::new(move |canvas: &mut Canvas, at: Point| sign_of(verdict, canvas, at)),
    };
    shown.map(entry).collect()
}
