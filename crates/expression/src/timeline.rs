//! Times as points on one line: nanoseconds since 1970 in UTC, in 128 bits, so that neither the year 9999 nor a nanosecond
//! of today is rounded away.

mod format;

pub use format::check_format;

use arrow::datatypes::TimeUnit;
use chrono::format::{Parsed, StrftimeItems};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike};
use chrono_tz::Tz;
use format::set_centuries;

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// How a column's values become times.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TimeRule {
    /// What numbers count since 1970; a column of numbers is no time without it.
    pub unit: Option<TimeUnit>,
    /// Zone of values that name none; UTC where absent.
    pub zone: Option<Tz>,
    /// How texts are written, in chrono's `strftime` letters; ISO 8601 where absent.
    pub format: Option<String>,
    /// Whether only the day counts.
    pub is_date: bool,
}

impl TimeRule {
    /// A text as a time, and whether it named its zone.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(&self, text: &str) -> Result<(i128, bool), String> {
        let (time, has_zone) = self.parse_time(text)?;
        Ok((self.day_of(time), has_zone))
    }

    /// The time itself, or the start of its day in UTC where only the day counts.
    pub fn day_of(&self, time: i128) -> i128 {
        match self.is_date {
            true => start_of_day(time),
            false => time,
        }
    }

    fn parse_time(&self, text: &str) -> Result<(i128, bool), String> {
        if let Some(format) = &self.format {
            return self.parse_as(text, format);
        }
        if let Some(unit) = self.unit {
            return match counted(text, unit) {
                Some(time) => Ok((time, true)),
                None => Err(format!("a number of {} since 1970", unit_name(unit))),
            };
        }
        match iso(text) {
            Some((local, Some(offset))) => {
                Ok((nanoseconds(local) - i128::from(offset) * SECOND, true))
            }
            Some((local, None)) => Ok((self.in_zone(local)?, false)),
            None => Err("a time such as 2022-04-08 or 2022-04-08T12:00:00".to_owned()),
        }
    }

    fn parse_as(&self, text: &str, format: &str) -> Result<(i128, bool), String> {
        let wrong = || format!("a time written as {format}");
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, StrftimeItems::new(format))
            .map_err(|_| wrong())?;
        if let Some(seconds) = parsed.timestamp() {
            let rest = i128::from(parsed.nanosecond().unwrap_or(0));
            return Ok((i128::from(seconds) * SECOND + rest, true));
        }
        // An hour alone is the full hour, a date alone its midnight.
        if parsed.hour_div_12().is_some() && parsed.minute().is_none() {
            parsed.set_minute(0).map_err(|_| wrong())?;
        }
        set_centuries(&mut parsed).map_err(|_| wrong())?;
        let date = parsed.to_naive_date().map_err(|_| wrong())?;
        let time = match parsed.hour_div_12() {
            Some(_) => parsed.to_naive_time().map_err(|_| wrong())?,
            None => NaiveTime::MIN,
        };
        let local = date.and_time(time);
        match parsed.offset() {
            Some(offset) => Ok((nanoseconds(local) - i128::from(offset) * SECOND, true)),
            None => Ok((self.in_zone(local)?, false)),
        }
    }

    /// The time that clocks of the column's zone show as `local`.
    fn in_zone(&self, local: NaiveDateTime) -> Result<i128, String> {
        let Some(zone) = self.zone else {
            return Ok(nanoseconds(local));
        };
        // An hour that a clock shows twice is taken as its first; one that it skips has no time.
        match zone.from_local_datetime(&local).earliest() {
            Some(time) => Ok(nanoseconds(time.naive_utc())),
            None => Err(format!("a time that clocks of {zone} show")),
        }
    }

    /// The time that clocks of the column's zone show as `shown`, which is counted as a time in UTC is.
    ///
    /// # Errors
    /// What was expected: clocks skip an hour of the year.
    pub fn of_clock(&self, shown: i128) -> Result<i128, String> {
        match (self.zone, date_time(shown)) {
            (Some(_), Some(local)) => self.in_zone(local),
            _ => Ok(shown),
        }
    }

    /// The rule in one way of writing.
    pub fn canonical(&self) -> String {
        format!(
            "unit {:?} zone {:?} format {:?} date {}",
            self.unit.map(unit_name),
            self.zone.map(|zone| zone.name()),
            self.format,
            self.is_date
        )
    }
}

