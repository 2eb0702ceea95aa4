use super::*;
use candle_core::DType;
use homebench_kernels::optimizer::{Lists, Pooling};

fn single(ids: &[u32]) -> Ids<'_> {
    Ids {
        single: ids,
        lists: Lists::default(),
    }
}

/// One table of 64 rows of 4 units beside a numeric feature.
fn input() -> EmbeddedInput {
    built(&FeatureDims {
        vocabularies: vec![("author".to_owned(), 64)],
        lists: Vec::new(),
        num_numeric: 1,
        embedding_dim: 4,
        tables: Default::default(),
        attention: Default::default(),
    })
}

fn built(dims: &FeatureDims) -> EmbeddedInput {
    let layout = TaskLayout {
        tasks: vec!["click".to_owned()],
        groups: Vec::new(),
    };
    let rule = SparseRule::RowWiseAdagrad {
        epsilon: 1e-10,
        weight_decay: 0.0,
    };
    let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
    EmbeddedInput::new(dims, &layout, Tables::Shared, rule, &vb).unwrap()
}

#[test]
fn dropped_units_are_cleared_and_get_no_gradient_and_numbers_stay() {
    let mut input = input();
    let ids: Vec<u32> = (0..64).collect();
    let numeric = [7f32; 64];
    let dropout = Dropout::new(0.5, 1, 0, "embedding");
    let rows = |input: &EmbeddedInput, dropout| -> Vec<Vec<f32>> {
        let xs = input.gather(single(&ids), &numeric, 64, dropout).unwrap();
        xs.to_vec2::<f32>().unwrap()
    };
    let before = rows(&input, None);
    let dropped = rows(&input, Some(&dropout));
    let ones = Tensor::ones((64, 5), DType::F32, &Device::Cpu).unwrap();
    input
        .update(single(&ids), &ones, Some(&dropout), 0.1)
        .unwrap();
    let after = rows(&input, None);
    let mut num_dropped = 0;
    for ((before, dropped), after) in before.iter().zip(&dropped).zip(&after) {
        assert_eq!((before[4], dropped[4]), (7.0, 7.0));
        for unit in 0..4 {
            if dropped[unit] == 0.0 {
                num_dropped += 1;
                assert_eq!(after[unit], before[unit]);
            } else {
                assert_eq!(dropped[unit], 2.0 * before[unit]);
                assert!(after[unit] < before[unit]);
            }
        }
    }
    assert!((90..166).contains(&num_dropped), "{num_dropped} of 256");
}

#[test]
fn the_shapes_of_tables_are_those_that_are_made() {
    let dims = FeatureDims {
        vocabularies: vec![("author".to_owned(), 5), ("topic".to_owned(), 3)],
        lists: vec![("tags".to_owned(), 7, Pooling::Sum)],
        num_numeric: 1,
        embedding_dim: 2,
        tables: Default::default(),
        attention: Default::default(),
    };
    let layout = TaskLayout {
        tasks: vec!["click".to_owned(), "like".to_owned()],
        groups: Vec::new(),
    };
    let rule = SparseRule::RowWiseAdagrad {
        epsilon: 1e-10,
        weight_decay: 0.0,
    };
    for tables in [Tables::Shared, Tables::PerTask] {
        let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
        let input = EmbeddedInput::new(&dims, &layout, tables, rule, &vb).unwrap();
        let made = vb.finish().unwrap();
        let made = made.parameters().iter().map(|table| {
            let (rows, width) = table.tensor().dims2().unwrap();
            (table.path().to_owned(), [rows, width])
        });
        let mut expected = table_shapes(&dims, &layout, tables);
        expected.sort();
        assert_eq!(made.collect::<Vec<_>>(), expected);
        assert!(!input.is_frozen());
    }
}

#[test]
fn frozen_tables_read_no_gradient_and_stay() {
    let mut input = input();
    let xs = input.gather(single(&[3]), &[7.0], 1, None).unwrap();
    assert!(input.of_step(&xs).is_variable());
    input.copies[0].parameters().for_each(Parameter::freeze);
    assert!(input.is_frozen() && !input.of_step(&xs).track_op());
    let slopes = Tensor::ones((1, 5), DType::F32, &Device::Cpu).unwrap();
    input.update(single(&[3]), &slopes, None, 0.1).unwrap();
    let again = input.gather(single(&[3]), &[7.0], 1, None).unwrap();
    assert_eq!(
        again.to_vec2::<f32>().unwrap(),
        xs.to_vec2::<f32>().unwrap()
    );
}

#[test]
fn lists_lie_between_single_values_and_numbers_and_move_with_their_own_gradient() {
    let mut input = built(&FeatureDims {
        vocabularies: vec![("author".to_owned(), 5)],
        lists: vec![("tags".to_owned(), 7, Pooling::Sum)],
        num_numeric: 1,
        embedding_dim: 2,
        tables: Default::default(),
        attention: Default::default(),
    });
    assert_eq!(input.dims.input_dim(), 5);
    let ids = Ids {
        single: &[1, 4],
        lists: Lists {
            ids: &[6, 2, 6],
            ends: &[2, 3],
        },
    };
    let rows = |input: &EmbeddedInput| {
        let xs = input.gather(ids, &[7.0, 8.0], 2, None).unwrap();
        xs.to_vec2::<f32>().unwrap()
    };
    let before = rows(&input);
    assert_eq!((before[0][4], before[1][4]), (7.0, 8.0));
    // A gradient of the lists' units alone: authors stay, and tag 6 moves in both rows alike.
    let slopes = [0f32, 0., 1., 1., 9., 0., 0., 1., 1., 9.];
    let slopes = Tensor::from_slice(&slopes, (2, 5), &Device::Cpu).unwrap();
    input.update(ids, &slopes, None, 0.1).unwrap();
    let after = rows(&input);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before[..2], after[..2]);
        assert!(after[2] < before[2] && after[3] < before[3]);
    }
    let moved = before[1][2] - after[1][2];
    assert!((before[0][2] - after[0][2] - 2.0 * moved).abs() < 1e-6);
}
