//! A canvas as SVG and PNG, through plotters' backends.

use super::canvas::{Anchor, Canvas, Ink, Mark, Point};
use super::font;
use anyhow::{Context, Result, anyhow};
use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters_backend::text_anchor::{HPos, Pos, VPos};
use plotters_backend::{BackendColor, BackendStyle, BackendTextStyle, FontFamily, FontTransform};

/// Pixels of a dot's side while drawing a PNG, averaged at the end: smooth edges.
const OVERSAMPLING: usize = 2;
/// plotters draws a font of size s at s / 1.24 in an SVG.
const SVG_FONT_FACTOR: f64 = 1.24;

/// The drawing as a text file that scales; its text stays text.
pub(super) fn to_svg(canvas: &Canvas) -> Result<String> {
    let (width, height) = (canvas.width.ceil() as u32, canvas.height.ceil() as u32);
    let mut drawn = String::new();
    let mut backend = SVGBackend::with_string(&mut drawn, (width, height));
    draw(canvas, &mut backend, 1.0)?;
    drop(backend);
    // The coordinates are dots; the picture's own size is in CSS pixels, 96 to the inch.
    let (_, body) = drawn.split_once('>').context("an opening svg tag")?;
    let pixels = |dots: u32| f64::from(dots) * 0.32;
    Ok(format!(
        "<svg width=\"{}\" height=\"{}\" viewBox=\"0 0 {width} {height}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">\n<title>{}</title>{body}",
        pixels(width),
        pixels(height),
        escape(&canvas.description),
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The drawing as a bitmap, one pixel a dot.
pub(super) fn to_png(canvas: &Canvas) -> Result<Vec<u8>> {
    let (width, height) = (canvas.width.ceil() as usize, canvas.height.ceil() as usize);
    let fine = (width * OVERSAMPLING, height * OVERSAMPLING);
    let mut pixels = vec![255u8; fine.0 * fine.1 * 3];
    let mut backend = BitMapBackend::with_buffer(&mut pixels, (fine.0 as u32, fine.1 as u32));
    draw(canvas, &mut backend, OVERSAMPLING as f64)?;
    drop(backend);
    encode(
        &average(&pixels, width, height),
        width as u32,
        height as u32,
    )
}

/// Mean colour of each dot's pixels.
fn average(pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut dots = Vec::with_capacity(width * height * 3);
    let stride = width * OVERSAMPLING * 3;
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let corner = y * OVERSAMPLING * stride + x * OVERSAMPLING * 3 + channel;
                let sum: usize = (0..OVERSAMPLING * OVERSAMPLING)
                    .map(|i| corner + i / OVERSAMPLING * stride + i % OVERSAMPLING * 3)
                    .map(|place| usize::from(pixels[place]))
                    .sum();
                dots.push((sum / (OVERSAMPLING * OVERSAMPLING)) as u8);
            }
        }
    }
    dots
}

fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // Flat areas without a gradient: unfiltered rows repeat, and compress to a fraction of filtered ones.
    encoder.set_filter(png::FilterType::NoFilter);
    encoder.set_compression(png::Compression::Best);
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: 11_811, // 300 dots to the inch
        yppu: 11_811,
        unit: png::Unit::Meter,
    }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn draw<B: DrawingBackend>(canvas: &Canvas, backend: &mut B, scale: f64) -> Result<()>
where
    B::ErrorType: 'static,
{
    let place = |(x, y): &Point| ((x * scale).round() as i32, (y * scale).round() as i32);
    let corner = place(&(canvas.width.ceil(), canvas.height.ceil()));
    let paper = Pen {
        ink: Ink::opaque(255, 255, 255),
        width: 1,
    };
    let mut outcome = backend.draw_rect((0, 0), corner, &paper, true);
    for mark in &canvas.marks {
        outcome = outcome.and_then(|()| match mark {
            Mark::Line { path, width, ink } => {
                let width = (width * scale).round().max(1.0) as u32;
                backend.draw_path(path.iter().map(place), &Pen { ink: *ink, width })
            }
            Mark::Area { outline, ink } => {
                let pen = Pen {
                    ink: *ink,
                    width: 1,
                };
                backend.fill_polygon(outline.iter().map(place), &pen)
            }
            Mark::Text {
                at,
                text,
                size,
                anchor,
                upward,
                ink,
            } => {
                let size = size * scale;
                let letters = Letters {
                    size,
                    anchor: *anchor,
                    upward: *upward,
                    ink: *ink,
                };
                backend.draw_text(text, &letters, place(at))
            }
        });
    }
    let drawn = outcome.and_then(|()| backend.present());
    drawn.map_err(|error| anyhow!("drawing a figure: {error}"))
}

struct Pen {
    ink: Ink,
    width: u32,
}

impl BackendStyle for Pen {
    fn color(&self) -> BackendColor {
        color(self.ink)
    }

    fn stroke_width(&self) -> u32 {
        self.width
    }
}

fn color(ink: Ink) -> BackendColor {
    BackendColor {
        alpha: ink.opacity,
        rgb: ink.rgb,
    }
}

struct Letters {
    size: f64,
    anchor: Anchor,
    upward: bool,
    ink: Ink,
}

impl BackendTextStyle for Letters {
    type FontError = std::convert::Infallible;

    fn color(&self) -> BackendColor {
        color(self.ink)
    }

    fn size(&self) -> f64 {
        self.size * SVG_FONT_FACTOR
    }

    fn transform(&self) -> FontTransform {
        if self.upward {
            FontTransform::Rotate270
        } else {
            FontTransform::None
        }
    }

    fn anchor(&self) -> Pos {
        let horizontal = match self.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        Pos::new(horizontal, VPos::Center)
    }

    fn family(&self) -> FontFamily<'_> {
        FontFamily::Name(font::FAMILY)
    }

    /// Empty, so that the bitmap backend leaves the place to [`Self::draw`]; it still turns what is drawn.
    fn layout_box(&self, _text: &str) -> Result<((i32, i32), (i32, i32)), Self::FontError> {
        Ok(((0, 0), (0, 0)))
    }

    fn draw<E, DrawFunc: FnMut(i32, i32, BackendColor) -> Result<(), E>>(
        &self,
        text: &str,
        (x, y): (i32, i32),
        mut draw: DrawFunc,
    ) -> Result<Result<(), E>, Self::FontError> {
        let length = font::width(text, self.size);
        let start = match self.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -length / 2.0,
            Anchor::End => -length,
        } as i32;
        let baseline = (font::X_HEIGHT / 2.0 * self.size).round() as i32;
        let mut outcome = Ok(());
        font::rasterise(text, self.size, |right, down, coverage| {
            let alpha = self.ink.opacity * f64::from(coverage.min(1.0));
            let pixel = BackendColor {
                alpha,
                rgb: self.ink.rgb,
            };
            if outcome.is_ok() {
                outcome = draw(x + right + start, y + down + baseline, pixel);
            }
        });
        Ok(outcome)
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
        assert_eq!(to_png(&drawing()).unwrap(), to_png(&drawing()).unwrap());
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
        assert!(svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn the_bitmap_has_the_area_and_the_letters_where_they_belong() {
        let png = to_png(&drawing()).unwrap();
        let mut reader = png::Decoder::new(png.as_slice()).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (90, 40));
        let at = |x: usize, y: usize| &pixels[(y * 90 + x) * 3..][..3];
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
