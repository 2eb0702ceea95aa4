//! What must hold of lists that attend to a target whatever the weights are.

use candle_core::{DType, Device, Tensor, Var};
use homebench_kernels::dropout::Dropout;
use homebench_kernels::optimizer::{Lists, Pooling, SparseRule};
use homebench_kernels::{Parameter, Role};
use homebench_model::{
    AttendingList, Attention, EmbeddedInput, FeatureDims, FeatureTable, Ids, Tables,
    TargetAttention, TaskGroup, TaskLayout, VarBuilder,
};

const WIDTH: usize = 4;
/// An author and an item of one id, then the lists: what was seen, of the item's table, and tags.
const COLUMNS: usize = 4 * WIDTH + 1;

fn layout() -> TaskLayout {
    TaskLayout {
        tasks: vec!["click".to_owned(), "like".to_owned()],
        groups: vec![TaskGroup {
            name: "feed".to_owned(),
            tasks: vec![0, 1],
        }],
    }
}

fn attending(list: &str, target: &str, mean_length: f64) -> AttendingList {
    AttendingList {
        list: list.to_owned(),
        target: target.to_owned(),
        mean_length,
    }
}

fn dims(lists: Vec<AttendingList>) -> FeatureDims {
    let shared = FeatureTable {
        name: "item".to_owned(),
        width: WIDTH,
    };
    FeatureDims {
        vocabularies: vec![("author".to_owned(), 5), ("item".to_owned(), 9)],
        lists: vec![
            ("seen".to_owned(), 9, Pooling::Mean),
            ("tags".to_owned(), 6, Pooling::Sum),
        ],
        num_numeric: 1,
        embedding_dim: WIDTH,
        tables: [("seen".to_owned(), shared)].into(),
        attention: Attention {
            lists,
            hidden_dims: vec![6, 3],
        },
    }
}

struct Built {
    input: EmbeddedInput,
    attention: Option<TargetAttention>,
    parameters: Vec<Parameter>,
}

fn built(dims: &FeatureDims, tables: Tables) -> Built {
    let vb = VarBuilder::from_seed(3, DType::F32, &Device::Cpu);
    let rule = SparseRule::RowWiseAdagrad {
        epsilon: 1e-8,
        weight_decay: 0.0,
    };
    let attention = TargetAttention::new(dims, &layout(), tables, &vb).unwrap();
    Built {
        input: EmbeddedInput::new(dims, &layout(), tables, rule, &vb).unwrap(),
        attention,
        parameters: vb.finish().unwrap().parameters().to_vec(),
    }
}

impl Built {
    /// The leaf, and what a model reads of it.
    fn read(&self, ids: Ids<'_>, numeric: &[f32], dropout: Option<&Dropout>) -> (Var, Tensor) {
        let leaf = self
            .input
            .gather(ids, numeric, numeric.len(), dropout)
            .unwrap();
        let xs = match &self.attention {
            Some(attention) => {
                let read = self.input.of_step(&leaf);
                attention.forward(&read, ids, dropout).unwrap()
            }
            None => leaf.as_tensor().clone(),
        };
        (leaf, xs)
    }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Three rows: lists [1, 2, 1] and [], [] and [5], [3] and [4, 4].
const SINGLE: [u32; 6] = [1, 2, 3, 4, 0, 8];
const LIST_IDS: [u32; 7] = [1, 2, 1, 5, 3, 4, 4];
const LIST_ENDS: [u32; 6] = [3, 3, 3, 4, 5, 7];
const NUMERIC: [f32; 3] = [0.5, -1.0, 2.0];

fn ids() -> Ids<'static> {
    Ids {
        single: &SINGLE,
        lists: Lists {
            ids: &LIST_IDS,
            ends: &LIST_ENDS,
        },
    }
}

