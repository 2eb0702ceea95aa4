//! A panic of this program, as a user meets it: one message, and no cell left behind.

use crate::execute::kill_every_cell;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use std::any::Any;
use std::backtrace::Backtrace;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// Where the last panic was, and how it came there if that is asked for. It need not be an end: what reads files catches those of
/// the libraries it uses.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Does something; a panic in it, or in a thread that it waits for, becomes an error after every cell was ended.
pub(super) fn without_panics<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        // As the standard library has it: shown where RUST_BACKTRACE asks for it.
        let way = match std::env::var_os("RUST_BACKTRACE") {
            Some(value) if value != "0" => format!("\n{}", Backtrace::force_capture()),
            _ => String::new(),
        };
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        *last = place.map(|place| format!("{place}{way}"));
    }));
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        kill_every_cell();
        Err(diagnostic(payload.as_ref()).into())
    })
}

fn diagnostic(payload: &(dyn Any + Send)) -> Diagnostic {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let place = last.take().unwrap_or_else(|| "an unknown place".to_owned());
    let words = words_of(payload);
    Diagnostic::new("homebench", format!("it broke: {words}, at {place}")).hint(
        "this is a mistake in homebench: please report it with the command; what is finished is kept, and the same command goes on",
    )
}

/// What a panic said.
fn words_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}
