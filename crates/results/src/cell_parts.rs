//! What a cell that ended keeps as text: its content and its parts of the tables. All of it stands in `outcome.toml` under `[parts]`, so that
//! a cell is few files: with a file for each, 100,000 cells are more than a million, which is where quotas of shared file systems are. Until
//! a cell has ended, its content is in `cell.toml`. Cells of older versions have a file for each part.

use super::layout::{CellFolder, is_plain};
use super::regular::read_text;
use super::tables::{self, COHORTS, Part, Table, repeatable_parts};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The name of a cell's content among its parts, and of its file until it has ended.
pub(crate) const CONTENT: &str = "cell.toml";
/// The key of the parts in an outcome.
pub(crate) const PARTS_KEY: &str = "parts";

/// What a cell that ended keeps as text, by names of files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CellParts(BTreeMap<String, String>);

impl CellParts {
    /// Those of a cell that has its content and nothing else yet.
    pub fn of_content(text: String) -> Self {
        Self(BTreeMap::from([(CONTENT.to_owned(), text)]))
    }

    /// The text of its content.
    pub fn content(&self) -> Option<&str> {
        self.get(CONTENT)
    }

    /// A part by the name of its file.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes a part out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Adds its part of a table.
    ///
    /// # Errors
    /// A number that is not finite, with the table's name.
    pub fn add<T: Table>(&mut self, rows: impl IntoIterator<Item = T>) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        tables::write(&mut bytes, rows)?;
        self.0.insert(T::FILE.to_owned(), String::from_utf8(bytes)?);
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn insert(&mut self, name: &str, text: &str) {
        self.0.insert(name.to_owned(), text.to_owned());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the parts out of a TOML table that has them.
    pub(crate) fn take_from(table: &mut toml::Table) -> Result<Self, String> {
        let parts = match table.remove(PARTS_KEY) {
            None => return Ok(Self::default()),
            Some(toml::Value::Table(parts)) => parts,
            Some(other) => {
                return Err(format!("`{PARTS_KEY}`: expected a table, found {other}"));
            }
        };
        let texts = parts.into_iter().map(|(name, value)| match value {
            toml::Value::String(text) if is_plain(&name) => Ok((name, text)),
            _ => Err(format!("`{PARTS_KEY}`: `{name}` is no text of a file")),
        });
        Ok(Self(texts.collect::<Result<_, _>>()?))
    }

    /// Those that have files of their own, as cells of older versions have them: its content, and the tables of which its outcome has
    /// digests. What can't be read as text is not there.
    pub(crate) fn of_files(folder: &CellFolder, digests: &BTreeMap<String, String>) -> Self {
        let names = with_files().filter(|name| *name == CONTENT || digests.contains_key(*name));
        let texts = names.filter_map(|name| {
            let text = read_text(&folder.part(name)).ok()??;
            Some((name.to_owned(), text))
        });
        Self(texts.collect())
    }

    /// The lines that [`Self::take_from`] reads.
    pub(crate) fn to_toml(&self) -> String {
        let mut lines = format!("\n[{PARTS_KEY}]\n");
        for (name, text) in &self.0 {
            // As it is, for people who read it, where TOML can hold it so.
            let is_literal = !text.contains("'''")
                && !text.ends_with('\'')
                && text
                    .chars()
                    .all(|letter| !letter.is_control() || matches!(letter, '\n' | '\t'));
            let written = match is_literal {
                true => write!(lines, "\"{name}\" = '''\n{text}'''\n"),
                false => {
                    let value = toml::Value::String(text.clone());
                    writeln!(lines, "\"{name}\" = {value}")
                }
            };
            written.expect("a string has room");
        }
        lines
    }
}

/// Names of the parts that cells of older versions have as files.
pub(crate) fn with_files() -> impl Iterator<Item = &'static str> {
    let tables = repeatable_parts().chain([COHORTS]);
    tables.map(|part: Part| part.file).chain([CONTENT])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_read_back_to_the_last_byte_and_usual_ones_are_readable() {
        let texts = [
            "",
            "a,b\n1,2\n",
            "\n\nempty lines\n\n",
            "\"quoted\", 'single'\n",
            "ends in '",
            "three ''' of them \"\"\" twice",
            "returns\r\nand\rtabs\t",
            "steers a terminal \u{1b}[2J \u{0}",
            "back\\slash, \u{e9}\u{1f600}\u{85}\u{2028}",
        ];
        let mut parts = CellParts::default();
        for (place, text) in texts.iter().enumerate() {
            parts.insert(&format!("{place}.csv"), text);
        }
        let toml = parts.to_toml();
        assert!(toml.contains("\"1.csv\" = '''\na,b\n1,2\n'''\n"), "{toml}");
        let mut table: toml::Table = toml.parse().unwrap();
        assert_eq!(CellParts::take_from(&mut table).unwrap(), parts);
        assert!(table.is_empty());
    }

    #[test]
    fn parts_that_are_no_texts_of_files_are_refused() {
        for odd in [
            "parts = 3",
            "[parts]\n\"a.csv\" = 3",
            "[parts]\n\"../a\" = \"x\"",
        ] {
            let mut table: toml::Table = odd.parse().unwrap();
            assert!(CellParts::take_from(&mut table).is_err(), "{odd}");
        }
    }
}
