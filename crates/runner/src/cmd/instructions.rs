//! Which instructions of the processor the kernels use.

use homebench_diagnostic::Diagnostic;
use homebench_kernels::simd::{INSTRUCTIONS_VARIABLE, InstructionSet};

/// Refuses an environment that asks for what this processor doesn't have, before anything else is done.
pub(super) fn check() -> Result<(), Diagnostic> {
    match InstructionSet::requested() {
        Ok(_) => Ok(()),
        Err(value) => Err(refusal(&value, InstructionSet::available())),
    }
}

/// What `homebench devices` says: the set in use, and the best one where that is another.
pub(super) fn description() -> String {
    let best = InstructionSet::available();
    match InstructionSet::requested() {
        Ok(used) if used < best => format!("{} of {}", used.name(), best.name()),
        _ => best.name().to_owned(),
    }
}

fn refusal(value: &str, best: InstructionSet) -> Diagnostic {
    let is_known = InstructionSet::ALL.iter().any(|set| set.name() == value);
    let message = match is_known {
        true => format!("this processor doesn't have `{value}`"),
        false => format!("`{value}` is no instruction set"),
    };
    let choices: Vec<String> = InstructionSet::ALL
        .iter()
        .rev()
        .filter(|set| **set <= best)
        .map(|set| format!("`{}`", set.name()))
        .collect();
    Diagnostic::new(INSTRUCTIONS_VARIABLE, message).hint(format!(
        "unset it to use the best one of this processor, or set it to {}; results are the same",
        choices.join(" or ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_there_is() {
        insta::assert_snapshot!(refusal("avx9", InstructionSet::Avx2).render(), @"
        error: HOMEBENCH_INSTRUCTIONS: `avx9` is no instruction set
        hint: unset it to use the best one of this processor, or set it to `avx2` or `portable`; results are the same
        ");
        insta::assert_snapshot!(refusal("avx512", InstructionSet::Portable).render(), @"
        error: HOMEBENCH_INSTRUCTIONS: this processor doesn't have `avx512`
        hint: unset it to use the best one of this processor, or set it to `portable`; results are the same
        ");
    }
}
