//! Charts of a results folder, as SVG and PNG, drawn from its CSV files and nothing else. A new one is a file here and a line in
//! [`all`].
//!
//! The same CSV gives the same bytes on every machine: the font is bundled, and no clock, locale or hash order is read.
//! A figure is laid out as a list of marks (`canvas`), which plotters draws as SVG; a PNG is that SVG, drawn by resvg.

mod axis;
mod canvas;
mod chosen;
mod cost;
mod curves;
mod experts;
mod font;
mod forest;
mod gates;
mod labels;
mod ladder;
mod outliers;
mod palette;
mod panel;
mod parts;
mod rank_chart;
mod render;
mod scores;
mod seesaw;
mod sensitivity;
mod throughput;
mod values;

pub(crate) use rank_chart::{RankRow, of_ranks};

use crate::analysis::{Analysis, MOST_DRAWN};
use crate::drawn::NewFile;
use anyhow::Result;
use canvas::Canvas;
use homebench_results::read::Inside;
use rayon::prelude::*;

/// A figure of a results folder.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// File name without its ending.
    pub(crate) name: String,
    /// What it shows, in a sentence.
    pub(crate) description: String,
    /// Whether it shows times, which differ from run to run.
    pub(crate) has_times: bool,
    /// The figure as an SVG document.
    pub(crate) svg: String,
    /// The same, as narrow as a phone, where the figure has such a form.
    pub(crate) narrow_svg: Option<String>,
    canvas: Canvas,
}

impl Figure {
    /// Width on paper.
    pub(crate) fn width_inches(&self) -> f64 {
        self.canvas.width / canvas::inches(1.0)
    }

    fn file(&self, ending: &str, bytes: Vec<u8>) -> NewFile {
        NewFile::new(format!("figures/{}.{ending}", self.name), bytes)
    }

    /// The figure as a PNG file of 300 dots to the inch.
    ///
    /// # Errors
    /// A picture too large for the format.
    fn png(&self) -> Result<Vec<u8>> {
        render::to_png(&self.svg)
    }
}

/// How the name of the figure of differences to the baseline begins: the one that a report begins with.
pub(crate) const FOREST: &str = "forest";

/// Every figure for which the folder has values, in the order in which a report shows them; none with more than [`MOST_DRAWN`]
/// variants.
///
/// # Errors
/// None that drawing into memory is known to cause.
pub(crate) fn all(analysis: &Analysis, inside: &Inside) -> Result<Vec<Figure>> {
    let canvases = canvases(analysis, inside);
    let figure = |(name, canvas): (String, Canvas)| {
        Ok(Figure {
            has_times: name.starts_with("throughput"),
            name: file_name(&name),
            description: canvas.description.clone(),
            svg: render::to_svg(&canvas)?,
            narrow_svg: canvas.narrow.as_deref().map(render::to_svg).transpose()?,
            canvas,
        })
    };
    canvases.into_par_iter().map(figure).collect()
}

fn canvases(analysis: &Analysis, inside: &Inside) -> Vec<(String, Canvas)> {
    let summary = &analysis.summary;
    if summary.variants.len() > MOST_DRAWN {
        return Vec::new();
    }
    let metrics = summary.metrics.iter().copied();
    let scores = metrics.clone().filter(|metric| !metric.describes_rows());
    let one = |name: &str, canvas| vec![(name.to_owned(), canvas)];
    let results = &analysis.results;
    let all = [
        one(&forest::name(analysis), forest::draw(analysis)),
        scores
            .map(|metric| {
                (
                    format!("test_{}", metric.name()),
                    scores::draw(analysis, metric),
                )
            })
            .collect(),
        metrics
            .map(|metric| {
                let name = format!("validation_{}", metric.name());
                (name, curves::draw(analysis, metric))
            })
            .collect(),
        one("seesaw", seesaw::draw(analysis)),
        one("cost", cost::draw(analysis)),
        ladder::draw(analysis),
        sensitivity::draw(analysis, inside),
        experts::draw(analysis, inside),
        gates::draw(analysis, inside),
        one("throughput", throughput::draw(results)),
        one("throughput_quality", cost::draw_speed(analysis)),
    ];
    let drawn = all.into_iter().flatten();
    drawn
        .filter_map(|(name, canvas)| Some((name, canvas?)))
        .collect()
}

