//! Functions that choose among values: `case`, `coalesce`, `least` and `greatest`.

use super::compare::compare_alike;
use super::operands::together;
use super::{Side, evaluate, side, truth};
use crate::node::Node;
use crate::node::Operator;
use crate::values::Values;
use crate::{Reading, RowFault, Rows};
use arrow::array::Array;

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

    fn times(&self, column: usize) -> Option<Values> {
        Some(self.rows.times(column)?.take(&self.chosen))
    }
}

pub(super) fn case(
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
    let parts = together(parts)?.into_iter().zip(lengths);
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

pub(super) fn coalesce(arguments: Vec<Side>, num_rows: usize) -> Result<Values, RowFault> {
    let arguments = together(arguments)?;
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
    Ok(Values::concat(&parts).take(&places))
}

/// The greatest or the least value of each row; what is missing is passed over.
pub(super) fn extreme(
    arguments: Vec<Side>,
    num_rows: usize,
    operator: Operator,
) -> Result<Values, RowFault> {
    let mut best: Option<Side> = None;
    for next in together(arguments)? {
        best = Some(match best {
            None => next,
            Some(before) => {
                let is_better = compare_alike(operator, &next, &before, num_rows);
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
