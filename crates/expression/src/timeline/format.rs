//! Formats of times: which ones say what every part of a text is, and the centuries of years of two digits.

use chrono::format::{Fixed, Item, Numeric, Parsed, StrftimeItems};

/// Gives years of two digits their centuries: 69 is 1969 and 68 is 2068, as POSIX has it.
// Chrono divides at 70.
pub(super) fn set_centuries(parsed: &mut Parsed) -> chrono::ParseResult<()> {
    let century = |year: i32| if year >= 69 { 19 } else { 20 };
    if let (None, None, Some(year)) = (parsed.year(), parsed.year_div_100(), parsed.year_mod_100())
    {
        parsed.set_year_div_100(century(year))?;
    }
    if let (None, None, Some(year)) = (
        parsed.isoyear(),
        parsed.isoyear_div_100(),
        parsed.isoyear_mod_100(),
    ) {
        parsed.set_isoyear_div_100(century(year))?;
    }
    Ok(())
}

/// Checks that a text is a format of times in chrono's `strftime` letters, which says which day every text is, and what becomes of
/// every part of it.
///
/// # Errors
/// What is wrong, and how to write it.
pub fn check_format(format: &str) -> Result<(), (String, &'static str)> {
    let refuse = |why: &str, hint: &'static str| Err((format!("`{format}` {why}"), hint));
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    let number = |wanted: Numeric| {
        let is_it = |item: &Item<'_>| matches!(item, Item::Numeric(found, _) if *found == wanted);
        items.iter().any(is_it)
    };
    let fixed = |wanted: &[Fixed]| {
        let is_it = |item: &Item<'_>| matches!(item, Item::Fixed(found) if wanted.contains(found));
        items.iter().any(is_it)
    };
    // Names of zones would be read and not understood.
    if items.contains(&Item::Error) || fixed(&[Fixed::TimezoneName]) {
        return refuse(
            "is no format of a time",
            "write it in strftime's letters, such as \"%m/%d/%Y %H:%M:%S%.f\"; a zone is %z, or `zone` of the column",
        );
    }
    // It counts nanoseconds here and is a fraction in Python.
    if number(Numeric::Nanosecond) {
        return refuse(
            "has %f, which says nothing of how many digits a fraction has",
            "write %S%.f for seconds with a point and a fraction of any length, or %3f, %6f or %9f for so many digits",
        );
    }
    if fixed(&[Fixed::RFC2822, Fixed::RFC3339]) {
        return Ok(());
    }
    let has_half = fixed(&[Fixed::LowerAmPm, Fixed::UpperAmPm]);
    let has_hour = number(Numeric::Hour) || number(Numeric::Hour12);
    let has_minute = number(Numeric::Minute);
    let has_second = number(Numeric::Second);
    if number(Numeric::Hour12) && !number(Numeric::Hour) && !has_half {
        return refuse(
            "has hours of 12 without %p, so that 7 in the evening would be 7 in the morning",
            "write %H for hours of 24, or add %p for AM and PM",
        );
    }
    if has_half && !has_hour {
        return refuse("has %p without hours", "add %I for hours of 12");
    }
    if (has_minute && !has_hour) || (has_second && !has_minute) {
        return refuse(
            "has minutes without hours, or seconds without minutes",
            "add %H and %M before them",
        );
    }
    let is_fraction = |item: &Item<'_>| match item {
        Item::Fixed(fixed) => matches!(
            fixed,
            Fixed::Nanosecond
                | Fixed::Nanosecond3
                | Fixed::Nanosecond6
                | Fixed::Nanosecond9
                | Fixed::Internal(_)
        ),
        _ => false,
    };
    // %#z, a zone that may lack its minutes, is one of the inner kinds too.
    let has_fraction = items.iter().any(is_fraction) && !format.contains("%#z");
    if has_fraction && !has_second && !number(Numeric::Timestamp) {
        return refuse(
            "has a fraction of a second without seconds",
            "add %S before it",
        );
    }
    if number(Numeric::Timestamp) {
        let is_part = |item: &Item<'_>| match item {
            Item::Numeric(part, _) => *part != Numeric::Timestamp,
            _ => false,
        };
        return match items.iter().any(is_part) {
            true => refuse(
                "has %s, the seconds since 1970, and other parts of a time beside it",
                "leave one of the two out",
            ),
            false => Ok(()),
        };
    }
    let has_month = number(Numeric::Month) || fixed(&[Fixed::ShortMonthName, Fixed::LongMonthName]);
    let has_weekday = number(Numeric::NumDaysFromSun)
        || number(Numeric::WeekdayFromMon)
        || fixed(&[Fixed::ShortWeekdayName, Fixed::LongWeekdayName]);
    let has_week = number(Numeric::WeekFromSun) || number(Numeric::WeekFromMon);
    let of_year = (has_month && number(Numeric::Day))
        || number(Numeric::Ordinal)
        || (has_week && has_weekday);
    let has_year = number(Numeric::Year) || number(Numeric::YearMod100);
    let has_iso_year = number(Numeric::IsoYear) || number(Numeric::IsoYearMod100);
    let is_day = (has_year && of_year) || (has_iso_year && number(Numeric::IsoWeek) && has_weekday);
    match is_day {
        true => Ok(()),
        false if has_year && has_month => refuse(
            "doesn't say which day a time is on",
            "add %d for the day; of a month without one compute its first day in `columns`, such as { name = \"first_day\", \
             expression = \"cast(concat(month, '-01') as timestamp)\" } of a column `month` without a type",
        ),
        false => refuse(
            "doesn't say which day a time is on",
            "a year, a month and a day are %Y, %m and %d; a year and its day from 1 to 366 are %Y and %j",
        ),
    }
}
