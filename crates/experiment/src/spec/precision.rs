//! Whether a device multiplies as exactly, or as inexactly, as a spec asks it to.

use super::source::Source;
use super::{Configured, Experiment};
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_train::Device;
use homebench_train::PrecisionName;

/// Refuses a precision that the device doesn't have, at its place in the spec.
///
/// # Errors
/// TF32 on the processor, and bfloat16 in three parts elsewhere.
pub fn check_precision(
    experiment: &Experiment,
    source: &Source,
    device: Device,
) -> Result<(), Diagnostic> {
    let lacking = match device {
        Device::Cpu => &LACKING_ON_PROCESSOR,
        Device::Cuda(_) => &LACKING_ON_CUDA,
    };
    for variant in &experiment.variants {
        let trials = variant.trials.iter().enumerate();
        let trials = trials.map(|(index, trial)| (trial, variant.trial_locator(index, source)));
        let itself = (&variant.configured, variant.locator(source));
        for (configured, locator) in std::iter::once(itself).chain(trials) {
            if configured.training.precision == lacking.precision {
                let place = place(experiment, &variant.name, configured);
                let message = format!(
                    "`{place}`: expected {}, found `{}`",
                    lacking.expected,
                    lacking.precision.name()
                );
                return Err(locator.at_value(&place, message).hint(lacking.hint));
            }
        }
    }
    Ok(())
}

/// The one precision that a kind of device lacks, and what to say of it.
struct Lacking {
    precision: PrecisionName,
    expected: &'static str,
    hint: &'static str,
}

const LACKING_ON_PROCESSOR: Lacking = Lacking {
    precision: PrecisionName::Tf32,
    expected: "`f32`, `bf16` or `bf16x3` on the processor",
    hint: "run on a GPU with `--device cuda`, or leave `precision` out for f32",
};

const LACKING_ON_CUDA: Lacking = Lacking {
    precision: PrecisionName::Bf16x3,
    expected: "`f32`, `tf32` or `bf16` on a GPU",
    hint: "run on the processor with `--device cpu`, or use `tf32`, which is the nearest to it",
};

/// Where a configuration's precision stands: a variant that says nothing has that of all.
fn place(experiment: &Experiment, variant: &str, configured: &Configured) -> KeyPath {
    match configured.training.precision == experiment.training.precision {
        true => KeyPath::new(["training", "precision"]),
        false => KeyPath::new(["variants", variant, "training", "precision"]),
    }
}
