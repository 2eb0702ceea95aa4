//! Attention of lists to a target: what is before the activation unit and behind it.

use homebench_benches::BATCH;
use homebench_benches::bounds::Bound;
use homebench_benches::operands::{Operands, input};
use homebench_benches::operator::{Operator, criterion, touched};
use homebench_kernels::target_attention::{
    ElementList, ElementLists, comparisons, comparisons_composed, weighted_sums,
    weighted_sums_composed,
};
use std::sync::Arc;

/// Most elements of a row; half as many in the mean.
const MOST_ELEMENTS: usize = 40;
const WIDTH: usize = 16;
/// The target, the list's sum, and other columns.
const STRIDE: usize = 10 * WIDTH;

fn main() {
    let mut criterion = criterion();
    let mut end = 0;
    let ends = (0..BATCH).map(|row| {
        end += (row * 7 % (MOST_ELEMENTS + 1)) as u32;
        end
    });
    let list = ElementList {
        target: 0,
        columns: WIDTH,
        width: WIDTH,
        ends: ends.collect(),
    };
    let lists = Arc::new(ElementLists::new(1, BATCH, STRIDE, vec![list]).unwrap());
    let count = lists.num_scores(0);
    let packed = input(&[lists.packed_len()]).unwrap();
    let scores = input(&[1, count]).unwrap();
    // Elements are read and written with what they are compared to; backward, all is read and the packed gradient written.
    let elements = [5 * WIDTH * count, 5 * WIDTH * count + lists.packed_len()];
    Operator {
        subject: "comparisons",
        sizes: "batch4096_list20_dim16",
        operands: &Operands::default(),
        throughputs: touched(elements),
        fused: &|| comparisons(&packed, &lists, 0),
        reference: Some(&|| comparisons_composed(&packed, &lists, 0)),
        bounds: elements.map(|elements| Bound::new(Vec::new(), elements)),
    }
    .bench(&mut criterion);
    let rows = BATCH * STRIDE;
    let elements = [lists.packed_len() + rows, 2 * lists.packed_len() + rows];
    Operator {
        subject: "weighted_sums",
        sizes: "batch4096_list20_dim16",
        operands: &Operands::default(),
        throughputs: touched(elements),
        fused: &|| weighted_sums(&packed, &scores, &lists, None),
        reference: Some(&|| weighted_sums_composed(&packed, &scores, &lists, None)),
        bounds: elements.map(|elements| Bound::new(Vec::new(), elements)),
    }
    .bench(&mut criterion);
    criterion.final_summary();
}
