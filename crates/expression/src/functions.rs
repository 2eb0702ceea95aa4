//! Functions of expressions that look at one row at a time.

mod rounding;

use super::RowFault;
use super::evaluate::{Side, integers};
use super::node::Function;
use super::values::Values;
use crate::timeline;
use arrow::array::{BooleanArray, Float64Array, StringArray};

/// Parts of a time that `extract` and `date_trunc` know; the last few are no part that a time can be cut to.
pub(super) const TIME_PARTS: [&str; 12] = [
    "year", "quarter", "month", "week", "day", "hour", "minute", "second", "dow", "isodow", "doy",
    "epoch",
];

/// The values of a function of the arguments' values.
pub(super) fn call(
    function: Function,
    arguments: &[Side],
    num_rows: usize,
) -> Result<Values, RowFault> {
    let is_null = |row: usize| {
        arguments
            .iter()
            .any(|side| side.values.is_null(side.at(row)))
    };
    let text = |index: usize, row: usize| {
        let side = &arguments[index];
        side.values.cast_text(side.at(row))
    };
    let number = |index: usize, row: usize| {
        let side = &arguments[index];
        side.values.number(side.at(row))
    };
    // An empty text is a missing value here as in files.
    let texts = |make: &dyn Fn(usize) -> String| {
        let texts = (0..num_rows).map(|row| {
            let text = if is_null(row) {
                String::new()
            } else {
                make(row)
            };
            (!text.is_empty()).then_some(text)
        });
        Ok(Values::Text(texts.collect::<StringArray>()))
    };
    let numbers = |make: &dyn Fn(usize, f64) -> f64| {
        let is_single = matches!(arguments[0].values, Values::Float16(_) | Values::Float32(_));
        let numbers = (0..num_rows).map(|row| {
            if is_null(row) {
                return Ok(None);
            }
            let value = make(row, number(0, row));
            match value.is_finite() {
                true => Ok(Some(value)),
                false => Err(fault(row, "a result that is a finite number", text(0, row))),
            }
        });
        let numbers = numbers.collect::<Result<Float64Array, _>>()?;
        Ok(match is_single {
            true => Values::Float32(numbers.iter().map(|number| Some(number? as f32)).collect()),
            false => Values::Float(numbers),
        })
    };
    match function {
        Function::Lower => texts(&|row| text(0, row).to_lowercase()),
        Function::Upper => texts(&|row| text(0, row).to_uppercase()),
        Function::Trim => texts(&|row| text(0, row).trim().to_owned()),
        Function::Concat => {
            texts(&|row| (0..arguments.len()).map(|index| text(index, row)).collect())
        }
        Function::Replace => texts(&|row| text(0, row).replace(&text(1, row), &text(2, row))),
        Function::Substring => texts(&|row| {
            // Places count from 1; what lies before the text counts against the length.
            let given = number(1, row);
            // Below 0 they count from the end, as in MySQL, DuckDB and Spark.
            let from = match given < 0.0 {
                true => text(0, row).chars().count() as f64 + given,
                false => given - 1.0,
            };
            let end = match arguments.len() {
                3 => from + number(2, row),
                _ => f64::INFINITY,
            };
            let is_inside = |(place, _): &(usize, char)| {
                let place = *place as f64;
                place >= from && place < end
            };
            text(0, row)
                .chars()
                .enumerate()
                .filter(is_inside)
                .map(|(_, letter)| letter)
                .collect()
        }),
        Function::Length => Ok(integers(
            (0..num_rows)
                .map(|row| (!is_null(row)).then(|| text(0, row).chars().count() as i128))
                .collect(),
        )),
        Function::StartsWith => Ok(Values::Boolean(
            (0..num_rows)
                .map(|row| (!is_null(row)).then(|| text(0, row).starts_with(&text(1, row))))
                .collect::<BooleanArray>(),
        )),
        Function::Abs | Function::Floor | Function::Ceil | Function::Round
            if matches!(arguments[0].values, Values::Integer(_) | Values::Decimal(_)) =>
        {
            rounding::exact(function, arguments, num_rows)
        }
        Function::Abs => numbers(&|_, value| value.abs()),
        Function::Floor => numbers(&|_, value| value.floor()),
        Function::Ceil => numbers(&|_, value| value.ceil()),
        Function::Sqrt => numbers(&|_, value| value.sqrt()),
        Function::Round => {
            let places = rounding::places(arguments, num_rows)?;
            numbers(&|row, value| rounding::round(value, places.at(row)))
        }
        Function::DateTrunc | Function::Extract => {
            let part = text(0, 0);
            let Values::Time(times) = &arguments[1].values else {
                return Err(fault(0, "a time", arguments[1].values.kind().to_owned()));
            };
            let times = (0..num_rows).map(|row| {
                let at = arguments[1].at(row);
                (!arguments[1].values.is_null(at)).then(|| times.value(at))
            });
            match function {
                Function::DateTrunc => Ok(Values::from_times(
                    times.map(|time| timeline::truncate(time?, &part)),
                )),
                _ => extract(times, &part),
            }
        }
        Function::Coalesce | Function::NullIf | Function::Greatest | Function::Least => {
            unreachable!("they look at the kinds of all arguments")
        }
    }
}

fn extract(times: impl Iterator<Item = Option<i128>>, part: &str) -> Result<Values, RowFault> {
    let parts: Vec<Option<(i128, i128)>> = times.map(|time| timeline::part(time?, part)).collect();
    // Seconds have a fraction where a time has one.
    if parts.iter().flatten().all(|(_, fraction)| *fraction == 0) {
        return Ok(integers(
            parts.into_iter().map(|part| Some(part?.0)).collect(),
        ));
    }
    let number = |part: Option<(i128, i128)>| {
        let (whole, nanoseconds) = part?;
        Some(whole as f64 + nanoseconds as f64 / 1e9)
    };
    Ok(Values::Float(parts.into_iter().map(number).collect()))
}

fn fault(row: usize, expected: &str, found: String) -> RowFault {
    RowFault {
        row,
        column: None,
        expected: expected.to_owned(),
        found,
    }
}
