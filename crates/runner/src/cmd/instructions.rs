//! Which instructions of the processor the kernels use.

use homebench_diagnostic::Diagnostic;
use homebench_kernels::simd::{INSTRUCTIONS_VARIABLE, InstructionSet, has_tiles};

/// Refuses an environment that asks for what this processor doesn't have, before anything else is done.
pub(super) fn check() -> Result<(), Diagnostic> {
    match InstructionSet::requested() {
        Ok(_) => Ok(()),
        Err(value) => Err(refusal(&value, InstructionSet::available(), has_tiles())),
    }
}

/// What `homebench devices` says: the set in use, and the best one where that is another.
pub(super) fn description() -> String {
    let best = InstructionSet::available();
    let used = match InstructionSet::requested() {
        Ok(used) if used < best => format!("{} of {}", used.name(), best.name()),
        _ => best.name().to_owned(),
    };
    match best < InstructionSet::Amx && has_tiles() {
        true => format!("{used} (amx is refused by the operating system)"),
        false => used,
    }
}

/// Why `value` can't be used where `best` is the best set, and the processor `has_tiles` or not.
fn refusal(value: &str, best: InstructionSet, has_tiles: bool) -> Diagnostic {
    let named = InstructionSet::ALL.iter().find(|set| set.name() == value);
    let message = match named {
        Some(InstructionSet::Amx) if has_tiles => {
            "this processor has `amx`, but the operating system doesn't let this process use it"
                .to_owned()
        }
        Some(_) => format!("this processor doesn't have `{value}`"),
        None => format!("`{value}` is no instruction set"),
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
        insta::assert_snapshot!(refusal("avx9", InstructionSet::Avx2, false).render(), @"
        error: HOMEBENCH_INSTRUCTIONS: `avx9` is no instruction set
        hint: unset it to use the best one of this processor, or set it to `avx2` or `portable`; results are the same
        ");
        insta::assert_snapshot!(refusal("avx512", InstructionSet::Portable, false).render(), @"
        error: HOMEBENCH_INSTRUCTIONS: this processor doesn't have `avx512`
        hint: unset it to use the best one of this processor, or set it to `portable`; results are the same
        ");
        insta::assert_snapshot!(refusal("amx", InstructionSet::Avx2, false).render(), @"
        error: HOMEBENCH_INSTRUCTIONS: this processor doesn't have `amx`
        hint: unset it to use the best one of this processor, or set it to `avx2` or `portable`; results are the same
        ");
        insta::assert_snapshot!(refusal("amx", InstructionSet::Avx512, true).render(), @"
        error: HOMEBENCH_INSTRUCTIONS: this processor has `amx`, but the operating system doesn't let this process use it
        hint: unset it to use the best one of this processor, or set it to `avx512` or `avx2` or `portable`; results are the same
        ");
    }
}