/// The figures that a small copy of the folder keeps, and that `report.md` shows: differences, or test scores of one variant, the seesaw, quality against cost, and
/// the first that answers a question of parts or settings. At most four, since a repository keeps every version of each.
pub(crate) fn lead(figures: &[Figure]) -> Vec<&Figure> {
    const KINDS: [&[&str]; 4] = [
        &[FOREST, "test_"],
        &["seesaw"],
        &["cost"],
        &["ablation_", "gain_", "sensitivity_"],
    ];
    let first = |starts: &&[&str]| {
        let mut figures = figures.iter();
        figures.find(|figure| starts.iter().any(|start| figure.name.starts_with(start)))
    };
    KINDS.iter().filter_map(first).collect()
}

/// A name fit for files: whatever is no letter, digit, `-` or `.` becomes `_`.
fn file_name(name: &str) -> String {
    let fit = |letter: char| match letter {
        // Brackets and `=` of a swept variant's name would have to be quoted in shells and escaped in links.
        letter if letter.is_ascii_alphanumeric() || "-._".contains(letter) => letter,
        _ => '_',
    };
    name.chars().map(fit).collect()
}

/// The SVGs of [`lead`] as files.
pub(crate) fn lead_files(figures: &[Figure]) -> Vec<NewFile> {
    let svg = |figure: &Figure| figure.file("svg", figure.svg.clone().into_bytes());
    lead(figures).into_iter().map(svg).collect()
}

/// Every figure as SVG and PNG.
///
/// # Errors
/// A picture too large for the format.
pub(crate) fn all_files(figures: &[Figure]) -> Result<Vec<NewFile>> {
    let both = |figure: &Figure| -> Result<[NewFile; 2]> {
        Ok([
            figure.file("svg", figure.svg.clone().into_bytes()),
            figure.file("png", figure.png()?),
        ])
    };
    let mut files = Vec::new();
    for figures in batches(figures) {
        let drawn: Vec<[NewFile; 2]> = figures.par_iter().map(both).collect::<Result<_>>()?;
        files.extend(drawn.into_iter().flatten());
    }
    Ok(files)
}

/// Whether a path in a results folder may be that of a figure.
pub(crate) fn is_figure(name: &str) -> bool {
    name.starts_with("figures/")
}

/// Figures that are drawn as bitmaps at the same time, in their order: as many as have so many pixels together, however many threads
/// there are, or a single larger one. A pixel takes four bytes, and about as many again until it is written.
fn batches(figures: &[Figure]) -> Vec<&[Figure]> {
    const MOST_PIXELS: f64 = 24e6;
    let mut batches = Vec::new();
    let (mut start, mut pixels) = (0, 0.0);
    for (place, figure) in figures.iter().enumerate() {
        let more = figure.canvas.width * figure.canvas.height;
        if place > start && pixels + more > MOST_PIXELS {
            batches.push(&figures[start..place]);
            (start, pixels) = (place, 0.0);
        }
        pixels += more;
    }
    batches.push(&figures[start..]);
    batches
}

#[cfg(test)]
#[path = "tests/insides.rs"]
mod insides;

