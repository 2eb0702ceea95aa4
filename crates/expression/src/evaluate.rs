//! Expressions on some rows.

use super::functions;
use super::node::{Arithmetic, CastType, Function, Node, NumberLiteral, Operator};
use super::values::{Values, compare_decimals, compare_exactly, decimals, scale_of};
use super::{Reading, RowFault, Rows, boolean};
use crate::timeline::{self, TimeRule};
use arrow::array::{Array, BooleanArray, Float32Array, Float64Array, Int64Array, StringArray};
use arrow::compute::{and_kleene, ilike, is_null, like, not, or_kleene};
use std::cmp::Ordering;

/// Values of a part: of every row, or the one of a literal for all of them.
pub(super) struct Side {
    pub(super) values: Values,
    pub(super) is_literal: bool,
}

impl Side {
    fn literal(values: Values) -> Self {
        Self {
            values,
            is_literal: true,
        }
    }

    /// The index of a row's value.
    pub(super) fn at(&self, row: usize) -> usize {
        if self.is_literal { 0 } else { row }
    }

    /// A value for every row.
    fn spread(self, rows: usize) -> Values {
        match self.is_literal {
            true => self.values.take(&vec![Some(0); rows]),
            false => self.values,
        }
    }
}

/// The values of a part on every row.
pub(super) fn evaluate(node: &Node, rows: &dyn Rows) -> Result<Values, RowFault> {
    Ok(side(node, rows)?.spread(rows.num_rows()))
}

/// A part as a condition.
pub(super) fn condition(node: &Node, rows: &dyn Rows) -> Result<Values, RowFault> {
    truth(side(node, rows)?, rows.num_rows()).map(Values::Boolean)
}

fn computed(row: usize, expected: &str, found: impl ToString) -> RowFault {
    RowFault {
        row,
        column: None,
        expected: expected.to_owned(),
        found: found.to_string(),
    }
}

