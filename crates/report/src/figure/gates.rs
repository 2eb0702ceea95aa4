//! What gates choose: a row per gate, tasks from dense to sparse, a column per expert in their sets, a cell for the mean weight.
//! An expert that a gate doesn't see is hatched: that is not a weight of zero.

use super::canvas::{Anchor, Bounds, Canvas, Ink, inches, points};
use super::chosen::{Chosen, MOST_ROWS, first_of};
use super::palette::{FAINT_TEXT, FRAME, PAPER, TEXT};
use super::panel::{self, GAP, MARGIN, MEDIUM, SMALL};
use super::parts::{Parts, Rate, shown};
use super::values::positive_rates;
use super::{font, labels};
use crate::analysis::Analysis;
use homebench_results::read::{Inside, Scope};
use std::collections::BTreeMap;

const ROW: f64 = points(12.0);
const HEADING: f64 = points(13.0);
/// Cells are at most this wide.
const WIDEST_CELL: f64 = points(19.0);
/// Cells are wider where that makes room for names side by side.
const WIDEST_FLAT_CELL: f64 = points(40.0);
// A number such as `.12` is 8.3 points wide at its size; with two points on either side it stands apart from its neighbours.
/// Cells narrower than this have no number.
const LEAST_WITH_NUMBER: f64 = points(12.5);
/// Names of sets narrower than this have no room.
const LEAST_WITH_NAME: f64 = points(7.0);
/// More experts of a layer have no column: each would be narrower than a line.
const MOST_EXPERTS: usize = 256;
/// Room for names.
const NAMES: f64 = inches(1.15);
const NUMBER_SIZE: f64 = points(5.2);
// The darkest of ColorBrewer's blues. One hue from light to dark stays in order in grey and for colour-blind readers.
/// What a weight of 1 looks like; 0 is paper.
const FULL: (f64, f64, f64) = (8.0, 48.0, 107.0);

/// A layer of a model.
struct Layer {
    title: Option<String>,
    /// Name and number of experts of each set.
    sets: Vec<(String, usize)>,
    /// Experts of the model's layer, those without a column included.
    num_all: usize,
    gates: Vec<Gate>,
}

/// A gate's mean weights by expert; nothing for an expert that it doesn't see.
struct Gate {
    name: String,
    weights: Vec<Option<f64>>,
}

/// What is known of parts by their paths.
#[derive(Clone, Copy)]
struct Known<'a> {
    parts: &'a Parts<'a>,
    rate: &'a Rate<'a>,
    /// Whether a part is shown.
    keeps: &'a dyn Fn(&str) -> bool,
}

/// Names and canvases of the figures: one for each variant whose gates were looked into.
pub(super) fn draw(analysis: &Analysis, inside: &Inside) -> Vec<(String, Option<Canvas>)> {
    let (results, summary) = (&analysis.results, &analysis.summary);
    let chosen = Chosen::of_parts(analysis);
    let shown = shown(results, inside);
    let rates = positive_rates(results);
    let variants = summary.variants.iter();
    let figures = variants.filter_map(|variant| {
        let (cell, step) = *shown.get(variant)?;
        let of_cell = &results.cells[cell];
        let rate = |task: &str| {
            let key = (of_cell.dataset.clone(), task.to_owned());
            rates.get(&key).copied()
        };
        let parts = Parts::new(results, &[variant]);
        let keeps = |path: &str| chosen.keeps(analysis, parts.task(path));
        let known = Known {
            parts: &parts,
            rate: &rate,
            keeps: &keeps,
        };
        let layers = layers(inside, (cell, step), known);
        let canvas = figure(layers, variant, of_cell.seed, &chosen);
        Some((format!("gates_{variant}"), canvas))
    });
    figures.collect()
}

