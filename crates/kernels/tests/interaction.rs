//! Interactions of a row's fields against their references, gradients included.

mod common;

use candle_core::{Device, Result, Tensor};
use common::{BATCHES, Builder, Path, Run, Subject, Tolerance, check};
use homebench_kernels::interaction::{
    field_attention, field_attention_composed, scaled_vectors, scaled_vectors_composed,
    sum_of_pairs, sum_of_pairs_composed,
};

const TOLERANCE: Tolerance = Tolerance {
    relative: 2e-5,
    absolute: 2e-5,
};

#[test]
fn vectors_of_numbers_equal_the_reference() {
    for rows in BATCHES {
        for (count, width) in [(1, 1), (3, 8), (5, 19)] {
            check(
                &format!("{rows} rows of {count} numbers, {width} wide"),
                &|builder: &mut Builder| {
                    let numbers = builder.tensor("numbers", &[rows, count], 2.0)?;
                    let vectors = builder.tensor("vectors", &[count, width], 1.0)?;
                    let forward = |inputs: &[Tensor], path| match path {
                        Path::Fused => scaled_vectors(&inputs[0], &inputs[1]),
                        Path::Composed => scaled_vectors_composed(&inputs[0], &inputs[1]),
                    };
                    Ok(Subject::new(vec![numbers, vectors], forward))
                },
                TOLERANCE,
                Run::FUSED,
            );
        }
    }
}

#[test]
fn sums_of_pairs_equal_the_reference() {
    for rows in BATCHES {
        for (count, width) in [(1, 3), (2, 8), (11, 19)] {
            check(
                &format!("{rows} rows of {count} fields, {width} wide"),
                &|builder: &mut Builder| {
                    let fields = builder.tensor("fields", &[rows, count, width], 2.0)?;
                    let forward = |inputs: &[Tensor], path| match path {
                        Path::Fused => sum_of_pairs(&inputs[0]),
                        Path::Composed => sum_of_pairs_composed(&inputs[0]),
                    };
                    Ok(Subject::new(vec![fields], forward))
                },
                TOLERANCE,
                Run::FUSED,
            );
        }
    }
}

#[test]
fn attention_between_fields_equals_the_reference() {
    for rows in BATCHES {
        for (fields, heads, units) in [(1, 1, 1), (3, 2, 4), (9, 3, 17)] {
            check(
                &format!("{rows} rows of {fields} fields, {heads} heads of {units}"),
                &|builder: &mut Builder| {
                    let maps = builder.tensor("maps", &[4, rows * fields, heads * units], 0.5)?;
                    let forward = move |inputs: &[Tensor], path| match path {
                        Path::Fused => field_attention(&inputs[0], fields, heads),
                        Path::Composed => field_attention_composed(&inputs[0], fields, heads),
                    };
                    Ok(Subject::new(vec![maps], forward))
                },
                TOLERANCE,
                Run::FUSED,
            );
        }
    }
}

/// Of weights that sum to 1, values that are all 1 mix to 1, whatever the scores.
#[test]
fn the_weights_of_attention_sum_to_one() -> Result<()> {
    let builder = Builder::new(candle_core::DType::F32);
    let (rows, fields, width) = (70, 5, 6);
    let scores = builder.tensor("scores", &[2, rows * fields, width], 4.0)?;
    let ones = Tensor::ones(
        (1, rows * fields, width),
        candle_core::DType::F32,
        &common::place::device(),
    )?;
    let maps = Tensor::cat(&[&scores, &ones, &ones.zeros_like()?], 0)?;
    for mixed in common::flat(&field_attention(&maps, fields, 2)?)? {
        assert!((mixed - 1.0).abs() < 1e-6, "{mixed}");
    }
    Ok(())
}

#[test]
fn one_field_has_no_pair_and_attends_to_itself() -> Result<()> {
    let builder = Builder::new(candle_core::DType::F32);
    let fields = builder.tensor("fields", &[9, 1, 7], 3.0)?;
    let zero = common::flat(&sum_of_pairs(&fields)?)?;
    assert!(zero.iter().all(|value| *value == 0.0));
    let maps = builder.tensor("maps", &[4, 9, 6], 2.0)?;
    let expected = (maps.get(2)? + maps.get(3)?)?;
    assert_eq!(
        common::flat(&field_attention(&maps, 1, 3)?)?,
        common::flat(&expected)?
    );
    Ok(())
}

#[test]
fn a_row_alone_is_that_row_of_a_batch_to_the_bit() -> Result<()> {
    let builder = Builder::new(candle_core::DType::F32);
    let (rows, fields, width) = (150, 7, 12);
    let of_row = |tensor: &Tensor, row: usize| tensor.narrow(0, row, 1);
    let xs = builder.tensor("fields", &[rows, fields, width], 1.3)?;
    let pairs = sum_of_pairs(&xs)?;
    let maps = builder.tensor("maps", &[4, rows * fields, width], 1.3)?;
    let attended = field_attention(&maps, fields, 3)?;
    for row in [0, 63, 64, 149] {
        let alone = sum_of_pairs(&of_row(&xs, row)?)?;
        assert_eq!(common::flat(&alone)?, common::flat(&of_row(&pairs, row)?)?);
        let alone = field_attention(
            &maps.narrow(1, row * fields, fields)?.contiguous()?,
            fields,
            3,
        )?;
        let there = attended.narrow(0, row * fields, fields)?;
        assert_eq!(common::flat(&alone)?, common::flat(&there)?);
    }
    Ok(())
}

#[test]
fn shapes_that_do_not_fit_are_refused() -> Result<()> {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, candle_core::DType::F32, &Device::Cpu);
    let said = scaled_vectors(&zeros(&[5, 3])?, &zeros(&[2, 4])?).unwrap_err();
    assert!(
        said.to_string()
            .starts_with("3 numbers of a row can't have 2 vectors")
    );
    let said = sum_of_pairs(&zeros(&[5, 0, 3])?).unwrap_err();
    assert!(said.to_string().starts_with("pairs of 0 fields of 3 units"));
    for (dims, fields, heads) in [
        ([3, 6, 4], 3, 2),
        ([4, 7, 4], 3, 2),
        ([4, 6, 5], 3, 2),
        ([4, 6, 4], 0, 2),
    ] {
        let said = field_attention(&zeros(&dims)?, fields, heads)
            .unwrap_err()
            .to_string();
        assert!(
            said.contains(&format!("are not of {fields} fields and {heads} heads")),
            "{said}"
        );
    }
    Ok(())
}