pub(super) fn side(node: &Node, rows: &dyn Rows) -> Result<Side, RowFault> {
    let num_rows = rows.num_rows();
    let whole = |values| Side {
        values,
        is_literal: false,
    };
    Ok(match node {
        Node::Column { column, reading } => whole(rows.values(*column, *reading)?),
        Node::Number(NumberLiteral::Integer(number)) => {
            Side::literal(match i64::try_from(*number) {
                Ok(number) => Values::Integer(vec![number].into()),
                Err(_) => Values::Decimal(decimals([Some(*number)], 0)),
            })
        }
        Node::Number(NumberLiteral::Decimal(digits, scale)) => {
            Side::literal(Values::Decimal(decimals([Some(*digits)], *scale)))
        }
        Node::Number(NumberLiteral::Float(number)) => {
            Side::literal(Values::Float(vec![*number].into()))
        }
        Node::Text(text) => Side::literal(Values::Text(vec![text.as_str()].into())),
        Node::Time(time) => Side::literal(Values::from_times([Some(*time)])),
        Node::Boolean(value) => Side::literal(Values::Boolean(vec![*value].into())),
        Node::Null => Side::literal(Values::Null(1)),
        Node::Compare {
            operator,
            left,
            right,
        } => {
            let are_raw = [left, right].iter().all(|part| {
                matches!(
                    &***part,
                    Node::Column {
                        reading: Reading::Raw,
                        ..
                    }
                )
            });
            let (left, right) = (side(left, rows)?, side(right, rows)?);
            whole(Values::Boolean(match are_raw {
                true => compare_any(*operator, &left.values, &right.values),
                false => compare(*operator, &left, &right, num_rows)?,
            }))
        }
        Node::All(parts) => whole(chain(parts, rows, and_kleene)?),
        Node::Any(parts) => whole(chain(parts, rows, or_kleene)?),
        Node::Not(inner) => {
            let inner = truth(side(inner, rows)?, num_rows)?;
            whole(Values::Boolean(
                not(&inner).expect("it has no length to disagree with"),
            ))
        }
        Node::IsNull(inner) => {
            let inner = evaluate(inner, rows)?;
            let nothing = match &inner {
                Values::Null(rows) => BooleanArray::from(vec![true; *rows]),
                other => is_null(&other.array()).expect("every array knows its nulls"),
            };
            whole(Values::Boolean(nothing))
        }
        Node::IsTruth(inner, wanted) => {
            let inner = truth(side(inner, rows)?, num_rows)?;
            let is = inner.iter().map(|value| Some(value == Some(*wanted)));
            whole(Values::Boolean(is.collect()))
        }
        Node::Like {
            text,
            pattern,
            is_case_sensitive,
        } => {
            let texts = evaluate(text, rows)?.texts();
            let pattern = StringArray::new_scalar(pattern);
            let matches = match is_case_sensitive {
                true => like(&texts, &pattern),
                false => ilike(&texts, &pattern),
            };
            whole(Values::Boolean(
                matches.map_err(|error| computed(0, "a pattern of `like`", error))?,
            ))
        }
        Node::Arithmetic {
            operator,
            left,
            right,
        } => {
            let (left, right) = (side(left, rows)?, side(right, rows)?);
            whole(arithmetic(*operator, &left, &right, num_rows)?)
        }
        Node::Case {
            branches,
            otherwise,
        } => whole(case(branches, otherwise.as_deref(), rows)?),
        Node::Call {
            function,
            arguments,
        } => {
            let arguments = arguments.iter().map(|part| side(part, rows));
            let arguments = alike(arguments.collect::<Result<Vec<_>, _>>()?);
            whole(match function {
                Function::Coalesce => coalesce(arguments, num_rows),
                Function::NullIf => {
                    let is_equal =
                        compare(Operator::Equal, &arguments[0], &arguments[1], num_rows)?;
                    let kept: Vec<Option<usize>> = (0..num_rows)
                        .map(|row| {
                            let is_equal = is_equal.is_valid(row) && is_equal.value(row);
                            (!is_equal).then(|| arguments[0].at(row))
                        })
                        .collect();
                    arguments[0].values.take(&kept)
                }
                Function::Greatest => extreme(arguments, num_rows, Operator::Greater)?,
                Function::Least => extreme(arguments, num_rows, Operator::Less)?,
                function => functions::call(*function, &arguments, num_rows)?,
            })
        }
        Node::Cast { inner, to, is_try } => {
            let inner = side(inner, rows)?;
            let cast = cast(&inner.values, *to, *is_try)?;
            Side {
                values: cast,
                is_literal: inner.is_literal,
            }
        }
    })
}

fn chain(
    parts: &[Node],
    rows: &dyn Rows,
    join: fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, arrow::error::ArrowError>,
) -> Result<Values, RowFault> {
    let mut all: Option<BooleanArray> = None;
    for part in parts {
        let next = truth(side(part, rows)?, rows.num_rows())?;
        all = Some(match all {
            None => next,
            Some(before) => join(&before, &next).expect("both have a value for every row"),
        });
    }
    // `in ()` holds nowhere.
    Ok(Values::Boolean(
        all.unwrap_or_else(|| vec![false; rows.num_rows()].into()),
    ))
}

/// Values as conditions: 0 and 1 are what logs have for them.
fn truth(side: Side, num_rows: usize) -> Result<BooleanArray, RowFault> {
    match side.spread(num_rows) {
        Values::Boolean(array) => Ok(array),
        Values::Null(rows) => Ok(BooleanArray::new_null(rows)),
        other => (0..other.num_rows())
            .map(|row| {
                let word = match &other {
                    Values::Text(texts) if !other.is_null(row) => boolean(texts.value(row)),
                    _ => None,
                };
                match (word, other.number(row)) {
                    _ if other.is_null(row) => Ok(None),
                    (Some(word), _) => Ok(Some(word)),
                    (None, 0.0) => Ok(Some(false)),
                    (None, 1.0) => Ok(Some(true)),
                    _ => Err(computed(row, "a condition, or 0 or 1", other.text(row))),
                }
            })
            .collect(),
    }
}

