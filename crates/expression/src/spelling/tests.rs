use crate::node::{Arithmetic, CastType, Function, Node, NumberLiteral, Operator, Reading};
use crate::spelling::{canonical, exact};
use crate::{ColumnType, Columns, Expression, RowFault, Rows, Values, timeline, translate};
use std::collections::HashMap;

/// Integers, texts, and days of a file that knows them.
struct Table;

impl Rows for Table {
    fn num_rows(&self) -> usize {
        4
    }

    fn values(&self, column: usize, reading: Reading) -> Result<Values, RowFault> {
        Ok(match (column, reading) {
            (0, Reading::Boolean) => Values::Boolean(vec![true, false, true, false].into()),
            (0, _) => Values::Integer(vec![Some(1), Some(3), None, Some(0)].into()),
            (1, _) => Values::Text(vec![Some("1.50"), Some("1.5"), None, Some("3")].into()),
            _ => Values::from_days([Some(19_090), Some(19_091), None, Some(19_092)].map(|day| {
                let time = i128::from(day?) * 86_400 * 1_000_000_000;
                Some(time)
            })),
        })
    }

    fn times(&self, _: usize) -> Option<Values> {
        None
    }
}

fn names() -> Vec<String> {
    ["n", "text", "day"].map(String::from).to_vec()
}

fn parse(text: &str) -> Expression {
    let names = names();
    let columns = Columns {
        names: &names,
        types: &[],
        later: &[],
    };
    Expression::parse(text, columns).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The canonical spelling with the exact one, where there is one.
fn spelled(text: &str) -> (String, Option<String>) {
    let parsed = parse(text);
    let names = names();
    (
        parsed.canonical(&names),
        parsed.exact(&names, parsed.makes_texts()),
    )
}

#[test]
fn expressions_that_compute_other_values_are_spelled_apart() {
    for (a, b) in [
        ("n * 0.1 = 0.3", "n * 1e-1 = 0.3"),
        ("cast(2.50 as text)", "cast(2.5 as text)"),
        ("concat(text, 1.50)", "concat(text, 1.5)"),
        ("n + 2.50 like '%0'", "n + 2.5 like '%0'"),
        (
            "cast(greatest(n, 1.50) as text)",
            "cast(greatest(n, 1.5) as text)",
        ),
        (
            "day >= '2022-04-08 12:00:00'",
            "day >= timestamp '2022-04-08 12:00:00'",
        ),
        (
            "day >= '2022-04-08T23:00:00-05:00'",
            "day >= '2022-04-09T04:00:00+00:00'",
        ),
        // `text` is compared as a text on the left, and as a number where both are such on the right.
        ("text in ('1', other)", "text = '1' or text = other"),
        ("- n", "0 - n"),
    ] {
        let [a, b] = [a, b].map(|text| spelled(&text.replace("other", "day")));
        assert_eq!(a.0, b.0);
        assert_ne!(a.1, b.1);
    }
}

#[test]
fn an_expression_that_is_spelled_as_no_other_keeps_its_one_spelling() {
    let sum = vec!["n"; 90].join(" + ");
    let all = vec!["n = 1"; 300].join(" or ");
    for text in [
        "n * 0.50 > 1.0",
        "n > 0.50 and not n in (1, 2) or text in ('a')",
        "n * 1.10",
        "coalesce(n, 0.50) + 1",
        "n > 1e-7",
        "-n + 1",
        "-5 * n",
        "day >= '2022-04-08'",
        "day between '2022-04-08' and \"2022-04-09\"",
        "day < date '2022-04-08' or day < timestamp '2022-04-08T12:00:00'",
        "extract(hour from day)",
        "date_trunc('month', day)",
        "date_part('year', day) - n",
        "substring(text, 1, 1)",
        "nullif(text, '0')",
        "case text when 'a' then 1 when 'b' then 2 else null end",
        "case when n > 1 then 'x' end",
        "ceil(n) + floor(n) + round(n, 2) + abs(n)",
        "lower(trim(text)) like '%it''s%' or text ilike 'a_'",
        "cast(text as decimal(10, 2)) > 1.50 or try_cast(text as bigint) is null",
        "text || 'x' = 'ax'",
        "(n > 1) is not true",
        "`n` % 7 = 3",
        &sum,
        &all,
    ] {
        assert_eq!(spelled(text).1, None, "{text}: {:?}", spelled(text));
    }
    // Zeros behind the point are seen where another column casts them to a text.
    assert!(parse("n * 1.10").exact(&names(), true).is_some());
    assert_eq!(parse("n * 1.10 > 2").exact(&names(), true), None);
}

#[test]
fn a_declared_column_says_how_texts_beside_it_are_read() {
    let names = names();
    let time = timeline::TimeRule {
        zone: Some(chrono_tz::Tz::Europe__Berlin),
        ..Default::default()
    };
    let types = [
        Some(ColumnType::Integer),
        Some(ColumnType::Text),
        Some(ColumnType::Time(time)),
    ];
    let columns = Columns {
        names: &names,
        types: &types,
        later: &[],
    };
    for text in [
        "n = '3'",
        "day >= '2022-04-08 12:00:00'",
        "text = '3'",
        "n in (1, '2')",
        "coalesce(text, 'x') = 'x'",
    ] {
        let parsed = Expression::parse_condition(text, columns).unwrap();
        assert_eq!(parsed.exact(&names, false), None, "{text}");
    }
}

/// Numbers below a limit, by xorshift (Marsaglia, 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn number(&mut self) -> Node {
        Node::Number(match self.below(7) {
            0 => NumberLiteral::Integer(0),
            1 => NumberLiteral::Integer(3),
            2 => NumberLiteral::Decimal(15, 1),
            3 => NumberLiteral::Decimal(150, 2),
            4 => NumberLiteral::Decimal(1, 1),
            5 => NumberLiteral::Float(0.1),
            _ => NumberLiteral::Float(1.5),
        })
    }

    fn column(&mut self) -> Node {
        let reading = [
            Reading::Number,
            Reading::Ordered,
            Reading::Same,
            Reading::Raw,
        ];
        Node::Column {
            column: self.below(2) as usize,
            reading: reading[self.below(4) as usize],
        }
    }

    fn time(&mut self) -> Node {
        let start = 19_091 * 86_400 * 1_000_000_000i128;
        let hour = 3_600 * 1_000_000_000;
        match self.below(6) {
            0 => Node::Time(start),
            1 => Node::WrittenTime("2022-04-09".to_owned(), start),
            2 => Node::Time(start + 4 * hour),
            3 => Node::WrittenTime("2022-04-09 04:00:00".to_owned(), start + 4 * hour),
            4 => Node::WrittenTime("2022-04-08T23:00:00-05:00".to_owned(), start + 4 * hour),
            _ => Node::Day(start),
        }
    }

    fn value(&mut self, depth: u64) -> Node {
        match self.below(if depth == 0 { 2 } else { 6 }) {
            0 => self.number(),
            1 => self.column(),
            2 => Node::Arithmetic {
                operator: [Arithmetic::Minus, Arithmetic::Times][self.below(2) as usize],
                left: Box::new(self.value(depth - 1)),
                right: Box::new(self.value(depth - 1)),
            },
            3 => Node::Call {
                function: [Function::Coalesce, Function::Greatest, Function::Concat]
                    [self.below(3) as usize],
                arguments: vec![self.value(depth - 1), self.number()],
            },
            4 => Node::Case {
                branches: vec![(self.condition(depth - 1), self.number())],
                otherwise: Some(Box::new(self.number())),
            },
            _ => Node::Cast {
                inner: Box::new(self.value(depth - 1)),
                to: [CastType::Text, CastType::Float][self.below(2) as usize],
                is_try: false,
            },
        }
    }

    fn condition(&mut self, depth: u64) -> Node {
        let operator = [Operator::Equal, Operator::GreaterOrEqual][self.below(2) as usize];
        let compare = |left, right| Node::Compare {
            operator,
            left: Box::new(left),
            right: Box::new(right),
        };
        match self.below(if depth == 0 { 2 } else { 4 }) {
            0 => {
                let day = Node::Column {
                    column: 2,
                    reading: Reading::Time,
                };
                compare(day, self.time())
            }
            1 => compare(self.value(depth.min(1)), self.number()),
            2 => Node::Any(vec![self.condition(depth - 1)]),
            _ => Node::Not(Box::new(self.condition(depth - 1))),
        }
    }
}

