//! Whole training steps: the workloads of `peers/workloads`, and a step behind embedding tables of two sizes, which must cost
//! the same.

use candle_core::{DType, Device};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use homebench_benches::bounds::Product;
use homebench_benches::{BATCH, Workload};
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{Adam, AdamConfig, Lists, SparseRule};
use homebench_kernels::random::Philox;
use homebench_model::{
    BuildContext, EmbeddedInput, FeatureDims, Ids, InputColumns, ModelConfig, Tables, TaskGroup,
    TaskLayout, VarBuilder,
};
use homebench_runner::{candle_threads, memory};
use std::hint::black_box;
use std::time::Duration;

fn workloads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.measurement_time(Duration::from_secs(8));
    for name in [
        "home-l",
        "mmoe-l",
        "ple-l",
        "sparse-one-task",
        "sparse-one-task-all",
        "sparse-nine-tasks",
        "sparse-nine-tasks-all",
        "switch-s",
    ] {
        let mut workload = Workload::load(name, &Device::Cpu).expect("a workload");
        group.throughput(Throughput::Elements(workload.num_rows() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(workload.step().expect("a step")));
        });
    }
}

/// The matrix products of a step of home-l and nothing else: (how many, depth, width) of its layers, each forward, for the
/// weights and for the inputs.
const HOME_L_PRODUCTS: [(usize, usize, usize); 14] = [
    // Layer 1: experts, the LoRAs of 3 feature gates with their softmax, and all gates in one product.
    (6, 512, 256),
    (6, 256, 128),
    (6, 512, 64),
    (6, 64, 512),
    (3, 512, 2),
    (1, 512, 20),
    // Layer 2: experts, 10 feature gates, gates and self-gates by the input that they read.
    (13, 128, 256),
    (13, 256, 128),
    (20, 128, 64),
    (20, 64, 128),
    (10, 128, 2),
    (3, 128, 24),
    // Towers.
    (7, 128, 64),
    (7, 64, 1),
];

fn products(criterion: &mut Criterion) {
    let mut products: Vec<(usize, Vec<Product>)> = HOME_L_PRODUCTS
        .iter()
        .map(|(count, depth, width)| {
            let mut of_layer = vec![Product::new(BATCH, *depth, *width)];
            of_layer.extend(Product::backward(BATCH, *depth, *width));
            (*count, of_layer)
        })
        .collect();
    let mut group = criterion.benchmark_group("step");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("home-l_products_alone", |bencher| {
        bencher.iter(|| {
            for (count, of_layer) in &mut products {
                for _ in 0..*count {
                    of_layer
                        .iter_mut()
                        .for_each(|product| black_box(product).run());
                }
            }
        });
    });
}

/// A step of MMoE over one table: ids at random over all of its rows.
fn tables(criterion: &mut Criterion) {
    const EMBEDDING_DIM: usize = 16;
    let layout = TaskLayout {
        tasks: vec!["click".to_string(), "like".to_string()],
        groups: vec![TaskGroup {
            name: "all".to_string(),
            tasks: vec![0, 1],
        }],
    };
    let config = ModelConfig::from_table("mmoe", &toml::Table::new()).expect("defaults");
    let mut group = criterion.benchmark_group("step_behind_table");
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(BATCH as u64));
    for rows in [10_000u32, 10_000_000] {
        let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
        let dims = FeatureDims {
            vocabularies: vec![("id".to_string(), rows as usize)],
            lists: Vec::new(),
            num_numeric: 16,
            embedding_dim: EMBEDDING_DIM,
            tables: Default::default(),
            attention: Default::default(),
        };
        let context = BuildContext {
            layout: &layout,
            input_dim: dims.input_dim(),
            num_embedded: dims.num_embedded(),
            input_per_task: false,
            columns: InputColumns::default(),
            after: &[],
        };
        let model = config.build(&context, &vb).expect("a model");
        let mut adam = Adam::new(
            vb.finish().expect("variables").parameters(),
            AdamConfig::default(),
        );
        let rule = SparseRule::Adam(AdamConfig::default());
        let mut input =
            EmbeddedInput::new(&dims, &layout, Tables::Shared, rule, &vb).expect("tables");
        let stream = Philox::new(1, "bench", "ids");
        let numeric = vec![0.5f32; BATCH * dims.num_numeric];
        let mut step = 0;
        group.bench_function(
            BenchmarkId::from_parameter(format!("rows{rows}")),
            |bencher| {
                bencher.iter(|| {
                    // Other rows in every step, as in training.
                    step += 1;
                    let start = step * BATCH as u64;
                    let ids: Vec<u32> = (start..start + BATCH as u64)
                        .map(|index| stream.below(index, rows))
                        .collect();
                    let of_rows = Ids {
                        single: &ids,
                        lists: Lists::default(),
                    };
                    let xs = input.gather(of_rows, &numeric, BATCH, None).expect("rows");
                    let logits = model.forward_t(&xs, true, None).expect("logits");
                    let targets = Targets::new(vec![1.0; BATCH * 2]);
                    let loss = multi_task_loss(&logits, &targets).expect("a loss");
                    let gradients = loss.backward().expect("gradients");
                    adam.step(1e-3).expect("a step");
                    let gradient = gradients.get(&xs).expect("the input's gradient");
                    input
                        .update(of_rows, gradient, None, 1e-3)
                        .expect("an update");
                });
            },
        );
    }
}

fn main() {
    // SAFETY: nothing has started a thread.
    unsafe { candle_threads::keep_to_one() }
    memory::keep_freed_pages();
    // On a thread of the pool, as a cell's training.
    rayon::scope(|_| {
        let mut criterion = Criterion::default().configure_from_args();
        workloads(&mut criterion);
        products(&mut criterion);
        tables(&mut criterion);
        criterion.final_summary();
    });
}
