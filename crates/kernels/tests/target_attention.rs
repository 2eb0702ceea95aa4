//! Attention of lists to a target against its references: values, gradients, threads, and that a row depends on itself alone.

mod common;

use candle_core::{DType, Result, Tensor, Var};
use common::{BATCHES, Builder, Path, Run, Subject, Tolerance, check, execute, flat};
use homebench_kernels::dropout::Dropout;
use homebench_kernels::target_attention::{
    ElementList, ElementLists, UnitDropout, comparisons, comparisons_composed, weighted_sums,
    weighted_sums_composed,
};
use std::sync::Arc;

const TOLERANCE: Tolerance = Tolerance {
    relative: 2e-5,
    absolute: 2e-5,
};

type Build<'a> = &'a dyn Fn(&mut Builder) -> Result<Subject>;

/// Columns of the rows: two targets, a number, then the sums of three lists and a column that is nobody's.
const STRIDE: usize = 24;
const NUM_LISTS: usize = 3;

/// Lists of none to eight elements; the second has elements in the last row alone, the third in no row at all.
fn lists(num_sets: usize, num_rows: usize) -> Arc<ElementLists> {
    let list = |target, columns, width, count: &dyn Fn(usize) -> u32| {
        let mut end = 0;
        let ends = (0..num_rows).map(|row| {
            end += count(row);
            end
        });
        ElementList {
            target,
            columns,
            width,
            ends: ends.collect(),
        }
    };
    let lists = vec![
        list(0, 9, 5, &|row| (row * 7 % 9) as u32),
        list(5, 15, 3, &|row| if row + 1 == num_rows { 4 } else { 0 }),
        list(5, 19, 3, &|_| 0),
    ];
    Arc::new(ElementLists::new(num_sets, num_rows, STRIDE, lists).unwrap())
}

fn num_scores(lists: &ElementLists) -> usize {
    (0..NUM_LISTS).map(|list| lists.num_scores(list)).sum()
}

fn compared(b: &mut Builder, sets: usize, rows: usize, list: usize) -> Result<Subject> {
    let lists = lists(sets, rows);
    let packed = b.tensor("packed", &[lists.packed_len()], 2.0)?;
    Ok(Subject::new(vec![packed], move |inputs, path| match path {
        Path::Fused => comparisons(&inputs[0], &lists, list),
        Path::Composed => comparisons_composed(&inputs[0], &lists, list),
    }))
}

fn summed(
    b: &mut Builder,
    sets: usize,
    rows: usize,
    dropout: Option<UnitDropout>,
) -> Result<Subject> {
    let lists = lists(sets, rows);
    let packed = b.tensor("packed", &[lists.packed_len()], 2.0)?;
    let scores = b.tensor("scores", &[sets, num_scores(&lists)], 2.0)?;
    Ok(Subject::new(vec![packed, scores], move |inputs, path| {
        let (packed, scores) = (&inputs[0], &inputs[1]);
        match path {
            Path::Fused => weighted_sums(packed, scores, &lists, dropout),
            Path::Composed => weighted_sums_composed(packed, scores, &lists, dropout),
        }
    }))
}

fn half() -> UnitDropout {
    UnitDropout {
        dropout: Dropout::new(0.5, 1, 7, "embedding"),
        num_columns: 22,
    }
}

#[test]
fn comparisons_equal_the_reference() {
    for (rows, sets) in BATCHES.into_iter().flat_map(|rows| [(rows, 1), (rows, 3)]) {
        for list in 0..NUM_LISTS {
            let case = format!("{rows} rows, {sets} sets, list {list}");
            let build = |b: &mut Builder| compared(b, sets, rows, list);
            check(&case, &build, TOLERANCE, Run::FUSED);
        }
    }
}

#[test]
fn weighted_sums_equal_the_reference() {
    for (rows, sets) in BATCHES.into_iter().flat_map(|rows| [(rows, 1), (rows, 3)]) {
        for dropout in [None, Some(half())] {
            let case = format!("{rows} rows, {sets} sets, {dropout:?}");
            let build = |b: &mut Builder| summed(b, sets, rows, dropout);
            check(&case, &build, TOLERANCE, Run::FUSED);
        }
    }
}

