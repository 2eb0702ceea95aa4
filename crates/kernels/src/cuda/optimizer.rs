//! Dense optimisers and clipping over many tensors in few launches.

use super::arguments::{Arguments, addresses, ints};
use super::buffer::{Address, Buffer};
use super::machine::{Grid, LIST_THREADS, Machine};
use candle_core::Result;

/// Tensors of one launch, and elements of one block; as in kernels/optimizer.cu.
const TENSORS: usize = 32;
const BLOCK_ELEMENTS: usize = 1024;

/// A parameter with all that belongs to it; null where a rule keeps nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TensorAddresses {
    pub(crate) values: Address,
    pub(crate) gradient: Address,
    pub(crate) first: Address,
    pub(crate) second: Address,
    pub(crate) num_elements: usize,
}

/// The words of `Tensors`, and the number of its blocks.
fn structure(tensors: &[TensorAddresses]) -> (Vec<u64>, usize) {
    let field = |of: fn(&TensorAddresses) -> Address| tensors.iter().map(of).collect::<Vec<_>>();
    let sizes: Vec<usize> = tensors.iter().map(|tensor| tensor.num_elements).collect();
    let mut first_block = vec![0];
    for size in &sizes {
        let last = first_block[first_block.len() - 1];
        first_block.push(last + size.div_ceil(BLOCK_ELEMENTS));
    }
    let num_blocks = first_block[first_block.len() - 1];
    // No block is beyond the last tensor's.
    first_block.resize(TENSORS + 2, num_blocks);
    let words = addresses(&field(|t| t.values), TENSORS)
        .chain(addresses(&field(|t| t.gradient), TENSORS))
        .chain(addresses(&field(|t| t.first), TENSORS))
        .chain(addresses(&field(|t| t.second), TENSORS))
        .chain(ints(&sizes, TENSORS))
        .chain(ints(&first_block, TENSORS + 2))
        .collect();
    (words, num_blocks)
}

fn grid(num_blocks: usize) -> Grid {
    Grid {
        blocks: [num_blocks, 1, 1],
        threads: [LIST_THREADS, 1],
    }
}

/// Takes a step of every tensor by the kernel of a rule. Adam's factors are one structure, those of other rules arguments.
pub(crate) fn update(
    machine: &Machine,
    kernel: &str,
    factors: &[f32],
    tensors: &[TensorAddresses],
) -> Result<()> {
    for tensors in tensors.chunks(TENSORS) {
        let (words, num_blocks) = structure(tensors);
        let arguments = Arguments::new().structure(&words);
        let arguments = match kernel {
            "adam_update" => arguments.floats(factors),
            _ => factors.iter().fold(arguments, |a, factor| a.float(*factor)),
        };
        machine.launch(kernel, grid(num_blocks), &arguments)?;
    }
    Ok(())
}

/// Scales the gradients so that their norm, over all of them together, is `max_norm` at most. Gives [norm before, factor].
pub(crate) fn clip(
    machine: &Machine,
    tensors: &[TensorAddresses],
    max_norm: f64,
) -> Result<Buffer> {
    let mut norm_and_factor = machine.unspecified(2)?;
    let address = norm_and_factor.address()?;
    let launches: Vec<(Vec<u64>, usize)> = tensors.chunks(TENSORS).map(structure).collect();
    norm(machine, &launches, max_norm, address)?;
    for (words, num_blocks) in &launches {
        let arguments = Arguments::new().structure(words).pointer(address);
        machine.launch("scale_gradients", grid(*num_blocks), &arguments)?;
    }
    Ok(norm_and_factor)
}

/// The norm of each set's gradients, each over all of a set together, and a factor of 1 behind each.
pub(crate) fn set_norms(machine: &Machine, sets: &[Vec<TensorAddresses>]) -> Result<Buffer> {
    let mut norms = machine.unspecified(2 * sets.len())?;
    for (index, tensors) in sets.iter().enumerate() {
        let launches: Vec<(Vec<u64>, usize)> = tensors.chunks(TENSORS).map(structure).collect();
        let to = norms.address()?.offset(2 * index);
        norm(machine, &launches, f64::INFINITY, to)?;
    }
    Ok(norms)
}

/// Writes the norm of the gradients of all launches, and the factor that brings it down to `max_norm`, to `out`.
fn norm(
    machine: &Machine,
    launches: &[(Vec<u64>, usize)],
    max_norm: f64,
    out: Address,
) -> Result<()> {
    let total: usize = launches.iter().map(|(_, num_blocks)| num_blocks).sum();
    // Of doubles.
    let mut parts = machine.unspecified(2 * total)?;
    let mut done = 0;
    for (words, num_blocks) in launches {
        let arguments = Arguments::new()
            .structure(words)
            .pointer(parts.address()?.offset(2 * done));
        machine.launch("gradient_squares", grid(*num_blocks), &arguments)?;
        done += num_blocks;
    }
    machine.launch(
        "clip_factor",
        grid(1),
        &Arguments::new()
            .pointer(parts.address()?)
            .pointer(out)
            .int(total)
            .double(max_norm),
    )
}
