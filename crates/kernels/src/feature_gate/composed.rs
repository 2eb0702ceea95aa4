//! Feature gates from candle's stock operators: the reference, and the path of devices without a kernel.

use super::{FeatureGateMix, FeatureGates};
use crate::composed::{matmul, sigmoid, softmax, spread};
use candle_core::{Result, Tensor};

pub(super) fn forward(gates: &FeatureGates, xs: &Tensor) -> Result<Tensor> {
    let xs = if xs.rank() == 2 {
        xs.unsqueeze(0)?
    } else {
        xs.clone()
    };
    let (weights, lora_a, lora_b) = (
        gates.weight.cat()?,
        gates.lora_a.cat()?,
        gates.lora_b.cat()?,
    );
    let of = |(gate, source): (usize, &usize)| -> Result<Tensor> {
        let xs = xs.get(*source)?;
        let weights = softmax(&matmul(&xs, &weights.get(gate)?)?)?;
        let mut total: Option<Tensor> = None;
        for lora in 0..gates.num_lora() {
            let hidden = matmul(&xs, &lora_a.get(gate)?.get(lora)?)?;
            let mut part = matmul(&hidden, &lora_b.get(gate)?.get(lora)?)?;
            if gates.mix == FeatureGateMix::AfterSigmoid {
                part = (sigmoid(&part)? * 2.0)?;
            }
            let part = (part * spread(&weights.narrow(1, lora, 1)?, gates.dim())?)?;
            total = Some(match total {
                Some(total) => (total + part)?,
                None => part,
            });
        }
        let Some(total) = total else {
            candle_core::bail!("a feature gate needs a LoRA");
        };
        match gates.mix {
            FeatureGateMix::AfterSigmoid => xs * total,
            FeatureGateMix::BeforeSigmoid => xs * (sigmoid(&total)? * 2.0)?,
        }
    };
    let gated = gates
        .sources
        .iter()
        .enumerate()
        .map(of)
        .collect::<Result<Vec<_>>>()?;
    Tensor::stack(&gated, 0)
}
