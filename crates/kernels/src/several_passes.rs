//! More than one backward pass through one forward pass, as gradients of several losses need.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

thread_local! {
    // Of the thread, which is the one that a backward pass calls operators on.
    static KEEPS: Cell<bool> = const { Cell::new(false) };
}

/// Runs a backward pass that is not the last one through its forward pass: operators keep what they kept, where they would give its memory
/// back. On the processor alone.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use homebench_kernels::loss::{Targets, task_losses};
/// use homebench_kernels::not_the_last_pass;
///
/// # fn main() -> candle_core::Result<()> {
/// let logits = Var::ones((2, 2), DType::F32, &Device::Cpu)?;
/// let losses = task_losses(&logits, &Targets::new(vec![1.0, 1.0, 0.0, 0.0]))?;
/// let first = not_the_last_pass(|| losses.get(0)?.backward())?;
/// let second = losses.get(1)?.backward()?;
/// assert_eq!(first.get(&logits).unwrap().to_vec2::<f32>()?[0][1], 0.0);
/// assert_eq!(second.get(&logits).unwrap().to_vec2::<f32>()?[0][0], 0.0);
/// # Ok(())
/// # }
/// ```
pub fn not_the_last_pass<T>(run: impl FnOnce() -> T) -> T {
    /// Puts the flag back whatever happens, so that a pass that fails leaves no other one keeping.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            KEEPS.set(self.0);
        }
    }
    let _restore = Restore(KEEPS.replace(true));
    run()
}

/// What a forward pass left for a backward pass: a copy where another pass is to come.
pub(crate) fn take<T: Clone>(slot: &Mutex<Option<T>>) -> Option<T> {
    let mut kept = slot.lock().unwrap_or_else(PoisonError::into_inner);
    match KEEPS.get() {
        true => kept.clone(),
        false => kept.take(),
    }
}
