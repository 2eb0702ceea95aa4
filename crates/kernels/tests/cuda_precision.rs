//! Products of reduced precision on the CUDA path. Precision is of the process, so this is a process of its own.

mod common;

use common::mixture::{Case, GatesRead};
use common::{Builder, Run, execute_on_host};
use homebench_kernels::cuda::Order;
use homebench_kernels::{Precision, set_precision};

/// Rounded factors move a result by about the rounding's share of it, and no further.
#[test]
fn reduced_precision_is_near_and_not_the_same() {
    let case = Case {
        gates_read: GatesRead::Gated,
        ..Case::new(64, 33, &[64, 32])
    };
    let run = |precision| {
        set_precision(precision);
        let build = |b: &mut Builder| case.build(b);
        let outcome = execute_on_host(&build, Run::FUSED, Order::Ascending).unwrap();
        outcome.values["output"].clone()
    };
    let exact = run(Precision::F32);
    let largest = exact.iter().fold(0f64, |a, v| a.max(v.abs()));
    for (precision, least, most) in [(Precision::Tf32, 1e-6, 5e-3), (Precision::Bf16, 1e-5, 5e-2)] {
        let found = run(precision);
        let distances = found.iter().zip(&exact).map(|(a, b)| (a - b).abs());
        let worst = distances.fold(0f64, f64::max) / largest;
        assert!((least..most).contains(&worst), "{precision:?}: {worst}");
    }
    set_precision(Precision::F32);
}
