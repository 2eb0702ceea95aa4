//! Matrix products of the kernels against the crate gemm's, on one thread: every shape of a block of rows of the workloads in
//! `peers/workloads`, and some of small models.
//!
//! Both sides alternate, and processor time counts, so that other programs disturb both alike. The ratio is the median over pairs;
//! above 1, gemm is faster. `cargo bench -p homebench-benches --bench product -- 512x512` measures the shapes whose name has that.

use homebench_benches::operands::uniform;
use homebench_kernels::product::{Matrix, multiply};
use homebench_kernels::simd::instruction_set;

/// Rows, terms, columns, and which matrices are transposed: n(one) or t(ransposed), left and right.
const SHAPES: [(usize, usize, usize, &str); 34] = [
    // Forward passes of experts, towers and gates.
    (512, 512, 256, "nn"),
    (512, 256, 128, "nn"),
    (512, 128, 256, "nn"),
    (512, 128, 64, "nn"),
    (512, 64, 1, "nn"),
    (512, 512, 56, "nn"),
    (512, 512, 13, "nn"),
    // Feature gates: the softmax and every A of an input's gates in one, and each B.
    (512, 512, 390, "nn"),
    (512, 128, 130, "nn"),
    (512, 128, 520, "nn"),
    (512, 64, 512, "nn"),
    (512, 64, 128, "nn"),
    // Gradients of weights.
    (512, 512, 256, "tn"),
    (256, 512, 128, "tn"),
    (128, 512, 256, "tn"),
    (128, 512, 64, "tn"),
    (512, 512, 390, "tn"),
    (64, 512, 512, "tn"),
    (512, 512, 13, "tn"),
    // Gradients of inputs.
    (512, 256, 512, "nt"),
    (512, 128, 256, "nt"),
    (512, 256, 128, "nt"),
    (512, 64, 128, "nt"),
    (512, 390, 512, "nt"),
    (512, 512, 64, "nt"),
    (512, 13, 512, "nt"),
    // Small models, small batches.
    (256, 64, 32, "nn"),
    (256, 32, 16, "nn"),
    (256, 16, 1, "nn"),
    (64, 320, 64, "nn"),
    (512, 8, 64, "nn"),
    (64, 256, 32, "tn"),
    (256, 32, 64, "nt"),
    (7, 37, 50, "nn"),
];

const PAIRS: usize = 41;
/// Floating-point operations of one side of a pair: half a millisecond.
const WORK: f64 = 1e8;

fn main() {
    // What cargo adds, such as `--bench`, is no name.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    println!("instructions: {}", instruction_set().name());
    println!(
        "{:<18} {:>12} {:>12} {:>8}",
        "shape", "ours_gflops", "gemm_gflops", "ratio"
    );
    for (rows, depth, columns, layout) in SHAPES {
        let name = format!("{rows}x{depth}x{columns}/{layout}");
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word)) {
            Pair::new(rows, depth, columns, layout).measure(&name);
        }
    }
}

/// A product that both sides compute.
struct Pair {
    dims: [usize; 3],
    transposed: [bool; 2],
    left: Vec<f32>,
    right: Vec<f32>,
    out: Vec<f32>,
}

impl Pair {
    fn new(rows: usize, depth: usize, columns: usize, layout: &str) -> Self {
        Self {
            dims: [rows, depth, columns],
            transposed: [layout.starts_with('t'), layout.ends_with('t')],
            left: uniform("left", rows * depth, 1.0),
            right: uniform("right", depth * columns, 1.0),
            out: vec![0.0; rows * columns],
        }
    }

    fn measure(mut self, name: &str) {
        let [rows, depth, columns] = self.dims;
        let operations = 2.0 * (rows * depth * columns) as f64;
        let repeats = ((WORK / operations) as usize).max(1);
        let mut pairs: Vec<[f64; 2]> = (0..PAIRS)
            .map(|_| {
                [Self::multiply_ours, Self::multiply_gemm].map(|side| {
                    let start = thread_seconds();
                    (0..repeats).for_each(|_| side(&mut self));
                    thread_seconds() - start
                })
            })
            .collect();
        let mut median = |key: fn(&[f64; 2]) -> f64| {
            pairs.sort_by(|a, b| key(a).total_cmp(&key(b)));
            key(&pairs[PAIRS / 2])
        };
        let (ours, gemm) = (median(|pair| pair[0]), median(|pair| pair[1]));
        let ratio = median(|pair| pair[0] / pair[1]);
        let speed = |seconds: f64| operations * repeats as f64 / seconds / 1e9;
        println!(
            "{name:<18} {:>12.0} {:>12.0} {ratio:>8.3}",
            speed(ours),
            speed(gemm)
        );
    }

    fn multiply_ours(&mut self) {
        let [rows, depth, columns] = self.dims;
        let matrix = |data, rows, columns, is_transposed| match is_transposed {
            true => Matrix::new(data, columns, rows).transposed(),
            false => Matrix::new(data, rows, columns),
        };
        let left = matrix(&self.left, rows, depth, self.transposed[0]);
        let right = matrix(&self.right, depth, columns, self.transposed[1]);
        multiply(&mut self.out, columns, left, right, false);
    }

    fn multiply_gemm(&mut self) {
        let [rows, depth, columns] = self.dims;
        let strides = |rows: usize, columns: usize, is_transposed: bool| match is_transposed {
            true => (1, rows as isize),
            false => (columns as isize, 1),
        };
        let (left_row, left_column) = strides(rows, depth, self.transposed[0]);
        let (right_row, right_column) = strides(depth, columns, self.transposed[1]);
        // SAFETY: `new` made all three matrices of these sizes.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                depth,
                self.out.as_mut_ptr(),
                1,
                columns as isize,
                false,
                self.left.as_ptr(),
                left_column,
                left_row,
                self.right.as_ptr(),
                right_column,
                right_row,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

/// Processor time of this thread.
fn thread_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
