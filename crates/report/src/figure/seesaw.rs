//! The seesaw: what each variant gains on one task against what it gains on another, with single-task models, or the spec's
//! baseline, at the origin.

use super::axis::{Axis, range};
use super::canvas::{Canvas, inches, points};
use super::font;
use super::outliers;
use super::palette::{FRAME, TEXT, look, marker};
use super::panel::{self, GAP, Grid, MEDIUM, THIN};
use super::values::{Estimate, gains, labels, of_task, own_metric, positive_rates};
use crate::analysis::{Analysis, origin};
use homebench_metric::Metric;

/// More pairs of tasks than this are not drawn: those with the sparsest tasks stay.
const MOST_PANELS: usize = 9;
const PANEL_HEIGHT: f64 = inches(1.75);
const MARKER_RADIUS: f64 = points(2.4);
const ZERO_LINE: f64 = points(0.9);
/// How far from the edge a marker is drawn whose place is beyond it.
const INWARDS: f64 = points(8.0);
/// Room for such markers apart from the others, as a share of the axis.
const ROOM_BEYOND: f64 = 0.12;

/// Draws the figure; nothing without a variant for the origin, another variant and two tasks.
pub(super) fn draw(analysis: &Analysis) -> Option<Canvas> {
    let (results, summary) = (&analysis.results, &analysis.summary);
    let (baseline, over) = origin(results, summary)?;
    let pairs = task_pairs(analysis);
    let runs = |variant: usize, panel: usize| {
        let higher = analysis
            .main_metric(panel)
            .and_then(Metric::higher_is_better);
        let of = |variant| of_task(analysis, variant, panel);
        gains(higher, &of(variant), &of(baseline))
    };
    let gain = |variant: usize, panel: usize| Estimate::of(&runs(variant, panel));
    // A linear model loses so much more than sharing does that nothing else could be told apart beside it.
    let is_linear = |variant: &usize| {
        let mut cells = results.cells.iter();
        let cell = cells.find(|cell| cell.variant == summary.variants[*variant]);
        cell.is_some_and(|cell| cell.model == "logistic")
    };
    let (linear, variants): (Vec<usize>, Vec<usize>) = (0..summary.variants.len())
        .filter(|variant| *variant != baseline)
        .partition(is_linear);
    let points_of = |(across, up): (usize, usize)| -> Vec<(usize, Estimate, Estimate)> {
        let both = variants.iter();
        both.filter_map(|v| Some((*v, gain(*v, across)?, gain(*v, up)?)))
            .collect()
    };
    let panels: Vec<Vec<(usize, Estimate, Estimate)>> =
        pairs.iter().map(|pair| points_of(*pair)).collect();
    if panels.iter().all(Vec::is_empty) {
        return None;
    }
    let &(across_task, _) = pairs.first()?;
    let drawn = pairs.iter().map(|(_, up)| *up);
    let label = labels(analysis, std::iter::once(across_task).chain(drawn));
    let title = |panel: usize| summary.panels[panel].title.clone() + &own_metric(analysis, panel);
    let across_title = title(across_task);
    let description =
        format!("Gain in test {label} over {over}: {across_title} against each other task.");
    let around = |task: usize, estimates: Vec<Estimate>, start: f64, end: f64| {
        let gains: Vec<Vec<f64>> = variants.iter().map(|v| runs(*v, task)).collect();
        axis(&gains, &estimates, start, end)
    };
    let vertical = |place: usize, upper: f64, lower: f64| {
        let gains = panels[place].iter().map(|(_, _, up)| *up).collect();
        around(pairs[place].1, gains, lower, upper).with_ticks(4)
    };
    let room = (0..panels.len())
        .map(|place| panel::label_room(&vertical(place, 0.0, PANEL_HEIGHT)))
        .fold(0.0, f64::max);
    let name_room = MEDIUM + GAP;
    let (left, between) = (room + name_room, room + name_room + points(6.0));
    let grid = match panels.len() {
        ..=3 => Grid::side_by_side(panels.len(), left, between, PANEL_HEIGHT),
        _ => Grid::new(panels.len(), left, between, PANEL_HEIGHT),
    };
    let mut canvas = Canvas::new(grid.width, 0.0, &description);
    let mut is_cut = false;
    for (place, points) in panels.iter().enumerate() {
        let frame = grid.frame(place);
        panel::title(&mut canvas, frame, &summary.panels[pairs[place].1].title);
        let gains = points.iter().map(|(_, across, _)| *across).collect();
        let horizontal = around(across_task, gains, frame.0, frame.2);
        let horizontal = panel::fit_ticks(horizontal, frame.2 - frame.0);
        let vertical = vertical(place, frame.1, frame.3);
        let name = format!("gain on {across_title}");
        let name = font::shorten(&name, MEDIUM, frame.2 - frame.0);
        let name = grid.is_lowest(place).then_some(name.as_str());
        panel::horizontal_axis(&mut canvas, frame, &horizontal, name);
        panel::vertical_axis(&mut canvas, frame, &vertical);
        let at = (frame.0 - room - name_room / 2.0, (frame.1 + frame.3) / 2.0);
        let name = format!("gain on {}", title(pairs[place].1));
        let name = font::shorten(&name, MEDIUM, PANEL_HEIGHT);
        canvas.upward_text(at, &name, MEDIUM, TEXT);
        let (x0, y0) = (horizontal.place(0.0), vertical.place(0.0));
        canvas.line(vec![(x0, frame.1), (x0, frame.3)], ZERO_LINE, FRAME);
        canvas.line(vec![(frame.0, y0), (frame.2, y0)], ZERO_LINE, FRAME);
        for (variant, across, up) in points {
            is_cut |= draw_point(
                &mut canvas,
                (&horizontal, &vertical),
                (across, up),
                *variant,
            );
        }
        panel::outline(&mut canvas, frame);
    }
    panel::legend(
        &mut canvas,
        grid.lower_edge(),
        &panel::variant_entries(summary, &variants),
    );
    let has_bars = panels
        .iter()
        .flatten()
        .any(|(_, _, up)| up.interval.is_some());
    let bars = if has_bars {
        "; bars: 95 % intervals"
    } else {
        ""
    };
    let left_out: Vec<&str> = linear
        .iter()
        .map(|v| summary.variants[*v].as_str())
        .collect();
    let left_out = match left_out.is_empty() {
        true => String::new(),
        false => format!(" Not shown: {}, a linear model.", left_out.join(", ")),
    };
    if is_cut {
        panel::remark(&mut canvas, outliers::REMARK);
    }
    let baseline = &summary.variants[baseline];
    panel::remark(
        &mut canvas,
        &format!(
            "Origin: {baseline}. Gain: difference in test {label}, turned so that more is better, paired by seed{bars}. Up but left, or right but down, is a seesaw.{left_out}"
        ),
    );
    Some(canvas)
}