/// The layers of a cell, with the sets and gates that are to be kept.
fn layers(inside: &Inside, (cell, step): (usize, u64), known: Known<'_>) -> Vec<Layer> {
    let Known { parts, rate, keeps } = known;
    // Sets in the order of the table, each with its number of experts.
    let mut sets: BTreeMap<u64, Vec<(String, usize)>> = BTreeMap::new();
    let experts = inside.experts.iter();
    for row in experts.filter(|row| (row.at.cell, row.at.step) == (cell, step)) {
        // Each expert has one row of this metric, so these rows count experts.
        if row.metric != "zero_rate" || !keeps(&row.at.path) {
            continue;
        }
        let of_layer = sets.entry(row.at.layer).or_default();
        match of_layer.iter_mut().find(|(path, _)| *path == row.at.path) {
            Some((_, count)) => *count += 1,
            None => of_layer.push((row.at.path.clone(), 1)),
        }
    }
    let num_layers = sets.len();
    let layers = sets.into_iter().filter_map(|(layer, mut sets)| {
        let order = |set: &(String, usize)| parts.order(&set.0, rate);
        sets.sort_by(|a, b| order(a).total_cmp(&order(b)));
        let num_all = sets.iter().map(|(_, count)| count).sum();
        let mut room = MOST_EXPERTS;
        sets.retain_mut(|(_, count)| {
            *count = room.min(*count);
            room -= *count;
            *count > 0
        });
        let gates = gates(inside, (cell, step, layer), &sets, known);
        let path = sets.first()?.0.clone();
        (!gates.is_empty()).then(|| Layer {
            title: parts.layer_title(layer, num_layers, &path),
            sets: sets
                .into_iter()
                .map(|(path, count)| (parts.title(&path), count))
                .collect(),
            num_all,
            gates,
        })
    });
    layers.collect()
}

fn gates(
    inside: &Inside,
    (cell, step, layer): (usize, u64, u64),
    sets: &[(String, usize)],
    Known { parts, rate, keeps }: Known<'_>,
) -> Vec<Gate> {
    let mut starts = BTreeMap::new();
    let mut num_experts = 0;
    for (path, count) in sets {
        starts.insert(path.as_str(), (num_experts, *count));
        num_experts += count;
    }
    let mut found: Vec<(String, Vec<Option<f64>>)> = Vec::new();
    // A self-gate adds a residual over its own set: its weights beside those of the gate, which sum to one, would be misread.
    let rows = inside.gates.iter().filter(|row| {
        let here = (row.at.cell, row.at.step, row.at.layer) == (cell, step, layer);
        here && row.metric == "weight" && !parts.is_self_gate(&row.at.path) && keeps(&row.at.path)
    });
    for row in rows {
        let place = starts.get(row.expert_path.as_str());
        let (Some((start, count)), Some(expert)) = (place, row.expert) else {
            continue;
        };
        if expert >= *count as u64 {
            continue;
        }
        let known = found.iter().position(|(path, _)| *path == row.at.path);
        let place = known.unwrap_or_else(|| {
            found.push((row.at.path.clone(), vec![None; num_experts]));
            found.len() - 1
        });
        if let Some(weight) = found[place].1.get_mut(start + expert as usize) {
            *weight = row.value;
        }
    }
    // Tasks first, gates that are nobody's last.
    let rank = |path: &str| match parts.scope(path) {
        Scope::All => 4.0,
        _ => parts.order(path, rate),
    };
    found.sort_by(|a, b| rank(&a.0).total_cmp(&rank(&b.0)));
    let named = found.into_iter().map(|(path, weights)| Gate {
        name: match parts.task(&path).and_then(|task| Some((task, rate(task)?))) {
            Some((task, rate)) => format!("{task}, {}", percent(rate)),
            None => parts.title(&path),
        },
        weights,
    });
    named.collect()
}

fn percent(rate: f64) -> String {
    // Two digits that count. The limits lie where rounding adds a digit: .0995 is 10 % and not 9.9 or 10.0 %.
    match rate {
        rate if rate >= 0.0995 => format!("{:.0} %", 100.0 * rate),
        rate if rate >= 0.00995 => format!("{:.1} %", 100.0 * rate),
        _ => format!("{:.2} %", 100.0 * rate),
    }
}

