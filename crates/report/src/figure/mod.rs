//! Charts of a results folder, as SVG and PNG, drawn from its CSV files and nothing else.
//!
//! The same CSV gives the same bytes on every machine: the font is bundled, and no clock, locale or hash order is read.
//! A figure is laid out as a list of marks (`canvas`), which plotters draws as SVG; a PNG is that SVG, drawn by resvg.

mod axis;
mod canvas;
mod cost;
mod curves;
mod experts;
mod font;
mod gates;
mod ladder;
mod outliers;
mod palette;
mod panel;
mod parts;
mod render;
mod scores;
mod seesaw;
mod sensitivity;
mod throughput;
pub(crate) mod values;

use crate::files::write_whole;
use crate::metric_name::MetricName;
use anyhow::{Context, Result};
use canvas::Canvas;
use homebench_results::read::{Inside, ReadError, Results, Summary};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// A figure of a results folder.
#[derive(Debug, Clone)]
pub struct Figure {
    /// File name without its ending.
    pub name: String,
    /// What it shows, in a sentence.
    pub description: String,
    /// Whether it shows times, which differ from run to run.
    pub has_times: bool,
    canvas: Canvas,
}

/// More variants than this are not drawn: nobody could read them, and their bitmaps would fill the memory.
pub const MOST_VARIANTS: usize = 64;

impl Figure {
    /// Width on paper.
    pub fn width_inches(&self) -> f64 {
        self.canvas.width / canvas::inches(1.0)
    }

    /// The figure as an SVG document.
    ///
    /// # Errors
    /// None that drawing into memory is known to cause.
    pub fn svg(&self) -> Result<String> {
        render::to_svg(&self.canvas)
    }
}