/// The references' gradients, which the fused ones are held against, by central differences in f64.
#[test]
fn gradients_are_those_of_finite_differences() -> Result<()> {
    const STEP: f64 = 1e-6;
    let cases: [Build<'_>; 3] = [
        &|b| compared(b, 2, 5, 0),
        &|b| summed(b, 2, 5, None),
        &|b| summed(b, 2, 5, Some(half())),
    ];
    for (case, build) in cases.into_iter().enumerate() {
        let mut builder = Builder::new(DType::F64);
        let subject = build(&mut builder)?;
        let inputs: Vec<Var> = (subject.inputs.iter())
            .map(Var::from_tensor)
            .collect::<Result<_>>()?;
        let tensors: Vec<Tensor> = inputs.iter().map(|var| var.as_tensor().clone()).collect();
        let loss = || -> Result<Tensor> {
            let output = (subject.forward)(&tensors, Path::Composed)?;
            let upstream = builder.tensor("upstream", output.dims(), 1.0)?;
            (output * upstream)?.sum_all()
        };
        let gradients = loss()?.backward()?;
        for (place, var) in inputs.iter().enumerate() {
            let (found, start) = (flat(gradients.get(var).expect("a gradient"))?, flat(var)?);
            for (index, found) in found.iter().enumerate() {
                let at = |distance: f64| -> Result<f64> {
                    let mut moved = start.clone();
                    moved[index] += distance;
                    var.set(&Tensor::from_vec(moved, var.shape(), var.device())?)?;
                    loss()?.to_scalar::<f64>()
                };
                let expected = (at(STEP)? - at(-STEP)?) / (2.0 * STEP);
                assert!(
                    (found - expected).abs() <= 1e-7 * (1.0 + expected.abs()),
                    "case {case}, input {place}[{index}] is {found}, expected {expected}"
                );
            }
            var.set(&Tensor::from_vec(start, var.shape(), var.device())?)?;
        }
    }
    Ok(())
}

#[test]
fn the_bytes_are_the_same_at_any_number_of_threads() {
    let run = |num_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads);
        pool.build().unwrap().install(|| {
            [
                execute(&|b| compared(b, 2, 1030, 0), Run::FUSED).unwrap(),
                execute(&|b| summed(b, 2, 1030, Some(half())), Run::FUSED).unwrap(),
            ]
        })
    };
    let expected = run(1);
    for num_threads in [2, 3, 5] {
        assert!(run(num_threads) == expected, "{num_threads} threads");
    }
}

#[test]
fn a_row_alone_is_that_row_of_a_batch_to_the_bit_and_one_without_elements_has_zeros() -> Result<()>
{
    let builder = Builder::new(DType::F32);
    let ends = vec![3u32, 3, 8];
    let list = |ends: Vec<u32>| ElementList {
        target: 0,
        columns: 5,
        width: 5,
        ends,
    };
    let all = Arc::new(ElementLists::new(1, 3, 11, vec![list(ends)])?);
    let packed = builder.tensor("packed", &[all.packed_len()], 2.0)?;
    let scores = builder.tensor("scores", &[1, 8], 2.0)?;
    let (found, compared) = (
        flat(&weighted_sums(&packed, &scores, &all, None)?)?,
        flat(&comparisons(&packed, &all, 0)?)?,
    );
    assert_eq!(found[11 + 5..11 + 10], [0.0; 5]);
    // Whatever stands in its place is no part of the sum; the other columns stay as they are.
    assert_eq!(found[11..16], flat(&packed)?[11..16]);
    let parts = [packed.narrow(0, 22, 11)?, packed.narrow(0, 33 + 15, 25)?];
    let alone = Tensor::cat(&parts, 0)?;
    let lists = Arc::new(ElementLists::new(1, 1, 11, vec![list(vec![5])])?);
    let of_row = weighted_sums(&alone, &scores.narrow(1, 3, 5)?, &lists, None)?;
    assert_eq!(flat(&of_row)?, found[22..33]);
    assert_eq!(flat(&comparisons(&alone, &lists, 0)?)?, compared[3 * 20..]);
    Ok(())
}

#[test]
fn tensors_that_do_not_fit_are_refused() -> Result<()> {
    let builder = Builder::new(DType::F32);
    let lists = lists(1, 7);
    let packed = builder.tensor("packed", &[lists.packed_len() - 1], 2.0)?;
    let said = comparisons(&packed, &lists, 0).unwrap_err().to_string();
    assert!(said.contains("packed numbers, found"), "{said}");
    let packed = builder.tensor("packed", &[lists.packed_len()], 2.0)?;
    let scores = builder.tensor("scores", &[1, num_scores(&lists) + 1], 2.0)?;
    let said = weighted_sums(&packed, &scores, &lists, None).unwrap_err();
    assert!(
        said.to_string().contains("scores of each of 1 sets"),
        "{said}"
    );
    Ok(())
}