/// The order of two values of a row, nothing where one is missing.
fn order(
    left: &Values,
    left_row: usize,
    right: &Values,
    right_row: usize,
    is_single: bool,
) -> Option<Ordering> {
    use Values::{Boolean, Float, Float32, Integer, Text, Time};
    if left.is_null(left_row) || right.is_null(right_row) {
        return None;
    }
    match (left, right) {
        (Integer(a), Integer(b)) => Some(a.value(left_row).cmp(&b.value(right_row))),
        (Text(a), Text(b)) => Some(a.value(left_row).cmp(b.value(right_row))),
        (Time(a), Time(b)) => Some(a.value(left_row).cmp(&b.value(right_row))),
        (Boolean(a), Boolean(b)) => Some(a.value(left_row).cmp(&b.value(right_row))),
        (Float(a), Float(b)) => a.value(left_row).partial_cmp(&b.value(right_row)),
        (Float32(_), _) | (_, Float32(_)) if is_single => {
            let narrow = |values: &Values, row| values.number(row) as f32;
            narrow(left, left_row).partial_cmp(&narrow(right, right_row))
        }
        _ => {
            if let (Some(a), Some(b)) = (left.exact(left_row), right.exact(right_row))
                && let Some(order) = compare_decimals(a, b)
            {
                return Some(order);
            }
            let (a, b) = (left.number(left_row), right.number(right_row));
            match (left.integer(left_row), right.integer(right_row)) {
                (Some(integer), None) => compare_exactly(integer, b),
                (None, Some(integer)) => compare_exactly(integer, a).map(Ordering::reverse),
                _ => a.partial_cmp(&b),
            }
        }
    }
}

fn compare(
    operator: Operator,
    left: &Side,
    right: &Side,
    num_rows: usize,
) -> Result<BooleanArray, RowFault> {
    use Values::{Boolean, Null, Text, Time};
    // A text beside a time or a condition of a file that knows its types is read as one.
    let as_other = |text: &Side, other: &Values| -> Result<Side, RowFault> {
        let values = match other {
            Time(_) => cast(&text.values, CastType::Time, false)?,
            Boolean(_) => cast(&text.values, CastType::Boolean, false)?,
            _ => text.values.clone(),
        };
        Ok(Side {
            values,
            is_literal: text.is_literal,
        })
    };
    match (&left.values, &right.values) {
        (Null(_), _) | (_, Null(_)) => return Ok(BooleanArray::new_null(num_rows)),
        (Text(_), Text(_)) => {}
        (Text(_), Time(_) | Boolean(_)) => {
            let left = as_other(left, &right.values)?;
            return compare(operator, &left, right, num_rows);
        }
        (Time(_) | Boolean(_), Text(_)) => {
            let right = as_other(right, &left.values)?;
            return compare(operator, left, &right, num_rows);
        }
        (Time(_), Time(_)) => {}
        (Text(_) | Time(_), _) | (_, Text(_) | Time(_)) => {
            return Err(computed(0, left.values.kind(), right.values.kind()));
        }
        _ => {}
    }
    // A column of 32 bits holds 4.1 as the nearest of 32 bits, and a literal means that one.
    let is_float32 = |side: &Side| matches!(side.values, Values::Float32(_));
    let is_single = (is_float32(left) && (right.is_literal || is_float32(right)))
        || (is_float32(right) && left.is_literal);
    Ok((0..num_rows)
        .map(|row| {
            let (a, b) = (left.at(row), right.at(row));
            order(&left.values, a, &right.values, b, is_single).map(|order| operator.holds(order))
        })
        .collect())
}

