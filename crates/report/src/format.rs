//! Numbers as text, the same in every table.

use super::statistics::{Interval, LEVEL};

/// What stands where there is no value.
pub(crate) const ABSENT: &str = "-";

/// A whole number with a comma every three digits.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    if value < 0.0 && digits != "0" {
        text.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with so many decimals; one that these would make 0, and one too long to be read, as a power of ten. A reader who sees zeros
/// may take them for a constant.
pub(super) fn decimals(value: f64, count: usize) -> String {
    const TOO_LONG: f64 = 1e7;
    let fixed = without_negative_zero(format!("{value:.count$}"));
    let is_lost = value != 0.0 && fixed.trim_matches(['-', '0', '.']).is_empty();
    match is_lost || value.abs() >= TOO_LONG {
        true => format!("{value:.3e}"),
        false => fixed,
    }
}

/// What four decimals show as more than 0.
const LEAST_SHOWN: f64 = 0.00005;

/// A score with four decimals; far from 1 as a power of ten with as many digits.
pub(super) fn score(value: Option<f64>) -> String {
    value.map_or(ABSENT.to_owned(), |value| decimals(value, 4))
}

/// A mean with the standard deviation, where there is one.
pub(super) fn mean_and_deviation(mean: Option<f64>, deviation: Option<f64>) -> String {
    let Some(deviation) = deviation else {
        return score(mean);
    };
    // Values that are equal but for their last bits have a deviation of rounding alone.
    let deviation = match mean {
        Some(mean) if deviation <= 1e-12 * mean.abs() => 0.0,
        _ => deviation,
    };
    // A mean of nearly nothing beside a deviation that is something is rounding: of standardised labels, say.
    let is_rounding = |mean: f64| mean.abs() < LEAST_SHOWN && deviation >= LEAST_SHOWN;
    let mean = mean.map(|mean| if is_rounding(mean) { 0.0 } else { mean });
    // With the decimals of its mean, beside which a smaller deviation is nothing.
    let deviation = match mean {
        Some(mean) if mean.abs() >= LEAST_SHOWN => without_negative_zero(format!("{deviation:.4}")),
        _ => score(Some(deviation)),
    };
    format!("{} ± {deviation}", score(mean))
}

/// An interval, with as many decimals as a difference.
pub(super) fn interval(interval: Option<Interval>) -> String {
    interval.map_or(ABSENT.to_owned(), |Interval { low, high }| {
        // An end that is nothing beside the other is 0.
        let are_shown = low.abs().max(high.abs()) >= 0.000005;
        let end = |value: f64| match are_shown && value.abs() < 0.000005 {
            true => decimals(0.0, 5),
            false => decimals(value, 5),
        };
        format!("[{}, {}]", end(low), end(high))
    })
}

/// A difference with its sign and five decimals.
pub(super) fn difference(value: f64) -> String {
    let sign = if value < 0.0 { "" } else { "+" };
    format!("{sign}{}", decimals(value, 5))
}

/// A share with its sign, in percent.
pub(super) fn percent(value: f64) -> String {
    let text = format!("{:+.3} %", 100.0 * value);
    if text == "-0.000 %" {
        "+0.000 %".to_owned()
    } else {
        text
    }
}

/// A probability with three decimals.
pub(super) fn probability(value: Option<f64>) -> String {
    value.map_or(ABSENT.to_owned(), |value| format!("{value:.3}"))
}

/// An interval of probabilities, each with three decimals.
pub(super) fn share_interval(interval: Option<Interval>) -> String {
    interval.map_or(ABSENT.to_owned(), |Interval { low, high }| {
        format!("[{low:.3}, {high:.3}]")
    })
}

/// A p-value with three decimals; none is zero.
pub(super) fn p_value(value: Option<f64>) -> String {
    match value {
        None => ABSENT.to_owned(),
        Some(value) if value < 0.0005 => "< 0.001".to_owned(),
        Some(value) => format!("{value:.*}", p_decimals(value)),
    }
}

/// Three decimals, or as many as show that a p-value is below the level of the tests: where 0.0496 is 0.050, a difference that holds seems
/// not to.
fn p_decimals(value: f64) -> usize {
    const MOST: usize = 9;
    let is_below = |&count: &usize| {
        let shown = format!("{value:.count$}").parse::<f64>();
        shown.is_ok_and(|shown| shown < LEVEL)
    };
    match value < LEVEL {
        true => (3..MOST).find(is_below).unwrap_or(MOST),
        false => 3,
    }
}

