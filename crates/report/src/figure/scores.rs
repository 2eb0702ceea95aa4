//! Test scores: a point per seed and the mean, a panel per task, a row per variant.

use super::axis::Axis;
use super::canvas::{Bounds, Canvas, inches, points};
use super::chosen::Chosen;
use super::font;
use super::outliers;
use super::palette::Shape;
use super::palette::{FAINT_TEXT, FRAME, GRID, hollow_marker, look, marker};
use super::panel::{self, Entry, Grid, MEDIUM, Names, THIN};
use super::values::Estimate;
use crate::analysis::{Analysis, Split, Summary};
use homebench_metric::Metric;

/// Radius of a seed's point and of the mean.
const SEED_RADIUS: f64 = points(1.5);
const MEAN_RADIUS: f64 = points(2.6);

/// Width of an interval's bar.
const INTERVAL: f64 = points(4.2);

/// Of fewer seeds, an interval is so wide that it hides everything else.
const FEWEST_FOR_INTERVAL: usize = 3;

// Points of more seeds lie on each other, and make a large folder's files large.
/// More seeds of a variant than this are drawn as a line from the smallest to the largest.
const MOST_POINTS: usize = 30;

/// Draws the figure of a metric; nothing if no variant has a value.
pub(super) fn draw(analysis: &Analysis, metric: Metric) -> Option<Canvas> {
    let summary = &analysis.summary;
    let names = Names::new(&summary.variants, inches(1.25));
    let height = names.row_height * summary.variants.len() as f64;
    let chosen = Chosen::new(analysis, height, 0);
    let panels = &chosen.panels;
    let values = |panel: usize| -> Vec<Vec<f64>> {
        let variants = 0..summary.variants.len();
        let values = variants.map(|variant| summary.values(Split::Test, variant, panel, metric));
        values.collect()
    };
    if panels
        .iter()
        .all(|&panel| values(panel).concat().is_empty())
    {
        return None;
    }
    let grid = Grid::new(panels.len(), names.room, points(9.0), height);
    let label = metric.label();
    let direction = metric.direction();
    let full = match direction {
        Some(direction) => format!("test {label}, {direction}"),
        None => format!("test {label}"),
    };
    // A long name leaves which way is better to the remark.
    let fits = font::width(&full, MEDIUM) <= grid.panel_width();
    let axis_name = match fits {
        true => full,
        false => font::shorten(&format!("test {label}"), MEDIUM, grid.panel_width()),
    };
    let description = format!(
        "Test {label} of each variant, a panel per task: every seed, their mean and its 95 % interval.{}",
        chosen.remark()
    );
    let mut canvas = Canvas::new(grid.width, 0.0, &description);
    let mut is_cut = false;
    for (place, &panel) in panels.iter().enumerate() {
        let frame = grid.frame(place);
        panel::title(&mut canvas, frame, &summary.panels[panel].title);
        let values = values(panel);
        let shown = outliers::shown_range(&values);
        let all = values.iter().flat_map(|runs| reach(runs));
        is_cut |= all.clone().any(|value| !shown.contains(&value));
        let axis = Axis::around(all.filter(|value| shown.contains(value)), frame.0, frame.2);
        let axis = panel::fit_ticks(axis, frame.2 - frame.0);
        let name = grid.is_lowest(place).then_some(axis_name.as_str());
        panel::horizontal_axis(&mut canvas, frame, &axis, name);
        for (variant, values) in values.iter().enumerate() {
            let row = row(frame, variant, names.row_height);
            if grid.is_leftmost(place) {
                names.draw(&mut canvas, variant, frame.0, (row.1 + row.3) / 2.0);
            }
            draw_row(&mut canvas, row, &axis, variant, values);
        }
        panel::outline(&mut canvas, frame);
    }
    panel::legend(
        &mut canvas,
        grid.lower_edge(),
        &entries(most_seeds(summary, metric)),
    );
    if let Some(direction) = direction.filter(|_| !fits) {
        panel::remark(&mut canvas, &format!("Test {label}: {direction}."));
    }
    if is_cut {
        panel::remark(&mut canvas, outliers::REMARK);
    }
    chosen.say(&mut canvas);
    Some(canvas)
}

/// What an axis would have to show of a variant: its runs, and their interval where it is drawn.
fn reach(runs: &[f64]) -> Vec<f64> {
    let estimate = Estimate::of(runs).filter(|_| runs.len() >= FEWEST_FOR_INTERVAL);
    let ends = estimate.iter().flat_map(Estimate::reach);
    ends.chain(runs.iter().copied()).collect()
}