#[test]
fn units_are_counted_as_by_hand() {
    // 16 inputs, 6 and 3 units and a score: their products, and a multiply-add of each of 4 units.
    let of_element = 2 * (16 * 6 + 6 * 3 + 3) + 2 * 4;
    let of_unit = 17 * 6 + 7 * 3 + 4;
    let lists = || {
        vec![
            attending("tags", "author", 0.5),
            attending("seen", "item", 2.0),
        ]
    };
    for (tables, sets) in [
        (Tables::Shared, 1),
        (Tables::PerTask, 2),
        (Tables::PerTaskAndShared, 3),
    ] {
        let built = built(&dims(lists()), tables);
        let attention = built.attention.unwrap();
        assert_eq!(attention.flops_per_row(), sets * of_element * 5 / 2);
        let units = built
            .parameters
            .iter()
            .filter(|p| p.path().contains("attention."));
        let count: usize = units.map(Parameter::num_elements).sum();
        assert_eq!(count, sets * 2 * of_unit);
    }
    assert!(built(&dims(Vec::new()), Tables::Shared).attention.is_none());
}

#[test]
fn what_can_not_attend_is_refused_in_words() {
    let said = |change: &dyn Fn(&mut FeatureDims), tables| {
        let mut dims = dims(vec![attending("seen", "item", 1.0)]);
        change(&mut dims);
        let vb = VarBuilder::for_counting();
        match TargetAttention::new(&dims, &layout(), tables, &vb) {
            Ok(_) => panic!("taken"),
            Err(error) => error.to_string(),
        }
    };
    let lists = |lists: Vec<AttendingList>| {
        said(
            &move |dims: &mut FeatureDims| dims.attention.lists.clone_from(&lists),
            Tables::Shared,
        )
    };
    let found = [
        lists(vec![attending("item", "author", 1.0)]),
        lists(vec![attending("seen", "tags", 1.0)]),
        lists(vec![attending("seen", "nothing", 1.0)]),
        lists(vec![
            attending("seen", "item", 1.0),
            attending("seen", "author", 1.0),
        ]),
        said(
            &|dims| {
                let narrow = FeatureTable {
                    name: "item".to_owned(),
                    width: 3,
                };
                dims.tables.insert("item".to_owned(), narrow);
            },
            Tables::Shared,
        ),
        said(&|dims| dims.attention.hidden_dims.clear(), Tables::Shared),
        said(&|_| {}, Tables::Weights),
    ];
    let expected = [
        "`item` can't attend to `author`: the first is to be a list, the second a feature of one id",
        "`seen` can't attend to `tags`: the first is to be a list, the second a feature of one id",
        "`seen` can't attend to `nothing`: the first is to be a list, the second a feature of one id",
        "`seen` attends to two targets",
        "`seen` can't attend to `item`: embeddings of 4 units can't be compared with those of 3",
        "the unit of attention needs a hidden layer",
        "a linear model's lists can't attend to a target: any interaction makes it another model",
    ];
    assert_eq!(found, expected);
}

#[test]
fn an_empty_list_is_zeros_and_a_row_alone_is_that_row_of_the_batch() {
    for tables in [Tables::Shared, Tables::PerTask] {
        let dims = dims(vec![
            attending("tags", "author", 1.0),
            attending("seen", "item", 1.0),
        ]);
        let built = built(&dims, tables);
        let (_, xs) = built.read(ids(), &NUMERIC, None);
        let sets = xs.elem_count() / (3 * COLUMNS);
        let all = values(&xs);
        for row in 0..3 {
            let alone = [
                (&LIST_IDS[..3], [3, 3]),
                (&LIST_IDS[3..4], [0, 1]),
                (&LIST_IDS[4..], [1, 3]),
            ];
            let ids = Ids {
                single: &SINGLE[2 * row..2 * row + 2],
                lists: Lists {
                    ids: alone[row].0,
                    ends: &alone[row].1,
                },
            };
            let (_, one) = built.read(ids, &NUMERIC[row..=row], None);
            for (set, one) in values(&one).chunks_exact(COLUMNS).enumerate() {
                let start = (set * 3 + row) * COLUMNS;
                assert_eq!(one, &all[start..start + COLUMNS], "{tables:?} {set} {row}");
            }
        }
        for set in 0..sets {
            let row = |row: usize| &all[(set * 3 + row) * COLUMNS..][..COLUMNS];
            assert_eq!(row(0)[3 * WIDTH..4 * WIDTH], [0.0; WIDTH]);
            assert_eq!(row(1)[2 * WIDTH..3 * WIDTH], [0.0; WIDTH]);
            assert!(row(2)[2 * WIDTH..4 * WIDTH].iter().all(|unit| *unit != 0.0));
            assert_eq!([row(0)[4 * WIDTH], row(2)[4 * WIDTH]], [0.5, 2.0]);
        }
    }
}