/// A p-value in a sentence: `p = 0.012` or `p < 0.001`.
pub(super) fn p_equals(value: Option<f64>) -> String {
    let text = p_value(value);
    match text.starts_with('<') {
        true => format!("p {text}"),
        false => format!("p = {text}"),
    }
}

/// Most decimals of a claim; beyond, numbers are powers of ten.
const MOST_DECIMALS: i32 = 7;

/// A difference as a sentence claims it, with two digits of its interval's half width: `+.0021 [.0004, .0038]`.
pub(super) fn claim(mean: f64, interval: Option<Interval>) -> String {
    let size = match interval {
        Some(Interval { low, high }) => (high - low) / 2.0,
        // Without a spread, two digits of the number itself.
        None => mean.abs(),
    };
    let digits = match size > 0.0 && size.is_finite() {
        true => 1 - libm::log10(size).floor() as i32,
        false => 4,
    };
    let number = |value: f64| match digits {
        digits if digits > MOST_DECIMALS => format!("{value:.1e}"),
        digits => short_number(value, digits.max(0) as usize),
    };
    let sign = if mean < 0.0 { "" } else { "+" };
    let interval = interval.map_or(String::new(), |Interval { low, high }| {
        // On one line, also where lines are broken.
        format!(" [{},\u{a0}{}]", number(low), number(high))
    });
    format!("{sign}{}{interval}", number(mean))
}

/// A number with its sign and two digits, as the end of an axis.
pub(super) fn signed(value: f64) -> String {
    claim(value, None)
}

/// A number without the zero before its point.
fn short_number(value: f64, digits: usize) -> String {
    let text = without_negative_zero(format!("{value:.digits$}"));
    let (sign, size) = match text.strip_prefix('-') {
        Some(size) => ("-", size),
        None => ("", text.as_str()),
    };
    match size.strip_prefix("0.") {
        Some(decimals) => format!("{sign}.{decimals}"),
        None => text,
    }
}

/// A p-value as a sentence claims it: `p = .043` or `p < .001`.
pub(super) fn claimed_p_value(value: Option<f64>) -> String {
    match value {
        None => "p unknown".to_owned(),
        Some(value) if value < 0.0005 => "p\u{a0}<\u{a0}.001".to_owned(),
        // On one line, also where lines are broken.
        Some(value) => format!("p\u{a0}=\u{a0}{}", short_number(value, p_decimals(value))),
    }
}