fn figure(mut layers: Vec<Layer>, variant: &str, seed: u64, chosen: &Chosen) -> Option<Canvas> {
    let num_gates = layers.iter().map(|layer| layer.gates.len()).sum();
    let mut room = MOST_ROWS;
    for layer in &mut layers {
        layer.gates.truncate(room);
        room -= layer.gates.len();
    }
    layers.retain(|layer| !layer.gates.is_empty());
    if layers.is_empty() {
        return None;
    }
    let names = layers.iter().flat_map(|layer| &layer.gates);
    let widest = names.map(|gate| font::width(&gate.name, SMALL));
    let left = MARGIN + widest.fold(0.0, f64::max).min(NAMES) + 2.0 * GAP;
    let most = layers.iter().map(Layer::num_experts).max().unwrap_or(1) as f64;
    let room = |width: f64| (width - left - MARGIN - GAP) / most;
    let (narrow, wide) = (panel::COLUMN_WIDTH, panel::PAGE_WIDTH);
    let flat = |cell: f64| layers.iter().all(|layer| layer.is_flat(cell));
    // On a page's column where names or at least numbers fit, else on its whole width, with names side by side if that helps.
    let (width, cell) = if flat(room(narrow).min(WIDEST_CELL)) {
        (narrow, room(narrow).min(WIDEST_CELL))
    } else if flat(room(wide).min(WIDEST_FLAT_CELL)) {
        (wide, room(wide).min(WIDEST_FLAT_CELL))
    } else if room(narrow) >= LEAST_WITH_NUMBER {
        (narrow, room(narrow).min(WIDEST_CELL))
    } else {
        (wide, room(wide).min(WIDEST_FLAT_CELL))
    };
    let description =
        format!("Mean weights that the gates of {variant} give to experts.") + &chosen.remark();
    let mut canvas = Canvas::new(width, 0.0, &description);
    let title = font::shorten(variant, MEDIUM, width - 2.0 * MARGIN);
    let at = (width / 2.0, MARGIN + HEADING / 2.0);
    canvas.text(at, &title, MEDIUM, Anchor::Middle, TEXT);
    let mut y = MARGIN + HEADING;
    for layer in &layers {
        y = layer.draw(&mut canvas, (left, y), cell) + points(4.0);
    }
    let gates = layers.iter().flat_map(|layer| &layer.gates);
    let has_hidden = gates.flat_map(|gate| &gate.weights).any(Option::is_none);
    y = scale(&mut canvas, y, has_hidden);
    canvas.height = y;
    panel::remark(
        &mut canvas,
        &format!(
            "First 4,096 validation rows, selected weights, seed {seed}. Tasks from dense to sparse, with their positive rates."
        ),
    );
    chosen.say(&mut canvas);
    let num_shown = layers.iter().map(|layer| layer.gates.len()).sum();
    let most_experts = layers.iter().max_by_key(|layer| layer.num_all);
    let most_experts = most_experts.map_or((0, 0), |layer| (layer.num_experts(), layer.num_all));
    let left_out = [
        first_of(num_shown, num_gates, "gates"),
        first_of(most_experts.0, most_experts.1, "experts of a layer"),
    ];
    for remark in left_out.iter().flatten() {
        panel::remark(&mut canvas, remark);
    }
    Some(canvas)
}

impl Layer {
    fn num_experts(&self) -> usize {
        self.sets.iter().map(|(_, count)| count).sum()
    }

    /// Whether the names of its sets fit side by side.
    fn is_flat(&self, cell: f64) -> bool {
        let fits = |(name, count): &(String, usize)| {
            font::width(name, SMALL) + GAP <= *count as f64 * cell
        };
        self.sets.iter().all(fits)
    }

    /// Draws the layer from an upper left corner on, and gives its lower edge.
    fn draw(&self, canvas: &mut Canvas, (left, mut y): (f64, f64), cell: f64) -> f64 {
        if let Some(title) = &self.title {
            let at = (MARGIN, y + HEADING / 2.0);
            canvas.text(at, title, SMALL, Anchor::Start, FAINT_TEXT);
            y += HEADING;
        }
        let upper = y;
        let names: Vec<String> = self.gates.iter().map(|gate| gate.name.clone()).collect();
        let names = labels::distinct_lines(&names, SMALL, NAMES);
        for (gate, name) in self.gates.iter().zip(&names) {
            let at = (left - GAP, y + ROW / 2.0);
            canvas.text(at, name, SMALL, Anchor::End, TEXT);
            for (expert, weight) in gate.weights.iter().enumerate() {
                let x = left + expert as f64 * cell;
                draw_cell(canvas, (x, y, x + cell, y + ROW), *weight);
            }
            y += ROW;
        }
        let right = left + self.num_experts() as f64 * cell;
        panel::outline(canvas, (left, upper, right, y));
        self.separate(canvas, (left, upper, y), cell);
        y + self.names(canvas, (left, y), cell)
    }

