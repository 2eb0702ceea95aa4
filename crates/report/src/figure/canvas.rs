//! A drawing as a list of marks in dots, 300 to the inch, from which both files of a figure are made.

// plotters takes whole dots alone: at 300 to the inch, what journals ask of bitmaps, rounding moves a mark by a
// 600th of an inch at most.
/// Dots of an inch.
const DOTS_PER_INCH: f64 = 300.0;

/// Dots of a length in printer's points, of which an inch has 72.
pub(super) const fn points(length: f64) -> f64 {
    length / 72.0 * DOTS_PER_INCH
}

/// Dots of a length in inches.
pub(super) const fn inches(length: f64) -> f64 {
    length * DOTS_PER_INCH
}

/// A place, in dots from the upper left corner.
pub(super) type Point = (f64, f64);

/// A colour with its opacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ink {
    /// Red, green, blue.
    pub(super) rgb: (u8, u8, u8),
    /// 1 is opaque.
    pub(super) opacity: f64,
}

impl Ink {
    pub(super) const fn opaque(red: u8, green: u8, blue: u8) -> Self {
        Self {
            rgb: (red, green, blue),
            opacity: 1.0,
        }
    }

    pub(super) const fn with_opacity(self, opacity: f64) -> Self {
        Self { opacity, ..self }
    }
}

/// Which part of a text its place names; vertically it is always the middle of a small x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Something drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mark {
    /// A polyline.
    Line {
        path: Vec<Point>,
        width: f64,
        ink: Ink,
    },
    /// A filled polygon.
    Area { outline: Vec<Point>, ink: Ink },
    /// A filled circle: as a polygon it would take ten times the bytes, and a chart may have hundreds.
    Circle { at: Point, radius: f64, ink: Ink },
    /// A text of one line; `upward` turns it by a quarter to the left.
    Text {
        at: Point,
        text: String,
        size: f64,
        anchor: Anchor,
        upward: bool,
        ink: Ink,
    },
}

/// Left, upper, right and lower edge.
pub(super) type Bounds = (f64, f64, f64, f64);

/// A figure under way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Canvas {
    /// Width in dots.
    pub(super) width: f64,
    /// Height in dots.
    pub(super) height: f64,
    /// What the figure shows, in a sentence.
    pub(super) description: String,
    /// Marks, those behind first.
    pub(super) marks: Vec<Mark>,
    /// The same figure for a page that is as narrow as a phone, where it has such a form.
    pub(super) narrow: Option<Box<Canvas>>,
}

impl Canvas {
    /// An empty canvas. Its height may be set once the content is known.
    pub(super) fn new(width: f64, height: f64, description: &str) -> Self {
        let description = description.to_owned();
        Self {
            width,
            height,
            description,
            marks: Vec::new(),
            narrow: None,
        }
    }

    pub(super) fn line(&mut self, path: Vec<Point>, width: f64, ink: Ink) {
        self.marks.push(Mark::Line { path, width, ink });
    }

    /// A line of dashes of the given length, each followed by a gap of the same.
    pub(super) fn dashes(&mut self, path: &[Point], dash: f64, width: f64, ink: Ink) {
        // plotters has no dashes, so each is a line. The pattern goes on around corners: begun anew at each of them, it would
        // be solid where points lie closer than a dash.
        let mut behind = 0.0;
        for ends in path.windows(2) {
            let ((x0, y0), (x1, y1)) = (ends[0], ends[1]);
            let length = libm::hypot(x1 - x0, y1 - y0);
            let at = |way: f64| {
                let share = (way / length).clamp(0.0, 1.0);
                (x0 + share * (x1 - x0), y0 + share * (y1 - y0))
            };
            let mut start = -(behind % (2.0 * dash));
            while start < length {
                if start + dash > 0.0 {
                    self.line(vec![at(start.max(0.0)), at(start + dash)], width, ink);
                }
                start += 2.0 * dash;
            }
            behind += length;
        }
    }

    pub(super) fn area(&mut self, outline: Vec<Point>, ink: Ink) {
        self.marks.push(Mark::Area { outline, ink });
    }

    pub(super) fn circle(&mut self, at: Point, radius: f64, ink: Ink) {
        self.marks.push(Mark::Circle { at, radius, ink });
    }

