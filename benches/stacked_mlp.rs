//! Stacked networks with batch norm and SiLU: the experts of home-l's two layers.

use candle_core::{Tensor, Var};
use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput};
use homebench_benches::bounds::{Bound, Product};
use homebench_benches::operands::{Operands, input};
use homebench_benches::{BATCH, EXPERT_DIMS, INPUT_DIM};
use homebench_kernels::stacked_mlp::StackedMlp;
use std::hint::black_box;
use std::time::Duration;

struct Subject {
    name: &'static str,
    sources: &'static [usize],
    input_dim: usize,
    /// Whether the composed operators are measured as well; they are slow.
    with_reference: bool,
}

const SUBJECTS: [Subject; 3] = [
    Subject {
        name: "batch4096_experts2",
        sources: &[0, 0],
        input_dim: INPUT_DIM,
        with_reference: true,
    },
    // The meta layer: three sets, each behind a feature gate.
    Subject {
        name: "batch4096_experts6",
        sources: &[0, 0, 1, 1, 2, 2],
        input_dim: INPUT_DIM,
        with_reference: false,
    },
    // The task layer: shared, groups, tasks.
    Subject {
        name: "batch4096_experts13",
        sources: &[0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9],
        input_dim: EXPERT_DIMS[1],
        with_reference: false,
    },
];

impl Subject {
    fn num_inputs(&self) -> usize {
        self.sources.iter().max().map_or(0, |last| last + 1)
    }

    /// Inputs and outputs of each expert's layers.
    fn layers(&self) -> impl Iterator<Item = (usize, usize)> {
        let depths = [self.input_dim, EXPERT_DIMS[0]];
        let of_one = depths.into_iter().zip(EXPERT_DIMS);
        self.sources.iter().flat_map(move |_| of_one.clone())
    }

    fn num_activations(&self) -> usize {
        self.layers().map(|(_, width)| BATCH * width).sum()
    }
}

type Run = fn(&StackedMlp, &Tensor) -> candle_core::Result<Tensor>;

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stacked_mlp/forward");
    group
        .throughput(Throughput::Elements(BATCH as u64))
        .sampling_mode(SamplingMode::Flat);
    for subject in &SUBJECTS {
        let (_, mlp, xs) = operands(subject);
        for (name, run) in versions(subject) {
            group.bench_function(BenchmarkId::new(name, subject.name), |bencher| {
                bencher.iter(|| run(&mlp, &xs).unwrap());
            });
        }
        let products = subject
            .layers()
            .map(|(depth, width)| Product::new(BATCH, depth, width));
        // Beside the products: normalising and activating reads and writes every unit once.
        let mut bound = Bound::new(products.collect(), 2 * subject.num_activations());
        group.bench_function(BenchmarkId::new("bound", subject.name), |bencher| {
            bencher.iter(|| black_box(&mut bound).run());
        });
    }
}

fn backward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stacked_mlp/backward");
    group
        .throughput(Throughput::Elements(BATCH as u64))
        .sampling_mode(SamplingMode::Flat);
    for subject in &SUBJECTS {
        let (operands, mlp, xs) = operands(subject);
        for (name, run) in versions(subject) {
            group.bench_function(BenchmarkId::new(name, subject.name), |bencher| {
                let setup = || {
                    operands.consume_gradients();
                    run(&mlp, &xs).unwrap()
                };
                bencher.iter_batched(
                    setup,
                    |result| result.backward().unwrap(),
                    BatchSize::PerIteration,
                );
            });
        }
        let products = subject
            .layers()
            .flat_map(|(depth, width)| Product::backward(BATCH, depth, width));
        // Beside the products: batch norm's gradient reads gradient and product, and writes the gradient.
        let mut bound = Bound::new(products.collect(), 3 * subject.num_activations());
        group.bench_function(BenchmarkId::new("bound", subject.name), |bencher| {
            bencher.iter(|| black_box(&mut bound).run());
        });
    }
}

fn operands(subject: &Subject) -> (Operands, StackedMlp, Var) {
    let mut operands = Operands::default();
    let mlp = operands.experts(subject.sources, subject.input_dim, &EXPERT_DIMS);
    let xs = input(&[subject.num_inputs(), BATCH, subject.input_dim]);
    (operands, mlp.unwrap(), xs.unwrap())
}

fn versions(subject: &Subject) -> Vec<(&'static str, Run)> {
    let mut versions: Vec<(_, Run)> = vec![("fused", |mlp, xs| mlp.forward_t(xs, true))];
    if subject.with_reference {
        versions.push(("reference", |mlp, xs| mlp.forward_composed(xs, true)));
    }
    versions
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    forward(&mut criterion);
    backward(&mut criterion);
    criterion.final_summary();
}
