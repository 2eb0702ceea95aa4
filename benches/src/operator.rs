//! The three versions of an operator, both passes, under the ids that every bench shares.

use crate::bounds::Bound;
use crate::operands::Operands;
use candle_core::{Result, Tensor};
use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput};
use std::hint::black_box;
use std::time::Duration;

/// Criterion with few and short samples: a whole `cargo bench` is to take minutes.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}

/// A forward pass.
pub type Forward<'a> = &'a dyn Fn() -> Result<Tensor>;

/// An operator to measure; pairs are of the forward and the backward pass.
pub struct Operator<'a> {
    /// First part of the ids.
    pub subject: &'a str,
    /// Last part of the ids: the sizes.
    pub sizes: &'a str,
    /// Whose gradients are to be emptied between backward passes.
    pub operands: &'a Operands,
    /// What a pass handles.
    pub throughputs: [Throughput; 2],
    /// The fused version.
    pub fused: Forward<'a>,
    /// The composed version; absent where it would take too long.
    pub reference: Option<Forward<'a>>,
    /// The work that can't be left out.
    pub bounds: [Bound; 2],
}

impl Operator<'_> {
    /// Measures all of it.
    ///
    /// # Panics
    /// The operator fails.
    pub fn bench(self, criterion: &mut Criterion) {
        let mut versions = vec![("fused", self.fused)];
        versions.extend(self.reference.map(|run| ("reference", run)));
        let passes = ["forward", "backward"].into_iter().zip(self.throughputs);
        for ((pass, throughput), mut bound) in passes.zip(self.bounds) {
            let mut group = criterion.benchmark_group(format!("{}/{pass}", self.subject));
            group.throughput(throughput);
            group.sampling_mode(SamplingMode::Flat);
            for (version, run) in &versions {
                let setup = || {
                    self.operands.consume_gradients();
                    run().unwrap()
                };
                group.bench_function(BenchmarkId::new(*version, self.sizes), |bencher| {
                    if pass == "forward" {
                        bencher.iter(|| run().unwrap());
                    } else {
                        let backward = |result: Tensor| result.backward().unwrap();
                        bencher.iter_batched(setup, backward, BatchSize::PerIteration);
                    }
                });
            }
            group.bench_function(BenchmarkId::new("bound", self.sizes), |bencher| {
                bencher.iter(|| black_box(&mut bound).run());
            });
        }
    }
}

/// As many rows in either pass.
pub fn rows(count: usize) -> [Throughput; 2] {
    [(); 2].map(|()| Throughput::Elements(count as u64))
}

/// f32 touched by each pass.
pub fn touched(elements: [usize; 2]) -> [Throughput; 2] {
    elements.map(|elements| Throughput::Bytes(4 * elements as u64))
}
