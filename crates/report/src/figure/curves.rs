//! Learning curves on the validation split: the mean over seeds with a band from the least to the largest.

use super::axis::Axis;
use super::canvas::{Canvas, Point, inches, points};
use super::chosen::Chosen;
use super::outliers;
use super::palette::{Look, TEXT, look, marker};
use super::panel::{self, Entry, GAP, Grid, MEDIUM, THIN};
use crate::analysis::{Analysis, Run, Summary};
use homebench_metric::Metric;
use homebench_results::read::{Cell, Curves};
use std::collections::BTreeMap;

const PANEL_HEIGHT: f64 = inches(1.25);
/// With more variants than this, panels are taller, up to twice, so that curves lie apart.
const FEW_VARIANTS: f64 = 10.0;
const LINE: f64 = points(1.1);
const MARKER_RADIUS: f64 = points(2.0);

// So many thin lines cover each other and everything below them.
/// Of more seeds than this, none is drawn alone.
const MOST_LINES: usize = 30;

/// Values of a variant: by seed, by step.
type Seeds = BTreeMap<Run, BTreeMap<u64, f64>>;

/// Draws the figure of a metric; nothing if there is no value.
pub(super) fn draw(analysis: &Analysis, metric: Metric) -> Option<Canvas> {
    let summary = &analysis.summary;
    let height = PANEL_HEIGHT * (summary.variants.len() as f64 / FEW_VARIANTS).clamp(1.0, 2.0);
    let chosen = Chosen::new(analysis, height, 0);
    let curves = collect(analysis, &chosen.panels, metric);
    if curves.iter().flatten().all(BTreeMap::is_empty) {
        return None;
    }
    let shown: Vec<Shown> = curves.iter().map(|variants| Shown::of(variants)).collect();
    let last_step = curves
        .iter()
        .flatten()
        .flat_map(BTreeMap::values)
        .flat_map(BTreeMap::keys);
    let last_step = last_step.copied().max().unwrap_or(1) as f64;
    let axis = |place: usize, start: f64, end: f64| {
        Axis::around(shown[place].values.iter().copied(), start, end).with_ticks(4)
    };
    let room = (0..curves.len())
        .map(|place| panel::label_room(&axis(place, 0.0, height)))
        .fold(0.0, f64::max);
    let name_room = MEDIUM + GAP;
    let grid = Grid::new(curves.len(), room + name_room, room + points(8.0), height);
    let label = metric.label();
    let description =
        format!("Validation {label} of each variant over training steps, a panel per task.")
            + &chosen.remark();
    let mut canvas = Canvas::new(grid.width, 0.0, &description);
    for (place, variants) in curves.iter().enumerate() {
        let frame = grid.frame(place);
        panel::title(
            &mut canvas,
            frame,
            &summary.panels[chosen.panels[place]].title,
        );
        let vertical = axis(place, frame.3, frame.1);
        let horizontal = Axis::from_zero(std::iter::once(last_step), frame.0, frame.2);
        let horizontal = panel::fit_ticks(horizontal, frame.2 - frame.0);
        let name = grid.is_lowest(place).then_some("training steps");
        panel::horizontal_axis(&mut canvas, frame, &horizontal, name);
        panel::vertical_axis(&mut canvas, frame, &vertical);
        if grid.is_leftmost(place) {
            let at = (frame.0 - room - name_room / 2.0, (frame.1 + frame.3) / 2.0);
            canvas.upward_text(at, &format!("validation {label}"), MEDIUM, TEXT);
        }
        let dots = |(step, value): (u64, f64)| {
            let (y, _) = outliers::place(&vertical, value);
            (horizontal.place(step as f64), y)
        };
        draw_variants(&mut canvas, variants, &dots);
        panel::outline(&mut canvas, frame);
    }
    panel::legend(&mut canvas, grid.lower_edge(), &entries(summary, &curves));
    if curves.iter().flatten().any(|seeds| seeds.len() > 1) {
        panel::remark(
            &mut canvas,
            "Line: mean over seeds; band: smallest to largest. Thin: seeds still training when the first has stopped.",
        );
    }
    if shown.iter().any(|shown| !shown.is_all) {
        panel::remark(&mut canvas, outliers::REMARK);
    }
    chosen.say(&mut canvas);
    Some(canvas)
}

/// Values that a panel's axis has room for.
struct Shown {
    values: Vec<f64>,
    /// Whether these are those of every seed.
    is_all: bool,
}

impl Shown {
    /// All values of seeds whose middle is not far from all others'.
    fn of(variants: &[Seeds]) -> Self {
        let middle = |seed: &BTreeMap<u64, f64>| {
            let values: Vec<f64> = seed.values().copied().collect();
            outliers::median(&values)
        };
        let middles = |seeds: &Seeds| seeds.values().filter_map(middle).collect();
        let range = outliers::shown_range(&variants.iter().map(middles).collect::<Vec<_>>());
        let is_shown = |seed: &&BTreeMap<u64, f64>| middle(seed).is_none_or(|m| range.contains(&m));
        let seeds = || variants.iter().flat_map(BTreeMap::values);
        Self {
            is_all: seeds().all(|seed| is_shown(&seed)),
            values: seeds()
                .filter(is_shown)
                .flat_map(BTreeMap::values)
                .copied()
                .collect(),
        }
    }
}

