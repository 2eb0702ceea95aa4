//! Operands of every pair of types beside what DuckDB makes of them: `tests/golden/expressions`.

use crate::timeline::TimeRule;
use crate::values::decimals;
use crate::*;

/// A column of the table: its name, its values and its type where a description gives it.
struct Column {
    name: String,
    values: Values,
    declared: ColumnType,
}

struct Table {
    columns: Vec<Column>,
    num_rows: usize,
}

impl Rows for Table {
    fn num_rows(&self) -> usize {
        self.num_rows
    }

    /// As files that know their types give them: see `crates/data/src/table/raw_columns`.
    fn values(&self, column: usize, reading: Reading) -> Result<Values, RowFault> {
        let values = &self.columns[column].values;
        let fault = |row: usize, expected: &str| RowFault {
            row,
            column: Some(column),
            expected: expected.to_owned(),
            found: values.text(row),
        };
        let cast = |to: &str| {
            let name = [self.columns[column].name.clone()];
            let columns = Columns {
                names: &name,
                types: &[],
                later: &[],
            };
            let text = format!("cast(`{}` as {to})", name[0]);
            let one = Table {
                columns: vec![Column {
                    name: name[0].clone(),
                    values: values.clone(),
                    declared: ColumnType::Text,
                }],
                num_rows: self.num_rows,
            };
            Expression::parse(&text, columns).unwrap().evaluate(&one)
        };
        match (reading, values) {
            (Reading::Number, Values::Boolean(_)) => cast("bigint"),
            (Reading::Number, Values::Text(_)) => cast("integer").or_else(|_| cast("float")),
            (Reading::Ordered, Values::Text(_)) => cast("integer")
                .or_else(|_| cast("float"))
                .or_else(|_| cast("timestamp")),
            (Reading::Time, Values::Text(_)) => cast("timestamp"),
            (Reading::Time, Values::Time(_) | Values::Null(_)) => Ok(values.clone()),
            (Reading::Time, _) | (Reading::Number, Values::Time(_)) => Err(fault(0, "another")),
            (Reading::Boolean, Values::Boolean(_)) => Ok(values.clone()),
            (Reading::Boolean, _) => cast("boolean"),
            _ => Ok(values.clone()),
        }
    }

    fn times(&self, _: usize) -> Option<Values> {
        None
    }
}

fn column(fields: &[&str]) -> Column {
    let [_, name, kind, values @ ..] = fields else {
        panic!("{fields:?}")
    };
    let given: Vec<Option<&str>> = values
        .iter()
        .map(|value| (*value != "null").then_some(*value))
        .collect();
    let parsed = |text: &str| text.parse::<f64>().unwrap();
    let time = |text: &&str| TimeRule::default().parse(text).unwrap().0;
    let each = given.iter().copied();
    let (values, declared) = match *kind {
        "boolean" => {
            let values = each.map(|value| Some(value? == "true")).collect();
            (Values::Boolean(values), ColumnType::Boolean)
        }
        "bigint" => {
            let values = each.map(|value| value?.parse::<i64>().ok()).collect();
            (Values::Integer(values), ColumnType::Integer)
        }
        "ubigint" => {
            let values = each.map(|value| value?.parse::<i128>().ok());
            (Values::Decimal(decimals(values, 0)), ColumnType::Integer)
        }
        "double" => {
            let values = each.map(|value| value.map(parsed)).collect();
            (Values::Float(values), ColumnType::Float)
        }
        "float" => {
            let values = each.map(|value| Some(parsed(value?) as f32)).collect();
            (Values::Float32(values), ColumnType::Float)
        }
        "varchar" => (Values::Text(given.clone().into()), ColumnType::Text),
        "date" => {
            let days = Values::from_days(each.map(|value| value.as_ref().map(time)));
            let rule = TimeRule {
                is_date: true,
                ..TimeRule::default()
            };
            (days, ColumnType::Time(rule))
        }
        "timestamp" => {
            let times = Values::from_times(each.map(|value| value.as_ref().map(time)));
            (times, ColumnType::Time(TimeRule::default()))
        }
        _ => {
            let values = each.map(|value| value?.replace('.', "").parse::<i128>().ok());
            (Values::Decimal(decimals(values, 2)), ColumnType::Float)
        }
    };
    Column {
        name: (*name).to_owned(),
        values,
        declared,
    }
}