    /// Lines between sets.
    fn separate(&self, canvas: &mut Canvas, (left, upper, lower): (f64, f64, f64), cell: f64) {
        let mut x = left;
        for (_, count) in &self.sets {
            // Paper beside the line keeps it visible between dark cells.
            if x > left {
                canvas.line(vec![(x, upper), (x, lower)], points(1.8), PAPER);
                canvas.line(vec![(x, upper), (x, lower)], points(0.8), TEXT);
            }
            x += *count as f64 * cell;
        }
    }

    /// Names of the sets below their columns: side by side where there is room, else upward. Gives their height.
    fn names(&self, canvas: &mut Canvas, (left, y): (f64, f64), cell: f64) -> f64 {
        let room = |count: usize| count as f64 * cell;
        let flat = self.is_flat(cell);
        let limit = if flat { f64::INFINITY } else { inches(1.0) };
        let texts = self.sets.iter();
        let texts: Vec<String> = texts.map(|(name, _)| name.clone()).collect();
        let texts = labels::distinct_lines(&texts, SMALL, limit);
        let longest = texts.iter().map(|text| font::width(text, SMALL));
        let height = if flat {
            points(9.0)
        } else {
            longest.fold(0.0, f64::max) + 2.0 * GAP
        };
        let mut x = left;
        for ((_, count), text) in self.sets.iter().zip(&texts) {
            let middle = x + room(*count) / 2.0;
            if flat {
                let at = (middle, y + points(5.5));
                canvas.text(at, text, SMALL, Anchor::Middle, TEXT);
            } else if room(*count) >= LEAST_WITH_NAME {
                let half = font::width(text, SMALL) / 2.0;
                canvas.upward_text((middle, y + GAP + half), text, SMALL, TEXT);
            }
            x += room(*count);
        }
        height
    }
}

fn shade(weight: f64) -> Ink {
    let mix = |full: f64| (255.0 + (full - 255.0) * weight.clamp(0.0, 1.0)).round() as u8;
    Ink::opaque(mix(FULL.0), mix(FULL.1), mix(FULL.2))
}

fn draw_cell(canvas: &mut Canvas, bounds: Bounds, weight: Option<f64>) {
    let (left, upper, right, lower) = bounds;
    let Some(weight) = weight else {
        return hatch(canvas, bounds);
    };
    canvas.rectangle(bounds, shade(weight));
    if right - left >= LEAST_WITH_NUMBER {
        let ink = legible_on(shade(weight));
        let middle = ((left + right) / 2.0, (upper + lower) / 2.0);
        let number = number(weight);
        canvas.text(middle, &number, NUMBER_SIZE, Anchor::Middle, ink);
    }
}

/// Black or white, whichever contrasts more: at least 4.58, above the 4.5 that WCAG 2 asks for.
fn legible_on(ground: Ink) -> Ink {
    const BLACK: Ink = Ink::opaque(0, 0, 0);
    let contrast = |ink: Ink| {
        let (one, other) = (luminance(ink) + 0.05, luminance(ground) + 0.05);
        one.max(other) / one.min(other)
    };
    if contrast(PAPER) > contrast(BLACK) {
        PAPER
    } else {
        BLACK
    }
}

