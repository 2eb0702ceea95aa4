//! Pretrained vectors of embedding tables: read from their files, matched to the vocabularies that training rows gave, kept with the
//! prepared rows.

mod alignment;
mod columns;
mod tensors;

pub(super) use alignment::Coverage;

use super::fit::Word;
use crate::part_files;
use crate::pretrained::{PRETRAINED, write_tables};
use crate::schema::{PretrainedFile, SourceFile, TablePlan};
use alignment::Alignment;
use homebench_diagnostic::{Diagnostic, regular_file};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Matches the vectors of every table that has such to the values of its vocabulary (`words`, by feature), and writes them into `folder`.
///
/// # Errors
/// A file that can't be read or lacks what is named; a row without a key or a whole vector of finite numbers; vectors of two lengths; a key
/// that is there twice; keys of which none is in the vocabulary; a folder that can't be written.
pub(super) fn prepare(
    plan: &TablePlan,
    sources: &[SourceFile],
    files: &[PathBuf],
    words: &[Vec<Word>],
    folder: &Path,
) -> Result<Vec<Coverage>, Diagnostic> {
    if plan.pretrained.is_empty() {
        return Ok(Vec::new());
    }
    let (mut tables, mut coverages) = (Vec::new(), Vec::new());
    for pretrained in &plan.pretrained {
        let readers = plan.features.iter().zip(words);
        let mut readers = readers.filter(|(feature, _)| feature.table() == pretrained.table);
        // Features of one table have one vocabulary.
        let (_, words) = readers.next().expect("the description was checked");
        let mut alignment = Alignment::new(pretrained, words);
        for file in &pretrained.files {
            let before = alignment.num_rows();
            for part in part_files::parts(&files[*file])?.files {
                read(pretrained, &part.path, &mut alignment)?;
            }
            let found = alignment.num_rows() - before;
            check_rows(&sources[*file], &files[*file], found)?;
        }
        let names = pretrained.files.iter().map(|file| &*sources[*file].name);
        let names = names.collect::<Vec<_>>().join(" and ");
        let first = &files[pretrained.files[0]];
        let (table, coverage) = alignment.finish(first, names)?;
        tables.push((pretrained.table.clone(), table));
        coverages.push(coverage);
    }
    let path = folder.join(PRETRAINED);
    write_tables(&path, &tables).map_err(|error| crate::cant_write(&path, &error))?;
    Ok(coverages)
}

/// Checks that a file has the rows that the description says it has.
fn check_rows(source: &SourceFile, path: &Path, found: u64) -> Result<(), Diagnostic> {
    match source.rows {
        Some(expected) if expected != found => Err(Diagnostic::new(
            path.display().to_string(),
            format!("expected {expected} rows, found {found}"),
        )
        .hint("the file is cut or another one; remove it and get it again")),
        _ => Ok(()),
    }
}

/// Shows every row of a file to the alignment. What a file is, its first bytes say.
fn read(
    pretrained: &PretrainedFile,
    path: &Path,
    alignment: &mut Alignment<'_>,
) -> Result<(), Diagnostic> {
    let failed = |error: std::io::Error| crate::source_files::cant_read(path, &error);
    let mut first = Vec::new();
    let file = regular_file::open(path).map_err(failed)?;
    (&file).take(9).read_to_end(&mut first).map_err(failed)?;
    match &first[..] {
        [b'P', b'A', b'R', b'1', ..] | [b'A', b'R', b'R', b'O', b'W', b'1', ..] => {
            columns::read(pretrained, path, alignment)
        }
        [0xff, 0xff, 0xff, 0xff, ..] => columns::read(pretrained, path, alignment),
        // Eight bytes of a length, then JSON.
        [_, _, _, _, _, _, _, _, b'{'] => tensors::read(pretrained, path, alignment),
        _ => Err(Diagnostic::new(
            path.display().to_string(),
            "expected vectors in Parquet, Arrow or safetensors",
        )
        .hint(format!(
            "write a Parquet file with a column `{}` and a column `{}` of lists of floats",
            pretrained.key, pretrained.vector
        ))),
    }
}
