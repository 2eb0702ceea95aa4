//! Times as points on one line: nanoseconds since 1970 in UTC, in 128 bits, so that neither the year 9999 nor a nanosecond
//! of today is rounded away.

mod format;
mod iso;
mod likely;

pub use format::check_format;
pub use likely::{
    common_format, is_iso_form, is_month, is_written_as, likely_format, likely_unit, looks_iso,
    with_zone_name,
};

use arrow::datatypes::TimeUnit;
use chrono::format::{Parsed, StrftimeItems};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike};
use chrono_tz::Tz;
use format::set_centuries;
use iso::iso;

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
        let written = self.parse_time(text)?;
        let time = match (self.is_date, written.local) {
            // The day that is written, whatever day it is in UTC then.
            (true, Some(local)) => start_of_day(nanoseconds(local)),
            _ => self.day_of(written.time),
        };
        Ok((time, written.has_zone))
    }

    /// The time itself, or the start of its day in UTC where only the day counts.
    pub fn day_of(&self, time: i128) -> i128 {
        match self.is_date {
            true => start_of_day(time),
            false => time,
        }
    }

    fn parse_time(&self, text: &str) -> Result<Written, String> {
        if let Some(format) = &self.format {
            return self.parse_as(text, format);
        }
        if let Some(unit) = self.unit {
            return match counted(text, unit) {
                Some(time) => Ok(Written::counted(time)),
                None => Err(format!("a number of {} since 1970", unit_name(unit))),
            };
        }
        match iso(text) {
            Some((local, offset)) => self.written(local, offset),
            None => Err("a time such as 2022-04-08 or 2022-04-08T12:00:00".to_owned()),
        }
    }

    fn parse_as(&self, text: &str, format: &str) -> Result<Written, String> {
        let wrong = || format!("a time written as {format}");
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, StrftimeItems::new(format))
            .map_err(|_| wrong())?;
        if let Some(seconds) = parsed.timestamp() {
            let rest = i128::from(parsed.nanosecond().unwrap_or(0));
            return Ok(Written::counted(i128::from(seconds) * SECOND + rest));
        }
        // An hour alone is the full hour, a date alone its midnight.
        if parsed.hour_div_12().is_some() && parsed.minute().is_none() {
            parsed.set_minute(0).map_err(|_| wrong())?;
        }
        set_centuries(&mut parsed).map_err(|_| wrong())?;
        let date = parsed.to_naive_date().map_err(|_| wrong())?;
        if parsed
            .year()
            .is_some_and(|year| !has_whole_year(text, year))
        {
            return Err(format!("{}, with four digits of the year", wrong()));
        }
        let time = match parsed.hour_div_12() {
            Some(_) => parsed.to_naive_time().map_err(|_| wrong())?,
            None => NaiveTime::MIN,
        };
        self.written(date.and_time(time), parsed.offset())
    }

    /// A date and a time of day with the offset, in seconds, that stands beside them.
    fn written(&self, local: NaiveDateTime, offset: Option<i32>) -> Result<Written, String> {
        let time = match offset {
            Some(offset) => nanoseconds(local) - i128::from(offset) * SECOND,
            None => self.in_zone(local)?,
        };
        Ok(Written {
            time,
            local: Some(local),
            has_zone: offset.is_some(),
        })
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

/// A time that was read from a text.
struct Written {
    time: i128,
    /// The date and the time of day that stand there; none of a count.
    local: Option<NaiveDateTime>,
    has_zone: bool,
}

impl Written {
    fn counted(time: i128) -> Self {
        Self {
            time,
            local: None,
            has_zone: true,
        }
    }
}

/// Whether a text has a year in four digits or more: 99 is also read as the year 99.
fn has_whole_year(text: &str, year: i32) -> bool {
    year.abs() >= 1000 || text.contains(&format!("{:04}", year.abs()))
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

#[cfg(test)]
mod tests;