/// Relative luminance by WCAG 2, from 0 to 1.
fn luminance(ink: Ink) -> f64 {
    let linear = |part: u8| match f64::from(part) / 255.0 {
        part if part <= 0.04045 => part / 12.92,
        part => libm::pow((part + 0.055) / 1.055, 2.4),
    };
    let (red, green, blue) = ink.rgb;
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

/// Two digits without the zero before the point.
fn number(weight: f64) -> String {
    let text = format!("{weight:.2}");
    match text.strip_prefix("0.") {
        Some("00") => "0".to_owned(),
        Some(digits) => format!(".{digits}"),
        None => "1".to_owned(),
    }
}

/// Fills with lines that rise to the right.
fn hatch(canvas: &mut Canvas, (left, upper, right, lower): Bounds) {
    // Lines of the whole canvas and not of the cell, so that they go on from one cell into the next.
    let spacing = points(3.0);
    let first = ((left + upper) / spacing).ceil() as i64;
    let last = ((right + lower) / spacing).floor() as i64;
    for line in first..=last {
        // Points with x + y = sum.
        let sum = line as f64 * spacing;
        let (from, to) = (left.max(sum - lower), right.min(sum - upper));
        if to - from > 1.0 {
            let path = vec![(from, sum - from), (to, sum - to)];
            canvas.line(path, points(0.35), FRAME);
        }
    }
}

/// What shades mean and, where there is any, hatching; gives the lower edge.
fn scale(canvas: &mut Canvas, y: f64, has_hidden: bool) -> f64 {
    const STEPS: usize = 40;
    let (length, height) = (inches(1.0), points(6.0));
    let texts = ["0", "mean weight", "1"].map(|text| (text, font::width(text, SMALL)));
    let hatched = "not seen by the gate";
    let box_width = points(12.0);
    let shades = texts[0].1 + GAP + length + GAP + texts[2].1;
    let total = match has_hidden {
        true => shades + 4.0 * GAP + box_width + GAP + font::width(hatched, SMALL),
        false => shades,
    };
    let mut x = ((canvas.width - total) / 2.0).max(MARGIN);
    let middle = y + points(6.0);
    canvas.text((x, middle), "0", SMALL, Anchor::Start, TEXT);
    x += texts[0].1 + GAP;
    let (upper, lower) = (middle - height / 2.0, middle + height / 2.0);
    for step in 0..STEPS {
        // Whole dots: two edges within one dot would leave a light line between shades.
        let at = |step: usize| (x + length * step as f64 / STEPS as f64).round();
        let ink = shade((step as f64 + 0.5) / STEPS as f64);
        canvas.rectangle((at(step), upper, at(step + 1), lower), ink);
    }
    panel::outline(canvas, (x, upper, x + length, lower));
    let below = (x + length / 2.0, lower + points(5.5));
    canvas.text(below, texts[1].0, SMALL, Anchor::Middle, TEXT);
    x += length + GAP;
    canvas.text((x, middle), "1", SMALL, Anchor::Start, TEXT);
    if has_hidden {
        x += texts[2].1 + 4.0 * GAP;
        hatch(canvas, (x, upper, x + box_width, lower));
        panel::outline(canvas, (x, upper, x + box_width, lower));
        x += box_width + GAP;
        canvas.text((x, middle), hatched, SMALL, Anchor::Start, TEXT);
    }
    lower + points(12.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_darken_evenly_on_a_fixed_scale() {
        assert_eq!(shade(0.0), PAPER);
        let grey = |ink: Ink| u32::from(ink.rgb.0) + u32::from(ink.rgb.1) + u32::from(ink.rgb.2);
        let shades: Vec<u32> = (0..=10).map(|i| grey(shade(f64::from(i) / 10.0))).collect();
        assert!(shades.is_sorted_by(|a, b| a > b), "{shades:?}");
        assert_eq!(shade(1.0), shade(7.0));
    }

    #[test]
    fn numbers_are_legible_on_every_shade() {
        for step in 0..=1000 {
            let ground = shade(f64::from(step) / 1000.0);
            let (ink, ground) = (luminance(legible_on(ground)), luminance(ground));
            let contrast = (ink.max(ground) + 0.05) / (ink.min(ground) + 0.05);
            assert!(contrast >= 4.5, "weight {step} / 1000: {contrast}");
        }
        assert_eq!(legible_on(shade(1.0)), PAPER);
        assert_ne!(legible_on(shade(0.0)), PAPER);
    }

    #[test]
    fn weights_have_two_digits() {
        let found = [0.0, 0.004, 0.125, 0.5, 0.999, 1.0].map(number);
        assert_eq!(found, ["0", "0", ".12", ".50", "1", "1"]);
    }

    #[test]
    fn hatching_stays_in_its_cell() {
        let mut canvas = Canvas::new(100.0, 100.0, "");
        hatch(&mut canvas, (10.0, 20.0, 60.0, 70.0));
        assert!(canvas.marks.len() > 5);
        canvas.width = 62.0;
        canvas.height = 72.0;
        super::super::canvas::tests::assert_legible(&canvas, "hatching");
    }
}