/// Whether values of two columns of any kinds are equal: as numbers where both are such, else as texts.
fn compare_any(operator: Operator, left: &Values, right: &Values) -> BooleanArray {
    let number = |values: &Values, row: usize| match values {
        Values::Text(texts) => texts.value(row).trim().parse().ok(),
        Values::Boolean(_) | Values::Time(_) | Values::Null(_) => None,
        other => Some(other.number(row)),
    };
    let is_text = |values: &Values| matches!(values, Values::Text(_));
    (0..left.num_rows())
        .map(|row| {
            if left.is_null(row) || right.is_null(row) {
                return None;
            }
            let same_kind = std::mem::discriminant(left) == std::mem::discriminant(right);
            let order = match (
                same_kind && !is_text(left),
                number(left, row),
                number(right, row),
            ) {
                (true, ..) => order(left, row, right, row, false)?,
                (false, Some(a), Some(b)) => match (left.integer(row), right.integer(row)) {
                    (Some(a), Some(b)) => a.cmp(&b),
                    _ => f64::partial_cmp(&a, &b)?,
                },
                _ => left.text(row).cmp(&right.text(row)),
            };
            Some(operator.holds(order))
        })
        .collect()
}

fn arithmetic(
    operator: Arithmetic,
    left: &Side,
    right: &Side,
    num_rows: usize,
) -> Result<Values, RowFault> {
    for side in [left, right] {
        if matches!(side.values, Values::Text(_) | Values::Time(_)) {
            return Err(computed(0, "a number", side.values.kind()));
        }
    }
    if matches!(left.values, Values::Null(_)) || matches!(right.values, Values::Null(_)) {
        return Ok(Values::Null(num_rows));
    }
    let is_whole = |side: &Side| match &side.values {
        Values::Integer(_) => true,
        Values::Decimal(array) => scale_of(array) == 0,
        _ => false,
    };
    if operator != Arithmetic::Divide && is_whole(left) && is_whole(right) {
        return whole_arithmetic(operator, left, right, num_rows);
    }
    let is_exact = |side: &Side| matches!(side.values, Values::Integer(_) | Values::Decimal(_));
    if matches!(
        operator,
        Arithmetic::Plus | Arithmetic::Minus | Arithmetic::Times
    ) && is_exact(left)
        && is_exact(right)
        && let Some(values) = decimal_arithmetic(operator, left, right, num_rows)
    {
        return Ok(values);
    }
    let is_float32 = |side: &Side| matches!(side.values, Values::Float32(_));
    let is_single = (is_float32(left) && (right.is_literal || is_float32(right)))
        || (is_float32(right) && left.is_literal);
    let number = |row: usize| -> Result<Option<f64>, RowFault> {
        let (a, b) = (left.at(row), right.at(row));
        if left.values.is_null(a) || right.values.is_null(b) {
            return Ok(None);
        }
        let (mut a, mut b) = (left.values.number(a), right.values.number(b));
        if is_single {
            // Numbers of 32 bits: one rounding of their result is what 32 bits compute.
            (a, b) = (f64::from(a as f32), f64::from(b as f32));
        }
        let value = match operator {
            Arithmetic::Plus => a + b,
            Arithmetic::Minus => a - b,
            Arithmetic::Times => a * b,
            // As in MySQL and DuckDB: nothing, and no infinity that a model would learn from.
            Arithmetic::Divide | Arithmetic::Remainder if b == 0.0 => return Ok(None),
            Arithmetic::Divide => a / b,
            Arithmetic::Remainder => a % b,
        };
        match value.is_finite() {
            true => Ok(Some(value)),
            false => Err(computed(
                row,
                "a result that is a finite number",
                format!("{a} {} {b}", operator.word()),
            )),
        }
    };
    let values = (0..num_rows).map(number);
    match is_single {
        true => Ok(Values::Float32(
            values
                .map(|value| Ok(value?.map(|value| value as f32)))
                .collect::<Result<Float32Array, RowFault>>()?,
        )),
        false => Ok(Values::Float(values.collect::<Result<Float64Array, _>>()?)),
    }
}

