//! The CUDA path on the processor: every kernel is run, numbers don't depend on the order of threads, and dropout and the
//! inputs of batches are what they are on the processor.

mod common;

use candle_core::{DType, Device, Tensor, Var};
use common::mixture::Case;
use common::place::kernels;
use common::{Builder, flat};
use homebench_kernels::cuda::{BatchParts, CopiedBatch, Order, on_host};
use homebench_kernels::dropout::Dropout;
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{
    AdagradConfig, AdamConfig, BatchRows, Columns, DenseRule, EmbeddingTables, Lists, Optimizer,
    PooledTables, Pooling, SgdConfig, SparseRule, clip_gradient_norm, gather_on_device,
    set_norms_on_device, update_on_device,
};
use homebench_kernels::{Parameter, Role};
use homebench_random::Philox;
use std::collections::BTreeSet;
use std::sync::Mutex;

static RUN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// [`kernels`], which remembers what was run.
fn remembered(
    name: &str,
    sizes: [u32; 6],
    arguments: &[(*const u64, usize)],
    descending: bool,
) -> Result<(), String> {
    RUN.lock().unwrap().insert(name.to_owned());
    kernels(name, sizes, arguments, descending)
}

fn parameter(path: &str, shape: &[usize]) -> Parameter {
    let stream = Philox::new(7, "test", path);
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count as u64).map(|i| stream.normal(i)).collect();
    let var = Var::from_vec(values, shape, &Device::Cpu).unwrap();
    Parameter::new(path, var, Role::Trained)
}

/// A step of a mixture in training and in evaluation, of every optimiser, and of embedding tables.
fn everything() {
    for train in [true, false] {
        for batch_norm in [true, false] {
            let mut builder = Builder::new(DType::F32);
            let case = Case {
                train,
                batch_norm,
                ..Case::new(70, 9, &[33, 5])
            };
            let subject = case.build(&mut builder).unwrap();
            let inputs: Vec<Tensor> = subject
                .inputs
                .iter()
                .map(|input| Var::from_tensor(input).unwrap().into_inner())
                .collect();
            let out = (subject.forward)(&inputs, common::Path::Fused).unwrap();
            if !train {
                continue;
            }
            let logits = out.flatten_all().unwrap().unsqueeze(1).unwrap();
            let labels = vec![1.0; logits.elem_count()];
            let loss = multi_task_loss(&logits, &Targets::new(labels)).unwrap();
            let gradients = loss.backward().unwrap();
            for parameter in &builder.parameters {
                parameter.collect(&gradients).unwrap();
            }
        }
    }
    let sgd = |momentum| SgdConfig {
        momentum,
        weight_decay: 0.1,
    };
    for rule in [
        DenseRule::from(AdamConfig::default()),
        AdagradConfig::default().into(),
        sgd(0.9).into(),
        sgd(0.0).into(),
    ] {
        let parameter = parameter("w", &[7]);
        let loss = parameter.tensor().sqr().unwrap().sum_all().unwrap();
        parameter.collect(&loss.backward().unwrap()).unwrap();
        let all = [parameter];
        clip_gradient_norm(&all, 0.1).unwrap();
        Optimizer::new(&all, rule).step(0.1).unwrap();
    }
    for rule in [
        SparseRule::Adam(AdamConfig::default()),
        SparseRule::RowWiseAdagrad {
            epsilon: 1e-8,
            weight_decay: 0.0,
        },
    ] {
        batch(rule, Some(0.5));
    }
}

#[test]
fn every_kernel_is_run_by_some_program() {
    on_host(remembered, Order::Ascending, everything);
    let run = RUN.lock().unwrap().clone();
    let all: BTreeSet<String> = homebench_kernels_on_host::names().into_iter().collect();
    assert_eq!(run, all);
}

/// Rows enough for segments of one row's occurrences to be several, and for a table to be cut.
const NUM_ROWS: usize = 300;

/// More tables, of single values and of lists, than a launch takes pointers of.
const NUM_TABLES: usize = 70;
const DIM: usize = 3;
const NUM_NUMERIC: usize = 2;
const INPUT_DIM: usize = 2 * NUM_TABLES * DIM + NUM_NUMERIC;

/// Rows of a table.
fn vocabulary(table: usize) -> usize {
    2 + table % 5
}

/// Every table, and the optimiser's side of those of single values and of lists. Some are frozen: of lists, all of a launch.
fn tables(rule: SparseRule) -> (Vec<Parameter>, EmbeddingTables, PooledTables) {
    let of = |kind: &str| -> Vec<Parameter> {
        (0..NUM_TABLES)
            .map(|table| {
                let parameter = parameter(&format!("{kind} {table}"), &[vocabulary(table), DIM]);
                if table % 9 == 3 || kind == "list" && table >= 64 {
                    parameter.freeze();
                }
                parameter
            })
            .collect()
    };
    let (single, lists) = (of("table"), of("list"));
    let pooling = [Pooling::Sum, Pooling::Mean].into_iter().cycle();
    let pooled = PooledTables::new(lists.iter().cloned().zip(pooling).collect(), rule).unwrap();
    let embedded = EmbeddingTables::new(single.clone(), rule).unwrap();
    ([single, lists].concat(), embedded, pooled)
}

