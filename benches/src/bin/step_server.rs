//! Runs training steps of a workload on request, so that a driver can alternate between this program and a peer.
//!
//! `step K` on stdin runs K steps and answers with a line of JSON; `quit` or the end of the input ends the program.

use homebench_benches::{Failure, Workload};
use homebench_kernels::{Precision, set_precision};
use homebench_runner::{candle_threads, memory};
use homebench_train::Device;
use homebench_train::device;
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Instant;

const USAGE: &str = "usage: step_server --workload NAME [--threads N] [--device cpu|cuda[:i]] [--precision f32|tf32|bf16|bf16x3] [--weights-out FILE] [--inputs-out FILE] [--logits-out FILE] [--gradients-out FILE]";

fn main() -> Result<(), Failure> {
    // SAFETY: nothing has started a thread.
    unsafe { candle_threads::keep_to_one() }
    memory::keep_freed_pages();
    let options = options()?;
    let threads = options.get("threads").map_or(Ok(0), |text| text.parse())?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?;
    // On a thread of the pool, as a cell's training.
    pool.install(|| serve(&options))
}

fn serve(options: &HashMap<String, String>) -> Result<(), Failure> {
    let place: Device = match options.get("device") {
        Some(text) => text.parse()?,
        None => Device::Cpu,
    };
    set_precision(match options.get("precision").map(String::as_str) {
        None | Some("f32") => Precision::F32,
        Some("tf32") => Precision::Tf32,
        Some("bf16") => Precision::Bf16,
        Some("bf16x3") => Precision::Bf16x3,
        Some(_) => return Err(USAGE.into()),
    });
    let name = options.get("workload").ok_or(USAGE)?;
    let mut workload = Workload::load(name, &device::open(place)?)?;
    write_outputs(&workload, options)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["step", count] => run(&mut workload, count.parse()?)?,
            ["quit"] => break,
            _ => return Err(format!("expected `step K` or `quit`, found `{line}`").into()),
        }
    }
    Ok(())
}

fn options() -> Result<HashMap<String, String>, Failure> {
    let mut options = HashMap::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let name = name.strip_prefix("--").ok_or(USAGE)?.to_string();
        options.insert(name, arguments.next().ok_or(USAGE)?);
    }
    Ok(options)
}

fn write_outputs(workload: &Workload, options: &HashMap<String, String>) -> Result<(), Failure> {
    // Weights first: a training pass moves the running statistics.
    if let Some(path) = options.get("weights-out") {
        candle_core::safetensors::save(&workload.weights()?.into_iter().collect(), path)?;
    }
    if let Some(path) = options.get("inputs-out") {
        candle_core::safetensors::save(&workload.batch()?.into_iter().collect(), path)?;
    }
    if let Some(path) = options.get("logits-out") {
        let evaluation = workload.logits(false)?;
        let training = workload.logits(true)?;
        let tensors = HashMap::from([("eval/logits", evaluation), ("logits", training)]);
        candle_core::safetensors::save(&tensors, path)?;
    }
    if let Some(path) = options.get("gradients-out") {
        candle_core::safetensors::save(&workload.gradients()?.into_iter().collect(), path)?;
    }
    Ok(())
}

fn run(workload: &mut Workload, steps: usize) -> Result<(), Failure> {
    let start = Instant::now();
    let mut loss = None;
    for _ in 0..steps {
        loss = Some(workload.step()?);
    }
    // Waits for a device; on the processor the number is there.
    let loss = loss.map_or(Ok(f32::NAN), |loss| loss.to_scalar())?;
    let seconds = start.elapsed().as_secs_f64();
    let rows = (steps * workload.num_rows()) as f64;
    let mut stdout = std::io::stdout().lock();
    writeln!(
        stdout,
        "{{\"steps\": {steps}, \"seconds\": {seconds}, \"rows_per_second\": {}, \"loss\": {loss}}}",
        rows / seconds
    )?;
    Ok(stdout.flush()?)
}
