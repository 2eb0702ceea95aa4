//! Quality against cost: the mean test score over tasks against parameters and FLOPs, and against training speed.

use super::axis::Axis;
use super::canvas::{Canvas, inches, points};
use super::palette::{TEXT, look, marker};
use super::panel::{self, GAP, Grid, MEDIUM, THIN};
use super::values::Estimate;
use crate::analysis::{Analysis, SharedTasks};
use crate::left_out;
use crate::statistics::mean;
use homebench_results::read::Cell;

const PANEL_HEIGHT: f64 = inches(1.6);
const MARKER_RADIUS: f64 = points(2.4);

/// Against parameters and FLOPs; nothing with fewer than two variants.
pub(super) fn draw(analysis: &Analysis) -> Option<Canvas> {
    let (results, summary) = (&analysis.results, &analysis.summary);
    let of_cells = |value: fn(&Cell) -> Option<u64>| {
        let costs = summary.variants.iter().map(|variant| {
            let cells = results.cells.iter().filter(|c| c.variant == *variant);
            let values: Vec<f64> = cells.filter_map(value).map(|v| v as f64).collect();
            mean(&values)
        });
        costs.collect()
    };
    let panels = [
        ("parameters", of_cells(|cell| cell.parameters)),
        (
            "FLOPs of a forward pass per row",
            of_cells(|cell| cell.flops_per_row),
        ),
    ];
    figure(analysis, &panels, "parameters and FLOPs")
}

/// Against training speed.
pub(super) fn draw_speed(analysis: &Analysis) -> Option<Canvas> {
    let results = &analysis.results;
    let speeds = analysis.summary.variants.iter().map(|variant| {
        let rows = results.throughput.iter();
        let of = rows.filter(|row| results.cells[row.cell].variant == *variant);
        let values: Vec<f64> = of.filter_map(|row| row.train_rows_per_second).collect();
        mean(&values)
    });
    let panels = [("training rows per second", speeds.collect())];
    figure(analysis, &panels, "training rows per second")
}

type Costs = Vec<Option<f64>>;

fn figure(analysis: &Analysis, panels: &[(&str, Costs)], costs: &str) -> Option<Canvas> {
    let summary = &analysis.summary;
    let scale = analysis.scale?;
    let has_cost = |variant: &usize| {
        let in_panel = |(_, costs): &(&str, Costs)| costs[*variant].is_some_and(|cost| cost > 0.0);
        panels.iter().any(in_panel)
    };
    let all = 0..summary.variants.len();
    let shared = analysis.shared_tasks(&all.clone().filter(has_cost).collect::<Vec<_>>());
    let score = |variant: usize, shared: &SharedTasks| {
        let runs = analysis.over_tasks(variant, shared);
        Estimate::of(&runs.into_values().collect::<Vec<_>>())
    };
    let scores: Vec<Option<Estimate>> =
        all.clone().map(|variant| score(variant, &shared)).collect();
    let is_shown = |variant: &usize| scores[*variant].is_some() && has_cost(variant);
    let variants: Vec<usize> = all.clone().filter(is_shown).collect();
    if variants.len() < 2 {
        return None;
    }
    // One without a cost need not have the tasks of those that are shown.
    let has_score = |variant: &usize| score(*variant, &analysis.own_tasks(*variant)).is_some();
    let without = all.filter(|v| !has_cost(v) && has_score(v));
    let without: Vec<&str> = without.map(|v| summary.variants[v].as_str()).collect();
    let label = scale.label();
    let over = match (summary.panels.len(), left_out::only_task(analysis, &shared)) {
        (1, _) => String::new(),
        (_, Some(task)) => format!(", {task} alone"),
        (_, None) => ", mean over tasks".to_owned(),
    };
    let tasks = left_out::of_means(analysis, &shared);
    let mut description = format!("Test {label}{over}, of each variant against its {costs}.");
    if let Some(words) = &tasks {
        description += &format!(" {words}");
    }
    let reach = || scores.iter().flatten().flat_map(Estimate::reach);
    let vertical = |upper: f64, lower: f64| Axis::around(reach(), lower, upper).with_ticks(4);
    let room = panel::label_room(&vertical(0.0, PANEL_HEIGHT));
    let name_room = MEDIUM + GAP;
    let left = room + name_room;
    let grid = Grid::side_by_side(panels.len(), left, left, PANEL_HEIGHT);
    let mut canvas = Canvas::new(grid.width, 0.0, &description);
    for (place, (name, costs)) in panels.iter().enumerate() {
        let frame = grid.frame(place);
        let shown = variants.iter().filter_map(|variant| costs[*variant]);
        let horizontal = Axis::logarithmic(shown, frame.0, frame.2);
        let horizontal = panel::fit_ticks(horizontal, frame.2 - frame.0);
        let vertical = vertical(frame.1, frame.3);
        let name = format!("{name} (logarithmic)");
        panel::horizontal_axis(&mut canvas, frame, &horizontal, Some(&name));
        panel::vertical_axis(&mut canvas, frame, &vertical);
        if grid.is_leftmost(place) {
            let at = (frame.0 - room - name_room / 2.0, (frame.1 + frame.3) / 2.0);
            canvas.upward_text(at, &format!("test {label}{over}"), MEDIUM, TEXT);
        }
        for variant in &variants {
            let (Some(score), Some(cost)) = (scores[*variant], costs[*variant]) else {
                continue;
            };
            let look = look(*variant);
            let (x, y) = (horizontal.place(cost), vertical.place(score.mean));
            if let Some(interval) = score.interval {
                let ends = [interval.low, interval.high].map(|end| (x, vertical.place(end)));
                canvas.line(ends.to_vec(), THIN, look.ink.with_opacity(0.7));
            }
            marker(&mut canvas, look.shape, (x, y), MARKER_RADIUS, look.ink);
        }
        panel::outline(&mut canvas, frame);
    }
    let entries = panel::variant_entries(summary, &variants);
    panel::legend(&mut canvas, grid.lower_edge(), &entries);
    if variants
        .iter()
        .any(|v| scores[*v].is_some_and(|s| s.interval.is_some()))
    {
        panel::remark(&mut canvas, "Bars: 95 % intervals of the mean over seeds.");
    }
    if let Some(words) = tasks {
        panel::remark(&mut canvas, &words);
    }
    if !without.is_empty() {
        let without = without.join(", ");
        panel::remark(
            &mut canvas,
            &format!("Not shown: {without}, whose cost isn't known."),
        );
    }
    Some(canvas)
}