/// Sums and products of decimals, exact; nothing where one has too many digits.
fn decimal_arithmetic(
    operator: Arithmetic,
    left: &Side,
    right: &Side,
    num_rows: usize,
) -> Option<Values> {
    let places = |side: &Side| match &side.values {
        Values::Decimal(array) => scale_of(array),
        _ => 0,
    };
    let (of_left, of_right) = (places(left), places(right));
    let scale = match operator {
        Arithmetic::Times => of_left.checked_add(of_right)?,
        _ => of_left.max(of_right),
    };
    let mut values = Vec::with_capacity(num_rows);
    for row in 0..num_rows {
        let (a, b) = (
            left.values.exact(left.at(row)),
            right.values.exact(right.at(row)),
        );
        let (Some((a, _)), Some((b, _))) = (a, b) else {
            values.push(None);
            continue;
        };
        let scaled = |digits: i128, own: i8| {
            digits.checked_mul(10i128.checked_pow(u32::try_from(scale - own).ok()?)?)
        };
        let value = match operator {
            Arithmetic::Times => a.checked_mul(b)?,
            Arithmetic::Plus => scaled(a, of_left)?.checked_add(scaled(b, of_right)?)?,
            _ => scaled(a, of_left)?.checked_sub(scaled(b, of_right)?)?,
        };
        if value.unsigned_abs() >= 10u128.pow(38) {
            return None;
        }
        values.push(Some(value));
    }
    (0..=37)
        .contains(&scale)
        .then(|| Values::Decimal(decimals(values, scale)))
}

fn whole_arithmetic(
    operator: Arithmetic,
    left: &Side,
    right: &Side,
    num_rows: usize,
) -> Result<Values, RowFault> {
    let mut values = Vec::with_capacity(num_rows);
    for row in 0..num_rows {
        let (a, b) = (
            left.values.integer(left.at(row)),
            right.values.integer(right.at(row)),
        );
        let (Some(a), Some(b)) = (a, b) else {
            values.push(None);
            continue;
        };
        let value = match operator {
            Arithmetic::Plus => a.checked_add(b),
            Arithmetic::Minus => a.checked_sub(b),
            Arithmetic::Times => a.checked_mul(b),
            _ if b == 0 => {
                values.push(None);
                continue;
            }
            _ => a.checked_rem(b),
        };
        match value.filter(|value| value.unsigned_abs() < 10u128.pow(38)) {
            Some(value) => values.push(Some(value)),
            None => {
                let found = format!("{a} {} {b}", operator.word());
                return Err(computed(row, "a result of at most 38 digits", found));
            }
        }
    }
    Ok(integers(values))
}

/// Integers of 64 bits where all are such.
pub(super) fn integers(values: Vec<Option<i128>>) -> Values {
    let is_short = |value: &Option<i128>| value.is_none_or(|value| i64::try_from(value).is_ok());
    if values.iter().all(is_short) {
        let short = values
            .into_iter()
            .map(|value| value.map(|value| value as i64));
        return Values::Integer(short.collect::<Int64Array>());
    }
    Values::Decimal(decimals(values, 0))
}

/// Some rows of others.
struct Chosen<'a> {
    rows: &'a dyn Rows,
    chosen: Vec<Option<usize>>,
}

impl Rows for Chosen<'_> {
    fn num_rows(&self) -> usize {
        self.chosen.len()
    }

    fn values(&self, column: usize, reading: Reading) -> Result<Values, RowFault> {
        Ok(self.rows.values(column, reading)?.take(&self.chosen))
    }
}

