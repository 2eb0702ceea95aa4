use super::*;
use crate::optimizer::{AdamConfig, EmbeddingTables, PooledTables};
use crate::parameter::Role;
use candle_core::{Device, Var};

fn parameter(path: &str, rows: usize, width: usize) -> Parameter {
    let values: Vec<f32> = (0..rows * width)
        .map(|v| (v * 7 % 11) as f32 / 4.0)
        .collect();
    let var = Var::from_vec(values, (rows, width), &Device::Cpu).unwrap();
    Parameter::new(path, var, Role::Trained)
}

fn reader(table: usize, pooling: Option<Pooling>) -> Reader {
    Reader {
        table,
        reads: pooling.map_or(Reads::One, Reads::Pooled),
    }
}

/// The gradient of an input without elements.
fn of_rows(rows: &[f32]) -> RowGradients<'_> {
    RowGradients {
        rows,
        elements: &[],
    }
}

fn flat(parameter: &Parameter) -> Vec<f32> {
    parameter.tensor().flatten_all().unwrap().to_vec1().unwrap()
}

/// Two rows: ids [1, 0] and [3, 2], lists [1, 3, 1], [] and [0], [2, 1].
const SINGLE: [u32; 4] = [1, 0, 3, 2];
const LISTS: Lists<'static> = Lists {
    ids: &[1, 3, 1, 0, 2, 1],
    ends: &[3, 3, 4, 6],
};

const RULES: [SparseRule; 2] = [
    SparseRule::Adam(AdamConfig {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
    }),
    SparseRule::RowWiseAdagrad {
        epsilon: 1e-8,
        weight_decay: 0.1,
    },
];

#[test]
fn a_table_of_one_reader_and_one_width_is_as_the_others_have_it() {
    let poolings = [Pooling::Mean, Pooling::Sum];
    let columns = Columns {
        stride: 10,
        offset: 1,
    };
    for rule in RULES {
        let ours: Vec<Parameter> = ["a", "b", "c", "d"]
            .map(|path| parameter(path, 4, 2))
            .to_vec();
        let theirs: Vec<Parameter> = ["a", "b", "c", "d"]
            .map(|path| parameter(path, 4, 2))
            .to_vec();
        let readers: Vec<Reader> = (0..4)
            .map(|table| reader(table, table.checked_sub(2).map(|list| poolings[list])))
            .collect();
        let mut shared = SharedTables::new(ours.clone(), &readers, rule).unwrap();
        let mut single = EmbeddingTables::new(theirs[..2].to_vec(), rule).unwrap();
        let pairs = theirs[2..].iter().cloned().zip(poolings).collect();
        let mut pooled = PooledTables::new(pairs, rule).unwrap();
        let of_lists = Columns {
            offset: 5,
            ..columns
        };
        for step in 0..3 {
            let (mut found, mut expected) = (vec![-1f32; 20], vec![-1f32; 20]);
            shared.gather(&SINGLE, LISTS, &mut found, columns).unwrap();
            single.gather(&SINGLE, &mut expected, columns).unwrap();
            pooled.gather(LISTS, &mut expected, of_lists).unwrap();
            assert_eq!(found, expected);
            let slopes: Vec<f32> = (0..20).map(|i| (i * 5 % 7) as f32 - step as f32).collect();
            shared
                .update(&SINGLE, LISTS, of_rows(&slopes), columns, 0.1)
                .unwrap();
            single.update(&SINGLE, &slopes, columns, 0.1).unwrap();
            pooled.update(LISTS, &slopes, of_lists, 0.1).unwrap();
        }
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(flat(ours), flat(theirs), "{rule:?}");
        }
        assert_eq!((shared.steps_done(), shared.kept_mut().count()), (3, 8));
    }
}

#[test]
fn a_shared_row_has_the_gradients_of_all_its_readers_and_one_state() {
    // An id and a list of one table: the sum of both gradients in one step of Adam, not two steps.
    let table = parameter("item", 4, 2);
    let readers = [reader(0, None), reader(0, Some(Pooling::Mean))];
    let rule = RULES[0];
    let mut shared = SharedTables::new(vec![table.clone()], &readers, rule).unwrap();
    let columns = Columns {
        stride: 4,
        offset: 0,
    };
    let lists = Lists {
        ids: &[1, 2, 3],
        ends: &[2, 3],
    };
    let slopes = [1f32, -2., 4., 6., 0., 0., 0., 8.];
    let before = flat(&table);
    shared
        .update(&[1, 0], lists, of_rows(&slopes), columns, 0.1)
        .unwrap();
    // By hand: row 1 has [1, -2] and half of [4, 6]; row 2 that half; row 3 [0, 8]; row 0 nothing but zeros.
    let alone = parameter("item", 4, 2);
    let mut expected = EmbeddingTables::new(vec![alone.clone()], rule).unwrap();
    let slopes_of_rows = [3f32, 1., 2., 3., 0., 8., 0., 0.];
    let plain = Columns {
        stride: 2,
        offset: 0,
    };
    expected
        .update(&[1, 2, 3, 0], &slopes_of_rows, plain, 0.1)
        .unwrap();
    assert_eq!(flat(&table), flat(&alone));
    assert_ne!(flat(&table), before);
    assert_eq!(shared.kept_mut().count(), 2);
}

