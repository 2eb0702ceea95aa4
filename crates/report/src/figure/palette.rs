//! Colours and marker shapes: told apart by colour-blind readers, and in grey by shape and dash.

use super::canvas::{Canvas, Ink, Point};

/// Text and axes.
pub(super) const TEXT: Ink = Ink::opaque(34, 34, 34);
/// Secondary text.
pub(super) const FAINT_TEXT: Ink = Ink::opaque(102, 102, 102);
/// Frames.
pub(super) const FRAME: Ink = Ink::opaque(136, 136, 136);
/// Lines of a grid.
pub(super) const GRID: Ink = Ink::opaque(224, 224, 224);
/// The ground of a hollow marker.
pub(super) const PAPER: Ink = Ink::opaque(255, 255, 255);

/// Okabe and Ito's colours, but for yellow, which is lost on white paper. Neighbours differ in lightness.
const COLORS: [Ink; 7] = [
    Ink::opaque(0, 114, 178),
    Ink::opaque(230, 159, 0),
    Ink::opaque(0, 158, 115),
    Ink::opaque(213, 94, 0),
    Ink::opaque(86, 180, 233),
    Ink::opaque(0, 0, 0),
    Ink::opaque(204, 121, 167),
];

const SHAPES: [Shape; 6] = [
    Shape::Circle,
    Shape::Square,
    Shape::Triangle,
    Shape::Diamond,
    Shape::TriangleDown,
    Shape::Pentagon,
];

/// A marker's outline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    TriangleDown,
    Pentagon,
}

/// How a variant looks in every figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// Its colour.
    pub(super) ink: Ink,
    /// Its marker.
    pub(super) shape: Shape,
    /// Length of its dashes in points; 0 is a solid line.
    pub(super) dash: f64,
}

/// The look of the variant at this place. The first 42 differ in colour or shape.
pub(super) fn look(variant: usize) -> Look {
    Look {
        ink: COLORS[variant % COLORS.len()],
        shape: SHAPES[variant % SHAPES.len()],
        // Seven colours, six shapes and three dashes: 42 looks before a colour meets the same shape again.
        dash: [0.0, 3.0, 1.2][variant % 3],
    }
}

/// Draws a marker whose circle would have this radius.
pub(super) fn marker(canvas: &mut Canvas, shape: Shape, at: Point, radius: f64, ink: Ink) {
    // The factors give all shapes about the same area.
    match shape {
        Shape::Circle => canvas.circle(at, radius, ink),
        Shape::Square => canvas.area(polygon(at, 4, 0.125, 1.25 * radius), ink),
        Shape::Triangle => canvas.area(polygon(at, 3, -0.25, 1.5 * radius), ink),
        Shape::Diamond => canvas.area(polygon(at, 4, 0.0, 1.35 * radius), ink),
        Shape::TriangleDown => canvas.area(polygon(at, 3, 0.25, 1.5 * radius), ink),
        Shape::Pentagon => canvas.area(polygon(at, 5, -0.25, 1.15 * radius), ink),
    }
}

/// Draws a marker's outline around paper, so that markers below it stay apart.
pub(super) fn hollow_marker(
    canvas: &mut Canvas,
    shape: Shape,
    at: Point,
    radius: f64,
    width: f64,
    ink: Ink,
) {
    // Paper over the inside of a larger area: a line alone would let what lies below shine through.
    marker(canvas, shape, at, radius + width / 2.0, ink);
    marker(canvas, shape, at, radius - width / 2.0, PAPER);
}

/// Corners at one distance from the middle, the first at an angle of `turn` whole turns.
fn polygon((x, y): Point, num_corners: usize, turn: f64, distance: f64) -> Vec<Point> {
    let corner = |index: usize| {
        let angle = std::f64::consts::TAU * (turn + index as f64 / num_corners as f64);
        (
            x + distance * libm::cos(angle),
            y + distance * libm::sin(angle),
        )
    };
    (0..num_corners).map(corner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_two_variants_differ_in_colour_or_shape_and_neighbours_in_grey() {
        let looks: Vec<Look> = (0..42).map(look).collect();
        for (place, one) in looks.iter().enumerate() {
            assert!(
                looks[place + 1..]
                    .iter()
                    .all(|other| other.ink != one.ink || other.shape != one.shape)
            );
        }
        assert!(
            looks
                .windows(2)
                .all(|pair| pair[0].shape != pair[1].shape && pair[0].dash != pair[1].dash)
        );
    }
}
