//! Mean ranks over datasets with their intervals, a row per variant, and each dataset's rank as a small point.

use super::axis::Axis;
use super::canvas::{Canvas, Point, inches, points};
use super::palette::{FAINT_TEXT, GRID, Shape, TEXT, hollow_marker, look, marker};
use super::panel::{self, Entry, Grid, Names, THIN};
use super::{Figure, render};
use crate::statistics::Interval;
use anyhow::Result;

const RADIUS: f64 = points(2.6);
const SMALL_RADIUS: f64 = points(1.5);
const BAR: f64 = points(1.4);
const WIDTH: f64 = inches(4.6);
const NARROW_WIDTH: f64 = inches(2.55);

/// A variant of the leaderboard.
pub(crate) struct RankRow {
    pub(crate) name: String,
    pub(crate) mean: f64,
    pub(crate) interval: Interval,
    pub(crate) of_datasets: Vec<f64>,
}

/// Draws the figure.
///
/// # Errors
/// None that drawing into memory is known to cause.
pub(crate) fn of_ranks(rows: &[RankRow], num_datasets: usize) -> Result<Figure> {
    let mut canvas = draw(rows, num_datasets, WIDTH);
    canvas.narrow = Some(Box::new(draw(rows, num_datasets, NARROW_WIDTH)));
    Ok(Figure {
        name: "ranks".to_owned(),
        description: canvas.description.clone(),
        has_times: false,
        svg: render::to_svg(&canvas)?,
        narrow_svg: canvas.narrow.as_deref().map(render::to_svg).transpose()?,
        canvas,
    })
}

fn draw(rows: &[RankRow], num_datasets: usize, width: f64) -> Canvas {
    let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    let names = Names::new(&names, 0.36 * width);
    let height = names.row_height * rows.len() as f64;
    let grid = Grid::in_columns(1, 1, width, (names.room, 0.0), height);
    let description = format!(
        "Mean rank of each variant over {num_datasets} datasets (1 is best) with its 95 % interval over datasets and runs, and its rank on \
         each dataset."
    );
    let mut canvas = Canvas::new(grid.width, 0.0, &description);
    let frame = grid.frame(0);
    let reach = rows.iter().flat_map(|row| {
        let ends = [row.interval.low, row.interval.high];
        row.of_datasets.iter().copied().chain(ends)
    });
    let axis = Axis::around(reach, frame.0, frame.2);
    let axis = panel::fit_ticks(axis, frame.2 - frame.0);
    panel::horizontal_axis(&mut canvas, frame, &axis, Some("mean rank, 1 is best"));
    for (place, row) in rows.iter().enumerate() {
        let y = frame.1 + (place as f64 + 0.5) * names.row_height;
        canvas.line(vec![(frame.0, y), (frame.2, y)], THIN, GRID);
        names.draw(&mut canvas, place, frame.0, y);
        let ink = look(place).ink;
        let ends = [row.interval.low, row.interval.high].map(|end| (axis.place(end), y));
        canvas.line(ends.to_vec(), BAR, ink);
        for rank in &row.of_datasets {
            let at = (axis.place(*rank), y);
            hollow_marker(
                &mut canvas,
                Shape::Circle,
                at,
                SMALL_RADIUS,
                THIN,
                FAINT_TEXT,
            );
        }
        marker(
            &mut canvas,
            look(place).shape,
            (axis.place(row.mean), y),
            RADIUS,
            ink,
        );
    }
    panel::outline(&mut canvas, frame);
    panel::legend(&mut canvas, grid.lower_edge(), &entries());
    canvas
}

fn entries() -> Vec<Entry<'static>> {
    let mean = Entry {
        text: "mean, 95 % interval".to_owned(),
        width: points(14.0),
        sign: Box::new(|canvas: &mut Canvas, (x, y): Point| {
            let half = points(7.0);
            canvas.line(vec![(x - half, y), (x + half, y)], BAR, TEXT);
            marker(canvas, Shape::Circle, (x, y), RADIUS, TEXT);
        }),
    };
    let one = Entry {
        text: "one dataset".to_owned(),
        width: points(5.0),
        sign: Box::new(|canvas: &mut Canvas, at: Point| {
            hollow_marker(canvas, Shape::Circle, at, SMALL_RADIUS, THIN, FAINT_TEXT);
        }),
    };
    vec![mean, one]
}
