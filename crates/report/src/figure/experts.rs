//! How the outputs of each expert are distributed: a row per expert, shared ones first, a column per variant; the plain form of
//! a model beside its normalised one.

use super::canvas::{Anchor, Bounds, Canvas, Ink, inches, points};
use super::chosen::{Chosen, MOST_ROWS, first_of};
use super::palette::{FAINT_TEXT, GRID, TEXT, look};
use super::panel::{self, GAP, MARGIN, MEDIUM, SMALL, THIN};
use super::parts::{Parts, Rate, shown};
use super::values::positive_rates;
use super::{font, labels};
use crate::analysis::Analysis;
use homebench_results::read::{Inside, Relations};
use std::collections::BTreeMap;

const ROW: f64 = points(13.5);
const HEADING: f64 = points(12.0);
/// Room of each column of numbers.
const NUMBER: f64 = points(23.0);
// The three of `experts.csv` that tell whether an expert has collapsed; the others are in the table.
const NUMBERS: [&str; 3] = ["zeros", "dead", "std"];
/// Room for names before the first column.
const NAMES: f64 = inches(1.0);

/// An expert of a cell.
#[derive(Debug, Clone, Default)]
struct Expert {
    /// Its place in the table.
    place: usize,
    bins: Vec<Bin>,
    numbers: BTreeMap<String, f64>,
}

/// A bin on the figure's axis, and its share of the outputs.
#[derive(Debug, Clone, Copy)]
struct Bin {
    low: f64,
    high: f64,
    share: f64,
}

impl Bin {
    fn is_zero(&self) -> bool {
        self.low < 0.0 && self.high > 0.0
    }

    /// Share of the outputs by width.
    fn density(&self) -> f64 {
        self.share / (self.high - self.low)
    }
}

/// Layer, set and place in it.
type Key = (u64, String, u64);

/// Names and canvases of the figures: one for each variant, or pair of variants, whose experts were looked into.
pub(super) fn draw(analysis: &Analysis, inside: &Inside) -> Vec<(String, Option<Canvas>)> {
    let (results, summary) = (&analysis.results, &analysis.summary);
    let chosen = Chosen::of_parts(analysis);
    let shown = shown(results, inside);
    let rates = positive_rates(results);
    let figures = pairs(&results.relations, &summary.variants).into_iter();
    figures
        .filter_map(|pair| {
            let names: Vec<&str> = pair.iter().map(|v| &*summary.variants[*v]).collect();
            let parts = Parts::new(results, &names);
            let columns: Vec<Column> = pair
                .iter()
                .filter_map(|variant| {
                    let name = &summary.variants[*variant];
                    let (cell, step) = *shown.get(name)?;
                    Some(Column {
                        variant: *variant,
                        name: name.clone(),
                        seed: results.cells[cell].seed,
                        dataset: results.cells[cell].dataset.clone(),
                        experts: experts(inside, cell, step, &|path| {
                            chosen.keeps(analysis, parts.task(path))
                        }),
                    })
                })
                .collect();
            let first = columns.first()?;
            let name = format!("experts_{}", first.name);
            let rate = |task: &str| {
                let dataset = first.dataset.clone();
                rates.get(&(dataset, task.to_owned())).copied()
            };
            Some((name, figure(&columns, &parts, &rate, &chosen)))
        })
        .collect()
}

/// A variant's experts.
struct Column {
    variant: usize,
    name: String,
    seed: u64,
    dataset: String,
    experts: BTreeMap<Key, Expert>,
}

impl Column {
    /// Of any bin but the zeros.
    fn largest_density(&self) -> f64 {
        let bins = self.experts.values().flat_map(|expert| &expert.bins);
        let dense = bins.filter(|bin| !bin.is_zero()).map(Bin::density);
        // Not zero: experts that are all dead have no other bin, and heights are divided by this.
        dense.fold(1e-9, f64::max)
    }
}

/// Variants by figure: the plain form of a model and the normalised one together, in that order.
fn pairs(relations: &Relations, variants: &[String]) -> Vec<Vec<usize>> {
    let normalised = |name: &String| {
        let is_normalised = |other: &String| {
            let relation = relations.of_variant(other);
            relation.is_some_and(|relation| relation.plain_form.as_ref() == Some(name))
        };
        variants.iter().position(is_normalised)
    };
    // By the plain one, which comes first in its figure and gives it its name.
    let partners: Vec<Option<usize>> = variants.iter().map(normalised).collect();
    let mut found: Vec<Vec<usize>> = Vec::new();
    for (variant, partner) in partners.iter().enumerate() {
        match partner {
            Some(partner) => found.push(vec![variant, *partner]),
            None if partners.contains(&Some(variant)) => {}
            None => found.push(vec![variant]),
        }
    }
    found
}