/// An axis for the estimates of each variant's gains, with room at an end that some lie beyond.
fn axis(gains: &[Vec<f64>], estimates: &[Estimate], start: f64, end: f64) -> Axis {
    let shown = outliers::shown_range(gains);
    let reach = estimates.iter().flat_map(Estimate::reach).chain([0.0]);
    let (low, high) = range(reach.filter(|gain| shown.contains(gain)));
    let room = (high - low) * ROOM_BEYOND;
    let is_below = estimates.iter().any(|gain| gain.mean < low);
    let is_above = estimates.iter().any(|gain| gain.mean > high);
    let low = low - f64::from(is_below) * room;
    let high = high + f64::from(is_above) * room;
    Axis::around([low, high].into_iter(), start, end)
}

/// Draws a variant's mean gains and their intervals; says whether any of these lies beyond an axis.
fn draw_point(
    canvas: &mut Canvas,
    (horizontal, vertical): (&Axis, &Axis),
    (across, up): (&Estimate, &Estimate),
    variant: usize,
) -> bool {
    let look = look(variant);
    let (x, beyond_x) = outliers::place(horizontal, across.mean);
    let (y, beyond_y) = outliers::place(vertical, up.mean);
    // Inside the frame by more than the arrow, so that the marker stays whole and apart from it.
    let inwards = |beyond: Option<f64>| beyond.map_or(0.0, |side| side * INWARDS);
    let (column, row) = (x - inwards(beyond_x), y - inwards(beyond_y));
    let thin = look.ink.with_opacity(0.55);
    let mut is_cut = beyond_x.is_some() || beyond_y.is_some();
    let mut ends = |estimate: &Estimate, axis| {
        let ends = estimate
            .interval
            .map(|interval| [interval.low, interval.high]);
        let ends = ends?.map(|end| outliers::place(axis, end));
        is_cut |= ends.iter().any(|(_, beyond)| beyond.is_some());
        Some(ends.map(|(at, _)| at))
    };
    if let Some(ends) = ends(across, horizontal) {
        canvas.line(ends.map(|x| (x, row)).to_vec(), THIN, thin);
    }
    if let Some(ends) = ends(up, vertical) {
        canvas.line(ends.map(|y| (column, y)).to_vec(), THIN, thin);
    }
    marker(canvas, look.shape, (column, row), MARKER_RADIUS, look.ink);
    if let Some(side) = beyond_x {
        outliers::at_edge(canvas, (x, row), (side, 0.0), look.ink);
    }
    if let Some(side) = beyond_y {
        outliers::at_edge(canvas, (column, y), (0.0, side), look.ink);
    }
    is_cut
}

/// The densest task with each other one, the sparsest last.
fn task_pairs(analysis: &Analysis) -> Vec<(usize, usize)> {
    let summary = &analysis.summary;
    let rates = positive_rates(&analysis.results);
    let rate = |panel: &usize| {
        let panel = &summary.panels[*panel];
        let key = (panel.dataset.clone(), panel.task.clone());
        rates.get(&key).copied().unwrap_or(0.0)
    };
    let has_values = |panel: &usize| {
        let mut variants = 0..summary.variants.len();
        variants.any(|variant| !of_task(analysis, variant, *panel).is_empty())
    };
    let mut tasks: Vec<usize> = (0..summary.panels.len()).filter(has_values).collect();
    tasks.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    let Some((densest, others)) = tasks.split_first() else {
        return Vec::new();
    };
    let others = &others[others.len().saturating_sub(MOST_PANELS)..];
    let dataset = |panel: usize| &summary.panels[panel].dataset;
    let same = |other: &&usize| dataset(**other) == dataset(*densest);
    others
        .iter()
        .filter(same)
        .map(|other| (*densest, *other))
        .collect()
}