fn case(
    branches: &[(Node, Node)],
    otherwise: Option<&Node>,
    rows: &dyn Rows,
) -> Result<Values, RowFault> {
    let num_rows = rows.num_rows();
    let mut left: Vec<usize> = (0..num_rows).collect();
    let (mut parts, mut lengths) = (Vec::new(), Vec::new());
    // Where each row's value is among those of all branches.
    let mut places = vec![None; num_rows];
    let mut start = 0;
    let last = Node::Boolean(true);
    let all = branches.iter().map(|(condition, value)| (condition, value));
    for (condition, value) in all.chain(otherwise.map(|value| (&last, value))) {
        // A branch is computed on its own rows alone: it may be what guards a cast or a division.
        let undecided = choose(rows, &left);
        let holds = evaluate(condition, &undecided).map_err(|fault| moved(fault, &left))?;
        let holds = truth(
            Side {
                values: holds,
                is_literal: false,
            },
            left.len(),
        )
        .map_err(|fault| moved(fault, &left))?;
        let holds: Vec<bool> = holds.iter().map(|holds| holds == Some(true)).collect();
        let taken: Vec<usize> = pick(&left, &holds, true);
        left = pick(&left, &holds, false);
        let values = side(value, &choose(rows, &taken)).map_err(|fault| moved(fault, &taken))?;
        for (index, row) in taken.iter().enumerate() {
            places[*row] = Some(start + index);
        }
        start += taken.len();
        lengths.push(taken.len());
        parts.push(values);
    }
    let parts = alike(parts).into_iter().zip(lengths);
    let parts: Vec<Values> = parts.map(|(part, rows)| part.spread(rows)).collect();
    Ok(Values::concat(&parts).take(&places))
}

fn choose<'a>(rows: &'a dyn Rows, chosen: &[usize]) -> Chosen<'a> {
    Chosen {
        rows,
        chosen: chosen.iter().map(|row| Some(*row)).collect(),
    }
}

/// A fault of some rows at its place among all of them; one of a column has that place already.
fn moved(fault: RowFault, rows: &[usize]) -> RowFault {
    match fault.column {
        Some(_) => fault,
        None => RowFault {
            row: rows.get(fault.row).copied().unwrap_or(fault.row),
            ..fault
        },
    }
}

fn pick(rows: &[usize], holds: &[bool], wanted: bool) -> Vec<usize> {
    let of_rows = rows.iter().zip(holds);
    of_rows
        .filter(|(_, holds)| **holds == wanted)
        .map(|(row, _)| *row)
        .collect()
}

/// Literals beside columns of 32 bits as such, which is how they compare.
fn alike(mut sides: Vec<Side>) -> Vec<Side> {
    let mut columns = sides.iter().filter(|side| !side.is_literal).peekable();
    let are_single = columns.peek().is_some()
        && columns.all(|side| matches!(side.values, Values::Float32(_) | Values::Null(_)));
    if are_single {
        for side in sides.iter_mut().filter(|side| side.is_literal) {
            if let Values::Integer(_) | Values::Decimal(_) | Values::Float(_) = side.values {
                let number = side.values.number(0) as f32;
                side.values = Values::Float32(vec![number].into());
            }
        }
    }
    sides
}

fn coalesce(arguments: Vec<Side>, num_rows: usize) -> Values {
    let places: Vec<Option<usize>> = (0..num_rows)
        .map(|row| {
            let mut start = 0;
            for argument in &arguments {
                let at = argument.at(row);
                if !argument.values.is_null(at) {
                    return Some(start + at);
                }
                start += argument.values.num_rows();
            }
            None
        })
        .collect();
    let parts: Vec<Values> = arguments
        .into_iter()
        .map(|argument| argument.values)
        .collect();
    Values::concat(&parts).take(&places)
}

