//! Sensitivity: the test score, a mean over tasks, at each value that a sweep gave a setting, a line per variant; and, where what
//! is swept is how tasks correlate, the gain over single-task models.

use super::axis::Axis;
use super::canvas::{Anchor, Bounds, Canvas, Point, inches, points};
use super::palette::{FRAME, GRID, TEXT, look, marker};
use super::panel::{self, Entry, GAP, Grid, MEDIUM, SMALL, THIN};
use super::values::{Estimate, gains};
use super::{font, labels};
use crate::analysis::{Analysis, Panel, Run, SINGLE_TASK, Scale, SharedTasks};
use crate::left_out;
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
    /// What is said of tasks that a variant of the lines lacks.
    left_out: Option<String>,
    /// The one task that these leave.
    only_task: Option<String>,
}

/// A variant without the setting; where others were swept too, with a value of each.
struct Line {
    name: String,
    /// The values of the other settings, `rank=2`; empty without.
    others: String,
    is_single_task: bool,
    /// The variants and the data at a value of the sweep.
    places: Vec<Place>,
    /// Test scores by run, for each value of the sweep.
    runs: Vec<Runs>,
}

struct Place {
    value: usize,
    variant: usize,
    dataset: String,
}

type Runs = BTreeMap<Run, f64>;

impl Line {
    fn title(&self) -> String {
        match self.others.is_empty() {
            true => self.name.clone(),
            false => format!("{}[{}]", self.name, self.others),
        }
    }

    /// Takes the means at each value over the tasks that are told for a variant.
    fn fill(&mut self, shared: impl Fn(usize) -> SharedTasks, analysis: &Analysis) {
        self.runs.iter_mut().for_each(BTreeMap::clear);
        for place in &self.places {
            let of_data = |panel: &Panel| panel.dataset == place.dataset;
            let runs = analysis.over_panels(place.variant, &shared(place.variant), of_data);
            self.runs[place.value].extend(runs);
        }
    }

    fn has_two_values(&self) -> bool {
        self.runs.iter().filter(|runs| !runs.is_empty()).count() > 1
    }
}

/// Names and canvases: one for each setting of which some variant has two values or more.
pub(super) fn draw(analysis: &Analysis, inside: &Inside) -> Vec<(String, Option<Canvas>)> {
    let Some(scale) = analysis.scale else {
        return Vec::new();
    };
    let mut figures = Vec::new();
    for sweep in sweeps(analysis, inside) {
        let name = sweep.setting.replace(['.', '/', ' '], "_");
        figures.push((format!("sensitivity_{name}"), figure(&sweep, scale, false)));
        let has_single = sweep.lines.iter().any(|line| line.is_single_task);
        if sweep.setting.contains("correlation") && has_single {
            figures.push((format!("gain_{name}"), figure(&sweep, scale, true)));
        }
    }
    figures
}

/// Values of settings by variant and by the data where a knob of it is swept.
type Settings<'a> = BTreeMap<(usize, &'a str), BTreeMap<&'a str, &'a str>>;

fn sweeps(analysis: &Analysis, inside: &Inside) -> Vec<Sweep> {
    let (results, summary) = (&analysis.results, &analysis.summary);
    let mut settings = Settings::new();
    for row in &inside.settings {
        let cell = &results.cells[row.cell];
        if let Some(variant) = summary.variant_place(&cell.variant) {
            let of_variant = settings.entry((variant, &cell.dataset)).or_default();
            of_variant.insert(&row.setting, &row.value);
        }
    }
    let names = distinct(inside.settings.iter().map(|row| row.setting.clone()));
    let sweep = |setting: String| sweep(analysis, &settings, setting);
    // Where each line has one value alone, as after tuning, what differs between values is the lines.
    let all = names.into_iter().map(sweep);
    all.filter(|sweep| sweep.lines.iter().any(Line::has_two_values))
        .collect()
}

fn sweep(analysis: &Analysis, settings: &Settings<'_>, setting: String) -> Sweep {
    let (results, summary) = (&analysis.results, &analysis.summary);
    let value_of =
        |of: &BTreeMap<&str, &str>| of.get(setting.as_str()).map(|value| (*value).to_owned());
    let mut values = distinct(settings.values().filter_map(value_of));
    values.sort_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        // What is no number stays as it came.
        _ => std::cmp::Ordering::Equal,
    });
    let mut lines: Vec<Line> = Vec::new();
    for ((variant, dataset), of_variant) in settings {
        let value = value_of(of_variant);
        let Some(value) = values.iter().position(|one| Some(one) == value.as_ref()) else {
            continue;
        };
        let (name, others) = base(&summary.variants[*variant], &setting, of_variant);
        let known = |line: &Line| line.name == name && line.others == others;
        let place = lines.iter().position(known).unwrap_or_else(|| {
            let of = |cell: &&Cell| cell.variant == summary.variants[*variant];
            let cell = results.cells.iter().find(of);
            lines.push(Line {
                is_single_task: cell.is_some_and(|cell| cell.model == SINGLE_TASK),
                name,
                others,
                places: Vec::new(),
                runs: vec![Runs::new(); values.len()],
            });
            lines.len() - 1
        });
        lines[place].places.push(Place {
            value,
            variant: *variant,
            dataset: (*dataset).to_owned(),
        });
    }
    for line in &mut lines {
        line.fill(|variant| analysis.own_tasks(variant), analysis);
    }
    // A line of one value is a draw at random, beside which others are swept.
    if lines.iter().any(Line::has_two_values) {
        lines.retain(Line::has_two_values);
    }
    // What stands in one figure is over the same tasks.
    let places = lines.iter().flat_map(|line| &line.places);
    let variants = distinct(places.map(|place| place.variant));
    let shared = analysis.shared_tasks(&variants);
    for line in &mut lines {
        line.fill(|_| shared.clone(), analysis);
    }
    lines.retain(|line| line.runs.iter().any(|runs| !runs.is_empty()));
    Sweep {
        setting,
        values,
        lines,
        left_out: left_out::of_means(analysis, &shared),
        only_task: left_out::only_task(analysis, &shared),
    }
}