#[cfg(test)]
#[path = "tests/mixed.rs"]
mod mixed;

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::read::Results;
    use homebench_results::sample::Sample;
    use std::path::{Path, PathBuf};

    fn drawn(folder: &Path) -> Vec<Figure> {
        let results = Results::read(folder).unwrap();
        let inside = Inside::read(&results).unwrap();
        all(&Analysis::new(results, None).unwrap(), &inside).unwrap()
    }

    fn figures(sample: &Sample) -> Vec<Figure> {
        drawn(sample.write().path())
    }

    fn names(figures: &[Figure]) -> Vec<&str> {
        figures.iter().map(|figure| figure.name.as_str()).collect()
    }

    /// What every folder with scores and curves has; and with two variants or more also what sets them beside each other.
    fn expected(several: bool) -> Vec<&'static str> {
        let mut names: Vec<&str> = several.then_some("forest").into_iter().collect();
        names.extend([
            "test_auc",
            "test_log_loss",
            "validation_auc",
            "validation_log_loss",
        ]);
        names.extend(several.then_some("cost"));
        names.push("throughput");
        names.extend(several.then_some("throughput_quality"));
        names
    }

    #[test]
    fn nothing_is_cut_off_and_no_text_covers_another_at_any_number_of_variants_and_tasks() {
        for num_variants in 1..=12 {
            for num_tasks in 1..=10 {
                let num_seeds = 1 + (num_variants + num_tasks) as u64 % 5;
                let figures = figures(&Sample::sized(num_variants, num_tasks, num_seeds));
                assert_eq!(names(&figures), expected(num_variants > 1));
                for figure in figures {
                    let what = format!(
                        "{} of {num_variants} variants, {num_tasks} tasks",
                        figure.name
                    );
                    canvas::tests::assert_legible(&figure.canvas, &what);
                    if let Some(narrow) = &figure.canvas.narrow {
                        canvas::tests::assert_legible(narrow, &format!("{what}, narrow"));
                    }
                }
            }
        }
    }

    #[test]
    fn of_very_many_tasks_those_are_drawn_on_which_variants_differ_most_and_the_rest_is_owned_to() {
        let sample = Sample::sized(3, 60, 2);
        let folder = sample.write();
        // On the last task, and on no other, the variants are far apart.
        let path = folder.path().join("metrics.csv");
        let last = format!(",validation,{},auc,", sample.tasks[59]);
        let mut spread = [0.55, 0.7, 0.9].into_iter().cycle();
        let lines = std::fs::read_to_string(&path).unwrap();
        let lines = lines.lines().map(|line| match line.split_once(&last) {
            Some((head, tail)) => {
                let (_, rest) = tail.split_once(',').unwrap();
                format!("{head}{last}{},{rest}\n", spread.next().unwrap())
            }
            None => format!("{line}\n"),
        });
        let text: String = lines.collect();
        std::fs::write(&path, text).unwrap();
        for figure in drawn(folder.path()) {
            canvas::tests::assert_legible(&figure.canvas, &figure.name);
            let area = figure.canvas.width * figure.canvas.height;
            assert!(area < 30e6, "{}: {area} dots", figure.name);
            if figure.name.starts_with("test_") || figure.name.starts_with("validation_") {
                let said = "the 24 of 60 tasks on which variants differ most on validation";
                assert!(figure.description.contains(said), "{}", figure.description);
                assert!(figure.svg.contains(&sample.tasks[59]), "{}", figure.name);
            }
        }
    }

    #[test]
    fn a_metric_with_a_long_name_covers_no_text_and_says_which_way_is_better() {
        let folder = Sample::sized(3, 6, 5).write();
        let metrics = folder.path().join("metrics.csv");
        let text = std::fs::read_to_string(&metrics).unwrap();
        let long = text.replace("log_loss", "expected_calibration_error");
        std::fs::write(&metrics, long).unwrap();
        let figures = drawn(folder.path());
        let name = "test_expected_calibration_error";
        let figure = figures.iter().find(|figure| figure.name == name).unwrap();
        canvas::tests::assert_legible(&figure.canvas, name);
        assert!(figure.svg.contains("lower is better"));
    }

    #[test]
    fn the_forest_holds_at_three_seeds_with_far_intervals_and_many_variants_and_has_another_name_for_another_baseline()
     {
        let sample = Sample {
            variants: (0..30)
                .map(|variant| format!("home[rank={variant},num_lora=4]"))
                .collect(),
            tasks: (0..14)
                .map(|task| format!("a_long_name_of_a_task_{task}"))
                .collect(),
            chance: vec![(3, 0)],
            ..Sample::default()
        };
        let folder = sample.write();
        let forest = |baseline: Option<&str>| {
            let results = Results::read(folder.path()).unwrap();
            let inside = Inside::read(&results).unwrap();
            let figures = all(&Analysis::new(results, baseline).unwrap(), &inside).unwrap();
            figures.into_iter().next().unwrap()
        };
        let own = forest(None);
        canvas::tests::assert_legible(&own.canvas, "wide");
        canvas::tests::assert_legible(own.canvas.narrow.as_ref().unwrap(), "narrow");
        for said in ["the 10 of 29 variants", "the 9 of 14 tasks"] {
            assert!(own.description.contains(said), "{}", own.description);
        }
        // In a window of 1000 pixels it leaves room for the answer above it.
        let height = own.canvas.height / own.canvas.width * 968.0;
        assert!(height < 560.0, "{height}");
        assert_eq!(own.name, "forest");
        let other = forest(Some("home[rank=2,num_lora=4]"));
        assert_eq!(other.name, "forest_home_rank_2_num_lora_4_");
    }

    #[test]
    fn failed_cells_and_undefined_values_leave_a_note_and_no_figure_without_values() {
        let mut sample = Sample {
            failed: (0..3).map(|seed| (1, seed)).collect(),
            ..Sample::default()
        };
        let drawn = figures(&sample);
        let scores = drawn.iter().find(|figure| figure.name == "test_auc");
        assert!(scores.unwrap().svg.contains("no value"));
        sample.undefined = vec![0, 1];
        // Without an AUC, log-loss is the main metric.
        let others = expected(true).into_iter();
        let others: Vec<&str> = others.filter(|name| *name != "test_auc").collect();
        assert_eq!(names(&figures(&sample)), others);
        sample.failed = (0..3)
            .flat_map(|variant| (0..3).map(move |seed| (variant, seed)))
            .collect();
        assert!(figures(&sample).is_empty());
    }

    #[test]
    fn a_run_far_from_all_others_is_an_arrow_at_the_edge_and_sets_no_scale() {
        let drawn = |chance: &[(usize, u64)]| -> Vec<Canvas> {
            let figures = figures(&Sample {
                models: vec!["single_task".to_owned()],
                num_seeds: 5,
                chance: chance.to_vec(),
                ..Sample::default()
            });
            let wanted = figures
                .into_iter()
                .filter(|f| ["test_auc", "validation_auc", "seesaw"].contains(&f.name.as_str()));
            wanted.map(|figure| figure.canvas).collect()
        };
        let says = |canvas: &Canvas, wanted: &str| {
            canvas.marks.iter().any(
                |mark| matches!(mark, canvas::Mark::Text { text, .. } if text.contains(wanted)),
            )
        };
        let (whole, cut) = (drawn(&[]), drawn(&[(1, 2)]));
        assert_eq!((whole.len(), cut.len()), (3, 3));
        for (whole, cut) in whole.iter().zip(&cut) {
            canvas::tests::assert_legible(cut, &cut.description);
            assert!(says(cut, "What ends at") && !says(whole, "What ends at"));
            // Ticks of an axis that has room for .5 are further apart.
            assert!(
                !says(cut, "0.6") && !says(cut, "-0.1"),
                "{}",
                cut.description
            );
        }
        // A whole variant apart is no outlier.
        let apart: Vec<(usize, u64)> = (0..5).map(|seed| (1, seed)).collect();
        assert!(says(&drawn(&apart)[0], "0.6") && !says(&drawn(&apart)[0], "What ends at"));
    }

    #[test]
    fn the_seesaw_has_the_specs_baseline_at_its_origin_else_single_task_models() {
        let over = |models: &[&str], baseline: Option<&str>| {
            let folder = Sample {
                models: models.iter().map(|name| name.to_string()).collect(),
                ..Sample::default()
            }
            .write();
            if let Some(baseline) = baseline {
                let spec = folder.path().join("spec.resolved.toml");
                std::fs::write(&spec, format!("baseline = \"{baseline}\"\n")).unwrap();
            }
            let mut figures = drawn(folder.path()).into_iter();
            let seesaw = figures.find(|figure| figure.name == "seesaw")?;
            let (_, rest) = seesaw.description.split_once("over ")?;
            Some(rest.split(':').next()?.to_owned())
        };
        let single = ["single_task", "mmoe", "home"];
        assert_eq!(over(&["mmoe"; 3], None), None);
        let models = Some("single-task models".to_owned());
        assert_eq!(over(&single, None), models);
        assert_eq!(over(&single, Some("shared-bottom")), models);
        assert_eq!(over(&single, Some("HoME")), Some("HoME".to_owned()));
        assert_eq!(over(&["mmoe"; 3], Some("MMoE")), Some("MMoE".to_owned()));
    }

    #[test]
    fn writing_twice_gives_the_same_bytes_and_leaves_no_other_file() {
        let folder = Sample::default().write();
        let read = || crate::Folder::read(folder.path(), None).unwrap();
        let write = || read().write_figures().unwrap();
        let paths = write();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let both = |name| [format!("{name}.svg"), format!("{name}.png")];
        let files: Vec<String> = expected(true).into_iter().flat_map(both).collect();
        assert_eq!(paths.iter().map(name).collect::<Vec<_>>(), files);
        let bytes = |paths: &[PathBuf]| -> Vec<Vec<u8>> {
            paths
                .iter()
                .map(|path| std::fs::read(path).unwrap())
                .collect()
        };
        let first = bytes(&paths);
        assert_eq!(bytes(&write()), first);
        let entries = std::fs::read_dir(folder.path().join("figures")).unwrap();
        assert_eq!(entries.count(), files.len());
    }
}