/// The values of an expression, nothing where it is refused.
fn found(table: &Table, text: &str, types: &[Option<ColumnType>]) -> Option<Values> {
    let names: Vec<String> = table
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let columns = Columns {
        names: &names,
        types,
        later: &[],
    };
    Expression::parse(text, columns).ok()?.evaluate(table).ok()
}

fn is_same(values: &Values, row: usize, expected: &str, is_single: bool) -> bool {
    if values.is_null(row) || expected == "null" {
        return values.is_null(row) && expected == "null";
    }
    match values {
        Values::Float16(_) | Values::Float32(_) | Values::Float(_) => {
            let expected: f64 = expected.parse().unwrap_or(f64::NAN);
            match is_single {
                true => values.number(row) as f32 == expected as f32,
                false => values.number(row) == expected,
            }
        }
        // 1.0 of 64 bits where DuckDB has no integer.
        Values::Integer(_) | Values::Decimal(_) if expected.contains(['.', 'e']) => {
            values.text(row) == expected
                || values.number(row) == expected.parse().unwrap_or(f64::NAN)
        }
        _ => values.text(row) == expected || values.cast_text(row) == expected,
    }
}

const TEXTS: [&str; 3] = ["`word`", "`digits`", "`moment`"];
const NUMBERS: [&str; 7] = [
    "`small`", "`big`", "`huge`", "`money`", "`wide`", "`double`", "`single`",
];
const ORDERS: [&str; 7] = [
    " < ",
    " <= ",
    " > ",
    " >= ",
    " between ",
    "greatest(",
    "least(",
];

/// Why an expression is refused here that has a value in DuckDB.
fn is_refused_here(text: &str, is_typed: bool) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let others = ["`flag`", "`day`", "`time`", "date '", "timestamp '", "true"];
    if has(&TEXTS) && has(&ORDERS) {
        return Some("texts have no order");
    }
    if is_typed && has(&TEXTS) && (has(&NUMBERS) || has(&others) || has(&["9007", " 1", " 0.1"])) {
        return Some("a column of texts beside another type, both given, is to be cast");
    }
    if !is_typed && has(&ORDERS) && has(&["'1'", "'0.10'"]) {
        return Some(
            "an order by a text that is no time, where nothing says that numbers are meant",
        );
    }
    if !is_typed && has(&NUMBERS) && has(&["true"]) {
        return Some("a column without a type beside a condition is one, and has 0 and 1 alone");
    }
    None
}

/// Why an expression has a value here that DuckDB refuses.
fn is_answered_here(text: &str, is_typed: bool) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let is_condition = has(&["`flag`", "true"]);
    if is_condition && has(&["`money`", "`wide`", "`double`", "`single`", "0.1"]) {
        return Some("whether numbers of a text file have a point depends on its rows");
    }
    if !is_typed && has(&TEXTS) {
        return Some("a column without a type is read as what it stands beside");
    }
    None
}

#[test]
fn operands_of_every_pair_of_types_are_those_of_duckdb() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/expressions/operands.txt"
    );
    let golden = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Vec<&str>> = golden
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let (columns, cases): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line[0] == "column");
    let columns: Vec<Column> = columns.iter().map(|line| column(line)).collect();
    let types: Vec<_> = columns
        .iter()
        .map(|column| Some(column.declared.clone()))
        .collect();
    let table = Table {
        num_rows: columns[0].values.num_rows(),
        columns,
    };
    let (mut wrong, mut num_same, mut num_refused) = (Vec::new(), 0, 0);
    for case in cases {
        let (text, right) = (case[0], &case[1..]);
        for types in [&[][..], &types[..]] {
            let values = found(&table, text, types);
            let said = values.as_ref().map(|values| {
                let texts = (0..table.num_rows).map(|row| values.text(row));
                texts.collect::<Vec<_>>().join(" ")
            });
            let is_right = match (&values, right) {
                (None, ["refused"]) => true,
                (None, _) => {
                    num_refused += 1;
                    is_refused_here(text, !types.is_empty()).is_some()
                }
                (Some(_), ["refused"]) => is_answered_here(text, !types.is_empty()).is_some(),
                (Some(values), [width, right @ ..]) => {
                    num_same += 1;
                    let mut rows = right.iter().enumerate();
                    rows.all(|(row, right)| is_same(values, row, right, *width == "single"))
                }
                (Some(_), []) => false,
            };
            if !is_right {
                wrong.push(format!(
                    "{text} {}: {said:?}, and DuckDB {right:?}",
                    types.is_empty()
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    // That many have a value in both, with types and without: a change that refuses more is seen.
    assert_eq!((num_same, num_refused), (4523, 443));
}
