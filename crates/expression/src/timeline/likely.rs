//! What texts and numbers that may be times are likely to be.

use super::{TimeRule, Tz};
use arrow::datatypes::TimeUnit;

/// Formats of times that are no ISO 8601, the month before the day where both are possible.
const OTHER_FORMATS: [&str; 37] = [
    "%m/%d/%Y",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%d/%m/%Y",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d-%m-%Y",
    "%Y%m%d",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%d%H%M%S",
    "%Y-%m-%d %H",
    "%Y-%m-%dT%H",
    "%Y-%m-%d_%H:%M",
    "%Y-%m-%d_%H:%M:%S",
    "%Y-%m-%d-%H:%M:%S",
    "%Y-%m-%d %I:%M %p",
    "%Y-%m-%d %I:%M:%S %p",
    "%Y/%m/%d %I:%M:%S %p",
    // More digits of a second than ISO 8601 is read with; those beyond nanoseconds are passed over.
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.fZ",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y.%m.%d",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%m/%d/%y",
    "%m/%d/%y %H:%M",
    "%d/%m/%y",
    "%d.%m.%y",
    "%y-%m-%d",
    "%d-%b-%y",
    "%d/%b/%Y:%H:%M:%S %z",
];

/// The format that a text is written in, where it is one of the usual ones and no ISO 8601.
pub fn likely_format(text: &str) -> Option<&'static str> {
    // What is in the right form and refused all the same is an hour that clocks skip.
    if TimeRule::default().parse(text).is_ok() {
        return None;
    }
    common_format(std::iter::once(text))
}

/// The first of the usual formats in which all of these texts are written; they are none in ISO 8601.
pub fn common_format<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    OTHER_FORMATS
        .into_iter()
        .find(|format| texts.clone().all(|text| is_written_as(text, format)))
}

/// Whether a text is a time in a format.
pub fn is_written_as(text: &str, format: &str) -> bool {
    let rule = TimeRule {
        format: Some(format.to_owned()),
        ..TimeRule::default()
    };
    rule.parse(text).is_ok()
}

/// The format of a text that is a time in ISO 8601 with the name of a zone behind it, and that name where `zone` of a column may have it.
pub fn with_zone_name(text: &str) -> Option<(String, Option<&str>)> {
    let (time, zone) = text.rsplit_once(' ')?;
    let is_name = |letter: char| letter.is_ascii_alphabetic() || matches!(letter, '/' | '_');
    if !zone.chars().all(is_name) || TimeRule::default().parse(time).is_err() {
        return None;
    }
    let formats = [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
    ];
    let mut formats = formats.into_iter();
    let format = formats.find(|format| is_written_as(time, format))?;
    let format = match time.contains('.') {
        true => format,
        false => format.trim_end_matches("%.f"),
    };
    let known = Some(zone).filter(|zone| zone.parse::<Tz>().is_ok());
    Some((format!("{format} {zone}"), known))
}

/// Whether a text is a year and a month without a day.
pub fn is_month(text: &str) -> bool {
    match text.split_once(['-', '/']) {
        Some((year, month)) => {
            let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            let month = Some(month).filter(|month| is_digits(month) && month.len() <= 2);
            let month = month.and_then(|month| month.parse::<u8>().ok());
            year.len() == 4
                && is_digits(year)
                && month.is_some_and(|month| (1..=12).contains(&month))
        }
        None => false,
    }
}

/// Whether a text has the form of a time in ISO 8601, be it one or not, and nothing behind it.
pub fn is_iso_form(text: &str) -> bool {
    let rest = text.get(10..).unwrap_or_default();
    let is_part = |byte: u8| byte.is_ascii_digit() || b"T :.,+-Z".contains(&byte);
    looks_iso(text) && rest.bytes().all(is_part)
}

/// Whether a text has the form of a time in ISO 8601, be it one or not.
pub fn looks_iso(text: &str) -> bool {
    let shape: String = text
        .chars()
        .take(10)
        .map(|letter| if letter.is_ascii_digit() { '9' } else { letter })
        .collect();
    shape == "9999-99-99"
}

/// What a number is likely to count since 1970, by its size; nothing for small ones, such as the numbers of days.
///
/// The limits are those of the years 1973 to 5138 in each unit, so that no number belongs to two.
pub fn likely_unit(number: f64) -> Option<TimeUnit> {
    match number.abs() {
        number if (1e8..1e11).contains(&number) => Some(TimeUnit::Second),
        number if (1e11..1e14).contains(&number) => Some(TimeUnit::Millisecond),
        number if (1e14..1e17).contains(&number) => Some(TimeUnit::Microsecond),
        number if (1e17..1e20).contains(&number) => Some(TimeUnit::Nanosecond),
        _ => None,
    }
}