#[test]
fn dropout_drops_the_units_that_it_drops_of_pooled_lists() {
    let dropout = Dropout::new(0.5, 1, 4, "embedding");
    let all = vec![
        attending("tags", "author", 1.0),
        attending("seen", "item", 1.0),
    ];
    for tables in [Tables::Shared, Tables::PerTask] {
        let pooled = built(&dims(Vec::new()), tables);
        let attended = built(&dims(all.clone()), tables);
        // All elements are there, so that a unit is 0 where it is dropped alone.
        let ids = Ids {
            lists: Lists {
                ids: &LIST_IDS[..6],
                ends: &[1, 2, 3, 4, 5, 6],
            },
            ..ids()
        };
        let dropped = |built: &Built| {
            let (_, xs) = built.read(ids, &NUMERIC, Some(&dropout));
            values(&xs)
                .into_iter()
                .map(|unit| unit == 0.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(dropped(&pooled), dropped(&attended), "{tables:?}");
        assert!(dropped(&attended).contains(&true));
        // Dropped units get no gradient, and the others theirs, over the share that stays.
        let (leaf, xs) = attended.read(ids, &NUMERIC, Some(&dropout));
        let gradients = xs.sum_all().unwrap().backward().unwrap();
        let of_rows = values(gradients.get(&leaf).unwrap());
        let numbers = of_rows
            .chunks_exact(COLUMNS)
            .take(3)
            .map(|row| row[4 * WIDTH]);
        assert_eq!(numbers.collect::<Vec<_>>(), [1.0; 3]);
    }
}

#[test]
fn frozen_tables_stay_and_their_units_learn() {
    let mut built = built(&dims(vec![attending("seen", "item", 1.0)]), Tables::Shared);
    let is_table = |p: &&Parameter| p.path().starts_with("embedding.");
    let tables: Vec<Parameter> = built.parameters.iter().filter(is_table).cloned().collect();
    tables.iter().for_each(Parameter::freeze);
    let before: Vec<Vec<f32>> = tables.iter().map(|table| values(table.tensor())).collect();
    let (leaf, xs) = built.read(ids(), &NUMERIC, None);
    let gradients = xs.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&leaf).is_none());
    let slopes = Tensor::ones(leaf.shape(), DType::F32, &Device::Cpu).unwrap();
    built.input.update(ids(), &slopes, None, 0.1).unwrap();
    let after: Vec<Vec<f32>> = tables.iter().map(|table| values(table.tensor())).collect();
    assert_eq!(before, after);
    for parameter in built
        .parameters
        .iter()
        .filter(|p| p.path().starts_with("attention."))
    {
        parameter.collect(&gradients).unwrap();
        let gradient = parameter.gradient().unwrap();
        assert!(
            gradient.iter().any(|value| *value != 0.0),
            "{}",
            parameter.path()
        );
    }
}

#[test]
fn a_batch_without_elements_is_zeros_and_gives_units_gradients_of_zero() {
    let mut built = built(&dims(vec![attending("seen", "item", 1.0)]), Tables::Shared);
    let ids = Ids {
        lists: Lists {
            ids: &[],
            ends: &[0; 6],
        },
        ..ids()
    };
    let (leaf, xs) = built.read(ids, &NUMERIC, None);
    let all = values(&xs);
    assert!(
        all.chunks_exact(COLUMNS)
            .all(|row| row[2 * WIDTH..4 * WIDTH] == [0.0; 2 * WIDTH])
    );
    let gradients = xs.sum_all().unwrap().backward().unwrap();
    let units = built
        .parameters
        .iter()
        .filter(|p| p.path().starts_with("attention."));
    for unit in units.filter(|p| p.role() == Role::Trained) {
        unit.collect(&gradients).unwrap();
        assert!(unit.gradient().unwrap().iter().all(|value| *value == 0.0));
    }
    built
        .input
        .update(ids, gradients.get(&leaf).unwrap(), None, 0.1)
        .unwrap();
    let other = Tensor::ones(leaf.elem_count() + 1, DType::F32, &Device::Cpu).unwrap();
    let said = built.input.update(ids, &other, None, 0.1).unwrap_err();
    assert!(said.to_string().contains("is not of the"), "{said}");
}