/// The greatest or the least value of each row; what is missing is passed over.
fn extreme(arguments: Vec<Side>, num_rows: usize, operator: Operator) -> Result<Values, RowFault> {
    let mut best: Option<Side> = None;
    for next in arguments {
        best = Some(match best {
            None => next,
            Some(before) => {
                let is_better = compare(operator, &next, &before, num_rows)?;
                let length = before.values.num_rows();
                let places: Vec<Option<usize>> = (0..num_rows)
                    .map(|row| {
                        let (old, new) = (before.at(row), next.at(row));
                        let is_better = match is_better.is_valid(row) {
                            true => is_better.value(row),
                            false => before.values.is_null(old),
                        };
                        Some(if is_better { length + new } else { old })
                    })
                    .collect();
                Side {
                    values: Values::concat(&[before.values, next.values]).take(&places),
                    is_literal: false,
                }
            }
        });
    }
    Ok(best.map_or(Values::Null(num_rows), |best| best.spread(num_rows)))
}

fn cast(values: &Values, to: CastType, is_try: bool) -> Result<Values, RowFault> {
    let expected = match to {
        CastType::Text => return Ok(Values::Text(values.texts())),
        CastType::Integer => "an integer (round or floor it first)",
        CastType::Float => "a number",
        CastType::Boolean => "true or false",
        CastType::Time | CastType::Date => "a time such as 2022-04-08T12:00:00",
    };
    // What can't be cast is null in a `try_cast` and refused otherwise.
    let each = |row: usize, value: Option<f64>| match (value, is_try) {
        (Some(value), _) => Ok(Some(value)),
        (None, true) => Ok(None),
        (None, false) => Err(computed(row, expected, values.text(row))),
    };
    let rows = (0..values.num_rows()).map(|row| (row, values.is_null(row)));
    match to {
        CastType::Text => Ok(Values::Text(values.texts())),
        CastType::Integer => {
            let whole = |row: usize| match values {
                Values::Text(array) => array.value(row).trim().parse::<i128>().ok(),
                Values::Boolean(array) => Some(i128::from(array.value(row))),
                Values::Time(_) | Values::Null(_) => None,
                _ => values.integer(row).or_else(|| {
                    let number = values.number(row);
                    (number.fract() == 0.0 && number.abs() < 1e38).then_some(number as i128)
                }),
            };
            let mut cast = Vec::with_capacity(values.num_rows());
            for (row, is_null) in rows {
                let value = if is_null { None } else { whole(row) };
                let value = value.filter(|value| value.unsigned_abs() < 10u128.pow(38));
                if value.is_none() && !is_null && !is_try {
                    return Err(computed(row, expected, values.text(row)));
                }
                cast.push(value);
            }
            Ok(integers(cast))
        }
        CastType::Float => rows
            .map(|(row, is_null)| {
                let number = match values {
                    _ if is_null => return Ok(None),
                    Values::Text(array) => array.value(row).trim().parse().unwrap_or(f64::NAN),
                    other => other.number(row),
                };
                each(row, number.is_finite().then_some(number))
            })
            .collect::<Result<Float64Array, _>>()
            .map(Values::Float),
        CastType::Boolean => rows
            .map(|(row, is_null)| {
                let value = match values {
                    _ if is_null => return Ok(None),
                    Values::Boolean(array) => Some(array.value(row)),
                    other => boolean(&other.text(row)),
                };
                let value = value.map(|value| f64::from(u8::from(value)));
                Ok(each(row, value)?.map(|value| value == 1.0))
            })
            .collect::<Result<BooleanArray, _>>()
            .map(Values::Boolean),
        CastType::Time | CastType::Date => {
            let mut times = Vec::with_capacity(values.num_rows());
            for (row, is_null) in rows {
                let time = match values {
                    _ if is_null => None,
                    Values::Time(array) => Some(array.value(row)),
                    Values::Text(array) => {
                        let parsed = TimeRule::default().parse(array.value(row));
                        parsed.ok().map(|(time, _)| time)
                    }
                    _ => None,
                };
                if time.is_none() && !is_null && !is_try {
                    return Err(computed(row, expected, values.text(row)));
                }
                times.push(match to {
                    CastType::Date => time.and_then(|time| timeline::truncate(time, "day")),
                    _ => time,
                });
            }
            Ok(Values::from_times(times))
        }
    }
}
