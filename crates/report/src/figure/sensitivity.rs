//! Sensitivity: the test score, a mean over tasks, at each value that a sweep gave a setting, a line per variant; and, where what
//! is swept is how tasks correlate, the gain over single-task models.

use super::axis::Axis;
use super::canvas::{Anchor, Bounds, Canvas, Point, inches, points};
use super::palette::{FRAME, GRID, TEXT, look, marker};
use super::panel::{self, Entry, GAP, Grid, MEDIUM, SMALL, THIN};
use super::values::{Estimate, gains};
use super::{font, labels};
use crate::analysis::{Analysis, Panel, Run, SINGLE_TASK, Scale};
use homebench_results::read::{Cell, Inside, distinct};
use std::collections::BTreeMap;

const PANEL_HEIGHT: f64 = inches(1.6);
const MARKER_RADIUS: f64 = points(2.4);
const LINE: f64 = points(1.1);
const ZERO_LINE: f64 = points(0.9);

/// A swept setting: its values in order, and the runs of each variant at each of them.
struct Sweep {
    setting: String,
    values: Vec<String>,
    lines: Vec<Line>,
}

/// A variant without its settings.
struct Line {
    name: String,
    is_single_task: bool,
    /// Test scores by run, for each value of the sweep. The key's text tells other settings apart.
    runs: Vec<Runs>,
}

type Runs = BTreeMap<(String, Run), f64>;

/// Names and canvases: one for each setting of which some variant has two values or more.
pub(super) fn draw(analysis: &Analysis, inside: &Inside) -> Vec<(String, Option<Canvas>)> {
    let Some(scale) = analysis.scale else {
        return Vec::new();
    };
    let mut figures = Vec::new();
    for sweep in sweeps(analysis, inside) {
        let name = sweep.setting.replace(['.', '/', ' '], "_");
        figures.push((format!("sensitivity_{name}"), figure(&sweep, scale, None)));
        let single = sweep.lines.iter().position(|line| line.is_single_task);
        if sweep.setting.contains("correlation") && single.is_some() {
            figures.push((format!("gain_{name}"), figure(&sweep, scale, single)));
        }
    }
    figures
}

fn sweeps(analysis: &Analysis, inside: &Inside) -> Vec<Sweep> {
    let (results, summary) = (&analysis.results, &analysis.summary);
    let settings = distinct(inside.settings.iter().map(|row| row.setting.clone()));
    let sweep = |setting: String| {
        let of_setting = inside.settings.iter().filter(|row| row.setting == setting);
        let mut values = distinct(of_setting.clone().map(|row| row.value.clone()));
        values.sort_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.total_cmp(&b),
            // What is no number stays as it came.
            _ => std::cmp::Ordering::Equal,
        });
        // Variants, and the data where a knob of it is swept, at a value of the setting.
        let mut places: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for row in of_setting {
            let cell = &results.cells[row.cell];
            let variant = summary
                .variants
                .iter()
                .position(|name| *name == cell.variant);
            let value = values.iter().position(|value| *value == row.value);
            if let (Some(variant), Some(value)) = (variant, value) {
                places.insert((variant, &cell.dataset), value);
            }
        }
        let mut lines: Vec<Line> = Vec::new();
        for ((variant, dataset), value) in places {
            let (name, others) = base(&summary.variants[variant], &setting);
            let known = lines.iter().position(|line| line.name == name);
            let place = known.unwrap_or_else(|| {
                let of = |cell: &&Cell| cell.variant == summary.variants[variant];
                let model = results
                    .cells
                    .iter()
                    .find(of)
                    .map(|cell| cell.model.as_str());
                lines.push(Line {
                    name,
                    is_single_task: model == Some(SINGLE_TASK),
                    runs: vec![Runs::new(); values.len()],
                });
                lines.len() - 1
            });
            let of_data = |panel: &Panel| panel.dataset == dataset;
            let runs = analysis.over_panels(variant, of_data).into_iter();
            let keyed = runs.map(|(run, score)| ((others.clone(), run), score));
            lines[place].runs[value].extend(keyed);
        }
        Sweep {
            setting,
            values,
            lines,
        }
    };
    // Where each variant has one value alone, as after tuning, what differs between values is the variants.
    let has_two = |line: &Line| line.runs.iter().filter(|runs| !runs.is_empty()).count() > 1;
    let all = settings.into_iter().map(sweep);
    all.filter(|sweep| sweep.lines.iter().any(has_two))
        .collect()
}

