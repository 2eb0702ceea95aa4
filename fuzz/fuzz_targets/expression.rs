//! Any text as an expression: refused at a place inside it, or computed on rows of every type without a panic, with a canonical form
//! that reads back as itself.
#![no_main]

use homebench_data::expression::{
    ColumnType, Columns, Expression, Reading, RowFault, Rows, Values, timeline::TimeRule,
};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 6] = ["word", "size", "or maybe", "single", "seen", "sent"];

/// Rows with values at the ends of their types.
struct Extremes;

impl Rows for Extremes {
    fn num_rows(&self) -> usize {
        4
    }

    fn values(&self, column: usize, reading: Reading) -> Result<Values, RowFault> {
        let refuse = |expected: &str| RowFault {
            row: 1,
            column: Some(column),
            expected: expected.to_owned(),
            found: "another value".to_owned(),
        };
        let times = || {
            Values::from_times([
                Some(0),
                Some(i128::from(i64::MIN) * 1000),
                Some(253_402_214_400_000_000_000),
                None,
            ])
        };
        Ok(match (column, reading) {
            (_, Reading::Boolean) => {
                Values::Boolean(vec![Some(true), Some(false), None, None].into())
            }
            (0, Reading::Number) => return Err(refuse("a number")),
            (0, Reading::Time) => return Err(refuse("a time")),
            (0, _) => {
                Values::Text(vec![Some(""), Some("2022-02-30"), Some("ä\u{0}b"), None].into())
            }
            (1, _) => Values::Integer(vec![Some(i64::MIN), Some(-1), Some(i64::MAX), None].into()),
            (2, _) => Values::Float(vec![Some(-0.0), Some(f64::MAX), Some(5e-324), None].into()),
            (3, _) => Values::Float32(vec![Some(4.1), Some(f32::MIN), Some(-0.0), None].into()),
            _ => times(),
        })
    }
}

fuzz_target!(|text: &str| {
    let names = NAMES.map(String::from);
    let mut types = vec![None; NAMES.len()];
    types[5] = Some(ColumnType::Time(TimeRule::default()));
    let columns = Columns {
        names: &names,
        types: &types,
        later: &[],
    };
    let expression = match Expression::parse(text, columns) {
        Err(refusal) => {
            assert!(text.is_char_boundary(refusal.offset), "{refusal:?}");
            return;
        }
        Ok(expression) => expression,
    };
    if let Ok(values) = expression.evaluate(&Extremes) {
        assert_eq!(values.num_rows(), 4);
        for row in 0..4 {
            drop(values.text(row));
            values.number(row);
        }
    }
    if let Ok(holds) = expression.condition(&Extremes) {
        assert_eq!(holds.holds().len(), 4);
    }
    let canonical = expression.canonical(&names);
    // The canonical form adds parentheses, which count as levels and words: it may be refused, but not be another.
    if let Ok(again) = Expression::parse(&canonical, columns) {
        assert_eq!(again, expression, "{canonical}");
    }
});
