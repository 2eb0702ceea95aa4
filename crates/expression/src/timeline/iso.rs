//! ISO 8601, as data has it: with `T` or a blank, with dashes or slashes, with or without a zone.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

/// A date, or a date and a time of day, with the seconds by which its zone is ahead of UTC where it names one.
pub(super) fn iso(text: &str) -> Option<(NaiveDateTime, Option<i32>)> {
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
