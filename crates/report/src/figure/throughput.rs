//! Training speed: a bar of the mean per variant, a point per cell.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, inches, points};
use super::font;
use super::palette::{PAPER, Shape, TEXT, hollow_marker, look};
use super::panel::{self, Grid, MARGIN, Names, SMALL, THIN};
use crate::format::grouped;
use homebench_results::read::{Results, distinct};

/// A bar: one variant on one device with one number of threads.
struct Bar {
    variant: usize,
    name: String,
    values: Vec<f64>,
}

impl Bar {
    fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }
}

/// Draws the figure; nothing if no cell has a speed.
pub(super) fn draw(results: &Results) -> Option<Canvas> {
    let (bars, place) = bars(results);
    if bars.is_empty() {
        return None;
    }
    let names: Vec<String> = bars.iter().map(|bar| bar.name.clone()).collect();
    let names = Names::new(&names, inches(1.25));
    let grid = Grid::new(1, names.room, 0.0, names.row_height * bars.len() as f64);
    let mut canvas = Canvas::new(
        grid.width,
        0.0,
        "Training rows per second of each variant, and how many times that of the slowest.",
    );
    let frame = grid.frame(0);
    panel::title(&mut canvas, frame, &place);
    let slowest = bars.iter().map(Bar::mean).fold(f64::INFINITY, f64::min);
    let label = |bar: &Bar| match bars.len() {
        1 => grouped(bar.mean()),
        _ => format!("{}, {:.1}×", grouped(bar.mean()), bar.mean() / slowest),
    };
    let labels: Vec<String> = bars.iter().map(label).collect();
    let label_room = labels
        .iter()
        .map(|label| font::width(label, SMALL))
        .fold(0.0, f64::max);
    // The longest bar leaves room for its number.
    let axis = Axis::from_zero(
        bars.iter().flat_map(|bar| bar.values.iter().copied()),
        frame.0,
        frame.2 - label_room - points(4.0),
    );
    let axis = panel::fit_ticks(axis, frame.2 - frame.0 - label_room);
    panel::horizontal_axis(&mut canvas, frame, &axis, Some("training rows per second"));
    for (row, (bar, label)) in bars.iter().zip(&labels).enumerate() {
        let middle = frame.1 + (row as f64 + 0.5) * names.row_height;
        names.draw(&mut canvas, row, frame.0, middle);
        // A third of the row stays free between bars.
        let half = names.row_height * 0.32;
        let end = axis.place(bar.mean());
        let ink = look(bar.variant).ink;
        canvas.rectangle(
            (frame.0, middle - half, end, middle + half),
            ink.with_opacity(0.75),
        );
        let mut right = end;
        for &value in &bar.values {
            let at = (axis.place(value), middle);
            right = right.max(at.0 + points(1.2));
            hollow_marker(&mut canvas, Shape::Circle, at, points(1.2), THIN, TEXT);
        }
        write_on_paper(&mut canvas, (right + points(2.5), middle), label);
    }
    panel::outline(&mut canvas, frame);
    canvas.height = grid.lower_edge() + MARGIN;
    if bars.len() > 1 {
        panel::remark(&mut canvas, "×: times the slowest. Points: single cells.");
    }
    Some(canvas)
}

// Grid lines that run through a number make it hard to read.
fn write_on_paper(canvas: &mut Canvas, (x, y): (f64, f64), label: &str) {
    let (width, half) = (font::width(label, SMALL), SMALL * 0.5);
    canvas.rectangle((x - THIN, y - half, x + width + THIN, y + half), PAPER);
    canvas.text((x, y), label, SMALL, Anchor::Start, TEXT);
}

/// The bars in plan order, and where all of them ran if that is one place.
fn bars(results: &Results) -> (Vec<Bar>, String) {
    let rows = || {
        results
            .throughput
            .iter()
            .filter(|row| row.train_rows_per_second.is_some())
    };
    let place = |device: &str, threads: u64| match threads {
        1 => format!("{device}, 1 thread"),
        _ => format!("{device}, {threads} threads"),
    };
    let places = distinct(rows().map(|row| place(&row.device, row.threads)));
    let variants = distinct(results.cells.iter().map(|cell| cell.variant.clone()));
    let mut bars = Vec::new();
    for (variant, name) in variants.iter().enumerate() {
        for at in &places {
            let here = rows().filter(|row| {
                results.cells[row.cell].variant == *name && place(&row.device, row.threads) == *at
            });
            let values: Vec<f64> = here.filter_map(|row| row.train_rows_per_second).collect();
            let name = if places.len() > 1 {
                format!("{name}, {at}")
            } else {
                name.clone()
            };
            if !values.is_empty() {
                bars.push(Bar {
                    variant,
                    name,
                    values,
                });
            }
        }
    }
    let title = if places.len() == 1 {
        places[0].clone()
    } else {
        String::new()
    };
    (bars, title)
}
