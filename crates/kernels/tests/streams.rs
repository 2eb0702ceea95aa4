//! Layer norm and masked streams against their references.

mod common;

use common::{BATCHES, Builder, Path, Run, Subject, Tolerance, check};
use homebench_kernels::{layer_norm, layer_norm_composed, masked, masked_composed};

const TOLERANCE: Tolerance = Tolerance {
    relative: 2e-5,
    absolute: 2e-5,
};

#[test]
fn layer_norms_equal_the_reference() {
    for rows in BATCHES {
        for width in [2, 17, 64] {
            check(
                &format!("{rows} rows of {width}"),
                &|builder: &mut Builder| {
                    let xs = builder.tensor("xs", &[rows, width], 2.0)?;
                    let scale = builder.tensor("scale", &[width], 1.5)?;
                    let shift = builder.tensor("shift", &[width], 1.0)?;
                    Ok(Subject::new(vec![xs, scale, shift], |inputs, path| {
                        let [xs, scale, shift] = [&inputs[0], &inputs[1], &inputs[2]];
                        match path {
                            Path::Fused => layer_norm(xs, scale, shift),
                            Path::Composed => layer_norm_composed(xs, scale, shift),
                        }
                    }))
                },
                Tolerance {
                    // Rows of two units have deviations near 0, which are divided by.
                    relative: if width == 2 { 2e-3 } else { 5e-5 },
                    ..TOLERANCE
                },
                Run::FUSED,
            );
        }
    }
}

#[test]
fn masked_streams_equal_the_reference() {
    for rows in BATCHES {
        for width in [1, 9, 32] {
            check(
                &format!("{rows} rows of {width}"),
                &|builder: &mut Builder| {
                    let streams = builder.tensor("streams", &[3, rows, width], 2.0)?;
                    let maps = builder.tensor("maps", &[3, width + 1, width], 0.5)?;
                    Ok(Subject::new(
                        vec![streams, maps],
                        |inputs, path| match path {
                            Path::Fused => masked(&inputs[0], &inputs[1]),
                            Path::Composed => masked_composed(&inputs[0], &inputs[1]),
                        },
                    ))
                },
                TOLERANCE,
                Run::FUSED,
            );
        }
    }
}
