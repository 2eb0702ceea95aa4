//! Gates of home-l's task layer: each task's softmax gate over shared, group's and own experts, and its self-gate.

use candle_core::Result;
use criterion::{BenchmarkId, Criterion, SamplingMode};
use homebench_benches::bounds::{Bound, Product};
use homebench_benches::operands::{Operands, input, uniform};
use homebench_benches::operator::{Operator, criterion, rows, touched};
use homebench_benches::{BATCH, EXPERT_DIMS, TASKS};
use homebench_kernels::gate::{GateActivation, GateLogits, LinearGate, Mix, MixGate};

/// Two shared experts, two of each group, one of each task.
const EXPERTS: usize = 13;
/// Experts that a task's gate sees.
const SEEN: usize = 5;
const WIDTH: usize = EXPERT_DIMS[1];

/// Inputs: the shared representation, then each group's.
fn logits(operands: &mut Operands) -> Result<GateLogits> {
    let mut gates = Vec::new();
    for task in 0..TASKS {
        let group = 1 + task / 3;
        for (sources, num_logits) in [(vec![group.min(2), 0], SEEN), (vec![group.min(2)], 1)] {
            let shape = [sources.len() * WIDTH, num_logits];
            gates.push(LinearGate {
                weight: Some(operands.parameter(&shape, 0.0, 0.06)?),
                bias: Some(operands.parameter(&[num_logits], 0.0, 0.06)?),
                sources,
                num_logits,
            });
        }
    }
    GateLogits::new(gates)
}

fn mix() -> Result<Mix> {
    let mut gates = Vec::new();
    for task in 0..TASKS {
        let group = 2 + 2 * (task / 3).min(1);
        let own = 6 + task;
        for (experts, activation) in [
            (vec![0, 1, group, group + 1, own], GateActivation::Softmax),
            (vec![own], GateActivation::Sigmoid),
        ] {
            gates.push(MixGate {
                experts,
                activation,
                output: task,
                stopped: Vec::new(),
            });
        }
    }
    Mix::new(gates, EXPERTS, TASKS)
}

fn bench_logits(criterion: &mut Criterion) {
    let mut operands = Operands::default();
    let gates = logits(&mut operands).unwrap();
    let xs = input(&[3, BATCH, WIDTH]).unwrap();
    // Per input, the columns of all gates that read it.
    let columns = [TASKS * SEEN, 3 * (SEEN + 1), 4 * (SEEN + 1)];
    let products = columns.map(|columns| Product::new(BATCH, WIDTH, columns));
    let backward = columns.map(|columns| Product::backward(BATCH, WIDTH, columns));
    let bounds = [
        Bound::new(products.into(), 0),
        Bound::new(backward.into_iter().flatten().collect(), 0),
    ];
    Operator {
        subject: "gate_logits",
        sizes: "batch4096_gates14",
        operands: &operands,
        throughputs: rows(BATCH),
        fused: &|| gates.forward(&xs),
        reference: Some(&|| gates.forward_composed(&xs)),
        bounds,
    }
    .bench(criterion);
}

fn bench_mix(criterion: &mut Criterion) {
    let mix = mix().unwrap();
    let experts = input(&[EXPERTS, BATCH, WIDTH]).unwrap();
    let logits = input(&[BATCH, mix.num_columns()]).unwrap();
    // Experts and logits are read and outputs written; backward, experts, logits and the outputs' gradient are read, and
    // two gradients written.
    let forward = BATCH * (WIDTH * (EXPERTS + TASKS) + mix.num_columns());
    let backward = BATCH * (WIDTH * (2 * EXPERTS + TASKS) + 2 * mix.num_columns());
    Operator {
        subject: "gate",
        sizes: "batch4096_experts13",
        operands: &Operands::default(),
        throughputs: touched([forward, backward]),
        fused: &|| mix.forward(&experts, &logits),
        reference: Some(&|| mix.forward_composed(&experts, &logits)),
        bounds: [forward, backward].map(|elements| Bound::new(Vec::new(), elements)),
    }
    .bench(criterion);
    bench_mix_passes(criterion, &mix);
}

/// The two passes by themselves, as a level of experts runs them ([`homebench_kernels::mixture`]). Beside them, candle's graph
/// clears and adds a gradient of the experts' size, and the bench's backward pass begins with a gradient of ones;
/// `gate/backward` has all that in it.
fn bench_mix_passes(criterion: &mut Criterion, mix: &Mix) {
    let passes = mix.passes(BATCH, WIDTH);
    let experts = uniform("experts", EXPERTS * BATCH * WIDTH, 1.7);
    let gradient = uniform("gradient", TASKS * BATCH * WIDTH, 1.0);
    let logits = uniform("logits", BATCH * mix.num_columns(), 1.7);
    let mut weights = logits.clone();
    let mut group = criterion.benchmark_group("gate_passes");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(
        BenchmarkId::new("forward", "batch4096_experts13"),
        |bencher| {
            bencher.iter(|| {
                weights.copy_from_slice(&logits);
                passes.forward(&experts, &mut weights)
            });
        },
    );
    group.bench_function(
        BenchmarkId::new("backward", "batch4096_experts13"),
        |bencher| {
            bencher.iter(|| passes.backward(&experts, &weights, &gradient));
        },
    );
}

fn main() {
    let mut criterion = criterion();
    bench_logits(&mut criterion);
    bench_mix(&mut criterion);
    criterion.final_summary();
}