/// Curves of some panels, by these and by variant.
fn collect(analysis: &Analysis, panels: &[usize], metric: Metric) -> Vec<Vec<Seeds>> {
    let (results, summary) = (&analysis.results, &analysis.summary);
    let mut curves = vec![vec![Seeds::new(); summary.variants.len()]; panels.len()];
    let mut places = vec![None; summary.panels.len()];
    for (place, panel) in panels.iter().enumerate() {
        places[*panel] = Some(place);
    }
    let wanted = |one: &&Curves| one.split == "validation" && one.metric == metric.name();
    for of_task in results.curves.iter().filter(wanted) {
        // Once for each cell, which has many points.
        let place = |cell: &Cell| {
            let (variant, panel) = summary.place(&cell.variant, &cell.dataset, &of_task.task)?;
            Some((variant, places[panel]?))
        };
        let of_cells: Vec<Option<(usize, usize)>> = results.cells.iter().map(place).collect();
        for point in &of_task.points {
            let cell = point.cell as usize;
            if let Some((variant, place)) = of_cells[cell] {
                let run = (results.cells[cell].seed, results.cells[cell].split_seed);
                let seed = curves[place][variant].entry(run).or_default();
                seed.insert(point.step, point.value);
            }
        }
    }
    curves
}

/// Draws every band, then every line, so that no band hides a line.
fn draw_variants(canvas: &mut Canvas, variants: &[Seeds], dots: &dyn Fn((u64, f64)) -> Point) {
    for (variant, seeds) in variants.iter().enumerate() {
        let shared = shared(seeds);
        if seeds.len() > 1 && shared.len() > 1 {
            let lower = shared.iter().map(|point| dots((point.step, point.low)));
            let upper = shared
                .iter()
                .rev()
                .map(|point| dots((point.step, point.high)));
            canvas.area(
                lower.chain(upper).collect(),
                // Faint, because bands of several variants lie over each other.
                look(variant).ink.with_opacity(0.16),
            );
        }
    }
    for (variant, seeds) in variants.iter().enumerate() {
        let look = look(variant);
        let shared = shared(seeds);
        let end = shared.last().map_or(0, |point| point.step);
        // Where some seeds have stopped, a mean would jump: the others go on alone, thinly.
        for seed in seeds
            .values()
            .filter(|_| (2..=MOST_LINES).contains(&seeds.len()))
        {
            let rest: Vec<Point> = seed
                .range(end..)
                .map(|(&step, &value)| dots((step, value)))
                .collect();
            canvas.line(rest, THIN, look.ink.with_opacity(0.6));
        }
        let path: Vec<Point> = shared
            .iter()
            .map(|point| dots((point.step, point.mean)))
            .collect();
        draw_line(canvas, &path, look);
    }
}

fn draw_line(canvas: &mut Canvas, path: &[Point], look: Look) {
    match look.dash {
        0.0 => canvas.line(path.to_vec(), LINE, look.ink),
        dash => canvas.dashes(path, points(dash), LINE, look.ink),
    }
    // About six markers a curve tell it from others; one at each evaluation would hide it. Counted from its end, where variants
    // are compared.
    let every = path.len().div_ceil(6).max(1);
    let last = path.len().saturating_sub(1);
    for (place, &at) in path.iter().enumerate() {
        if (last - place).is_multiple_of(every) {
            marker(canvas, look.shape, at, MARKER_RADIUS, look.ink);
        }
    }
}

struct Shared {
    step: u64,
    low: f64,
    mean: f64,
    high: f64,
}

/// Steps at which every seed has a value.
fn shared(seeds: &Seeds) -> Vec<Shared> {
    let Some(first) = seeds.values().next() else {
        return Vec::new();
    };
    let point = |&step: &u64| {
        let values: Option<Vec<f64>> = seeds
            .values()
            .map(|seed| seed.get(&step).copied())
            .collect();
        values.map(|values| Shared {
            step,
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            mean: values.iter().sum::<f64>() / values.len() as f64,
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    };
    first.keys().filter_map(point).collect()
}

fn entries<'a>(summary: &'a Summary, curves: &[Vec<Seeds>]) -> Vec<Entry<'a>> {
    let shown = |variant: &usize| curves.iter().any(|panel| !panel[*variant].is_empty());
    let entry = |variant: usize| Entry {
        text: summary.variants[variant].clone(),
        width: points(16.0),
        sign: Box::new(move |canvas: &mut Canvas, (x, y): Point| {
            let half = points(8.0);
            sign(canvas, (x, y), half, look(variant));
        }),
    };
    (0..summary.variants.len())
        .filter(shown)
        .map(entry)
        .collect()
}

fn sign(canvas: &mut Canvas, (x, y): Point, half: f64, look: Look) {
    let path = [(x - half, y), (x + half, y)];
    match look.dash {
        0.0 => canvas.line(path.to_vec(), LINE, look.ink),
        dash => canvas.dashes(&path, points(dash), LINE, look.ink),
    }
    marker(canvas, look.shape, (x, y), MARKER_RADIUS, look.ink);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_ends_where_the_first_seed_stopped() {
        let seeds = Seeds::from([
            ((0, None), BTreeMap::from([(10, 0.5), (20, 0.7), (30, 0.9)])),
            ((1, None), BTreeMap::from([(10, 0.7), (20, 0.8)])),
        ]);
        let shared = shared(&seeds);
        let steps: Vec<u64> = shared.iter().map(|point| point.step).collect();
        assert_eq!(steps, [10, 20]);
        assert!((shared[1].mean - 0.75).abs() < 1e-12);
        assert_eq!((shared[0].low, shared[0].high), (0.5, 0.7));
    }
}
