//! Binary cross-entropy as a program: two launches, and nothing is read back.

use super::arguments::Arguments;
use super::buffer::{Address, Buffer};
use super::machine::{Grid, LIST_THREADS, Machine};
use super::operator::{Input, Program, apply};
use crate::loss::Targets;
use crate::operator::{Forward, Gradients};
use candle_core::{Result, Shape, Tensor};

// Constant: parts of the loss are added in the order of the blocks.
/// Elements of one block.
const BLOCK_ELEMENTS: usize = 1024;

pub(crate) fn forward(machine: Machine, logits: &Tensor, targets: &Targets) -> Result<Tensor> {
    let program = LossProgram {
        targets: targets.clone(),
    };
    apply(machine, program, logits, logits, logits)
}

struct LossProgram {
    targets: Targets,
}

impl Program for LossProgram {
    const NAME: &'static str = "binary-cross-entropy";

    /// The loss's slope at every logit.
    type Kept = Buffer;

    fn forward(&self, machine: &Machine, logits: Input, _same: Input) -> Forward<Buffer, Buffer> {
        let device = machine.device();
        let (count, num_tasks) = (logits.dims.num_elements(), logits.dims.width);
        let mut labels = Buffer::copied(device, &self.targets.labels)?;
        let mut factors = Buffer::copied(device, &self.targets.factors(num_tasks))?;
        let positive = self.targets.positive_weights.as_ref();
        let mut positive = positive
            .map(|weights| Buffer::copied(device, weights))
            .transpose()?;
        let of_positive = positive.as_mut().map(Buffer::address).transpose()?;
        let mut slopes = machine.unspecified(count)?;
        let num_blocks = count.div_ceil(BLOCK_ELEMENTS);
        // Of doubles.
        let mut parts = machine.unspecified(2 * num_blocks)?;
        machine.launch(
            "loss_parts",
            Grid {
                blocks: [num_blocks, 1, 1],
                threads: [LIST_THREADS, 1],
            },
            &Arguments::new()
                .pointer(logits.address)
                .pointer(labels.address()?)
                .pointer(factors.address()?)
                .pointer(of_positive.unwrap_or(Address::NULL))
                .pointer(slopes.address()?)
                .pointer(parts.address()?)
                .int(count)
                .int(num_tasks)
                .int(BLOCK_ELEMENTS),
        )?;
        // The loss stays on the device; to read it would make the processor wait for all that was asked for.
        let mut loss = machine.unspecified(1)?;
        machine.launch(
            "loss_total",
            Grid {
                blocks: [1, 1, 1],
                threads: [32, 1],
            },
            &Arguments::new()
                .pointer(parts.address()?)
                .pointer(loss.address()?)
                .int(num_blocks),
        )?;
        Ok((loss, Shape::from(()), Some(slopes)))
    }

    fn backward(
        &self,
        machine: &Machine,
        _logits: Input,
        _same: Input,
        gradient: Address,
        mut slopes: Buffer,
    ) -> Result<Gradients<Buffer>> {
        let mut out = machine.unspecified(slopes.len())?;
        machine.launch(
            "scale_by",
            Grid::list(slopes.len()),
            &Arguments::new()
                .pointer(slopes.address()?)
                .pointer(gradient)
                .pointer(out.address()?)
                .int(slopes.len()),
        )?;
        Ok([Some(out), None])
    }
}
