//! The gate on instruction counts: every operator's forward and backward pass under callgrind, held against
//! `instructions.csv`. Counts repeat where times on a shared machine don't.
//!
//! A count more than a tenth above its figure fails. With `HOMEBENCH_WRITE_INSTRUCTIONS` set, the figures are written anew.
//! Valgrind knows no AVX-512, so it is the AVX2 code that is counted. Without valgrind nothing is counted, and a line
//! says so.

use candle_core::{Result, Tensor};
use homebench_benches::operands::{Operands, input, uniform};
use homebench_kernels::feature_gate::{FeatureGateMix, FeatureGates};
use homebench_kernels::gate::{GateActivation, GateLogits, LinearGate, Mix, MixGate};
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{Adam, AdamConfig, Columns, EmbeddingTables, SparseRule};
use homebench_kernels::product::{Matrix, multiply};
use std::collections::BTreeMap;
use std::process::{Command, ExitCode};

const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.csv");
const SUBJECTS: [&str; 8] = [
    "adam",
    "embedding",
    "feature_gate",
    "gate",
    "gate_logits",
    "loss",
    "product",
    "stacked_mlp",
];
/// First argument of the process that runs a subject; the subject and the number of passes follow.
const RUN: &str = "run-subject";
const ROWS: usize = 300;
const DIM: usize = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, run, subject, passes] = &arguments[..]
        && run == RUN
    {
        // No worker threads: their waiting would be counted.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
        pool.use_current_thread().build_global().unwrap();
        run_subject(subject, passes.parse().unwrap()).unwrap();
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("instructions: valgrind isn't installed, so nothing is counted");
        return ExitCode::SUCCESS;
    }
    let found: BTreeMap<&str, u64> = SUBJECTS.map(|subject| (subject, per_pass(subject))).into();
    if std::env::var_os("HOMEBENCH_WRITE_INSTRUCTIONS").is_some() {
        let mut table = String::from("subject,instructions\n");
        for (subject, count) in &found {
            table += &format!("{subject},{count}\n");
        }
        std::fs::write(FIGURES, table).unwrap();
        return ExitCode::SUCCESS;
    }
    match found
        .iter()
        .filter(|(subject, count)| !is_within(subject, **count))
        .count()
    {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Prints a count beside its figure.
fn is_within(subject: &str, count: u64) -> bool {
    let table = std::fs::read_to_string(FIGURES).unwrap_or_default();
    let figure = table
        .lines()
        .filter_map(|line| line.split_once(','))
        .find_map(|(name, figure)| (name == subject).then(|| figure.parse::<u64>().ok())?);
    let Some(figure) = figure else {
        println!("instructions/{subject}: {count}, and no figure in instructions.csv");
        return false;
    };
    let change = (count as f64 / figure as f64 - 1.0) * 100.0;
    println!("instructions/{subject}: {count}, {change:+.1} % of {figure}");
    change <= 10.0
}

/// Instructions of one pass: those of three, less those of one, halved.
fn per_pass(subject: &str) -> u64 {
    (total(subject, 3) - total(subject, 1)) / 2
}

fn total(subject: &str, passes: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([RUN, subject, &passes.to_string()])
        .env("CANDLE_NUM_THREADS", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text
        .lines()
        .find_map(|line| line.split("Collected :").nth(1));
    match collected.and_then(|count| count.trim().parse().ok()) {
        Some(count) if output.status.success() => count,
        _ => panic!("{subject} under callgrind: {text}"),
    }
}

fn run_subject(subject: &str, passes: usize) -> Result<()> {
    let mut operands = Operands::default();
    match subject {
        "adam" => return run_adam(&mut operands, passes),
        "embedding" => return run_embedding(&mut operands, passes),
        "product" => return run_products(passes),
        _ => {}
    }
    let forward = operator(subject, &mut operands)?;
    for _ in 0..passes {
        forward()?.backward()?;
        operands.consume_gradients();
    }
    Ok(())
}

type Forward = Box<dyn Fn() -> Result<Tensor>>;

fn operator(subject: &str, operands: &mut Operands) -> Result<Forward> {
    let xs = input(&[2, ROWS, DIM])?;
    Ok(match subject {
        "stacked_mlp" => {
            let mlp = operands.experts(&[0, 1, 0], DIM, &[32, 17])?;
            Box::new(move || mlp.forward_t(&xs, true))
        }
        "feature_gate" => {
            let gates = FeatureGates::new(
                vec![0, 1, 0],
                operands.stack(3, &[DIM, 2], 0.0, 0.1)?,
                operands.stack(3, &[2, DIM, 8], 0.0, 0.1)?,
                operands.stack(3, &[2, 8, DIM], 0.0, 0.1)?,
                FeatureGateMix::AfterSigmoid,
            )?;
            Box::new(move || gates.forward_t(&xs, true))
        }
        "gate_logits" => {
            let mut gate = |sources: &[usize], num_logits| -> Result<_> {
                Ok(LinearGate {
                    weight: Some(operands.parameter(
                        &[sources.len() * DIM, num_logits],
                        0.0,
                        0.1,
                    )?),
                    bias: Some(operands.parameter(&[num_logits], 0.0, 0.1)?),
                    sources: sources.to_vec(),
                    num_logits,
                })
            };
            let gates = GateLogits::new(vec![gate(&[0, 1], 5)?, gate(&[1], 1)?, gate(&[1], 5)?])?;
            Box::new(move || gates.forward(&xs))
        }
        "gate" => {
            let gate = |experts: &[usize], activation, output| MixGate {
                experts: experts.to_vec(),
                activation,
                output,
                stopped: Vec::new(),
            };
            let mix = Mix::new(
                vec![
                    gate(&[0, 1, 2, 3], GateActivation::Softmax, 0),
                    gate(&[3], GateActivation::Sigmoid, 0),
                    gate(&[0, 1, 4], GateActivation::Softmax, 1),
                ],
                5,
                2,
            )?;
            let (experts, logits) = (input(&[5, ROWS, DIM])?, input(&[ROWS, 8])?);
            Box::new(move || mix.forward(&experts, &logits))
        }
        "loss" => {
            let logits = input(&[ROWS, 7])?;
            let targets = Targets::new(vec![1.0; ROWS * 7]);
            Box::new(move || multi_task_loss(&logits, &targets))
        }
        _ => candle_core::bail!("no subject {subject}"),
    })
}

/// Both passes of a layer, and of one of a single unit, with rows and columns beside whole tiles.
fn run_products(passes: usize) -> Result<()> {
    let inputs = uniform("inputs", ROWS * DIM, 1.0);
    let inputs = Matrix::new(&inputs, ROWS, DIM);
    for width in [1, 45] {
        let weights = uniform("weights", DIM * width, 1.0);
        let weights = Matrix::new(&weights, DIM, width);
        let mut outputs = vec![0.0; ROWS * width];
        let (mut of_weights, mut of_inputs) = (vec![0.0; DIM * width], vec![0.0; ROWS * DIM]);
        for _ in 0..passes {
            multiply(&mut outputs, width, inputs, weights, false);
            let gradient = Matrix::new(&outputs, ROWS, width);
            multiply(&mut of_weights, width, inputs.transposed(), gradient, true);
            multiply(&mut of_inputs, DIM, gradient, weights.transposed(), false);
        }
    }
    Ok(())
}

fn run_adam(operands: &mut Operands, passes: usize) -> Result<()> {
    let parameter = operands.parameter(&[100, 1000], 0.0, 0.1)?;
    let gradients = parameter.tensor().sqr()?.sum_all()?.backward()?;
    let mut adam = Adam::new(&operands.parameters, AdamConfig::default());
    for _ in 0..passes {
        parameter.collect(&gradients)?;
        adam.step(1e-3)?;
    }
    Ok(())
}

fn run_embedding(operands: &mut Operands, passes: usize) -> Result<()> {
    let columns = Columns {
        stride: 16,
        offset: 0,
    };
    let table = operands.parameter(&[1000, 16], 0.0, 0.1)?;
    let mut tables = EmbeddingTables::new(vec![table], SparseRule::Adam(AdamConfig::default()))?;
    let ids: Vec<u32> = (0..ROWS as u32).map(|row| row * 7 % 1000).collect();
    let mut batch = uniform("batch", ROWS * 16, 0.1);
    for _ in 0..passes {
        tables.gather(&ids, &mut batch, columns)?;
        tables.update(&ids, &batch, columns, 1e-3)?;
    }
    Ok(())
}
