//! Noise of gates' logits in training.

use crate::operator::{Argument, Arrived, Fused, Gradients, Output, apply_1};
use crate::random::Philox;
use crate::simd::{exp, multiversioned, sigmoid};
use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

/// Pairs of numbers that one task draws.
const PAIRS: usize = 1024;

/// Standard normal numbers, [batch, tasks * experts]: the number of (row, task, expert) stands at its place in the stream of
/// (seed, "gate-noise", step and path).
///
/// # Errors
/// The device has no room.
pub fn gate_noise(
    seed: u64,
    step: u64,
    path: &str,
    dims: (usize, usize),
    device: &Device,
) -> Result<Tensor> {
    let stream = Philox::new(seed, "gate-noise", &format!("{step}.{path}"));
    let mut numbers = vec![0f32; dims.0 * dims.1];
    numbers
        .par_chunks_mut(2 * PAIRS)
        .enumerate()
        .for_each(|(part, numbers)| {
            for (pair, counter) in numbers.chunks_mut(2).zip((part * PAIRS) as u64..) {
                pair.copy_from_slice(&stream.normal2(counter)[..pair.len()]);
            }
        });
    Tensor::from_vec(numbers, dims, device)
}

/// `ln(1 + e^x)`, above 0 for any x.
///
/// # Errors
/// A tensor operation fails.
pub fn softplus(xs: &Tensor) -> Result<Tensor> {
    if crate::cuda::is_on_processor(xs) {
        return apply_1(Softplus, xs);
    }
    // max(x, 0) + ln(1 + e^-|x|), which doesn't overflow.
    let tail = (xs.abs()?.neg()?.exp()? + 1.0)?.log()?;
    xs.relu()? + tail
}

struct Softplus;

impl Fused<1> for Softplus {
    const NAME: &'static str = "softplus";
    type Kept = ();

    fn forward(&self, [xs]: [Argument<'_>; 1]) -> Result<Output<()>> {
        let mut out = vec![0f32; xs.values.len()];
        softplus_of(&mut out, xs.values);
        Ok(Output::new(out, xs.dims, ()))
    }

    fn backward(&self, [xs]: [Argument<'_>; 1], arrived: Arrived<'_, ()>) -> Result<Gradients<1>> {
        let mut out = arrived.gradient.to_vec();
        softplus_gradient(&mut out, xs.values);
        Ok([Some(out)])
    }
}

multiversioned! {
    fn softplus_of(out: &mut [f32], xs: &[f32]) {
        for (out, x) in out.iter_mut().zip(xs) {
            let positive = if *x < 0.0 { 0.0 } else { *x };
            *out = positive + crate::loss::ln_1p(exp(-x.abs()));
        }
    }
}

multiversioned! {
    fn softplus_gradient(gradient: &mut [f32], xs: &[f32]) {
        for (gradient, x) in gradient.iter_mut().zip(xs) {
            *gradient *= sigmoid(*x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_that_of_its_place() {
        let of = |step: u64| -> Vec<f32> {
            let noise = gate_noise(1, step, "shared.gate", (3, 5), &Device::Cpu).unwrap();
            noise.flatten_all().unwrap().to_vec1().unwrap()
        };
        let stream = Philox::new(1, "gate-noise", "7.shared.gate");
        for (index, number) in of(7).iter().enumerate() {
            assert_eq!(*number, stream.normal(index as u64));
        }
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn softplus_is_that_of_f64() {
        let xs = [-90f32, -20.0, -1.0, 0.0, 0.5, 3.0, 40.0];
        let found = softplus(&Tensor::new(&xs, &Device::Cpu).unwrap()).unwrap();
        let found: Vec<f32> = found.to_vec1().unwrap();
        for (x, found) in xs.iter().zip(found) {
            let expected = f64::from(*x).exp().ln_1p();
            assert!(
                (f64::from(found) - expected).abs() <= 1e-6 * expected.max(1e-30) + 1e-37,
                "{x}: {found} {expected}"
            );
        }
    }
}
