//! A canvas as SVG, through plotters' backend, and that SVG as PNG, through resvg.

use super::canvas::{Anchor, Canvas, Ink, Mark, Point};
use super::font;
use super::palette::PAPER;
use crate::document::escape_markup;
use anyhow::{Context, Result, anyhow};
use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, RGBAColor, ShapeStyle, TextStyle};
use plotters::style::{FontDesc, FontFamily, FontStyle, FontTransform};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

// Without this, every width that the layout measured would be a quarter too large.
/// plotters draws a font of size s at s / 1.24 in an SVG.
const SVG_FONT_FACTOR: f64 = 1.24;
/// A CSS pixel is a 96th of an inch, a dot a 300th.
const CSS_PIXELS_PER_DOT: f64 = 0.32;
/// Bytes of a PNG before its second chunk: the signature and the header chunk.
const HEADER_LENGTH: usize = 33;
/// The chunk `pHYs` of 11,811 pixels a metre each way, which is 300 to the inch, with its checksum: tiny-skia writes none,
/// and without it a program that sets paper takes 72 or 96 to the inch.
const RESOLUTION: [u8; 21] = *b"\0\0\0\x09pHYs\0\0\x2e\x23\0\0\x2e\x23\x01\x78\xa5\x3f\x76";

/// The drawing as a text file that scales; its text stays text.
pub(super) fn to_svg(canvas: &Canvas) -> Result<String> {
    let (width, height) = (canvas.width.ceil() as u32, canvas.height.ceil() as u32);
    let mut drawn = String::new();
    let mut backend = SVGBackend::with_string(&mut drawn, (width, height));
    draw(canvas, &mut backend)?;
    drop(backend);
    // plotters gives the picture as many CSS pixels as it has dots, three times its size on paper, and no title.
    let (_, body) = drawn.split_once('>').context("an opening svg tag")?;
    let pixels = |dots: u32| f64::from(dots) * CSS_PIXELS_PER_DOT;
    let family = format!(" font-family=\"{}\"", font::FAMILY);
    Ok(format!(
        "<svg width=\"{}\" height=\"{}\" viewBox=\"0 0 {width} {height}\" role=\"img\"{family} xmlns=\"http://www.w3.org/2000/svg\">\n<title>{}</title>{}",
        pixels(width),
        pixels(height),
        escape_markup(&canvas.description),
        without_repeats(body, &family),
    ))
}

/// The body without what every element would say again: the font, which the root has, and the opacity and the stroke that are the default.
/// It is a third of the bytes.
fn without_repeats(body: &str, family: &str) -> String {
    let defaults = [
        family,
        " opacity=\"1\"",
        " stroke=\"none\" stroke-width=\"1\"",
    ];
    let lines = body.split_inclusive('\n');
    let shortened = lines.map(|line| match line.starts_with('<') {
        true => {
            Cow::from((defaults.iter()).fold(line.to_owned(), |line, said| line.replace(said, "")))
        }
        // The text of an element.
        false => line.into(),
    });
    shortened.collect()
}

/// The SVG as a bitmap, one pixel a dot.
pub(super) fn to_png(svg: &str) -> Result<Vec<u8>> {
    static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(|| Options {
        // The bundled font and none of the system's: the same letters on every machine.
        fontdb: Arc::new(font::database()),
        ..Options::default()
    });
    let tree = Tree::from_str(svg, &OPTIONS)?;
    let dots = (1.0 / CSS_PIXELS_PER_DOT) as f32;
    let size = tree
        .size()
        .scale_by(dots)
        .context("a picture of some size")?
        .to_int_size();
    let mut pixels =
        Pixmap::new(size.width(), size.height()).context("a picture that fits into memory")?;
    resvg::render(
        &tree,
        Transform::from_scale(dots, dots),
        &mut pixels.as_mut(),
    );
    let mut bytes = pixels.encode_png()?;
    bytes.splice(HEADER_LENGTH..HEADER_LENGTH, RESOLUTION);
    Ok(bytes)
}