/// The experts of a cell that are in sets to be kept.
fn experts(
    inside: &Inside,
    cell: usize,
    step: u64,
    keeps: &dyn Fn(&str) -> bool,
) -> BTreeMap<Key, Expert> {
    let mut experts: BTreeMap<Key, Expert> = BTreeMap::new();
    let mut totals: BTreeMap<Key, f64> = BTreeMap::new();
    let bins = inside.bins.iter();
    let bins = bins.filter(|bin| bin.at.cell == cell && keeps(&bin.at.path));
    for (place, bin) in bins.enumerate() {
        let key = (bin.at.layer, bin.at.path.clone(), bin.expert);
        *totals.entry(key.clone()).or_default() += bin.count as f64;
        let (low, high) = (bin.low.map_or(-END, way), bin.high.map_or(END, way));
        let share = bin.count as f64;
        let bin = Bin { low, high, share };
        let of_place = || Expert {
            place,
            ..Expert::default()
        };
        experts.entry(key).or_insert_with(of_place).bins.push(bin);
    }
    for (key, expert) in &mut experts {
        let total = totals[key];
        expert.bins.iter_mut().for_each(|bin| bin.share /= total);
    }
    let rows = inside.experts.iter();
    for row in rows.filter(|row| (row.at.cell, row.at.step) == (cell, step)) {
        let key = row
            .expert
            .map(|expert| (row.at.layer, row.at.path.clone(), expert));
        if let (Some(expert), Some(value)) = (key.and_then(|k| experts.get_mut(&k)), row.value) {
            expert.numbers.insert(row.metric.clone(), value);
        }
    }
    experts
}

// Lengths on the axis are octaves. The ends are those of the bins that training counts: what lies below 2^-10 or beyond 2^6 is
// one bin each way, which has no length of its own and gets one that can be seen.
/// Half the room of the zeros.
const ZERO: f64 = 1.0;
/// Where the powers begin: below 2^-10 lies one bin.
const POWERS: f64 = 2.5;
const LEAST: f64 = -10.0;
/// Beyond 2^6 lies one bin.
const END: f64 = POWERS + 16.0 + 1.5;

/// Where the end of a bin lies on the axis: octave by octave to both
/// sides of zero.
fn way(end: f64) -> f64 {
    let size = end.abs();
    let way = if size < libm::pow(2.0, LEAST) {
        ZERO
    } else {
        POWERS + libm::log2(size) - LEAST
    };
    way.copysign(end)
}

fn figure(columns: &[Column], parts: &Parts, rate: &Rate, chosen: &Chosen) -> Option<Canvas> {
    let mut keys = keys(columns, parts, rate);
    let num_experts = keys.len();
    keys.truncate(MOST_ROWS);
    if keys.is_empty() {
        return None;
    }
    let plan = Plan::new(columns, &keys, parts);
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let description = format!(
        "How the outputs of each expert of {} are distributed on the validation split, a row per expert.{}",
        names.join(" and "),
        chosen.remark()
    );
    let mut canvas = Canvas::new(plan.width, 0.0, &description);
    for (place, column) in columns.iter().enumerate() {
        let frame = plan.frame(place);
        let title = font::shorten(&column.name, MEDIUM, frame.2 - frame.0 + 3.0 * NUMBER);
        let middle = (frame.0 + frame.2) / 2.0;
        canvas.text(
            (middle, MARGIN + HEADING / 2.0),
            &title,
            MEDIUM,
            Anchor::Middle,
            TEXT,
        );
        for (number, name) in NUMBERS.iter().enumerate() {
            let right = frame.2 + (number as f64 + 1.0) * NUMBER;
            let at = (right, MARGIN + 1.5 * HEADING);
            canvas.text(at, name, SMALL, Anchor::End, FAINT_TEXT);
        }
        plan.axis(&mut canvas, place);
    }
    plan.rows(&mut canvas, columns, &keys, parts);
    canvas.height = plan.lower + points(24.0);
    let middle = plan.frame(0).0 + (plan.width - plan.frame(0).0 - MARGIN) / 2.0;
    canvas.text(
        (middle, plan.lower + points(17.0)),
        "expert output (logarithmic to both sides of zero)",
        MEDIUM,
        Anchor::Middle,
        TEXT,
    );
    // One number where both columns have the same seed.
    let mut seeds: Vec<String> = columns.iter().map(|c| c.seed.to_string()).collect();
    seeds.dedup();
    panel::remark(
        &mut canvas,
        &format!(
            "First 4,096 validation rows, selected weights, seed {}. Coloured area is share of outputs, to one scale in a column; the grey bar is the share of zeros, as high as the row if all are. Dead: share of units that are zero on every row.",
            seeds.join(" and ")
        ),
    );
    chosen.say(&mut canvas);
    if let Some(remark) = first_of(keys.len(), num_experts, "experts") {
        panel::remark(&mut canvas, &remark);
    }
    Some(canvas)
}