    pub(super) fn rectangle(&mut self, (left, upper, right, lower): Bounds, ink: Ink) {
        // A polygon, as every other area: one kind of mark less to draw and to look after.
        let outline = vec![(left, upper), (right, upper), (right, lower), (left, lower)];
        self.area(outline, ink);
    }

    pub(super) fn text(&mut self, at: Point, text: &str, size: f64, anchor: Anchor, ink: Ink) {
        let text = text.to_owned();
        self.marks.push(Mark::Text {
            at,
            text,
            size,
            anchor,
            upward: false,
            ink,
        });
    }

    pub(super) fn upward_text(&mut self, at: Point, text: &str, size: f64, ink: Ink) {
        let (text, anchor) = (text.to_owned(), Anchor::Middle);
        self.marks.push(Mark::Text {
            at,
            text,
            size,
            anchor,
            upward: true,
            ink,
        });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::font;
    use super::*;

    /// Reach of capitals and brackets above, and of tails below the middle of a small x, as a share of the size.
    const REACH: f64 = 0.52;

    impl Mark {
        /// The smallest rectangle around the mark.
        fn bounds(&self) -> Bounds {
            match self {
                Self::Line { path, width, .. } => around(path, width / 2.0),
                Self::Area { outline, .. } => around(outline, 0.0),
                Self::Circle { at, radius, .. } => around(&[*at], *radius),
                Self::Text {
                    at: (x, y),
                    text,
                    size,
                    anchor,
                    upward,
                    ..
                } => {
                    let (length, reach) = (font::width(text, *size), REACH * size);
                    let start = match anchor {
                        Anchor::Start => 0.0,
                        Anchor::Middle => -length / 2.0,
                        Anchor::End => -length,
                    };
                    match upward {
                        false => (x + start, y - reach, x + start + length, y + reach),
                        true => (x - reach, y - start - length, x + reach, y - start),
                    }
                }
            }
        }
    }

    fn around(path: &[Point], margin: f64) -> Bounds {
        let edge = |pick: fn(&Point) -> f64, least: fn(f64, f64) -> f64| {
            path.iter().map(pick).reduce(least).unwrap_or(0.0)
        };
        (
            edge(|p| p.0, f64::min) - margin,
            edge(|p| p.1, f64::min) - margin,
            edge(|p| p.0, f64::max) + margin,
            edge(|p| p.1, f64::max) + margin,
        )
    }

    /// Fails if a mark leaves the canvas or two texts overlap.
    pub(in crate::figure) fn assert_legible(canvas: &Canvas, what: &str) {
        for mark in &canvas.marks {
            let (left, upper, right, lower) = mark.bounds();
            assert!(
                left >= 0.0 && upper >= 0.0 && right <= canvas.width && lower <= canvas.height,
                "{what}: cut off: {mark:?}"
            );
        }
        let texts: Vec<&Mark> = canvas
            .marks
            .iter()
            .filter(|mark| matches!(mark, Mark::Text { .. }))
            .collect();
        for (place, one) in texts.iter().enumerate() {
            let a = one.bounds();
            for other in &texts[place + 1..] {
                let b = other.bounds();
                let apart = a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1;
                assert!(apart, "{what}: {one:?} covers {other:?}");
            }
        }
    }

    #[test]
    fn dashes_cover_half_of_a_line_and_go_on_around_a_corner() {
        let mut canvas = Canvas::new(100.0, 100.0, "");
        let ink = Ink::opaque(0, 0, 0);
        canvas.dashes(&[(0.0, 0.0), (25.0, 0.0), (25.0, 35.0)], 10.0, 1.0, ink);
        let length = |mark: &Mark| match mark {
            Mark::Line { path, .. } => libm::hypot(path[1].0 - path[0].0, path[1].1 - path[0].1),
            _ => unreachable!(),
        };
        let lengths: Vec<f64> = canvas.marks.iter().map(length).collect();
        assert_eq!(lengths, [10.0, 5.0, 5.0, 10.0]);
    }

    #[test]
    fn an_upward_text_is_as_high_as_it_is_long() {
        let mut canvas = Canvas::new(100.0, 100.0, "");
        canvas.upward_text((50.0, 50.0), "AUC", 10.0, Ink::opaque(0, 0, 0));
        let (left, upper, right, lower) = canvas.marks[0].bounds();
        assert!((lower - upper - font::width("AUC", 10.0)).abs() < 1e-9);
        assert!((right - left - 2.0 * REACH * 10.0).abs() < 1e-9);
    }
}