fn draw(canvas: &Canvas, backend: &mut SVGBackend) -> Result<()> {
    let place = |(x, y): &Point| (x.round() as i32, y.round() as i32);
    let corner = place(&(canvas.width.ceil(), canvas.height.ceil()));
    // An SVG has no ground of its own: on a dark page its dark text would be lost.
    let mut outcome = backend.draw_rect((0, 0), corner, &shape(PAPER, 1.0), true);
    for mark in &canvas.marks {
        outcome = outcome.and_then(|()| match mark {
            Mark::Line { path, width, ink } => {
                backend.draw_path(path.iter().map(place), &shape(*ink, *width))
            }
            Mark::Area { outline, ink } => {
                backend.fill_polygon(outline.iter().map(place), &shape(*ink, 1.0))
            }
            Mark::Circle { at, radius, ink } => {
                let radius = radius.round().max(1.0) as u32;
                backend.draw_circle(place(at), radius, &shape(*ink, 1.0), true)
            }
            Mark::Text {
                at,
                text,
                size,
                anchor,
                upward,
                ink,
            } => {
                let style = letters(*size, *anchor, *upward, *ink);
                backend.draw_text(text, &style, place(at))
            }
        });
    }
    let drawn = outcome.and_then(|()| backend.present());
    drawn.map_err(|error| anyhow!("drawing a figure: {error}"))
}

fn color(ink: Ink) -> RGBAColor {
    let (red, green, blue) = ink.rgb;
    RGBAColor(red, green, blue, ink.opacity)
}

fn shape(ink: Ink, width: f64) -> ShapeStyle {
    ShapeStyle {
        color: color(ink),
        filled: true,
        stroke_width: width.round().max(1.0) as u32,
    }
}

fn letters(size: f64, anchor: Anchor, upward: bool, ink: Ink) -> TextStyle<'static> {
    let family = FontFamily::Name(font::FAMILY);
    let font = FontDesc::new(family, size * SVG_FONT_FACTOR, FontStyle::Normal);
    let turned = match upward {
        true => font.transform(FontTransform::Rotate270),
        false => font,
    };
    let horizontal = match anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    TextStyle {
        font: turned,
        color: color(ink).to_backend_color(),
        pos: Pos::new(horizontal, VPos::Center),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing() -> Canvas {
        let mut canvas = Canvas::new(90.0, 40.0, "a < b & c");
        canvas.rectangle((10.0, 10.0, 20.0, 20.0), Ink::opaque(255, 0, 0));
        canvas.text(
            (45.0, 20.0),
            "H<&",
            20.0,
            Anchor::Middle,
            Ink::opaque(0, 0, 0),
        );
        canvas
    }

    #[test]
    fn the_same_canvas_gives_the_same_bytes() {
        assert_eq!(to_svg(&drawing()).unwrap(), to_svg(&drawing()).unwrap());
        let svg = to_svg(&drawing()).unwrap();
        assert_eq!(to_png(&svg).unwrap(), to_png(&svg).unwrap());
    }

    #[test]
    fn the_svg_keeps_its_text_and_escapes_it() {
        let svg = to_svg(&drawing()).unwrap();
        assert!(
            svg.starts_with("<svg width=\"28.8\" height=\"12.8\" viewBox=\"0 0 90 40\""),
            "{svg}"
        );
        assert!(svg.contains("<title>a &lt; b &amp; c</title>"));
        assert!(svg.contains("H&lt;&amp;"));
        assert_eq!(svg.matches(font::FAMILY).count(), 1, "{svg}");
        assert!(!svg.contains("opacity=\"1\""), "{svg}");
        assert!(svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn the_bitmap_has_the_area_and_the_letters_where_they_belong() {
        let png = to_png(&to_svg(&drawing()).unwrap()).unwrap();
        // Decoding checks the checksums of all chunks.
        let picture = Pixmap::decode_png(&png).unwrap();
        assert_eq!((picture.width(), picture.height()), (90, 40));
        let at = |x: usize, y: usize| &picture.data()[(y * 90 + x) * 4..][..3];
        assert_eq!(at(15, 15), [255, 0, 0]);
        assert_eq!(at(2, 2), [255, 255, 255]);
        let dark = |xs: std::ops::Range<usize>| {
            xs.flat_map(|x| (0..40).map(move |y| (x, y)))
                .filter(|&(x, y)| at(x, y)[1] < 100 && at(x, y)[0] < 100)
                .count()
        };
        assert!(dark(28..62) > 40, "letters in the middle");
        assert_eq!(dark(70..90), 0, "nothing at the right");
    }
}
