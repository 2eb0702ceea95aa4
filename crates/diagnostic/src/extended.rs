//! Documents that extend another: what they say replaces what the other says, key by key, and everything said of a value names
//! the file that it stands in.

use super::{Diagnostic, Document, KeyPath};
use std::fmt::Write;
use std::path::Path;
use toml::{Table, Value};

/// The key that names the file that is extended.
const EXTENDS: &str = "extends";

impl Document {
    /// Reads a file, and the file beside it that its key `extends` names, if it has that key.
    ///
    /// # Errors
    /// A file that is not there, can't be read or is no TOML; an extended file that extends another.
    pub fn read_extending(path: &Path) -> Result<Self, Diagnostic> {
        let mut document = Self::read(path)?;
        let at = KeyPath::new([EXTENDS]);
        let name = match document.table()?.get(EXTENDS) {
            None => return Ok(document),
            Some(Value::String(name)) => name,
            Some(_) => {
                let said = document.at_value(&at, "expected the name of a file");
                return Err(said.hint("write the path of a TOML file beside this one"));
            }
        };
        let base = path.parent().unwrap_or(Path::new("")).join(name);
        if !base.exists() {
            let message = format!("there is no file {}", base.display());
            let said = document.at_value(&at, message);
            return Err(said.hint("paths are relative to the folder of this file"));
        }
        let base = Self::read(&base)?;
        // One level: with more, nobody sees what a description says without reading the whole chain.
        if base.table()?.contains_key(EXTENDS) {
            let said = base.at_key(&at, "a file that is extended can't extend another");
            return Err(said.hint("extend one file, which holds all that is shared"));
        }
        document.base = Some(Box::new(base));
        Ok(document)
    }

    /// A document of this text over this one.
    #[must_use]
    pub fn overlaid(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut over = Self::new(name, text);
        over.base = Some(Box::new(self));
        over
    }

    /// All that the document says with what it extends, in a text of its own: keys in the order of [`Document::keys_in_order`], without
    /// comments.
    ///
    /// # Errors
    /// A document that is no TOML.
    pub fn to_toml(&self) -> Result<String, Diagnostic> {
        let mut text = String::new();
        self.write_table(&self.merged()?, &KeyPath::default(), &mut text);
        Ok(text)
    }

    fn write_table(&self, table: &Table, at: &KeyPath, text: &mut String) {
        let keys = self.keys_in_order(at);
        let known = keys.iter().filter_map(|key| table.get_key_value(key));
        let others = table.iter().filter(|(key, _)| !keys.contains(key));
        let entries: Vec<(&String, &Value)> = known.chain(others).collect();
        let is_table = |value: &Value| matches!(value, Value::Table(_));
        for (key, value) in entries.iter().filter(|(_, value)| !is_table(value)) {
            let _ = writeln!(text, "{} = {value}", KeyPath::new([key.as_str()]));
        }
        for (key, value) in entries {
            if let Value::Table(table) = value {
                let at = at.join(key);
                let _ = writeln!(text, "\n[{at}]");
                self.write_table(table, &at, text);
            }
        }
    }

    /// The text of this document or of the one it extends, by its name.
    pub fn text_of(&self, name: &str) -> &str {
        match &self.base {
            Some(base) if base.name == name => &base.text,
            _ => &self.text,
        }
    }
}

/// What `own` says over what `base` says.
pub(super) fn extended(mut base: Table, own: Table) -> Table {
    merge(&mut base, own);
    // It is a key of files, and none of what they describe.
    base.remove(EXTENDS);
    base
}

/// Puts what `over` says into `under`, tables key by key.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wire {
        about: String,
        sizes: BTreeMap<String, u32>,
    }

    /// A file that extends `base.toml`.
    fn extending(base: &str, own: &str) -> Result<Document, Diagnostic> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("base.toml"), base).unwrap();
        std::fs::write(folder.path().join("own.toml"), own).unwrap();
        let document = Document::read_extending(&folder.path().join("own.toml"));
        let bare = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        document
            .map(|mut document| {
                document.name = bare(&document.name);
                if let Some(base) = &mut document.base {
                    base.name = bare(&base.name);
                }
                document
            })
            .map_err(|said| Diagnostic {
                source: bare(&said.source),
                ..said
            })
    }

    const BASE: &str = "about = \"shared\"\n[sizes]\nb = 1\na = 2\n";

    #[test]
    fn a_document_is_written_in_full_with_its_keys_in_their_order() {
        let base = "about = \"b\"\n[sizes]\nz = 1\na = 2\n";
        let own =
            "extends = \"base.toml\"\nabout = \"own\"\nsizes = { m = 3, \"x y\" = 5, a = 4 }\n";
        let text = extending(base, own).unwrap().to_toml().unwrap();
        assert_eq!(
            text,
            "about = \"own\"\n\n[sizes]\nz = 1\na = 4\nm = 3\n\"x y\" = 5\n"
        );
        let again = Document::new("again", text.as_str());
        let keys = |document: &Document| document.keys_in_order(&KeyPath::new(["sizes"]));
        assert_eq!(keys(&again), ["z", "a", "m", "x y"]);
    }

    #[test]
    fn what_a_file_says_replaces_what_the_extended_one_says_key_by_key() {
        let document = extending(BASE, "extends = \"base.toml\"\n[sizes]\nc = 3\na = 4\n").unwrap();
        let wire: Wire = document.parse().unwrap();
        assert_eq!(wire.about, "shared");
        let sizes = [("a", 4), ("b", 1), ("c", 3)].map(|(key, size)| (key.to_owned(), size));
        assert_eq!(wire.sizes, BTreeMap::from(sizes));
        assert_eq!(
            document.keys_in_order(&KeyPath::new(["sizes"])),
            ["b", "a", "c"]
        );
        let said = |key: &str| {
            document
                .at_value(&KeyPath::new(["sizes", key]), "x")
                .to_string()
        };
        assert_eq!(said("b"), "base.toml:3:5: x");
        assert_eq!(said("a"), "own.toml:4:5: x");
        assert!(document.text_of("base.toml").starts_with("about"));
    }

    #[test]
    fn a_wrong_value_is_told_in_the_file_that_has_it() {
        let refusal = |base: &str, own: &str| {
            let document = extending(base, own).unwrap();
            document.parse::<Wire>().unwrap_err().to_string()
        };
        let own = "extends = \"base.toml\"\n";
        assert!(
            refusal(&BASE.replace('1', "\"1\""), own)
                .starts_with("base.toml:3:1: `sizes.b`: expected")
        );
        let said = refusal(BASE, &format!("{own}abuot = 1\n"));
        assert!(
            said.starts_with("own.toml:2:1: unknown key `abuot`"),
            "{said}"
        );
    }

    #[test]
    fn a_file_that_cant_be_extended_is_refused_where_it_is_named() {
        let refusal = |base: &str, own: &str| extending(base, own).unwrap_err().to_string();
        assert!(
            refusal(BASE, "extends = 1\n")
                .starts_with("own.toml:1:11: expected the name of a file")
        );
        let said = refusal(BASE, "extends = \"bse.toml\"\n");
        assert!(
            said.starts_with("own.toml:1:11: there is no file "),
            "{said}"
        );
        let said = refusal("extends = \"x.toml\"\n", "extends = \"base.toml\"\n");
        assert!(
            said.starts_with("base.toml:1:1: a file that is extended can't extend another"),
            "{said}"
        );
    }
}
