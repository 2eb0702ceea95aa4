//! Specs by their content, drawn at random.

use homebench_random::Philox;
use std::collections::BTreeMap;

/// A value of a spec by its content.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Whole(i64),
    /// Mantissa and decimal exponent.
    Real(i64, i32),
    Text(&'static str),
    List(Vec<Content>),
    Table(Table),
}

pub(super) type Table = BTreeMap<String, Content>;

/// An experiment by its content.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) seeds: Vec<i64>,
    pub(super) rows: i64,
    pub(super) training: Table,
    /// Model, knobs and own training.
    pub(super) variants: BTreeMap<String, (&'static str, Table, Table)>,
    pub(super) grid: Table,
    pub(super) random: Option<(i64, i64, Table)>,
    pub(super) tuning: Option<(i64, Table)>,
}

pub(super) struct Draws {
    pub(super) stream: Philox,
    pub(super) drawn: u64,
}

impl Draws {
    pub(super) fn new(case: u64, purpose: &str) -> Self {
        let stream = Philox::new(case, "identity", purpose);
        Self { stream, drawn: 0 }
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.drawn += 1;
        self.stream.below(self.drawn, end as u32) as usize
    }

    pub(super) fn whole(&mut self, low: i64, high: i64) -> Content {
        Content::Whole(low + self.below((high - low + 1) as usize) as i64)
    }

    pub(super) fn is_so(&mut self) -> bool {
        self.below(2) == 0
    }

    pub(super) fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    pub(super) fn shuffled<T>(&mut self, of: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut left: Vec<T> = of.into_iter().collect();
        let mut all = Vec::new();
        while !left.is_empty() {
            all.push(left.swap_remove(self.below(left.len())));
        }
        all
    }
}

pub(super) fn widths(draws: &mut Draws) -> Content {
    // Never one width twice, so that another order is another list.
    let widths = [vec![16, 8], vec![8, 16], vec![32, 8, 4], vec![4, 32]];
    let list = draws.one_of(&widths).into_iter().map(Content::Whole);
    Content::List(list.collect())
}

pub(super) fn rate(draws: &mut Draws) -> Content {
    Content::Real(1 + draws.below(9) as i64, -(1 + draws.below(5) as i32))
}

pub(super) fn table<const N: usize>(entries: [(&str, Content); N]) -> Table {
    entries.map(|(key, value)| (key.to_owned(), value)).into()
}

pub(super) fn range(key: &str, ends: [Content; 2]) -> Content {
    Content::Table(table([(key, Content::List(ends.into()))]))
}

pub(super) fn drawn(draws: &mut Draws) -> Spec {
    let mut variants = BTreeMap::new();
    for (name, model) in [
        ("bottom", "shared_bottom"),
        ("many", "mmoe"),
        ("other-many", "mmoe"),
        ("home", "home"),
    ] {
        let mut knobs = table([
            ("expert_dims", widths(draws)),
            ("tower_dims", widths(draws)),
        ]);
        match model {
            "mmoe" => drop(knobs.insert("num_experts".into(), draws.whole(2, 5))),
            "home" => drop(knobs.insert("rank".into(), draws.whole(1, 4))),
            _ => {}
        }
        let own = match draws.is_so() {
            true => table([("learning_rate", rate(draws))]),
            false => Table::new(),
        };
        if variants.is_empty() || draws.below(4) > 0 {
            variants.insert(name.to_owned(), (model, knobs, own));
        }
    }
    let training = table([
        ("batch_size", draws.whole(64, 512)),
        ("learning_rate", rate(draws)),
        ("embedding_l2", rate(draws)),
    ]);
    let grid = match draws.below(3) {
        0 => Table::new(),
        1 => table([(
            "training.patience",
            Content::List(vec![Content::Whole(3), draws.whole(4, 9)]),
        )]),
        _ => table([
            ("training.patience", Content::List(vec![draws.whole(1, 9)])),
            (
                "training.schedule",
                Content::List(vec![
                    Content::Table(table([
                        ("kind", Content::Text("cosine")),
                        ("final_share", rate(draws)),
                    ])),
                    Content::Table(table([("kind", Content::Text("constant"))])),
                ]),
            ),
        ]),
    };
    let random = draws.is_so().then(|| {
        let low = Content::Real(1, -6);
        let axes = table([(
            "training.embedding_dropout",
            range("range", [low, Content::Real(5, -1)]),
        )]);
        (2, draws.below(100) as i64, axes)
    });
    let tuning = draws.is_so().then(|| {
        let low = Content::Real(1 + draws.below(9) as i64, -5);
        let axes = table([
            (
                "training.weight_decay",
                range("log_range", [low, Content::Real(1, -1)]),
            ),
            (
                "training.optimizer",
                Content::Table(table([(
                    "choices",
                    Content::List(vec![Content::Text("adamw"), Content::Text("sgd")]),
                )])),
            ),
        ]);
        (3, axes)
    });
    Spec {
        seeds: draws.shuffled([1, 2, 17]),
        rows: 100 + draws.below(900) as i64,
        training,
        variants,
        grid,
        random,
        tuning,
    }
}