/// `1 seed`, `3 seeds`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Seeds in rising order; four or more in a row as a range.
pub(super) fn seeds(seeds: Vec<u64>) -> String {
    let mut seeds = homebench_results::read::distinct(seeds.into_iter());
    seeds.sort_unstable();
    let runs = seeds.chunk_by(|a, b| a + 1 == *b);
    let run = |run: &[u64]| match run {
        [first, _, .., last] if run.len() > 3 => format!("{first} to {last}"),
        _ => run
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    };
    let runs: Vec<String> = runs.map(run).collect();
    if runs.is_empty() {
        "none".to_owned()
    } else {
        runs.join(", ")
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Of more things than this a sentence names the first and counts the rest.
pub(super) const MOST_NAMED: usize = 12;

/// As [`listed`], with the number of those beyond [`MOST_NAMED`] in place of their names.
pub(super) fn named(mut items: Vec<String>) -> String {
    let more = items.len().saturating_sub(MOST_NAMED);
    items.truncate(MOST_NAMED);
    if more > 0 {
        items.push(format!("{more} more"));
    }
    listed(items)
}

fn without_negative_zero(text: String) -> String {
    let is_zero = text.trim_matches(['-', '0', '.']).is_empty();
    if is_zero { text.replace('-', "") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_named_one_by_one_or_as_a_range() {
        assert_eq!(seeds(vec![3, 1, 2]), "1, 2, 3");
        assert_eq!(
            seeds(vec![1, 2, 3, 4, 7, 9, 10, 11, 12, 13]),
            "1 to 4, 7, 9 to 13"
        );
        assert_eq!(seeds(vec![]), "none");
    }

    #[test]
    fn tiny_and_huge_numbers_keep_their_digits() {
        assert_eq!(score(Some(2e-7)), "2.000e-7");
        assert_eq!(score(Some(-0.00001)), "-1.000e-5");
        assert_eq!(score(Some(0.00006)), "0.0001");
        assert_eq!(score(Some(-15_659_458_308.968_7)), "-1.566e10");
        assert_eq!(score(Some(1_234_567.0)), "1234567.0000");
        assert_eq!(
            mean_and_deviation(Some(2e-7), Some(1.2346e-8)),
            "2.000e-7 ± 1.235e-8"
        );
        assert_eq!(
            mean_and_deviation(Some(2e-7), Some(0.0)),
            "2.000e-7 ± 0.0000"
        );
        assert_eq!(
            mean_and_deviation(Some(0.7068), Some(1.36e-16)),
            "0.7068 ± 0.0000"
        );
        assert_eq!(
            mean_and_deviation(Some(5.9e-10), Some(1.0)),
            "0.0000 ± 1.0000"
        );
        assert_eq!(
            mean_and_deviation(Some(0.95), Some(1e-6)),
            "0.9500 ± 0.0000"
        );
        assert_eq!(difference(-0.000001), "-1.000e-6");
        assert_eq!(difference(0.000001), "+1.000e-6");
        let ends = Interval {
            low: -1e-9,
            high: 2e-9,
        };
        assert_eq!(interval(Some(ends)), "[-1.000e-9, 2.000e-9]");
    }

    #[test]
    fn claims_have_two_digits_of_their_uncertainty() {
        let of = |mean, low, high| claim(mean, Some(Interval { low, high })).replace('\u{a0}', " ");
        assert_eq!(of(0.0021, 0.0004, 0.0038), "+.0021 [.0004, .0038]");
        assert_eq!(of(-0.01289, -0.0227, -0.0031), "-.0129 [-.0227, -.0031]");
        assert_eq!(of(0.00067, 0.00014, 0.0012), "+.00067 [.00014, .00120]");
        assert_eq!(of(12.34, -3.0, 27.7), "+12 [-3, 28]");
        assert_eq!(of(1.25, 0.9, 1.6), "+1.25 [.90, 1.60]");
        assert_eq!(of(3e-9, 1e-9, 5e-9), "+3.0e-9 [1.0e-9, 5.0e-9]");
        assert_eq!(claim(0.00213, None), "+.0021");
        assert_eq!(claim(0.0, None), "+.0000");
        let plain = |value| claimed_p_value(Some(value)).replace('\u{a0}', " ");
        assert_eq!(plain(0.0432), "p = .043");
        assert_eq!(plain(1.0), "p = 1.000");
        assert_eq!(plain(0.04962), "p = .0496");
        assert_eq!(plain(0.05), "p = .050");
        assert_eq!(plain(0.0001), "p < .001");
    }

    #[test]
    fn numbers_read_as_in_prose() {
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(999.6), "1,000");
        assert_eq!(grouped(-1_000.0), "-1,000");
        assert_eq!(grouped(12.0), "12");
        assert_eq!(score(Some(-0.0)), "0.0000");
        assert_eq!(difference(-0.0), "+0.00000");
        assert_eq!(difference(0.25), "+0.25000");
        assert_eq!(difference(-0.25), "-0.25000");
        assert_eq!(p_value(Some(0.00049)), "< 0.001");
        assert_eq!(p_value(Some(0.0005)), "0.001");
        assert_eq!(p_value(None), ABSENT);
        // What holds is seen to be below the level.
        assert_eq!(p_value(Some(0.0494)), "0.049");
        assert_eq!(p_value(Some(0.049996)), "0.049996");
        assert_eq!(p_value(Some(0.0502)), "0.050");
        assert_eq!(p_equals(Some(0.0)), "p < 0.001");
        assert_eq!(p_equals(Some(0.25)), "p = 0.250");
        assert_eq!(
            mean_and_deviation(Some(0.95), Some(0.001)),
            "0.9500 ± 0.0010"
        );
        assert_eq!(mean_and_deviation(None, None), "-");
        assert_eq!(listed([1, 2, 3]), "1, 2 and 3");
        assert_eq!(listed(["a"]), "a");
        assert_eq!(counted(1, "seed"), "1 seed");
    }
}
