//! Distinct texts of all files of rows, and the numbers of a piece's own among them.

use super::audit::Audit;
use super::bad_row;
use super::column_slots::ColumnSlots;
use super::interner::Interner;
use super::parse_rows::Parsed;
use crate::schema::TablePlan;
use homebench_diagnostic::Diagnostic;
use std::path::Path;

/// Distinct texts of all files.
pub(super) struct DistinctTexts {
    /// Of each text column.
    pub(super) texts: Vec<Interner>,
    /// Of each list column; empty for hashed ones.
    pub(super) lists: Vec<Interner>,
}

impl DistinctTexts {
    pub(super) fn new(columns: &ColumnSlots) -> Self {
        Self {
            texts: vec![Interner::default(); columns.texts.len()],
            lists: vec![Interner::default(); columns.lists.len()],
        }
    }

    /// Adds a piece's texts; gives their numbers here.
    ///
    /// # Errors
    /// The column, as an index into the plan's, whose texts are too much.
    pub(super) fn add(
        &mut self,
        parsed: &Parsed,
        columns: &ColumnSlots,
    ) -> Result<Renumbering, usize> {
        // Pieces number texts by themselves, in parallel. Merged in the order of the file, the
        // numbers are those that one reader would have given.
        let texts = renumber(&parsed.texts, &mut self.texts).map_err(|slot| columns.texts[slot])?;
        let lists = renumber(&parsed.list_texts, &mut self.lists);
        Ok(Renumbering {
            texts,
            lists: lists.map_err(|slot| columns.lists[slot].column)?,
        })
    }

    /// Says which columns have texts in another encoding than the description says.
    pub(super) fn say_undecoded(
        &self,
        plan: &TablePlan,
        columns: &ColumnSlots,
        audit: &mut Audit<'_>,
    ) {
        let of_texts = columns.texts.iter().copied().zip(&self.texts);
        let of_lists = columns
            .lists
            .iter()
            .map(|list| list.column)
            .zip(&self.lists);
        for (column, texts) in of_texts.chain(of_lists) {
            let mut undecoded = (0..texts.len() as u32)
                .map(|id| texts.text(id))
                .filter(|text| std::str::from_utf8(text).is_err());
            if let Some(first) = undecoded.next() {
                audit.warn("undecoded_texts", false, format!(
                    "{} values of the column `{}` are no UTF-8, such as `{}`; they are used as they are (with \
                     encoding = \"latin-1\" in the description's format they are read as Latin-1)",
                    undecoded.count() + 1,
                    plan.columns[column],
                    String::from_utf8_lossy(first)
                ));
            }
        }
    }
}

/// The numbers of a piece's texts among all; the first column, by its place, whose texts are too much.
fn renumber(own: &[Interner], all: &mut [Interner]) -> Result<Vec<Vec<u32>>, usize> {
    let mut numbers = Vec::with_capacity(own.len());
    for (slot, (own, all)) in own.iter().zip(all).enumerate() {
        let ids = 0..own.len() as u32;
        numbers.push(
            ids.map(|id| all.intern(own.text(id), own.count(id)))
                .collect(),
        );
        if own.is_full() || all.is_full() {
            return Err(slot);
        }
    }
    Ok(numbers)
}

/// A column with more distinct texts than can be kept, and the mend. The column may be a joined one, whose file is another.
pub(super) fn too_much(plan: &TablePlan, column: usize, path: &Path) -> Diagnostic {
    let name = &plan.columns[column];
    let message = bad_row::too_much_text("", name);
    let hint = match plan.user == Some(column) {
        true => "shorten the users' names, for example to numbers".to_owned(),
        false => format!(
            "hash it, which keeps no text: {name} = {{ kind = \"hash\", buckets = 1_000_000 }}; or leave it out"
        ),
    };
    Diagnostic::new(path.display().to_string(), message).hint(hint)
}

/// The numbers among all pieces' texts of a piece's own.
pub(super) struct Renumbering {
    pub(super) texts: Vec<Vec<u32>>,
    pub(super) lists: Vec<Vec<u32>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_column_whose_texts_are_too_much_is_told() {
        let mut own = vec![Interner::default(), Interner::default()];
        let mut all = vec![Interner::default(), Interner::with_most_bytes(8)];
        own[0].intern(b"a long text", 1);
        own[1].intern(b"12345678", 1);
        assert_eq!(renumber(&own, &mut all), Ok(vec![vec![0], vec![0]]));
        own[1].intern(b"9", 1);
        assert_eq!(renumber(&own, &mut all), Err(1));
    }
}