#[test]
fn widths_differ_and_frozen_tables_stay() {
    let (wide, narrow) = (parameter("wide", 4, 3), parameter("narrow", 4, 1));
    let readers = [
        reader(0, None),
        reader(1, None),
        reader(1, Some(Pooling::Sum)),
    ];
    let tables = vec![wide.clone(), narrow.clone()];
    let mut shared = SharedTables::new(tables, &readers, RULES[1]).unwrap();
    let columns = Columns {
        stride: 6,
        offset: 0,
    };
    let lists = Lists {
        ids: &[3, 3],
        ends: &[0, 2],
    };
    let mut out = vec![-1f32; 12];
    shared.gather(&SINGLE, lists, &mut out, columns).unwrap();
    let (w, n) = (flat(&wide), flat(&narrow));
    let expected = [
        w[3],
        w[4],
        w[5],
        n[0],
        0.0,
        -1.0, //
        w[9],
        w[10],
        w[11],
        n[2],
        2.0 * n[3],
        -1.0,
    ];
    assert_eq!(out, expected);
    wide.freeze();
    shared
        .update(&SINGLE, lists, of_rows(&[1.0; 12]), columns, 0.1)
        .unwrap();
    assert_eq!(flat(&wide), w);
    assert_ne!(flat(&narrow), n);
    let said = shared.gather(&[4, 0, 0, 0], lists, &mut out, columns);
    assert!(
        said.unwrap_err()
            .to_string()
            .contains("wide: id 4 in a table of 4 rows")
    );
    assert!(shared.gather(&[1, 0], lists, &mut out, columns).is_err());
    let turned = [reader(1, Some(Pooling::Sum)), reader(0, None)];
    assert!(SharedTables::new(vec![wide.clone(), narrow.clone()], &turned, RULES[0]).is_err());
    assert!(SharedTables::new(vec![wide], &[reader(1, None)], RULES[0]).is_err());
}

#[test]
fn elements_are_read_one_by_one_and_learn_from_their_own_gradients() {
    let elements = |table| Reader {
        table,
        reads: Reads::Elements,
    };
    for rule in RULES {
        // The first list reads the table of the ids; the second is pooled.
        let (item, word) = (parameter("item", 4, 2), parameter("word", 4, 1));
        let readers = [
            reader(0, None),
            reader(1, None),
            elements(0),
            reader(1, Some(Pooling::Sum)),
        ];
        let tables = vec![item.clone(), word.clone()];
        let mut shared = SharedTables::new(tables, &readers, rule).unwrap();
        let columns = Columns {
            stride: 6,
            offset: 0,
        };
        let (mut rows, mut units) = (vec![-1f32; 12], vec![-1f32; 8]);
        shared.gather(&SINGLE, LISTS, &mut rows, columns).unwrap();
        assert_eq!(
            (&rows[3..5], &rows[9..11]),
            (&[0f32; 2][..], &[0f32; 2][..])
        );
        shared.gather_elements(0, LISTS, &mut units).unwrap();
        let row = |id: usize| flat(&item)[2 * id..2 * id + 2].to_vec();
        assert_eq!(units, [row(1), row(3), row(1), row(0)].concat());

        // As if each element were an id of a row of its own.
        let alone = parameter("item", 4, 2);
        let mut expected = EmbeddingTables::new(vec![alone.clone()], rule).unwrap();
        let (of_rows, of_units) = (
            [1f32, -2., 5., 9., 9., 3., 0., 4., 5., 9., 9., 3.],
            [1f32, 2., 3., 4., 5., 6., 7., 8.],
        );
        let gradients = RowGradients {
            rows: &of_rows,
            elements: &[&of_units],
        };
        shared
            .update(&SINGLE, LISTS, gradients, columns, 0.1)
            .unwrap();
        // In the order of the batch: row by row the id, then the list.
        let ids = [1, 1, 3, 1, 3, 0];
        let slopes = [1f32, -2., 1., 2., 3., 4., 5., 6., 0., 4., 7., 8.];
        let plain = Columns {
            stride: 2,
            offset: 0,
        };
        expected.update(&ids, &slopes, plain, 0.1).unwrap();
        assert_eq!(flat(&item), flat(&alone), "{rule:?}");

        let short = RowGradients {
            elements: &[&of_units[2..]],
            ..gradients
        };
        assert!(shared.update(&SINGLE, LISTS, short, columns, 0.1).is_err());
        let none = RowGradients {
            elements: &[],
            ..gradients
        };
        assert!(shared.update(&SINGLE, LISTS, none, columns, 0.1).is_err());
        assert!(shared.gather_elements(0, LISTS, &mut units[2..]).is_err());
        assert!(shared.gather_elements(1, LISTS, &mut units).is_err());
    }
}
