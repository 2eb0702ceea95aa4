//! Linear maps by group against their reference, in every byte that both define, and at any number of threads.

mod common;

use candle_core::{Device, Tensor, Var};
use common::{BATCHES, Builder, Path, Run, Subject, Tolerance, check};
use homebench_kernels::grouped::{RowGroups, grouped_linear, grouped_linear_composed};
use homebench_random::Philox;

/// Groups of rows: uneven ones, of which the last has no row, and one of all.
fn groups(rows: usize, count: usize) -> RowGroups {
    let stream = Philox::new(3, "test", "groups");
    let most = (count - 1).max(1) as f32;
    let group = |row: u64| (stream.uniform(row) * stream.uniform(row + 1000) * most) as u32;
    let of_rows: Vec<u32> = (0..rows as u64).map(group).collect();
    RowGroups::new(&of_rows, count).unwrap()
}

#[test]
fn maps_by_group_equal_the_reference() {
    for rows in BATCHES {
        for (inputs, networks, count) in [(1, 1, 1), (1, 3, 4), (3, 3, 6)] {
            check(
                &format!("{rows} rows in {count} groups, {inputs} inputs of {networks} networks"),
                &|builder: &mut Builder| {
                    let xs = builder.tensor("xs", &[inputs, rows, 17], 2.0)?;
                    let weights = builder.tensor("weights", &[networks, count, 17, 9], 0.5)?;
                    let biases = builder.tensor("biases", &[networks, count, 9], 0.5)?;
                    let groups = groups(rows, count);
                    Ok(Subject::new(
                        vec![xs, weights, biases],
                        move |inputs, path| {
                            let [xs, weights, biases] = [&inputs[0], &inputs[1], &inputs[2]];
                            match path {
                                Path::Fused => grouped_linear(xs, weights, biases, &groups),
                                Path::Composed => {
                                    grouped_linear_composed(xs, weights, biases, &groups)
                                }
                            }
                        },
                    ))
                },
                Tolerance {
                    relative: 2e-5,
                    absolute: 2e-5,
                },
                Run::FUSED,
            );
        }
    }
}

fn numbers(name: &str, dims: &[usize]) -> Var {
    let stream = Philox::new(5, "test", name);
    let count: usize = dims.iter().product();
    let values: Vec<f32> = (0..count as u64)
        .map(|at| stream.uniform(at) * 2.0 - 1.0)
        .collect();
    Var::from_vec(values, dims, &Device::Cpu).unwrap()
}

type Linear = fn(&Tensor, &Tensor, &Tensor, &RowGroups) -> candle_core::Result<Tensor>;

/// Outputs, then the gradients of inputs, weights and biases.
fn run(linear: Linear, rows: usize, groups: &RowGroups) -> Vec<Vec<f32>> {
    let count = groups.num_groups();
    let xs = numbers("xs", &[2, rows, 11]);
    let weights = numbers("weights", &[2, count, 11, 7]);
    let biases = numbers("biases", &[2, count, 7]);
    let ys = linear(&xs, &weights, &biases, groups).unwrap();
    let slopes = numbers("slopes", &[2, rows, 7]);
    let loss = (&ys * slopes.as_tensor()).unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    let of = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut found = vec![of(&ys)];
    found.extend([&xs, &weights, &biases].map(|var| of(gradients.get(var).unwrap())));
    found
}

/// Every row through the weights of every group, and what is not its own taken away: so much more work, and the same bytes.
#[test]
fn gathering_rows_changes_no_byte() {
    for rows in [1, 7, 64, 300, 1030] {
        for count in [1, 2, 5] {
            let groups = groups(rows, count);
            let gathered = run(grouped_linear, rows, &groups);
            let dense = run(grouped_linear_composed, rows, &groups);
            // Sums of biases go by candle in the reference: they are held against it above.
            for (what, at) in [("outputs", 0), ("inputs", 1), ("weights", 2)] {
                // Zeros of either sign are one number.
                assert!(gathered[at] == dense[at], "{rows} rows in {count}: {what}");
            }
        }
    }
}

#[test]
fn a_row_alone_gives_what_it_gives_among_others() {
    let rows = 130;
    let all = groups(rows, 5);
    let (xs, weights, biases) = (
        numbers("xs", &[1, rows, 11]),
        numbers("weights", &[2, 5, 11, 7]),
        numbers("biases", &[2, 5, 7]),
    );
    let together = grouped_linear(&xs, &weights, &biases, &all).unwrap();
    for row in 0..rows {
        let own = RowGroups::new(&all.of_rows()[row..=row], 5).unwrap();
        let one = xs.narrow(1, row, 1).unwrap();
        let alone = grouped_linear(&one, &weights, &biases, &own).unwrap();
        let expected = together.narrow(1, row, 1).unwrap();
        let bits = |tensor: &Tensor| -> Vec<u32> {
            let flat = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            flat.into_iter().map(f32::to_bits).collect()
        };
        assert_eq!(bits(&alone), bits(&expected), "row {row}");
    }
}

#[test]
fn a_group_without_rows_gets_no_gradient_and_threads_change_no_byte() {
    let rows = 2100;
    let groups = groups(rows, 6);
    assert_eq!(groups.num_rows_of(5), 0);
    let with_threads = |count: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
        pool.unwrap().install(|| run(grouped_linear, rows, &groups))
    };
    let expected = with_threads(1);
    let of_group = |gradient: &[f32], size: usize, group: usize| {
        let parts = gradient.chunks_exact(size).skip(group).step_by(6);
        parts.flatten().all(|slope| *slope == 0.0)
    };
    for (at, size) in [(2, 77), (3, 7)] {
        assert!(of_group(&expected[at], size, 5));
        assert!(!of_group(&expected[at], size, 0));
    }
    for count in [2, 5, 5] {
        assert!(with_threads(count) == expected, "{count} threads");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(RowGroups::new(&[], 2).is_err());
    let error = RowGroups::new(&[0, 2], 2).unwrap_err().to_string();
    assert!(error.contains("row 1 is in group 2 of 2"), "{error}");
    let groups = RowGroups::new(&[0, 1], 2).unwrap();
    let (xs, weights) = (numbers("xs", &[1, 2, 3]), numbers("w", &[2, 2, 3, 4]));
    let biases = numbers("b", &[2, 2, 4]);
    assert!(grouped_linear(&xs, &weights, &biases, &groups).is_ok());
    for (xs, biases) in [
        (numbers("xs", &[1, 3, 3]), biases.clone()),
        (numbers("xs", &[3, 2, 3]), biases.clone()),
        (numbers("xs", &[1, 2, 4]), biases.clone()),
        (xs.clone(), numbers("b", &[2, 3, 4])),
    ] {
        let error = grouped_linear(&xs, &weights, &biases, &groups).unwrap_err();
        assert!(error.to_string().contains("can't have"), "{error}");
    }
}
