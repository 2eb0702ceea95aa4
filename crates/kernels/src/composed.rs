//! Small functions of candle's stock operators that the composed references share.

use candle_core::{D, Result, Tensor};

/// `1 / (1 + e^-x)` by the hyperbolic tangent, whose gradient stays finite where `e^-x` overflows.
pub(crate) fn sigmoid(xs: &Tensor) -> Result<Tensor> {
    ((xs * 0.5)?.tanh()? + 1.0)? * 0.5
}

/// Softmax over the last dimension.
pub(crate) fn softmax(xs: &Tensor) -> Result<Tensor> {
    let largest = xs.max_keepdim(D::Minus1)?.detach();
    let powers = xs.broadcast_sub(&largest)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}
