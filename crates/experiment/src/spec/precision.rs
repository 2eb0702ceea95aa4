//! Whether a device multiplies as exactly, or as inexactly, as a spec asks it to.

use super::source::Source;
use super::{Configured, Experiment};
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_train::Device;
use homebench_train::PrecisionName;

/// Refuses a precision that the device doesn't have, at its place in the spec.
///
/// # Errors
/// Anything but f32 on the processor.
pub fn check_precision(
    experiment: &Experiment,
    source: &Source,
    device: Device,
) -> Result<(), Diagnostic> {
    if device != Device::Cpu {
        return Ok(());
    }
    for variant in &experiment.variants {
        let trials = variant.trials.iter().enumerate();
        let trials = trials.map(|(index, trial)| (trial, variant.trial_locator(index, source)));
        let itself = (&variant.configured, variant.locator(source));
        for (configured, locator) in std::iter::once(itself).chain(trials) {
            if let Some((place, message)) = complaint(experiment, &variant.name, configured) {
                return Err(locator
                    .at_value(&place, message)
                    .hint("run on a GPU with `--device cuda`, or leave `precision` out for f32"));
            }
        }
    }
    Ok(())
}

/// What is wrong with a configuration on the processor, and where, if anything is.
fn complaint(
    experiment: &Experiment,
    variant: &str,
    configured: &Configured,
) -> Option<(KeyPath, String)> {
    let precision = configured.training.precision;
    if precision == PrecisionName::F32 {
        return None;
    }
    // A variant that says nothing has that of all.
    let place = match precision == experiment.training.precision {
        true => KeyPath::new(["training", "precision"]),
        false => KeyPath::new(["variants", variant, "training", "precision"]),
    };
    let message = format!(
        "`{place}`: expected `f32` on the processor, found `{}`",
        precision.name()
    );
    Some((place, message))
}
