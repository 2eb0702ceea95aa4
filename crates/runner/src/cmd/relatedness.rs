//! `homebench relatedness`: how much of a finished cell's shared weights its tasks have in common, layer by layer.

use super::data::PlaceArgs;
use super::finished_cell::FinishedCell;
use super::output_path::{output_path, write_table};
use super::run::parse_count;
use crate::cell::read_weights;
use crate::output::{NoticesAlone, note};
use anyhow::Result;
use clap::Args;
use homebench_data as data;
use homebench_diagnostic::Diagnostic;
use homebench_train::{Device, MaskConfig, MaskOverlap, device, mask_overlaps};
use std::path::PathBuf;
use std::process::ExitCode;

/// Say how much of a cell's shared weights its tasks have in common, layer by layer
///
/// For each task the weights are ranked by the size of its loss's gradient times their square (DiSparse, arXiv:2206.04662), and its
/// mask keeps the highest. A row gives the overlap of two tasks' masks in a layer, as intersection over union, and what masks come to
/// that are drawn at random. Rows are read from the training split; nothing is trained.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  homebench relatedness runs/correlation/cells/0123456789abcdef --out masks.csv")]
pub(super) struct RelatednessArguments {
    /// The folder of a cell: <results>/cells/<id>
    #[arg(value_name = "CELL-DIR")]
    cell: PathBuf,
    /// Where to write the table [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Share of a task's weights that its mask keeps, above 0 and below 1
    #[arg(long, default_value_t = 0.3, value_parser = parse_share)]
    share: f64,
    /// Training batches whose gradients are added up
    #[arg(long, default_value_t = 20, value_parser = parse_count)]
    batches: usize,
    /// Threads [default: the cores of this machine]
    #[arg(long, value_parser = parse_count)]
    threads: Option<usize>,
    /// Where tensors are: cpu, cuda or cuda:<index>
    #[arg(long, default_value = "cpu")]
    device: Device,
    #[command(flatten)]
    places: PlaceArgs,
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if 0.0 < share && share < 1.0 => Ok(share),
        _ => Err(format!(
            "expected a number above 0 and below 1, found `{text}`"
        )),
    }
}

impl RelatednessArguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let cell = FinishedCell::open(&self.cell)?;
        // Before gradients are computed for it.
        if let Some(out) = &self.out {
            output_path(out, &[&cell.folder.weights()])?;
        }
        let content = &cell.content;
        let model = content.model_config()?;
        let weights = read_weights(&cell.folder.weights())?;
        let reference = content.dataset_ref();
        let places = self.places.resolve_for(Some(&reference.name))?;
        let dataset = data::open(&reference, &places, &mut NoticesAlone)?;
        if dataset.content_hash != content.dataset.content_hash {
            return Err(Diagnostic::new(
                self.cell.display().to_string(),
                format!(
                    "the dataset `{}` is not what the cell was trained on",
                    reference.name
                ),
            )
            .hint("restore its description and files, or run the experiment again")
            .into());
        }
        let device = device::open(self.device)?;
        let masks = MaskConfig {
            share: self.share,
            num_batches: self.batches,
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.unwrap_or(0))
            .build()?;
        let (training, seed) = (&content.training, content.seed);
        let overlaps = pool.install(|| {
            mask_overlaps(&dataset, &model, training, (seed, &weights), masks, &device)
        })?;
        let name = self.cell.display();
        match overlaps.is_empty() {
            true => {
                note!("{name}: no two tasks share a layer, so that there is nothing to compare")
            }
            false => note!(
                "{name}: masks keep {} of each task's weights; drawn at random, two of them come to {:.3}",
                self.share,
                self.share / (2.0 - self.share)
            ),
        }
        write_table(self.out.as_deref(), table(&overlaps))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn table(overlaps: &[MaskOverlap]) -> Vec<[String; 9]> {
    let header = [
        "layer",
        "task",
        "other_task",
        "weights",
        "kept",
        "other_kept",
        "kept_by_both",
        "iou",
        "random_iou",
    ];
    let mut table = vec![header.map(str::to_owned)];
    let shown = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    table.extend(overlaps.iter().map(|overlap| {
        [
            overlap.layer.clone(),
            overlap.task.clone(),
            overlap.other_task.clone(),
            overlap.weights.to_string(),
            overlap.kept[0].to_string(),
            overlap.kept[1].to_string(),
            overlap.kept_by_both.to_string(),
            shown(overlap.iou()),
            shown(overlap.random_iou()),
        ]
    }));
    table
}
