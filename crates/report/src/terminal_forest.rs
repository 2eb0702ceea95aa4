//! The forest of a report in letters: by how much each variant is better than the baseline, on a terminal of any width.

use super::analysis::{Advantage, AdvantagePanel, Analysis};
use super::format::signed;
use super::left_out;
use super::statistics::Verdict;
use std::fmt::Write as _;

/// More rows push the answer off a terminal; the report has all.
const MOST_ROWS: usize = 16;
/// Names are cut beyond.
const WIDEST_NAME: usize = 26;
/// Room for `not judged` after the drawing.
const ROOM_FOR_VERDICT: usize = 12;
/// A drawing of fewer columns shows nothing.
const FEWEST_COLUMNS: usize = 20;

/// The chart; empty where nothing is compared.
pub(super) fn forest(analysis: &Analysis, width: usize) -> String {
    let variants = analysis.best_on_validation(MOST_ROWS).into_iter();
    let variants: Vec<usize> = variants
        .filter(|variant| *variant != analysis.baseline)
        .collect();
    let tasks: Vec<usize> = (0..analysis.summary.panels.len()).collect();
    let panels = analysis.advantages(&variants, &tasks);
    let rows = panels.len() * variants.len();
    // Whole panels, and one at least.
    let num_shown = match rows > MOST_ROWS {
        true => (MOST_ROWS / variants.len().max(1)).max(1),
        false => panels.len(),
    };
    if panels.is_empty() {
        return String::new();
    }
    let names: Vec<String> = variants
        .iter()
        .map(|variant| cut(&analysis.summary.variants[*variant], WIDEST_NAME))
        .collect();
    let longest = names.iter().map(|name| name.chars().count()).max();
    let room = longest.unwrap_or(0) + 6;
    let columns = width
        .saturating_sub(room + ROOM_FOR_VERDICT)
        .clamp(FEWEST_COLUMNS, 100);
    let words = format!(
        "Gain over {} (o mean, --- 95 % interval, | zero; right is better):",
        analysis.baseline_name()
    );
    let mut text = textwrap::fill(&words, width) + "\n";
    for panel in &panels[..num_shown] {
        text += &draw(analysis, panel, &names, (room, columns));
    }
    let tasks = analysis.tasks_of_means(&variants);
    if let Some(words) = left_out::of_differences(analysis, analysis.baseline, &tasks) {
        text += &(textwrap::fill(&words, width) + "\n");
    }
    let left_out = panels.len() - num_shown;
    let variants_left_out = analysis.summary.variants.len() - 1 - variants.len();
    if left_out + variants_left_out > 0 {
        text += "The report has the other tasks and variants.\n";
    }
    text
}

fn draw(
    analysis: &Analysis,
    panel: &AdvantagePanel,
    names: &[String],
    (room, columns): (usize, usize),
) -> String {
    let scale = Ruler::of(panel, columns);
    let title = match panel.panel {
        None => "mean over tasks".to_owned(),
        Some(panel) => {
            let metric = analysis.main_metric(panel).map(|metric| metric.title());
            let title = &analysis.summary.panels[panel].title;
            format!("{title} ({})", metric.unwrap_or_default())
        }
    };
    let ends = [signed(scale.low), signed(scale.high)];
    let free = columns.saturating_sub(ends[0].chars().count() + ends[1].chars().count());
    let mut text = format!("  {title}\n");
    // Above the drawing: the values at its two ends.
    let _ = writeln!(text, "{:room$}{}{:free$}{}", "", ends[0], "", ends[1]);
    for (name, advantage) in names.iter().zip(&panel.advantages) {
        let Some(advantage) = advantage else { continue };
        let verdict = match advantage.verdict {
            Verdict::NoDifferenceSeen => "",
            other => other.words(),
        };
        let line = format!(
            "    {name:<width$}{}  {verdict}",
            scale.row(advantage),
            width = room - 4
        );
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Values over the columns of a drawing.
struct Ruler {
    low: f64,
    high: f64,
    columns: usize,
}

impl Ruler {
    fn of(panel: &AdvantagePanel, columns: usize) -> Self {
        let all = panel.advantages.iter().flatten();
        let ends = all.flat_map(|advantage| {
            let interval = advantage.interval;
            let ends = interval.map(|interval| [interval.low, interval.high]);
            ends.into_iter().flatten().chain([advantage.mean])
        });
        let (low, high) = ends.fold((0.0f64, 0.0f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        // Nothing at all still has a middle.
        let (low, high) = if low < high { (low, high) } else { (-1.0, 1.0) };
        Self { low, high, columns }
    }

    fn column(&self, value: f64) -> usize {
        let share = (value - self.low) / (self.high - self.low);
        ((share * (self.columns - 1) as f64).round() as usize).min(self.columns - 1)
    }

    fn row(&self, advantage: &Advantage) -> String {
        let mut row = vec![' '; self.columns];
        if let Some(interval) = advantage.interval {
            let ends = self.column(interval.low)..=self.column(interval.high);
            row[ends].fill('-');
        }
        row[self.column(0.0)] = '|';
        row[self.column(advantage.mean)] = 'o';
        row.into_iter().collect()
    }
}

/// A name without its middle where it is too long.
fn cut(name: &str, most: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return name.to_owned();
    }
    let (front, back) = (most / 2, most - most / 2 - 1);
    let start: String = letters[..front].iter().collect();
    let end: String = letters[letters.len() - back..].iter().collect();
    format!("{start}…{end}")
}