/// Ids of single values, ids of lists of none to four, and where these end.
fn ids() -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let stream = Philox::new(3, "test", "ids");
    let id = |index: usize, counter: usize| {
        let vocabulary = vocabulary(index % NUM_TABLES) as u32;
        stream.below(counter as u64, vocabulary)
    };
    let all = 0..NUM_ROWS * NUM_TABLES;
    let single = all.clone().map(|index| id(index, index)).collect();
    let (mut listed, mut ends) = (Vec::new(), Vec::new());
    for index in all {
        for place in 0..index % 5 {
            listed.push(id(index, index * 5 + place));
        }
        ends.push(listed.len() as u32);
    }
    (single, listed, ends)
}

/// Gathers a batch and takes two steps: the input and the tables after them.
fn batch(rule: SparseRule, rate: Option<f64>) -> Vec<Vec<f64>> {
    let (parameters, mut single, mut lists) = tables(rule);
    let (ids, listed, ends) = ids();
    let numeric: Vec<f32> = (0..NUM_NUMERIC * NUM_ROWS).map(|i| i as f32).collect();
    let dropout = rate.map(|rate| Dropout::new(rate, 1, 2, "embedding"));
    let dropout = dropout.as_ref();
    let rows = BatchRows {
        ids: &ids,
        lists: Lists {
            ids: &listed,
            ends: &ends,
        },
        num_numeric: NUM_NUMERIC,
        num_rows: NUM_ROWS,
        input_dim: INPUT_DIM,
    };
    let shape = [NUM_ROWS, INPUT_DIM];
    let mut found = Vec::new();
    for _ in 0..2 {
        let xs = match copied(&rows, &numeric) {
            None => by_hand((&single, &lists), &rows, &numeric, dropout),
            Some(mut copied) => {
                let copies = [(&single, &lists)];
                gather_on_device(&Device::Cpu, &copies, &rows, &mut copied, &shape, dropout)
                    .unwrap()
                    .into_inner()
            }
        };
        found.push(flat(&xs).unwrap());
        let slopes = Builder::new(DType::F32)
            .tensor("slopes", &shape, 1.0)
            .unwrap();
        let mut copies = [(&mut single, &mut lists)];
        if !update_on_device(&mut copies, &rows, &slopes, dropout, 0.01).unwrap() {
            let mut slopes: Vec<f32> = slopes.flatten_all().unwrap().to_vec1().unwrap();
            mask(dropout, &mut slopes);
            single.update(&ids, &slopes, COLUMNS, 0.01).unwrap();
            lists
                .update(rows.lists, &slopes, LIST_COLUMNS, 0.01)
                .unwrap();
        }
        found.extend(parameters.iter().map(|p| flat(p.tensor()).unwrap()));
    }
    for (_, kept) in single.kept_mut().chain(lists.kept_mut()) {
        let values = kept.values().unwrap();
        found.push(values.iter().map(|value| f64::from(*value)).collect());
    }
    found
}

/// The batch on the machine that stands in for a device, where one does.
fn copied(rows: &BatchRows<'_>, numeric: &[f32]) -> Option<CopiedBatch> {
    let mut copied = CopiedBatch::new(&Device::Cpu).unwrap()?;
    let parts = BatchParts {
        ids: rows.ids,
        list_ids: rows.lists.ids,
        list_ends: rows.lists.ends,
        numeric,
    };
    copied.fill(parts).unwrap();
    Some(copied)
}

const COLUMNS: Columns = Columns {
    stride: INPUT_DIM,
    offset: 0,
};
const LIST_COLUMNS: Columns = Columns {
    stride: INPUT_DIM,
    offset: NUM_TABLES * DIM,
};

fn mask(dropout: Option<&Dropout>, values: &mut [f32]) {
    if let Some(dropout) = dropout {
        dropout.apply(values, COLUMNS, INPUT_DIM - NUM_NUMERIC);
    }
}

