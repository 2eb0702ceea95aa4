//! The ablation ladder: what each part that is left out changes against the whole model, a panel for the mean over tasks and one for
//! each task.

use super::axis::Axis;
use super::canvas::{Bounds, Canvas, inches, points};
use super::chosen::Chosen;
use super::palette::{FRAME, GRID, TEXT, look, marker};
use super::panel::{self, Grid, Names, THIN};
use super::values::{Estimate, gains, labels, of_task, own_metric};
use crate::analysis::{Analysis, Scale};
use crate::left_out;
use homebench_metric::Metric;
use homebench_results::read::Relations;

const MARKER_RADIUS: f64 = points(2.6);
const ZERO_LINE: f64 = points(0.9);

/// A model and its ablations.
struct Ladder {
    base: usize,
    /// Variant, and how its row is called.
    rungs: Vec<(usize, String)>,
}

/// Names and canvases: one for each variant that others are ablations of.
pub(super) fn draw(analysis: &Analysis) -> Vec<(String, Option<Canvas>)> {
    let variants = &analysis.summary.variants;
    let drawn = ladders(&analysis.results.relations, variants)
        .into_iter()
        .map(|ladder| {
            let name = format!("ablation_{}", variants[ladder.base]);
            (name, figure(analysis, &ladder))
        });
    drawn.collect()
}

fn ladders(relations: &Relations, variants: &[String]) -> Vec<Ladder> {
    let rungs = |base: &String| -> Vec<(usize, String)> {
        let rung = |(place, name): (usize, &String)| {
            let relation = relations.of_variant(name)?;
            let label = match &relation.without {
                Some(part) => format!("w/o {part}"),
                None => name.clone(),
            };
            (relation.ablates.as_ref() == Some(base)).then_some((place, label))
        };
        variants.iter().enumerate().filter_map(rung).collect()
    };
    let all = variants.iter().enumerate().map(|(base, name)| Ladder {
        base,
        rungs: rungs(name),
    });
    // One ablation is a comparison like any other.
    all.filter(|ladder| ladder.rungs.len() > 1).collect()
}

fn figure(analysis: &Analysis, ladder: &Ladder) -> Option<Canvas> {
    let summary = &analysis.summary;
    let num_tasks = summary.panels.len();
    let names = ladder.rungs.iter().map(|(_, label)| label.clone());
    let names = Names::new(&names.collect::<Vec<_>>(), inches(1.25));
    let height = names.row_height * ladder.rungs.len() as f64;
    let has_mean = analysis.scale.is_some() && num_tasks > 1;
    let chosen = Chosen::new(analysis, height, usize::from(has_mean));
    let pairs = ladder.rungs.iter();
    let pairs: Vec<_> = pairs
        .map(|(variant, _)| analysis.pair_over_tasks(*variant, ladder.base))
        .collect();
    let tasks = ladder.rungs.iter().zip(&pairs);
    let tasks: Vec<_> = tasks
        .map(|((variant, _), pair)| (*variant, &pair.both))
        .collect();
    let tasks = left_out::of_differences(analysis, ladder.base, &tasks).filter(|_| has_mean);
    let mut panels: Vec<(String, Vec<Option<Estimate>>)> = Vec::new();
    if let Some(scale) = analysis.scale.filter(|_| num_tasks > 1) {
        let changes = pairs.iter().map(|pair| {
            let higher = scale.higher_is_better();
            Estimate::of(&gains(higher, &pair.ours, &pair.theirs))
        });
        let title = match scale {
            Scale::Metric(_) => "mean over tasks".to_owned(),
            Scale::Skill => format!("mean over tasks ({})", scale.title()),
        };
        panels.push((title, changes.collect()));
    }
    for &panel in &chosen.panels {
        let higher = analysis
            .main_metric(panel)
            .and_then(Metric::higher_is_better);
        let base = of_task(analysis, ladder.base, panel);
        let changes = ladder.rungs.iter().map(|(variant, _)| {
            Estimate::of(&gains(higher, &of_task(analysis, *variant, panel), &base))
        });
        let title = summary.panels[panel].title.clone() + &own_metric(analysis, panel);
        panels.push((title, changes.collect()));
    }
    if panels
        .iter()
        .all(|(_, changes)| changes.iter().all(Option::is_none))
    {
        return None;
    }
    let base = &summary.variants[ladder.base];
    let grid = Grid::new(panels.len(), names.room, points(9.0), height);
    let label = labels(analysis, 0..num_tasks);
    let mut description = format!(
        "What each part that is left out of {base} changes in test {label}.{}",
        chosen.remark()
    );
    if let Some(words) = &tasks {
        description += &format!(" {words}");
    }
    let mut canvas = Canvas::new(grid.width, 0.0, &description);
    for (place, (title, changes)) in panels.iter().enumerate() {
        let frame = grid.frame(place);
        panel::title(&mut canvas, frame, title);
        let reach = changes.iter().flatten().flat_map(Estimate::reach);
        // Zero is what everything is compared with, so it is always in the panel.
        let axis = Axis::around(reach.chain([0.0]), frame.0, frame.2);
        let axis = panel::fit_ticks(axis, frame.2 - frame.0);
        let name = grid.is_lowest(place).then(|| format!("change in {label}"));
        panel::horizontal_axis(&mut canvas, frame, &axis, name.as_deref());
        let zero = axis.place(0.0);
        canvas.line(vec![(zero, frame.1), (zero, frame.3)], ZERO_LINE, FRAME);
        for (row, change) in changes.iter().enumerate() {
            let upper = frame.1 + row as f64 * names.row_height;
            let bounds = (frame.0, upper, frame.2, upper + names.row_height);
            if grid.is_leftmost(place) {
                names.draw(&mut canvas, row, frame.0, (bounds.1 + bounds.3) / 2.0);
            }
            rung(&mut canvas, bounds, &axis, *change);
        }
        panel::outline(&mut canvas, frame);
    }
    canvas.height = grid.lower_edge() + points(3.0);
    panel::remark(
        &mut canvas,
        &format!(
            "Against {base} at the same seed, turned so that less is worse; bars: 95 % intervals, each by itself."
        ),
    );
    if let Some(words) = tasks {
        panel::remark(&mut canvas, &words);
    }
    chosen.say(&mut canvas);
    Some(canvas)
}