/// What a node computes on every row, with the places of decimals; nothing where it can't be computed.
fn values(node: &Node) -> Option<Vec<String>> {
    let values = crate::evaluate::evaluate(node, &Table).ok()?;
    Some((0..4).map(|row| values.cast_text(row)).collect())
}

#[test]
fn nodes_that_differ_are_spelled_apart_unless_they_compute_the_same() {
    let names = names();
    let columns = Columns {
        names: &names,
        types: &[],
        later: &[],
    };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut by_spelling: HashMap<(String, Option<String>), Node> = HashMap::new();
    let mut by_canonical: HashMap<String, Node> = HashMap::new();
    let (mut merged, mut alike) = (0, 0);
    for _ in 0..4000 {
        let node = match random.below(2) {
            0 => random.value(2),
            _ => random.condition(2),
        };
        let spelling = canonical(&node, &names);
        let again = translate::parse_spelled(&node, columns, false);
        let apart = exact(&node, again.as_ref(), &names, true);
        let first = by_canonical
            .entry(spelling.clone())
            .or_insert_with(|| node.clone());
        merged += u32::from(values(first) != values(&node));
        let first = by_spelling
            .entry((spelling, apart))
            .or_insert_with(|| node.clone());
        alike += u32::from(*first != node);
        let both = (values(first), values(&node));
        assert_eq!(both.0, both.1, "{first:?} and {node:?}");
    }
    // The canonical spelling alone says one thing of what computes another, so there was something to tell apart; and few nodes that
    // compute the same are spelled alike.
    assert!(merged > 100, "{merged}");
    assert!(alike < 400, "{alike}");
}
