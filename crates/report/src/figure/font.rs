//! The bundled font: widths for the layout, and the letters of the bitmaps, the same on every machine.

use resvg::usvg::fontdb::{Database, Source};
use skrifa::charmap::Charmap;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::{FontRef, MetadataProvider as _};
use std::sync::{Arc, LazyLock};

/// DejaVu Sans, Bitstream Vera's licence; see `assets/DejaVuSans.LICENSE`.
const FONT: &[u8] = include_bytes!("../../assets/DejaVuSans.ttf");
/// The font's units to its size, as its header says: widths are sums of whole units, which are exact in any order.
const UNITS_PER_SIZE: f64 = 2048.0;

// Where the font isn't installed, Verdana and Vera, from which DejaVu comes, have about the widths that were measured.
/// What a viewer of an SVG draws with: the bundled font, or one of about its width.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, Bitstream Vera Sans, Arial, sans-serif";

/// The bundled font alone.
pub(super) fn database() -> Database {
    let mut database = Database::new();
    database.load_font_source(Source::Binary(Arc::new(FONT)));
    database
}

/// Width of a text of one line.
pub(super) fn width(text: &str, size: f64) -> f64 {
    static TABLES: LazyLock<(Charmap, GlyphMetrics)> = LazyLock::new(|| {
        let font = FontRef::new(FONT).expect("the bundled font is a font");
        let metrics = font.glyph_metrics(Size::unscaled(), LocationRef::default());
        (font.charmap(), metrics)
    });
    let (letters, metrics) = &*TABLES;
    let units: f32 = text
        .chars()
        // Glyph 0 is the box that stands for a letter that the font lacks.
        .map(|letter| letters.map(letter).unwrap_or_default())
        .filter_map(|glyph| metrics.advance_width(glyph))
        .sum();
    f64::from(units) * size / UNITS_PER_SIZE
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
    // The break after which both lines are shortest; in hundredths of a dot, because floats have no order to take a least of.
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
    // Names of variants differ at their ends more often than in their middle: `home[rank=8]` and `home[rank=16]`.
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
}