/// Every expert of any column: layers in order, then those of all tasks, of groups and of tasks, dense ones first.
fn keys(columns: &[Column], parts: &Parts, rate: &Rate) -> Vec<Key> {
    let mut keys: Vec<Key> = columns
        .iter()
        .flat_map(|column| column.experts.keys().cloned())
        .collect();
    // Sets of one kind stay in the order of the table, which is the model's.
    let place = |key: &Key| {
        let mut found = columns.iter().filter_map(|column| column.experts.get(key));
        found.next().map_or(0, |expert| expert.place)
    };
    keys.sort_by(|a, b| {
        let order = |key: &Key| parts.order(&key.1, rate);
        let orders = order(a).total_cmp(&order(b));
        let places = place(a).cmp(&place(b));
        a.0.cmp(&b.0).then(orders).then(places).then(a.cmp(b))
    });
    keys.dedup();
    keys
}

/// Where everything lies.
struct Plan {
    width: f64,
    left: f64,
    column_width: f64,
    low: f64,
    high: f64,
    /// The largest density of each column, which is as high as a row.
    largest: Vec<f64>,
    num_layers: usize,
    lower: f64,
}

impl Plan {
    fn new(columns: &[Column], keys: &[Key], parts: &Parts) -> Self {
        let bins = || {
            let experts = columns.iter().flat_map(|column| column.experts.values());
            experts.flat_map(|expert| &expert.bins)
        };
        let low = bins().map(|bin| bin.low).fold(-ZERO, f64::min);
        // Up to one at least: experts whose outputs are tiny are to look tiny.
        let high = bins().map(|bin| bin.high).fold(POWERS + 10.0, f64::max);
        let width = if columns.len() > 1 {
            panel::PAGE_WIDTH
        } else {
            // Between a column and a page: in a column, three numbers and a name leave the distribution no room.
            inches(4.5)
        };
        let widest = keys
            .iter()
            .map(|key| font::width(&label(keys, key, parts), SMALL));
        let left = MARGIN + widest.fold(0.0, f64::max).min(NAMES) + 2.0 * GAP;
        let layers: std::collections::BTreeSet<u64> = keys.iter().map(|key| key.0).collect();
        let headings = if layers.len() > 1 { layers.len() } else { 0 };
        let upper = MARGIN + 2.0 * HEADING;
        Self {
            width,
            left,
            column_width: (width - left - MARGIN) / columns.len() as f64,
            low: low - 0.5,
            high: high + 0.5,
            largest: columns.iter().map(Column::largest_density).collect(),
            num_layers: layers.len(),
            lower: upper + keys.len() as f64 * ROW + headings as f64 * HEADING,
        }
    }

    /// The frame of a column, without its numbers.
    fn frame(&self, column: usize) -> Bounds {
        let left = self.left + column as f64 * self.column_width;
        let right = left + self.column_width - 3.0 * NUMBER - GAP;
        (left, MARGIN + 2.0 * HEADING, right - GAP, self.lower)
    }

    fn place(&self, frame: Bounds, way: f64) -> f64 {
        frame.0 + (way - self.low) / (self.high - self.low) * (frame.2 - frame.0)
    }

    fn axis(&self, canvas: &mut Canvas, column: usize) {
        let frame = self.frame(column);
        let sizes = [0.01, 0.1, 1.0, 10.0, 100.0];
        let negative = sizes.iter().rev().map(|size| -size);
        let ticks = negative.chain([0.0]).chain(sizes);
        // Labels of small numbers crowd around zero: one that would touch its neighbour is left out, its line is not.
        let mut taken = f64::NEG_INFINITY;
        for tick in ticks {
            let at = if tick == 0.0 { 0.0 } else { way(tick) };
            if at < self.low || at > self.high {
                continue;
            }
            let x = self.place(frame, at);
            canvas.line(vec![(x, frame.1), (x, frame.3)], THIN, GRID);
            let label = format!("{tick}");
            let half = font::width(&label, SMALL) / 2.0;
            let x = x.max(frame.0 + half - GAP);
            if x - half > taken + 1.5 * GAP {
                let below = (x, frame.3 + points(6.0));
                canvas.text(below, &label, SMALL, Anchor::Middle, TEXT);
                taken = x + half;
            }
        }
    }