fn rung(canvas: &mut Canvas, bounds: Bounds, axis: &Axis, change: Option<Estimate>) {
    let (left, upper, right, lower) = bounds;
    let middle = (upper + lower) / 2.0;
    canvas.line(vec![(left, middle), (right, middle)], THIN, GRID);
    let Some(change) = change else {
        return panel::note(canvas, bounds, "no value");
    };
    // Rows are told apart by their names: one look for all, or colours would seem to mean something.
    let look = look(0);
    let x = axis.place(change.mean);
    // From zero to the mean, so that the eye compares lengths; faint, so that the interval over it stays readable.
    canvas.line(
        vec![(axis.place(0.0), middle), (x, middle)],
        points(2.2),
        look.ink.with_opacity(0.35),
    );
    if let Some(interval) = change.interval {
        let ends = [interval.low, interval.high].map(|end| axis.place(end));
        canvas.line(ends.map(|x| (x, middle)).to_vec(), points(0.9), TEXT);
        for end in ends {
            let half = points(2.0);
            canvas.line(
                vec![(end, middle - half), (end, middle + half)],
                points(0.9),
                TEXT,
            );
        }
    }
    marker(canvas, look.shape, (x, middle), MARKER_RADIUS, look.ink);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ablations_belong_to_the_variant_that_they_name() {
        let relations = toml::from_str(
            "[variants.a]\nablates = \"home\"\nwithout = \"fg-2\"\n[variants.b]\nablates = \"home\"\n\
             [variants.mmoe_without_x]\nablates = \"mmoe\"\n[variants.home]\nplain_form = \"b\"\n",
        );
        let names = ["home", "a", "b", "mmoe", "mmoe_without_x", "home_without_y"];
        let found = ladders(&relations.unwrap(), &names.map(str::to_owned));
        assert_eq!(found.len(), 1, "one ablation of mmoe is no ladder");
        let labels: Vec<&str> = found[0].rungs.iter().map(|(_, l)| l.as_str()).collect();
        assert_eq!((found[0].base, labels), (0, vec!["w/o fg-2", "b"]));
    }
}
