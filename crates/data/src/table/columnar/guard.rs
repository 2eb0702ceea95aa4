//! Panics of decoders, which a damaged file can cause, as refusals that name the file.

use homebench_diagnostic::Diagnostic;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is told by an error and by nothing else.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does what may panic on damaged data.
///
/// # Errors
/// Those of the work, and its panics.
pub(crate) fn guarded<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, Diagnostic>,
) -> Result<T, Diagnostic> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Of every other thread, and of this one outside of files, a panic is a fault of this program and is told as ever.
            if !IS_GUARDED.get() {
                hook(panic);
            }
        }));
    });
    let before = IS_GUARDED.replace(true);
    // Nothing that the work has changed is looked at afterwards: the file is refused.
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(before);
    done.unwrap_or_else(|panic| {
        let why = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("its bytes make no sense");
        let first = why.lines().next().unwrap_or_default();
        let message = format!("the file is damaged: its decoder stopped at {first:?}");
        Err(Diagnostic::new(path.display().to_string(), message)
            .hint("get the file again, or write it again with the program that made it"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_refusal_and_an_error_stays_one() {
        let path = Path::new("log.parquet");
        let said = guarded::<()>(path, || panic!("index {} out of bounds", 7)).unwrap_err();
        assert_eq!(
            said.to_string(),
            "log.parquet: the file is damaged: its decoder stopped at \"index 7 out of bounds\"\n\
             hint: get the file again, or write it again with the program that made it"
        );
        let error = || Err::<(), _>(Diagnostic::new("log.parquet", "cut"));
        assert_eq!(
            guarded(path, error).unwrap_err().to_string(),
            "log.parquet: cut"
        );
        assert_eq!(guarded(path, || Ok(1)).unwrap(), 1);
    }
}
