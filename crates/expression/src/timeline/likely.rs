//! What texts and numbers that may be times are likely to be.

use super::TimeRule;
use arrow::datatypes::TimeUnit;

/// Formats of times that are no ISO 8601, the month before the day where both are possible.
const OTHER_FORMATS: [&str; 25] = [
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

/// The format that a text is written in, where it is one of the usual ones.
pub fn likely_format(text: &str) -> Option<&'static str> {
    OTHER_FORMATS.into_iter().find(|format| {
        let rule = TimeRule {
            format: Some((*format).to_owned()),
            ..TimeRule::default()
        };
        rule.parse(text).is_ok()
    })
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
