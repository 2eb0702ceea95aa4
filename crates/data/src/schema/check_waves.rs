//! Validation of the waves of true functions.

use super::path;
use homebench_diagnostic::{Diagnostic, Document};

/// Most waves of a label.
const MOST_WAVES: usize = 64;

/// Checks `frequencies` and `phases` in the table of the knobs.
pub(super) fn check_waves(
    document: &Document,
    table: &str,
    frequencies: &[f64],
    phases: &[f64],
) -> Result<(), Diagnostic> {
    for (key, values) in [("frequencies", frequencies), ("phases", phases)] {
        if values.len() > MOST_WAVES || values.iter().any(|value| !value.is_finite()) {
            let message = format!("expected up to {MOST_WAVES} finite numbers");
            return Err(document.at_value(&path(&[table, key]), message));
        }
    }
    let (frequencies, phases) = (frequencies.len(), phases.len());
    // Waves are pairs; a longer list would lose its end without a word.
    if frequencies != phases {
        let message =
            format!("expected one phase for each of {frequencies} frequencies, found {phases}");
        return Err(document
            .at_value(&path(&[table, "phases"]), message)
            .hint("each wave is sin(frequency * w·x + phase)"));
    }
    Ok(())
}