/// What clocks of a zone show at a time, counted as a time in UTC is.
pub fn shown_in(time: i128, zone: Tz) -> Option<i128> {
    let local = zone.from_utc_datetime(&date_time(time)?).naive_local();
    Some(nanoseconds(local))
}

/// Nanoseconds of one of a unit.
pub fn nanoseconds_of(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => SECOND,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// The word for a unit.
pub fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "seconds",
        TimeUnit::Millisecond => "milliseconds",
        TimeUnit::Microsecond => "microseconds",
        TimeUnit::Nanosecond => "nanoseconds",
    }
}

/// A count of a unit since 1970, which may have a fraction, as a time of a year that has four digits.
fn counted(text: &str, unit: TimeUnit) -> Option<i128> {
    // As R and spreadsheets write large numbers: 1.649376e+09.
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(fraction) || fraction.len() > 18 {
        return None;
    }
    let count: i128 = format!("{whole}{fraction}").parse().ok()?;
    let nanoseconds = count.checked_mul(nanoseconds_of(unit))?;
    let places = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let scale = 10i128.checked_pow(places.unsigned_abs())?;
    let time = match places > 0 {
        true => nanoseconds / scale,
        false => nanoseconds.checked_mul(scale)?,
    };
    is_plausible(time).then_some(time)
}

/// Whether a counted time lies in the years 1 to 9999: beyond, its unit is another one.
pub fn is_plausible(time: i128) -> bool {
    let year = date_time(time).map_or(0, |time| time.year());
    (1..=9999).contains(&year)
}

/// The date and the time of day in UTC, where the calendar has it.
pub fn date_time(time: i128) -> Option<NaiveDateTime> {
    let seconds = i64::try_from(time.div_euclid(SECOND)).ok()?;
    let rest = time.rem_euclid(SECOND) as u32;
    DateTime::from_timestamp(seconds, rest).map(|time| time.naive_utc())
}

/// The place on the line of a date and a time of day in UTC.
pub fn nanoseconds(time: NaiveDateTime) -> i128 {
    let time = time.and_utc();
    i128::from(time.timestamp()) * SECOND + i128::from(time.timestamp_subsec_nanos())
}

/// The start of the year, the month and so on that a time lies in; nothing for what no time can be cut to.
pub fn truncate(time: i128, part: &str) -> Option<i128> {
    let here = date_time(time)?;
    let date = here.date();
    let start = |date: Option<NaiveDate>| Some(nanoseconds(date?.and_time(NaiveTime::MIN)));
    let to = |size: i128| Some(time - time.rem_euclid(size));
    match part {
        "year" => start(date.with_ordinal(1)),
        "quarter" => start(date.with_day(1)?.with_month((date.month0() / 3) * 3 + 1)),
        "month" => start(date.with_day(1)),
        // Weeks begin on Monday, as ISO 8601 has them.
        "week" => to(86_400 * SECOND)
            .map(|day| day - i128::from(date.weekday().num_days_from_monday()) * 86_400 * SECOND),
        "day" => to(86_400 * SECOND),
        "hour" => to(3_600 * SECOND),
        "minute" => to(60 * SECOND),
        "second" => to(SECOND),
        _ => None,
    }
}

