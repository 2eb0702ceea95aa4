//! Optimisers: Adam over as many parameters as home-l has, and the sparse update of embedding tables of two sizes.

use candle_core::Tensor;
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use criterion::{BenchmarkId, Criterion, Throughput};
use homebench_benches::BATCH;
use homebench_benches::bounds::Copy;
use homebench_benches::operands::{Operands, uniform};
use homebench_benches::operator::criterion;
use homebench_kernels::optimizer::{Adam, AdamConfig, Columns, EmbeddingTables, SparseRule};
use homebench_kernels::random::Philox;
use std::hint::black_box;

/// Parameters of home-l: 2.66 million, in as many variables.
const SHAPES: [(usize, usize); 60] = [(512, 87); 60];

fn adam(criterion: &mut Criterion) {
    let mut operands = Operands::default();
    for (rows, columns) in SHAPES {
        operands.parameter(&[rows, columns], 0.0, 0.1).unwrap();
    }
    let parameters = &operands.parameters;
    let total: usize = parameters
        .iter()
        .map(|parameter| parameter.num_elements())
        .sum();
    // Values and two moments are read and written, gradients read.
    let touched = 7 * total;
    let mut group = criterion.benchmark_group("optimizer/adam");
    group.throughput(Throughput::Bytes(4 * touched as u64));
    let loss = parameters
        .iter()
        .map(|parameter| parameter.tensor().sqr()?.sum_all())
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let gradients = Tensor::stack(&loss, 0)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let mut fused = Adam::new(parameters, AdamConfig::default());
    group.bench_function(BenchmarkId::new("fused", "parameters2.66M"), |bencher| {
        bencher.iter_custom(|iterations| {
            let mut spent = std::time::Duration::ZERO;
            for _ in 0..iterations {
                for parameter in parameters {
                    parameter.collect(&gradients).unwrap();
                }
                let start = std::time::Instant::now();
                fused.step(1e-3).unwrap();
                spent += start.elapsed();
            }
            spent
        });
    });
    let vars = parameters.iter().map(|parameter| parameter.var().clone());
    let mut reference = AdamW::new(vars.collect(), ParamsAdamW::default()).unwrap();
    group.bench_function(
        BenchmarkId::new("reference", "parameters2.66M"),
        |bencher| {
            bencher.iter(|| reference.step(&gradients).unwrap());
        },
    );
    let mut bound = Copy::new(touched);
    group.bench_function(BenchmarkId::new("bound", "parameters2.66M"), |bencher| {
        bencher.iter(|| black_box(&mut bound).run());
    });
}

const DIM: usize = 16;
const COLUMNS: Columns = Columns {
    stride: DIM,
    offset: 0,
};

/// A step's cost must not grow with the table.
fn embedding(criterion: &mut Criterion) {
    let gradient = uniform("gradient", BATCH * DIM, 0.01);
    let mut batch = vec![0f32; BATCH * DIM];
    for rows in [10_000u32, 4_000_000] {
        let mut operands = Operands::default();
        let table = operands.parameter(&[rows as usize, DIM], 0.0, 0.1).unwrap();
        let rule = SparseRule::Adam(AdamConfig::default());
        let mut tables = EmbeddingTables::new(vec![table], rule).unwrap();
        let stream = Philox::new(1, "bench", "ids");
        let ids: Vec<u32> = (0..BATCH as u64)
            .map(|index| stream.below(index, rows))
            .collect();
        let sizes = format!("batch4096_rows{rows}");
        let mut group = criterion.benchmark_group("optimizer/embedding");
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(BenchmarkId::new("gather", &sizes), |bencher| {
            bencher.iter(|| tables.gather(&ids, &mut batch, COLUMNS).unwrap());
        });
        group.bench_function(BenchmarkId::new("update", &sizes), |bencher| {
            bencher.iter(|| tables.update(&ids, &gradient, COLUMNS, 1e-3).unwrap());
        });
    }
    // Values and two moments of the touched rows are read and written, gradients read.
    let mut bound = Copy::new(7 * BATCH * DIM);
    let mut group = criterion.benchmark_group("optimizer/embedding");
    group.bench_function(BenchmarkId::new("bound", "batch4096"), |bencher| {
        bencher.iter(|| black_box(&mut bound).run());
    });
}

fn main() {
    let mut criterion = criterion();
    adam(&mut criterion);
    embedding(&mut criterion);
    criterion.final_summary();
}