/// A variant's name without its settings, and its other settings: `home` and `rank=2` of `home[rank=2,num_lora=1]` for
/// `num_lora`.
fn base(variant: &str, setting: &str) -> (String, String) {
    let Some((name, settings)) = variant.split_once('[') else {
        return (variant.to_owned(), String::new());
    };
    let short = setting.rsplit('.').next().unwrap_or(setting);
    let settings = settings.trim_end_matches(']').split(',');
    let others: Vec<&str> = settings
        .filter(|part| {
            let key = part.split('=').next().unwrap_or_default();
            key != setting && key != short
        })
        .collect();
    (name.to_owned(), others.join(","))
}

/// Scores, or, with the place of single-task models' line, gains over them.
fn figure(sweep: &Sweep, scale: Scale, single: Option<usize>) -> Option<Canvas> {
    let label = scale.label();
    let of_value = |line: &Line, value: usize| {
        let runs = &line.runs[value];
        let scores: Vec<f64> = match single {
            None => runs.values().copied().collect(),
            Some(single) => {
                let one: BTreeMap<Run, f64> = first_by_run(runs);
                gains(
                    scale.higher_is_better(),
                    &one,
                    &first_by_run(&sweep.lines[single].runs[value]),
                )
            }
        };
        Estimate::of(&scores)
    };
    let shown = |place: &usize| Some(*place) != single;
    let lines: Vec<usize> = (0..sweep.lines.len()).filter(shown).collect();
    let estimates: Vec<Vec<Option<Estimate>>> = lines
        .iter()
        .map(|line| {
            let values = 0..sweep.values.len();
            values
                .map(|value| of_value(&sweep.lines[*line], value))
                .collect()
        })
        .collect();
    if estimates.iter().flatten().all(Option::is_none) {
        return None;
    }
    let zero = single.map(|_| 0.0);
    let reach = || {
        let all = estimates.iter().flatten().flatten();
        all.flat_map(Estimate::reach).chain(zero)
    };
    let axis = |upper: f64, lower: f64| Axis::around(reach(), lower, upper).with_ticks(5);
    let room = panel::label_room(&axis(0.0, PANEL_HEIGHT));
    let name_room = MEDIUM + GAP;
    let grid = Grid::new(1, room + name_room, 0.0, PANEL_HEIGHT);
    let (what, vertical_name) = match single {
        None => ("Test", format!("test {label}, mean over tasks")),
        Some(_) => (
            "Gain over single-task models in test",
            format!("gain in {label}"),
        ),
    };
    let description = format!("{what} {label}, a mean over tasks, by {}.", sweep.setting);
    let mut canvas = Canvas::new(grid.width, 0.0, &description);
    let frame = grid.frame(0);
    let vertical = axis(frame.1, frame.3);
    panel::vertical_axis(&mut canvas, frame, &vertical);
    let at = (frame.0 - room - name_room / 2.0, (frame.1 + frame.3) / 2.0);
    let shortened = font::shorten(&vertical_name, MEDIUM, PANEL_HEIGHT);
    canvas.upward_text(at, &shortened, MEDIUM, TEXT);
    let xs = value_axis(&mut canvas, frame, sweep);
    if zero.is_some() {
        let y = vertical.place(0.0);
        canvas.line(vec![(frame.0, y), (frame.2, y)], ZERO_LINE, FRAME);
    }
    for (line, estimates) in lines.iter().zip(&estimates) {
        draw_line(&mut canvas, &xs, &vertical, *line, lines.len(), estimates);
    }
    panel::outline(&mut canvas, frame);
    panel::legend(&mut canvas, grid.lower_edge(), &entries(sweep, &lines));
    let against = single.map_or(String::new(), |single| {
        format!(" Zero: {}, at the same seed.", sweep.lines[single].name)
    });
    let remark = format!("Bars: 95 % intervals over runs.{against} Values lie at equal distances.");
    panel::remark(&mut canvas, &remark);
    Some(canvas)
}