/// A part of a time in UTC as a number, and the nanoseconds behind its point.
pub fn part(time: i128, part: &str) -> Option<(i128, i128)> {
    let here = date_time(time)?;
    let date = here.date();
    let fraction = time.rem_euclid(SECOND);
    Some(match part {
        "year" => (date.year().into(), 0),
        "quarter" => ((date.month0() / 3 + 1).into(), 0),
        "month" => (date.month().into(), 0),
        "week" => (date.iso_week().week().into(), 0),
        "day" => (date.day().into(), 0),
        "hour" => (here.hour().into(), 0),
        "minute" => (here.minute().into(), 0),
        "second" => (here.second().into(), fraction),
        "dow" => (date.weekday().num_days_from_sunday().into(), 0),
        "isodow" => (date.weekday().number_from_monday().into(), 0),
        "doy" => (date.ordinal().into(), 0),
        "epoch" => (time.div_euclid(SECOND), fraction),
        _ => return None,
    })
}

/// A time as ISO 8601 writes it, with as many places as it needs.
pub fn text(time: i128) -> String {
    let Some(time) = date_time(time) else {
        return format!("{time} nanoseconds since 1970");
    };
    let text = time.format("%Y-%m-%dT%H:%M:%S").to_string();
    match time.nanosecond() {
        0 => text,
        rest => format!("{text}.{}", format!("{rest:09}").trim_end_matches('0')),
    }
}

/// The day of a time as ISO 8601 writes it.
pub fn day_text(time: i128) -> String {
    match date_time(time) {
        Some(time) => time.format("%Y-%m-%d").to_string(),
        None => text(time),
    }
}

/// The start of the day in UTC that a time lies in.
pub fn start_of_day(time: i128) -> i128 {
    time - time.rem_euclid(86_400 * SECOND)
}

/// A date, or a date and a time of day, with the seconds by which its zone is ahead of UTC where it names one.
fn iso(text: &str) -> Option<(NaiveDateTime, Option<i32>)> {
    let text = text.trim();
    let is_separator = |byte: u8| matches!(byte, b'T' | b't' | b' ');
    let end = text.bytes().position(is_separator).unwrap_or(text.len());
    let date = date(&text[..end])?;
    let rest = text.get(end + 1..).unwrap_or_default();
    if rest.is_empty() {
        return (end == text.len()).then_some((date.and_time(NaiveTime::MIN), None));
    }
    let is_zone = |byte: u8| matches!(byte, b'Z' | b'z' | b'+' | b'-' | b' ' | b'U');
    let end = rest.bytes().position(is_zone).unwrap_or(rest.len());
    let time = time_of_day(&rest[..end])?;
    let zone = rest[end..].trim_start();
    let offset = if zone.is_empty() {
        None
    } else {
        Some(offset(zone)?)
    };
    Some((date.and_time(time), offset))
}

fn date(text: &str) -> Option<NaiveDate> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let divider = if digits.contains('/') { '/' } else { '-' };
    let mut parts = digits.split(divider);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    // The year first and in four digits or more: 4/8/2022 is a day in April or in August.
    if year.len() < 4 || parts.next().is_some() {
        return None;
    }
    NaiveDate::from_ymd_opt(sign * number(year)? as i32, number(month)?, number(day)?)
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    let mut parts = text.split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let (second, fraction) = match parts.next() {
        Some(second) => second.split_once(['.', ',']).unwrap_or((second, "")),
        None => ("0", ""),
    };
    if parts.next().is_some() || fraction.len() > 9 {
        return None;
    }
    let nanoseconds = match fraction {
        "" => 0,
        digits => number(digits)? * 10u32.pow(9 - digits.len() as u32),
    };
    NaiveTime::from_hms_nano_opt(hour, minute, number(second)?, nanoseconds)
}

/// Seconds ahead of UTC.
fn offset(zone: &str) -> Option<i32> {
    if matches!(zone, "Z" | "z" | "UTC") {
        return Some(0);
    }
    let sign = match zone.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = zone[1..].chars().filter(|letter| *letter != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits)?, 0),
        4 => (number(&digits[..2])?, number(&digits[2..])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60) as i32)
}

