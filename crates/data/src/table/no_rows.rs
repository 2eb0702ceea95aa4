//! What is said of a file that was taken for one of rows, since the description says nothing else of it.

use super::file_pieces::TableFile;
use crate::schema::{SourceFile, SplitPlan, TablePlan};
use homebench_diagnostic::Diagnostic;
use std::path::PathBuf;

/// Adds to what is said of a file that can't be opened what to write where it has no rows to rank: where it has few of their
/// columns, and others have rows.
pub(super) fn mend(
    said: Diagnostic,
    plan: &TablePlan,
    sources: &[SourceFile],
    files: &[PathBuf],
    file: usize,
) -> Diagnostic {
    // A split by files names every one of them.
    let rows = match &plan.split {
        SplitPlan::Files { .. } => return said,
        SplitPlan::Time { files, .. } | SplitPlan::Hash { files, .. } => files,
    };
    let others = rows.iter().filter(|other| **other != file);
    let others: Vec<String> = others
        .map(|other| format!("{:?}", sources[*other].key))
        .collect();
    if others.is_empty() || !plan.format.has_header || !has_few(plan, &files[file]) {
        return said;
    }
    let mend = format!(
        "if `{}` has no rows to rank, name the files that do, files = [{}] in [split], or add its columns to theirs by a table in [joins]",
        sources[file].key,
        others.join(", ")
    );
    let hint = match &said.hint {
        Some(hint) => format!("{hint}; {mend}"),
        None => mend,
    };
    said.hint(hint)
}

/// Whether a file has fewer than half of the columns of rows that are in use.
fn has_few(plan: &TablePlan, path: &std::path::Path) -> bool {
    let Ok(opened) = TableFile::open(path, plan.format, &[], &[]) else {
        return false;
    };
    let used = plan.columns_in_use();
    let own: Vec<usize> = used.range(..plan.num_own_columns).copied().collect();
    let has = own.iter().filter(|column| {
        let name = &plan.columns[**column];
        opened.with_column(name).is_some()
    });
    has.count() * 2 < own.len()
}