/// Every figure for which the folder has values, in the order in which a report shows them; none with more than
/// [`MOST_VARIANTS`].
///
/// # Errors
/// A table on experts, gates or settings that can't be read, with file, line and column.
pub fn all(results: &Results) -> Result<Vec<Figure>, ReadError> {
    let summary = Summary::new(results);
    let mut figures = Vec::new();
    if summary.variants.len() > MOST_VARIANTS {
        return Ok(figures);
    }
    let inside = Inside::read(results)?;
    let mut push = |name: String, canvas: Option<Canvas>| {
        figures.extend(canvas.map(|canvas| Figure {
            has_times: name.starts_with("throughput"),
            name: file_name(&name),
            description: canvas.description.clone(),
            canvas,
        }));
    };
    // What a metric of rows counts is the data's, and the same for every variant.
    for metric in &summary.metrics {
        if !MetricName::of(metric).is_of_rows() {
            push(format!("test_{metric}"), scores::draw(&summary, metric));
        }
    }
    for metric in &summary.metrics {
        push(
            format!("validation_{metric}"),
            curves::draw(results, &summary, metric),
        );
    }
    push("seesaw".to_owned(), seesaw::draw(results, &summary));
    push("cost".to_owned(), cost::draw(results, &summary));
    let several = [
        ladder::draw(results, &summary),
        sensitivity::draw(results, &summary, &inside),
        experts::draw(results, &summary, &inside),
        gates::draw(results, &summary, &inside),
    ];
    for (name, canvas) in several.into_iter().flatten() {
        push(name, canvas);
    }
    push("throughput".to_owned(), throughput::draw(results));
    push(
        "throughput_quality".to_owned(),
        cost::draw_speed(results, &summary),
    );
    Ok(figures)
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

/// Draws every figure into `<results_dir>/figures` and returns the files' paths.
///
/// # Errors
/// A CSV file that can't be read (with file, line and column), or a figure that can't be written.
pub fn write_all(results_dir: &Path) -> Result<Vec<PathBuf>> {
    let results = Results::read(results_dir)?;
    let folder = results_dir.join("figures");
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    // Figures in parallel, each whole in memory: a file that is written is complete.
    let files: Vec<[PathBuf; 2]> = all(&results)?
        .par_iter()
        .map(|figure| {
            let write = |ending: &str, bytes: &[u8]| {
                let path = folder.join(format!("{}.{ending}", figure.name));
                write_whole(&path, bytes).map(|()| path)
            };
            let svg = figure.svg()?;
            Ok([
                write("svg", svg.as_bytes())?,
                write("png", &render::to_png(&svg)?)?,
            ])
        })
        .collect::<Result<_>>()?;
    Ok(files.concat())
}

#[cfg(test)]
#[path = "tests/insides.rs"]
mod insides;

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::sample::Sample;

    fn read(sample: &Sample) -> Results {
        Results::read(sample.write().path()).unwrap()
    }

    #[test]
    fn nothing_is_cut_off_and_no_text_covers_another_at_any_number_of_variants_and_tasks() {
        for num_variants in 1..=12 {
            for num_tasks in 1..=10 {
                let num_seeds = 1 + (num_variants + num_tasks) as u64 % 5;
                let results = read(&Sample::sized(num_variants, num_tasks, num_seeds));
                let figures = all(&results).unwrap();
                assert_eq!(figures.len(), 5 + 2 * usize::from(num_variants > 1));
                for figure in figures {
                    let what = format!(
                        "{} of {num_variants} variants, {num_tasks} tasks",
                        figure.name
                    );
                    canvas::tests::assert_legible(&figure.canvas, &what);
                }
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
        let figures = all(&Results::read(folder.path()).unwrap()).unwrap();
        let name = "test_expected_calibration_error";
        let figure = figures.iter().find(|figure| figure.name == name).unwrap();
        canvas::tests::assert_legible(&figure.canvas, name);
        assert!(figure.svg().unwrap().contains("lower is better"));
    }

    #[test]
    fn failed_cells_and_undefined_values_leave_a_note_and_no_figure_without_values() {
        let mut sample = Sample {
            failed: (0..3).map(|seed| (1, seed)).collect(),
            ..Sample::default()
        };
        let figures = all(&read(&sample)).unwrap();
        assert!(figures[0].svg().unwrap().contains("no value"));
        sample.undefined = vec![0, 1];
        let names: Vec<String> = all(&read(&sample))
            .unwrap()
            .into_iter()
            .map(|figure| figure.name)
            .collect();
        assert_eq!(
            names,
            [
                "test_log_loss",
                "validation_auc",
                "validation_log_loss",
                "throughput"
            ]
        );
        sample.failed = (0..3)
            .flat_map(|variant| (0..3).map(move |seed| (variant, seed)))
            .collect();
        assert!(all(&read(&sample)).unwrap().is_empty());
    }

    #[test]
    fn a_run_far_from_all_others_is_an_arrow_at_the_edge_and_sets_no_scale() {
        let drawn = |chance: &[(usize, u64)]| -> Vec<Canvas> {
            let results = read(&Sample {
                models: vec!["single_task".to_owned()],
                num_seeds: 5,
                chance: chance.to_vec(),
                ..Sample::default()
            });
            let figures = all(&results).unwrap().into_iter();
            let wanted = figures
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
            let mut results = read(&Sample {
                models: models.iter().map(|name| name.to_string()).collect(),
                ..Sample::default()
            });
            results.baseline = baseline.map(str::to_owned);
            let mut figures = all(&results).unwrap().into_iter();
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
        let paths = write_all(folder.path()).unwrap();
        assert_eq!(paths.len(), 14);
        let bytes = |paths: &[PathBuf]| -> Vec<Vec<u8>> {
            paths
                .iter()
                .map(|path| std::fs::read(path).unwrap())
                .collect()
        };
        let first = bytes(&paths);
        assert_eq!(bytes(&write_all(folder.path()).unwrap()), first);
        assert_eq!(
            std::fs::read_dir(folder.path().join("figures"))
                .unwrap()
                .count(),
            14
        );
    }
}