/// Runs by seed alone; where other settings were swept too, those of the first of them.
fn first_by_run(runs: &Runs) -> BTreeMap<Run, f64> {
    let mut found = BTreeMap::new();
    for ((_, run), value) in runs {
        found.entry(*run).or_insert(*value);
    }
    found
}

/// Draws the values at equal distances, and gives their places.
fn value_axis(canvas: &mut Canvas, frame: Bounds, sweep: &Sweep) -> Vec<f64> {
    let (left, upper, right, lower) = frame;
    let pitch = (right - left) / sweep.values.len() as f64;
    let xs: Vec<f64> = (0..sweep.values.len())
        .map(|place| left + (place as f64 + 0.5) * pitch)
        .collect();
    let texts = labels::distinct_lines(&sweep.values, SMALL, pitch - GAP / 2.0);
    for (x, text) in xs.iter().zip(&texts) {
        canvas.line(vec![(*x, upper), (*x, lower)], THIN, GRID);
        let at = (*x, lower + points(5.8));
        canvas.text(at, text, SMALL, Anchor::Middle, TEXT);
    }
    let middle = ((left + right) / 2.0, lower + points(15.0));
    let name = font::shorten(&sweep.setting, MEDIUM, right - left);
    canvas.text(middle, &name, MEDIUM, Anchor::Middle, TEXT);
    xs
}

fn draw_line(
    canvas: &mut Canvas,
    xs: &[f64],
    vertical: &Axis,
    line: usize,
    num_lines: usize,
    estimates: &[Option<Estimate>],
) {
    let look = look(line);
    // Lines lie a little beside each other, so that no interval hides another.
    let step = points(2.2);
    let shift = (line as f64 - (num_lines as f64 - 1.0) / 2.0) * step;
    let limit = xs.get(1).map_or(0.0, |second| (second - xs[0]) * 0.4);
    let shift = shift.clamp(-limit, limit);
    let place = |(x, estimate): (&f64, &Option<Estimate>)| {
        let estimate = (*estimate)?;
        Some((x + shift, estimate))
    };
    let shown: Vec<(f64, Estimate)> = xs.iter().zip(estimates).filter_map(place).collect();
    let path: Vec<Point> = shown
        .iter()
        .map(|(x, estimate)| (*x, vertical.place(estimate.mean)))
        .collect();
    match look.dash {
        0.0 => canvas.line(path.clone(), LINE, look.ink),
        dash => canvas.dashes(&path, points(dash), LINE, look.ink),
    }
    for ((x, estimate), at) in shown.iter().zip(&path) {
        if let Some(interval) = estimate.interval {
            let ends = [interval.low, interval.high].map(|end| (*x, vertical.place(end)));
            canvas.line(ends.to_vec(), THIN, look.ink.with_opacity(0.7));
        }
        marker(canvas, look.shape, *at, MARKER_RADIUS, look.ink);
    }
}

fn entries<'a>(sweep: &'a Sweep, lines: &[usize]) -> Vec<Entry<'a>> {
    let entry = |line: &usize| {
        let look = look(*line);
        Entry {
            text: sweep.lines[*line].name.clone(),
            width: points(6.0),
            sign: Box::new(move |canvas: &mut Canvas, at: Point| {
                marker(canvas, look.shape, at, MARKER_RADIUS, look.ink);
            }),
        }
    };
    lines.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_told_by_its_name_without_what_is_swept() {
        let of = |variant, setting| {
            let (name, others) = base(variant, setting);
            format!("{name} {others}")
        };
        assert_eq!(of("home[rank=2,num_lora=1]", "num_lora"), "home rank=2");
        let swept = "training.learning_rate";
        assert_eq!(of("home[learning_rate=0.1]", swept), "home ");
        assert_eq!(of("home", "rank"), "home ");
    }
}