fn row((left, upper, right, _): Bounds, variant: usize, height: f64) -> Bounds {
    let upper = upper + variant as f64 * height;
    (left, upper, right, upper + height)
}

fn draw_row(canvas: &mut Canvas, row: Bounds, axis: &Axis, variant: usize, values: &[f64]) {
    let (left, upper, right, lower) = row;
    let middle = (upper + lower) / 2.0;
    canvas.line(vec![(left, middle), (right, middle)], THIN, GRID);
    if values.is_empty() {
        return panel::note(canvas, row, "no value");
    }
    let look = look(variant);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    if values.len() > 1 {
        let interval = Estimate::of(values).and_then(|estimate| estimate.interval);
        if let Some(interval) = interval.filter(|_| values.len() >= FEWEST_FOR_INTERVAL) {
            let ends = [interval.low, interval.high];
            let ends = ends.map(|end| (outliers::place(axis, end).0, middle));
            canvas.line(ends.to_vec(), INTERVAL, look.ink.with_opacity(0.3));
        }
        // A mean beyond the axis has no mark: at the edge it would be read as a value.
        if let (x, None) = outliers::place(axis, mean) {
            let bar = vec![(x, upper + THIN), (x, lower - THIN)];
            canvas.line(bar, points(0.8), look.ink);
            marker(canvas, look.shape, (x, middle), MEAN_RADIUS, look.ink);
        }
    }
    if values.len() > MOST_POINTS {
        let ends = values.iter().map(|&value| outliers::place(axis, value).0);
        let (low, high) = (
            ends.clone().fold(right, f64::min),
            ends.fold(left, f64::max),
        );
        canvas.line(vec![(low, middle), (high, middle)], points(1.2), look.ink);
        return;
    }
    // Seeds lie above each other in their order, so that equal values stay visible.
    let spread = (lower - upper) * 0.5;
    for (place, &value) in values.iter().enumerate() {
        let share = (place as f64 + 0.5) / values.len() as f64 - 0.5;
        let (x, beyond) = outliers::place(axis, value);
        let at = (x, middle + share * spread);
        match beyond {
            Some(side) => outliers::at_edge(canvas, at, (side, 0.0), look.ink),
            None => hollow_marker(canvas, Shape::Circle, at, SEED_RADIUS, THIN, look.ink),
        }
    }
}

/// Seeds of the variant that has most.
fn most_seeds(summary: &Summary, metric: Metric) -> usize {
    let panels = 0..summary.panels.len();
    let rows =
        panels.flat_map(|panel| (0..summary.variants.len()).map(move |variant| (panel, variant)));
    let counts =
        rows.map(|(panel, variant)| summary.values(Split::Test, variant, panel, metric).len());
    counts.max().unwrap_or(0)
}

fn entries(most_seeds: usize) -> Vec<Entry<'static>> {
    let mut entries = vec![
        Entry {
            text: if most_seeds > MOST_POINTS {
                "smallest to largest".to_owned()
            } else {
                "one seed".to_owned()
            },
            width: points(5.0),
            sign: Box::new(move |canvas, (x, y)| {
                if most_seeds > MOST_POINTS {
                    let half = points(2.5);
                    canvas.line(vec![(x - half, y), (x + half, y)], points(1.2), FAINT_TEXT);
                } else {
                    hollow_marker(canvas, Shape::Circle, (x, y), SEED_RADIUS, THIN, FAINT_TEXT);
                }
            }),
        },
        Entry {
            text: "mean over seeds".to_owned(),
            width: points(5.0),
            sign: Box::new(|canvas, (x, y)| {
                let half = points(4.5);
                canvas.line(vec![(x, y - half), (x, y + half)], points(0.8), FRAME);
                marker(canvas, Shape::Square, (x, y), MEAN_RADIUS, FAINT_TEXT);
            }),
        },
    ];
    if most_seeds < 2 {
        entries.pop();
    }
    if most_seeds >= FEWEST_FOR_INTERVAL {
        entries.push(Entry {
            text: "95 % interval of the mean".to_owned(),
            width: points(16.0),
            sign: Box::new(|canvas, (x, y)| {
                let half = points(8.0);
                let path = vec![(x - half, y), (x + half, y)];
                canvas.line(path, INTERVAL, FAINT_TEXT.with_opacity(0.3));
            }),
        });
    }
    entries
}