    fn rows(&self, canvas: &mut Canvas, columns: &[Column], keys: &[Key], parts: &Parts) {
        let mut y = MARGIN + 2.0 * HEADING;
        let mut layer = None;
        let names: Vec<String> = keys.iter().map(|key| label(keys, key, parts)).collect();
        let names = labels::distinct_lines(&names, SMALL, NAMES);
        for (key, name) in keys.iter().zip(&names) {
            if layer != Some(key.0) {
                layer = Some(key.0);
                if let Some(title) = parts.layer_title(key.0, self.num_layers, &key.1) {
                    let at = (MARGIN, y + HEADING / 2.0);
                    canvas.text(at, &title, SMALL, Anchor::Start, FAINT_TEXT);
                    y += HEADING;
                }
            }
            let base = y + ROW - points(1.5);
            let at = (self.left - GAP, base - points(3.0));
            canvas.text(at, name, SMALL, Anchor::End, TEXT);
            for (place, column) in columns.iter().enumerate() {
                let frame = self.frame(place);
                canvas.line(vec![(frame.0, base), (frame.2, base)], THIN, GRID);
                match column.experts.get(key) {
                    Some(expert) => {
                        let ink = look(column.variant).ink;
                        self.expert(canvas, frame, base, expert, (ink, self.largest[place]));
                    }
                    None => {
                        panel::note(canvas, (frame.0, y, frame.2, y + ROW), "no such expert");
                    }
                }
            }
            y += ROW;
        }
    }

    fn expert(
        &self,
        canvas: &mut Canvas,
        frame: Bounds,
        base: f64,
        expert: &Expert,
        (ink, largest): (Ink, f64),
    ) {
        let full = ROW - points(2.5);
        for bin in &expert.bins {
            let (low, high) = (self.place(frame, bin.low), self.place(frame, bin.high));
            // As a density, zeros would tower over all else: they are a share, and told apart by colour.
            let (ink, height) = match bin.is_zero() {
                true => (FAINT_TEXT, full * bin.share),
                false => (ink.with_opacity(0.85), full * bin.density() / largest),
            };
            canvas.rectangle((low, base - height, high, base), ink);
        }
        let percent = |name: &str| {
            let value = expert.numbers.get(name)?;
            Some(format!("{:.0} %", 100.0 * value))
        };
        let deviation = expert.numbers.get("std").map(|value| short(*value));
        let numbers = [percent("zero_rate"), percent("dead_units"), deviation];
        for (number, text) in numbers.into_iter().enumerate() {
            let right = frame.2 + (number as f64 + 1.0) * NUMBER;
            let at = (right, base - points(3.0));
            let text = text.unwrap_or_else(|| "–".to_owned());
            canvas.text(at, &text, SMALL, Anchor::End, TEXT);
        }
    }
}

/// Two digits that count.
fn short(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value < 0.001 => format!("{value:.0e}"),
        value => {
            let digits = (1 - libm::log10(value).floor() as i32).clamp(0, 4);
            format!("{value:.0$}", digits as usize)
        }
    }
}

/// What to call an expert: its set, and its number where the set has several.
fn label(keys: &[Key], key: &Key, parts: &Parts) -> String {
    let of_set = |other: &&Key| other.0 == key.0 && other.1 == key.1;
    match keys.iter().filter(of_set).count() {
        1 => parts.title(&key.1),
        _ => format!("{} {}", parts.title(&key.1), key.2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_normalised_forms_share_a_figure() {
        let relations = toml::from_str(
            "[variants.m2]\nplain_form = \"mmoe\"\n[variants.home]\nplain_form = \"plain\"\n[variants.plain]\nablates = \"home\"\n",
        );
        let variants = ["mmoe", "home", "m2", "mmoe_starred", "plain"].map(str::to_owned);
        let found = pairs(&relations.unwrap(), &variants);
        assert_eq!(found, [vec![0, 2], vec![3], vec![4, 1]]);
    }

    #[test]
    fn numbers_are_short() {
        let found: Vec<String> = [0.0, 0.00012, 0.0123, 0.456, 1.0, 23.4, 123.0]
            .map(short)
            .into();
        assert_eq!(found, ["0", "1e-4", "0.012", "0.46", "1.0", "23", "123"]);
    }
}