/// What the model's input does on the processor.
fn by_hand(
    (single, lists): (&EmbeddingTables, &PooledTables),
    rows: &BatchRows<'_>,
    numeric: &[f32],
    dropout: Option<&Dropout>,
) -> Tensor {
    let mut values = vec![0f32; NUM_ROWS * INPUT_DIM];
    single.gather(rows.ids, &mut values, COLUMNS).unwrap();
    lists.gather(rows.lists, &mut values, LIST_COLUMNS).unwrap();
    let of_rows = values.chunks_mut(INPUT_DIM);
    for (row, numeric) in of_rows.zip(numeric.chunks(NUM_NUMERIC)) {
        row[INPUT_DIM - NUM_NUMERIC..].copy_from_slice(numeric);
    }
    mask(dropout, &mut values);
    Tensor::from_vec(values, (NUM_ROWS, INPUT_DIM), &Device::Cpu).unwrap()
}

#[test]
fn an_id_beyond_its_table_is_refused_before_the_device_reads_it() {
    let rule = SparseRule::Adam(AdamConfig::default());
    on_host(kernels, Order::Ascending, || {
        let (_, single, lists) = tables(rule);
        let (mut ids, mut listed, ends) = ids();
        let said = |ids: &[u32], listed: &[u32]| {
            let rows = BatchRows {
                ids,
                lists: Lists {
                    ids: listed,
                    ends: &ends,
                },
                num_numeric: 0,
                num_rows: NUM_ROWS,
                input_dim: INPUT_DIM - NUM_NUMERIC,
            };
            let shape = [NUM_ROWS, rows.input_dim];
            let copies = [(&single, &lists)];
            let mut copied = copied(&rows, &[]).unwrap();
            let gathered =
                gather_on_device(&Device::Cpu, &copies, &rows, &mut copied, &shape, None);
            gathered.map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(said(&ids, &listed), Ok(()));
        listed[0] = 9;
        let error = said(&ids, &listed).unwrap_err();
        assert!(
            error.contains("list 1: id 9 in a table of 3 rows"),
            "{error}"
        );
        ids[2] = 4;
        let error = said(&ids, &listed).unwrap_err();
        assert!(
            error.contains("table 2: id 4 in a table of 4 rows"),
            "{error}"
        );
    });
}

#[test]
fn norms_of_sets_are_those_of_their_gradients() {
    let with_gradient = |path: &str, count: usize| {
        let parameter = parameter(path, &[count]);
        let loss = parameter.tensor().sqr().unwrap().sum_all().unwrap();
        parameter.collect(&loss.backward().unwrap()).unwrap();
        parameter
    };
    on_host(kernels, Order::Descending, || {
        // More tensors than a launch takes, one of more than a block, and one without a gradient.
        let many: Vec<Parameter> = (0..40)
            .map(|index| with_gradient(&format!("w{index}"), 1 + index))
            .collect();
        let long = with_gradient("long", 3000);
        let without = parameter("without", &[5]);
        let sets = [many.iter().collect(), vec![&long, &without], vec![&without]];
        let norms = set_norms_on_device(&sets).unwrap().unwrap();
        let norms = norms.values().unwrap();
        for (set, norm) in sets.iter().zip(norms) {
            let gradients = set.iter().filter_map(|parameter| parameter.gradient());
            let squares: f64 = gradients.flatten().map(|g| f64::from(g).powi(2)).sum();
            assert!((norm - squares.sqrt()).abs() <= 1e-6 * squares.sqrt());
        }
    });
    let here = with_gradient("here", 3);
    assert!(set_norms_on_device(&[vec![&here]]).unwrap().is_none());
}

#[test]
fn batches_are_gathered_masked_and_learned_from_as_on_the_processor() {
    let adagrad = SparseRule::RowWiseAdagrad {
        epsilon: 1e-8,
        weight_decay: 0.1,
    };
    for rule in [SparseRule::Adam(AdamConfig::default()), adagrad] {
        for rate in [None, Some(0.5)] {
            let expected = batch(rule, rate);
            let [first, last] = [Order::Ascending, Order::Descending]
                .map(|order| on_host(kernels, order, || batch(rule, rate)));
            assert!(first == last, "the order of threads changes numbers");
            // Before the first step, to the last bit: dropout draws the same numbers.
            assert_eq!(first[0], expected[0]);
            assert_eq!(first.len(), expected.len());
            for (found, expected) in first.iter().flatten().zip(expected.iter().flatten()) {
                let near = 2e-6 * (1.0 + expected.abs());
                assert!((found - expected).abs() < near, "{found} {expected}");
            }
        }
    }
}

#[test]
fn what_a_device_leaves_undefined_is_an_error() {
    // A kernel that isn't there, and arguments that don't fit.
    assert!(kernels("none", [1; 6], &[], false).is_err());
    let word = 0u64;
    let said = kernels("column_sums", [1; 6], &[(&raw const word, 8)], false).unwrap_err();
    assert_eq!(said, "column_sums: expected 4 arguments, found 1");
    let sizes = [(&raw const word, 8); 4];
    let said = kernels("column_sums", [1; 6], &sizes, false).unwrap_err();
    assert_eq!(said, "column_sums: argument 2: expected 4 bytes, found 8");
}