/// A variant's name without its settings, and its other settings: `home` and `rank=2` of `home[rank=2,num_lora=1]` for
/// `num_lora`. Knobs of the data are in no variant's name.
fn base(variant: &str, setting: &str, settings: &BTreeMap<&str, &str>) -> (String, String) {
    let (name, named) = variant.split_once('[').unwrap_or((variant, ""));
    let short = setting.rsplit('.').next().unwrap_or(setting);
    let named = named.trim_end_matches(']').split(',').filter(|part| {
        let key = part.split('=').next().unwrap_or_default();
        !part.is_empty() && key != setting && key != short
    });
    let knobs = settings.iter().filter_map(|(key, value)| {
        let knob = key.strip_prefix("dataset.")?;
        (*key != setting).then(|| format!("{knob}={value}"))
    });
    let others: Vec<String> = named.map(str::to_owned).chain(knobs).collect();
    (name.to_owned(), others.join(","))
}

/// Scores, or gains over single-task models.
fn figure(sweep: &Sweep, scale: Scale, is_gain: bool) -> Option<Canvas> {
    let label = scale.label();
    let of_value = |line: &Line, value: usize| {
        let runs = &line.runs[value];
        let scores: Vec<f64> = match is_gain {
            false => runs.values().copied().collect(),
            true => {
                let single = &single_task(sweep, line)?.runs[value];
                gains(scale.higher_is_better(), runs, single)
            }
        };
        Estimate::of(&scores)
    };
    let shown = |place: &usize| !(is_gain && sweep.lines[*place].is_single_task);
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
    let zero = is_gain.then_some(0.0);
    let reach = || {
        let all = estimates.iter().flatten().flatten();
        all.flat_map(Estimate::reach).chain(zero)
    };
    let axis = |upper: f64, lower: f64| Axis::around(reach(), lower, upper).with_ticks(5);
    let room = panel::label_room(&axis(0.0, PANEL_HEIGHT));
    let name_room = MEDIUM + GAP;
    let grid = Grid::new(1, room + name_room, 0.0, PANEL_HEIGHT);
    let (what, vertical_name) = match is_gain {
        false => match &sweep.only_task {
            Some(task) => ("Test", format!("test {label}, {task} alone")),
            None => ("Test", format!("test {label}, mean over tasks")),
        },
        true => (
            "Gain over single-task models in test",
            format!("gain in {label}"),
        ),
    };
    let over = match &sweep.only_task {
        Some(task) => format!("{task} alone"),
        None => "a mean over tasks".to_owned(),
    };
    let mut description = format!("{what} {label}, {over}, by {}.", sweep.setting);
    if let Some(words) = &sweep.left_out {
        description += &format!(" {words}");
    }
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
    let against = match is_gain {
        true => " Zero: single-task models, at the same seed.",
        false => "",
    };
    let remark =
        format!("Bars: 95 % intervals over seeds.{against} Values lie at equal distances.");
    panel::remark(&mut canvas, &remark);
    if let Some(words) = &sweep.left_out {
        panel::remark(&mut canvas, words);
    }
    Some(canvas)
}

/// The single-task models that a line is measured from: those of the same other settings, or the only ones.
fn single_task<'a>(sweep: &'a Sweep, line: &Line) -> Option<&'a Line> {
    let mut all = sweep.lines.iter().filter(|line| line.is_single_task);
    let same = all.clone().find(|single| single.others == line.others);
    same.or_else(|| all.next())
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
            text: sweep.lines[*line].title(),
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
            let knobs = BTreeMap::from([("dataset.noise", "1"), ("rank", "2")]);
            let (name, others) = base(variant, setting, &knobs);
            format!("{name} {others}").replace(",noise=1", "")
        };
        assert_eq!(of("home[rank=2,num_lora=1]", "num_lora"), "home rank=2");
        let swept = "training.learning_rate";
        assert_eq!(of("home[learning_rate=0.1]", swept), "home noise=1");
        assert_eq!(of("home", "rank"), "home noise=1");
        assert_eq!(of("home", "dataset.noise"), "home ");
    }
}
