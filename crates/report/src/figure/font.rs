//! The bundled font: widths for the layout and shapes for the bitmap, the same on every machine.
//!
//! plotters' own text drawing drops the side bearings of glyphs and centres them too high, so text is drawn here.

use ab_glyph::{Font as _, FontRef, Glyph, PxScale, point};
use std::sync::LazyLock;

/// DejaVu Sans, Bitstream Vera's licence; see `assets/DejaVuSans.LICENSE`.
static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    let bytes = include_bytes!("../../assets/DejaVuSans.ttf");
    FontRef::try_from_slice(bytes).expect("the bundled font is a font")
});

/// What a viewer of an SVG draws with: the bundled font, or one of about its width.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, Bitstream Vera Sans, Arial, sans-serif";
/// Height of a small x, as a share of the size.
pub(super) const X_HEIGHT: f64 = 0.547;

/// Width of a text of one line.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let units: f32 = text
        .chars()
        .map(|letter| FONT.h_advance_unscaled(FONT.glyph_id(letter)))
        .sum();
    f64::from(units) * size / units_per_size()
}

fn units_per_size() -> f64 {
    f64::from(FONT.units_per_em().expect("a scalable font"))
}

/// Calls `draw(x, y, coverage)` for every pixel of a text that starts at x = 0 and whose baseline is y = 0.
pub(super) fn rasterise(text: &str, size: f64, mut draw: impl FnMut(i32, i32, f32)) {
    let scale = PxScale::from((size * f64::from(FONT.height_unscaled()) / units_per_size()) as f32);
    let mut start = 0.0;
    for letter in text.chars() {
        let id = FONT.glyph_id(letter);
        let glyph: Glyph = id.with_scale_and_position(scale, point(start as f32, 0.0));
        start += f64::from(FONT.h_advance_unscaled(id)) * size / units_per_size();
        let Some(outline) = FONT.outline_glyph(glyph) else {
            continue;
        };
        let corner = outline.px_bounds().min;
        outline.draw(|x, y, coverage| {
            draw(
                x as i32 + corner.x as i32,
                y as i32 + corner.y as i32,
                coverage,
            );
        });
    }
}

/// The text on at most two lines of at most `limit` wide; what doesn't fit loses its middle.
pub(super) fn wrap(text: &str, size: f64, limit: f64) -> Vec<String> {
    if width(text, size) <= limit {
        return vec![text.to_owned()];
    }
    let breaks = text
        .char_indices()
        .filter(|(_, letter)| " _-/=+:,.".contains(*letter))
        .map(|(place, letter)| place + letter.len_utf8());
    // The break after which both lines are shortest.
    let longest = |place: &usize| {
        let (first, second) = text.split_at(*place);
        let wider = width(first.trim(), size).max(width(second.trim(), size));
        (wider * 100.0) as u64
    };
    match breaks.min_by_key(longest) {
        Some(place) if place < text.len() => {
            let (first, second) = text.split_at(place);
            vec![
                shorten(first.trim(), size, limit),
                shorten(second.trim(), size, limit),
            ]
        }
        _ => vec![shorten(text, size, limit)],
    }
}

/// The text on as many lines as it needs, broken between words into lines of about one length.
pub(super) fn lines(text: &str, size: f64, limit: f64) -> Vec<String> {
    let count = (width(text, size) / limit).ceil().max(1.0);
    // Lines of one length want a little more than their share, because words don't end where they should.
    let wanted = (width(text, size) / count * 1.04 + 2.0 * size).min(limit);
    let mut lines = vec![String::new()];
    // A number stays with its per cent sign.
    for word in text.replace(" %", "\u{a0}%").split(' ') {
        let word = word.replace('\u{a0}', " ");
        let line = lines.last_mut().expect("there is a line");
        let longer = match line.is_empty() {
            true => word.clone(),
            false => format!("{line} {word}"),
        };
        if line.is_empty() || width(&longer, size) <= wanted {
            *line = longer;
        } else {
            lines.push(word);
        }
    }
    let fitting = lines.iter().map(|line| shorten(line, size, limit));
    fitting.collect()
}

/// The text, without as much of its middle as is needed to fit.
pub(super) fn shorten(text: &str, size: f64, limit: f64) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut kept = letters.len();
    let mut shown = text.to_owned();
    while width(&shown, size) > limit && kept > 1 {
        kept -= 1;
        let front = kept.div_ceil(2);
        let back = letters.len() - (kept - front);
        shown = letters[..front].iter().collect();
        shown.push('…');
        shown.extend(&letters[back..]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_add_up_and_scale() {
        assert!(width("", 10.0) == 0.0);
        assert!((width("MMoE", 20.0) - 2.0 * width("MMoE", 10.0)).abs() < 1e-9);
        assert!(width("MM", 10.0) > width("ii", 10.0));
    }

    #[test]
    fn a_long_name_is_broken_at_a_separator_and_never_wider_than_allowed() {
        let limit = width("HoME w/o fg-sg-", 10.0);
        let lines = wrap("HoME w/o fg-sg-mask", 10.0, limit);
        assert_eq!(lines, ["HoME w/o", "fg-sg-mask"]);
        for text in [
            "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "a_very_long_name_of_a_variant/with=many,knobs",
        ] {
            let lines = wrap(text, 10.0, limit);
            assert!(
                lines.iter().all(|line| width(line, 10.0) <= limit),
                "{lines:?}"
            );
            assert!(lines.iter().any(|line| line.contains('…')));
        }
    }

    #[test]
    fn a_long_text_is_broken_between_words_into_lines_that_fit() {
        let text = "a text of some length, that is broken between its words and nowhere else";
        for share in [1.1, 0.6, 0.34, 0.2] {
            let limit = share * width(text, 10.0);
            let found = lines(text, 10.0, limit);
            assert_eq!(found.join(" "), text);
            assert!(
                found.iter().all(|line| width(line, 10.0) <= limit),
                "{found:?}"
            );
        }
        assert_eq!(lines(text, 10.0, 10_000.0).len(), 1);
        let text = "bars of 95 % intervals";
        let limit = width("bars of 95", 10.0);
        assert_eq!(lines(text, 10.0, limit), ["bars of", "95 %", "intervals"]);
    }

    #[test]
    fn a_text_covers_pixels_within_its_width() {
        let (mut left, mut right) = (i32::MAX, i32::MIN);
        rasterise("Hg", 40.0, |x, _, coverage| {
            if coverage > 0.5 {
                (left, right) = (left.min(x), right.max(x));
            }
        });
        assert!(
            left >= 0 && f64::from(right) <= width("Hg", 40.0),
            "{left} to {right}"
        );
    }
}
