//! Metrics over as many rows as a large test split has.

use criterion::{BenchmarkId, Throughput};
use homebench_benches::operator::criterion;
use homebench_kernels::random::Philox;
use homebench_metric::{auc, grouped_auc, log_loss};
use std::hint::black_box;

const ROWS: usize = 10_000_000;
const GROUPS: u32 = 100_000;

fn main() {
    let stream = Philox::new(1, "bench", "metric");
    let scores: Vec<f32> = (0..ROWS as u64)
        .map(|row| stream.uniform(row) * 8.0 - 4.0)
        .collect();
    let truths = Philox::new(2, "bench", "metric");
    let labels: Vec<f32> = (0..ROWS as u64)
        .map(|row| f32::from(truths.uniform(row) < 0.1))
        .collect();
    let users = Philox::new(3, "bench", "metric");
    let groups: Vec<u32> = (0..ROWS as u64)
        .map(|row| users.below(row, GROUPS))
        .collect();
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("metric");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function(BenchmarkId::new("auc", "rows10M"), |bencher| {
        bencher.iter(|| black_box(auc(&scores, &labels)));
    });
    group.bench_function(BenchmarkId::new("log_loss", "rows10M"), |bencher| {
        bencher.iter(|| black_box(log_loss(&scores, &labels)));
    });
    group.bench_function(
        BenchmarkId::new("grouped_auc", "rows10M_groups100k"),
        |bencher| {
            bencher.iter(|| black_box(grouped_auc(&scores, &labels, &groups)));
        },
    );
    group.finish();
    criterion.final_summary();
}
