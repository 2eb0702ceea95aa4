//! What is said on stderr: errors in colour where colour is wanted.

use crate::output::{for_stderr, note, write_note};
use homebench_diagnostic::{Diagnostic, visible_lines};
use homebench_results::read::ReadError;
use std::io::IsTerminal;

/// The mend of a table that can't be read.
const UNREADABLE: &str = "`homebench run DIR/spec.resolved.toml --out DIR` writes it again, where DIR is the results folder";

/// Whether the terminal can't move its cursor.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether stderr may have colours.
fn has_colour() -> bool {
    // As no-color.org has it: set and empty asks for nothing.
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !is_dumb() && !refused
}

/// An error with its causes, and its hint on a line of its own.
pub(super) fn say_error(error: &anyhow::Error) {
    let (red, bold, cyan, end) = if has_colour() {
        ("\x1b[31m", "\x1b[1m", "\x1b[36m", "\x1b[0m")
    } else {
        ("", "", "", "")
    };
    let hint = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Diagnostic>())
        .and_then(|diagnostic| diagnostic.hint.clone())
        .or_else(|| {
            let is_unreadable = |cause: &(dyn std::error::Error + 'static)| cause.is::<ReadError>();
            error
                .chain()
                .any(is_unreadable)
                .then(|| UNREADABLE.to_owned())
        });
    for (depth, cause) in error.chain().enumerate() {
        // The hint of a diagnostic comes last, whatever stands around it.
        let text = match cause.downcast_ref::<Diagnostic>() {
            Some(diagnostic) => diagnostic.without_hint().to_string(),
            None => cause.to_string(),
        };
        // It may quote a file, which may hold anything.
        let text = visible_lines(&text);
        if depth == 0 {
            write_note(&for_stderr(&format!("{red}{bold}error:{end} {text}")));
        } else {
            note!("  because: {text}");
        }
    }
    if let Some(hint) = hint {
        let text = format!("{cyan}hint:{end} {}", visible_lines(&hint));
        write_note(&for_stderr(&text));
    }
}