fn number(digits: &str) -> Option<u32> {
    let is_short = (1..=9).contains(&digits.len());
    (is_short && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Formats of times that are no ISO 8601, the month before the day where both are possible.
const OTHER_FORMATS: [&str; 19] = [
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(rule: &TimeRule, text: &str) -> Option<i128> {
        rule.parse(text).ok().map(|(time, _)| time)
    }

    #[test]
    fn texts_of_one_time_are_one_point() {
        let rule = TimeRule::default();
        // 2022-04-08T12:00:00Z by Python's datetime.
        let noon = 1_649_419_200 * SECOND;
        for text in [
            "2022-04-08T12:00:00",
            "2022-04-08 12:00",
            "2022-04-08T12:00:00.000Z",
            "2022-04-08T14:00:00+02:00",
            "2022-04-08 07:00:00-0500",
            "2022-04-08 12:00:00 UTC",
            "2022/04/08 12:00:00",
        ] {
            assert_eq!(parsed(&rule, text), Some(noon), "{text}");
        }
        assert_eq!(
            parsed(&rule, "2022-04-08T12:00:00.000000001"),
            Some(noon + 1)
        );
        for text in [
            "",
            "noon",
            "4/8/2022",
            "2022-02-30",
            "2022-04-08T25:00",
            "2022-04-08Tx",
        ] {
            assert_eq!(parsed(&rule, text), None, "{text}");
        }
    }

    #[test]
    fn far_years_are_in_order_and_written_back() {
        let rule = TimeRule::default();
        let [old, sentinel, far] =
            ["0001-01-01", "9999-12-31", "+10000-01-01"].map(|text| parsed(&rule, text).unwrap());
        assert!(old < sentinel && sentinel < far);
        assert_eq!(text(sentinel), "9999-12-31T00:00:00");
        assert_eq!(text(sentinel + 1_500_000), "9999-12-31T00:00:00.0015");
    }

    #[test]
    fn zones_units_and_formats_are_honoured() {
        let berlin = TimeRule {
            zone: Some(Tz::Europe__Berlin),
            ..TimeRule::default()
        };
        let noon = 1_649_419_200 * SECOND;
        assert_eq!(parsed(&berlin, "2022-04-08T14:00:00"), Some(noon));
        assert_eq!(parsed(&berlin, "2022-04-08T12:00:00Z"), Some(noon));
        // Clocks go from 2 to 3 on this night.
        assert_eq!(parsed(&berlin, "2022-03-27T02:30:00"), None);
        let american = TimeRule {
            format: Some("%m/%d/%Y".to_owned()),
            ..TimeRule::default()
        };
        assert_eq!(
            parsed(&american, "4/8/2022"),
            Some(noon - 12 * 3600 * SECOND)
        );
        let milliseconds = TimeRule {
            unit: Some(TimeUnit::Millisecond),
            ..TimeRule::default()
        };
        assert_eq!(parsed(&milliseconds, "1649419200000"), Some(noon));
        assert_eq!(
            parsed(&milliseconds, "1649419200000.25"),
            Some(noon + 250_000)
        );
        let seconds = TimeRule {
            unit: Some(TimeUnit::Second),
            ..TimeRule::default()
        };
        // Milliseconds as seconds are the year 54238.
        assert_eq!(parsed(&seconds, "1649419200000"), None);
    }

    /// The right values are those of Python's `strptime`.
    #[test]
    fn years_of_two_digits_are_those_of_posix() {
        for (format, text, year) in [
            ("%m/%d/%y", "04/08/68", 2068),
            ("%m/%d/%y", "04/08/69", 1969),
            ("%m/%d/%y", "04/08/99", 1999),
            ("%m/%d/%y", "04/08/00", 2000),
            ("%D", "04/08/69", 1969),
            ("%d-%b-%y", "08-Apr-69", 1969),
            ("%C%y%m%d", "20690408", 2069),
            ("%g-W%V-%u", "69-W15-2", 1969),
        ] {
            let rule = TimeRule {
                format: Some(format.to_owned()),
                ..TimeRule::default()
            };
            assert_eq!(check_format(format), Ok(()), "{format}");
            let found = part(parsed(&rule, text).unwrap(), "year");
            assert_eq!(found, Some((year, 0)), "{format} {text}");
        }
    }

    #[test]
    fn formats_account_for_every_part_of_a_time() {
        for format in [
            "%m/%d/%Y",
            "%Y-%m-%d %H",
            "%Y-%m-%d %H:%M:%S%.f",
            "%Y%m%d%H%M%S%3f",
            "%m/%d/%Y %I:%M %p",
            "%d/%b/%Y:%H:%M:%S %z",
            "%Y-%m-%d %#z",
            "%Y-%j",
            "%G-W%V-%u",
            "%Y %U %a",
            "%s",
            "%s%.f",
            "%+",
            "%c",
            "%r %D",
        ] {
            assert_eq!(check_format(format), Ok(()), "{format}");
        }
        for (format, expected) in [
            ("%m/%d/%Y %I:%M", "without %p"),
            ("%m/%d/%Y %l", "without %p"),
            ("%Y-%m-%d %H:%M:%S;%f", "%f"),
            ("%Y-%m-%d %H:%M:%S.%f", "%f"),
            ("%Y-%m-%d %p", "without hours"),
            ("%Y-%m-%d %M", "without hours"),
            ("%Y-%m-%d %H %S", "without minutes"),
            ("%Y-%m-%d %H:%M%.f", "without seconds"),
            ("%s %Y", "%s"),
            ("%Y-%m", "which day"),
            ("%H:%M", "which day"),
            ("%d/%m", "which day"),
            ("%Y-%m-%d %Z", "no format"),
            ("%Y-%m-%d %Q", "no format"),
            ("%Y-%m-%d %", "no format"),
        ] {
            let (why, _) = check_format(format).unwrap_err();
            assert!(why.contains(expected), "{format}: {why}");
        }
    }

    #[test]
    fn clocks_and_counts_are_exact() {
        let berlin = TimeRule {
            zone: Some(Tz::Europe__Berlin),
            ..TimeRule::default()
        };
        // By Python's zoneinfo; clocks go from 2 to 3 on this night, and from 3 to 2 in October, of which the first is meant.
        let shown = |text: &str| parsed(&TimeRule::default(), text).unwrap();
        assert!(berlin.of_clock(shown("2022-03-27T02:30:00")).is_err());
        let first = berlin.of_clock(shown("2022-10-30T02:30:00"));
        assert_eq!(first, Ok(shown("2022-10-30T00:30:00")));
        let back = shown_in(shown("2022-10-30T00:30:00"), Tz::Europe__Berlin);
        assert_eq!(back, Some(shown("2022-10-30T02:30:00")));
        let seconds = TimeRule {
            unit: Some(TimeUnit::Second),
            ..TimeRule::default()
        };
        for (text, nanoseconds) in [
            ("1.649376000e9", Some(1_649_376_000 * SECOND)),
            ("1.649376e+09", Some(1_649_376_000 * SECOND)),
            ("1649376e3", Some(1_649_376_000 * SECOND)),
            ("-15e-1", Some(-1_500_000_000)),
            ("1.6e99", None),
            ("1e", None),
            ("nan", None),
        ] {
            assert_eq!(parsed(&seconds, text), nanoseconds, "{text}");
        }
    }

    #[test]
    fn sizes_tell_units_apart() {
        assert_eq!(likely_unit(20_220_408.0), None);
        assert_eq!(likely_unit(1_649_419_200.0), Some(TimeUnit::Second));
        assert_eq!(
            likely_unit(1_649_419_200_000.0),
            Some(TimeUnit::Millisecond)
        );
    }
}
