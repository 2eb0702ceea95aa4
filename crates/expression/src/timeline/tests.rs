//! Texts of times, formats, zones, clocks and counts, against points on the line.

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

#[test]
fn a_year_of_two_digits_is_none_of_four() {
    let in_format = |format: &str, text: &str| {
        let rule = TimeRule {
            format: Some(format.to_owned()),
            ..TimeRule::default()
        };
        rule.parse(text).map(|(time, _)| day_text(time))
    };
    // As Python's strptime.
    let refused = in_format("%m/%d/%Y", "12/31/99").unwrap_err();
    assert_eq!(
        refused,
        "a time written as %m/%d/%Y, with four digits of the year"
    );
    assert!(in_format("%d-%b-%Y", "08-Apr-22").is_err());
    assert_eq!(in_format("%m/%d/%Y", "12/31/0099").unwrap(), "0099-12-31");
    for (text, format, day) in [
        ("12/31/99", "%m/%d/%y", "1999-12-31"),
        ("1/1/00", "%m/%d/%y", "2000-01-01"),
        ("31/12/99", "%d/%m/%y", "1999-12-31"),
        ("31.12.99", "%d.%m.%y", "1999-12-31"),
        ("08-Apr-22", "%d-%b-%y", "2022-04-08"),
        ("22-04-08", "%y-%m-%d", "2022-04-08"),
    ] {
        assert_eq!(likely_format(text), Some(format), "{text}");
        assert_eq!(in_format(format, text).unwrap(), day, "{text}");
    }
}

#[test]
fn the_day_of_a_date_is_the_one_that_is_written() {
    let day = |rule: TimeRule, text: &str| {
        let rule = TimeRule {
            is_date: true,
            ..rule
        };
        day_text(rule.parse(text).unwrap().0)
    };
    let iso = TimeRule::default;
    assert_eq!(day(iso(), "2022-04-08T23:00:00-05:00"), "2022-04-08");
    assert_eq!(day(iso(), "2022-04-08T01:00:00+02:00"), "2022-04-08");
    let with_zone = TimeRule {
        format: Some("%d/%b/%Y:%H:%M:%S %z".to_owned()),
        ..TimeRule::default()
    };
    assert_eq!(day(with_zone, "08/Apr/2022:23:00:00 -0500"), "2022-04-08");
    let tokyo = TimeRule {
        zone: Some(Tz::Asia__Tokyo),
        ..TimeRule::default()
    };
    assert_eq!(day(tokyo, "2022-04-08T01:00:00"), "2022-04-08");
}
