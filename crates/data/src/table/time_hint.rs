//! What to do about a value that is no time of its column.

use crate::expression::{self, ColumnType};
use crate::timeline::{self, TimeRule};
use arrow::datatypes::TimeUnit;

/// What to do about a time that is none.
const NO_SUCH_TIME: &str =
    "correct the row: the calendar, or the clocks of the column's `zone`, have no such time";

/// What to do about a text that is no time of the column's type; `divides` where the column divides the rows.
pub(super) fn time_hint(
    name: &str,
    declared: Option<&ColumnType>,
    divides: bool,
    found: &str,
) -> String {
    let rule = match declared {
        Some(ColumnType::Time(rule)) => Some(rule),
        _ => None,
    };
    if let Some(hint) = rule.and_then(|rule| hint_of_rule(name, rule, found)) {
        return hint;
    }
    // Where units are mixed, words follow the number.
    let digits = found.split(',').next().unwrap_or_default();
    let number = digits.parse::<f64>().ok();
    let written = |rule: &str| {
        format!(
            "say how its times are written, in `columns`: {{ name = \"{name}\", type = \"timestamp\", {rule} }} in place of \
             \"{name}\""
        )
    };
    let format = timeline::likely_format(found);
    let zoned = timeline::with_zone_name(found);
    match (number, number.and_then(timeline::likely_unit)) {
        // Fourteen digits are a date and a time of day, and thirteen are milliseconds.
        (Some(_), _) if found.len() == 14 && format.is_some() => {
            written("format = \"%Y%m%d%H%M%S\"")
        }
        (_, Some(unit)) => {
            let unit = key_of(unit);
            let written = written(&format!("unit = \"{unit}\""));
            match divides {
                true => format!(
                    "{written}, and the limits of [split] as times in quotes; or count both in one unit"
                ),
                false => written,
            }
        }
        _ if format.is_some() => {
            let format = format.unwrap_or_default();
            let other = match format.strip_prefix("%m/%d") {
                Some(rest) => format!(" (%d/%m{rest} where the day comes first)"),
                None => String::new(),
            };
            format!("{}{other}", written(&format!("format = \"{format}\"")))
        }
        (Some(_), None) if divides && rule.is_none() => {
            "write the limits of [split] as numbers without quotes".to_owned()
        }
        (Some(_), None) if rule.is_some() => {
            format!("correct the row, or leave out the type of `{name}`: this number is no time")
        }
        (Some(_), None) => format!(
            "correct the row, or compare `{name}` with a number without quotes: it is compared with times here"
        ),
        _ if timeline::is_month(found) => format!(
            "a month is no day: compute its first one, in `columns`: {{ name = \"first_day\", expression = \"cast(concat({}, \
             '-01') as timestamp)\" }}, and use `first_day`; `{name}` itself has no type then",
            expression::spelled(name)
        ),
        _ if zoned.is_some() => {
            let (format, zone) = zoned.unwrap_or_default();
            let rule = format!(
                "format = \"{format}\", zone = \"{}\"",
                zone.unwrap_or("...")
            );
            let named = match zone {
                Some(_) => "",
                None => "; zone is a name such as Europe/Berlin",
            };
            format!(
                "{}{named}; zones in values are not read, and so every value has to have this one",
                written(&rule)
            )
        }
        // The form is right, and there is no such time: the 30th of February, or an hour that clocks skip.
        _ if timeline::is_iso_form(found) => NO_SUCH_TIME.to_owned(),
        _ => format!(
            "{}; format is in strftime's letters",
            written("format = \"...\"")
        ),
    }
}

/// What to do about a value that is no time as the column's type has them, where that shows it.
fn hint_of_rule(name: &str, rule: &TimeRule, found: &str) -> Option<String> {
    let without_zone = TimeRule {
        zone: None,
        ..rule.clone()
    };
    if without_zone.parse(found).is_ok() {
        return Some(NO_SUCH_TIME.to_owned());
    }
    let is_iso = TimeRule::default().parse(found).is_ok();
    let mend = match &rule.format {
        Some(format) => match timeline::likely_format(found).filter(|other| other != format) {
            _ if is_iso => format!("leave out the `format` of `{name}`, since this is ISO 8601"),
            Some(other) => format!("give `{name}` format = \"{other}\""),
            None => {
                return Some(format!(
                    "correct the row, or the `format` of `{name}`, which has to account for every letter of the value"
                ));
            }
        },
        None if is_iso && rule.unit.is_some() => {
            format!("leave out the `unit` of `{name}`, since this is ISO 8601")
        }
        None => return None,
    };
    Some(format!(
        "if all its values are so written, {mend}; else correct the row"
    ))
}

fn key_of(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}
