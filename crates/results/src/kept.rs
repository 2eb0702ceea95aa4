//! The TOML files that homebench writes into a results folder and reads back: the number of the format, the content, and a digest of
//! both in the last line. So a file that was cut or changed is seen, and one of a newer homebench is told from a damaged one.

use super::atomic;
use super::regular::read_text;
use homebench_diagnostic::{Diagnostic, Document, read as read_value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::{Table, Value};

/// The format of results folders that this program writes; it reads this one and those before.
///
/// 1: files without a number. 2: the number in every TOML file that is read back but `spec.resolved.toml` and `cell.toml`, a digest in the
/// last line of each, and in `provenance.toml` digests of all files that results rest on. Tables and the spec are of the format of the
/// folder's `provenance.toml`.
pub const FORMAT: i64 = 2;

/// The key of the number.
const KEY: &str = "format";
/// What stands before the digest of the lines above it.
const MARK: &str = "# blake3 of the lines above: ";

/// Why a file can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A newer homebench wrote it.
    Newer,
    /// It can't be read, or is not what it should be.
    Damaged,
    /// It is not as homebench wrote it.
    Altered,
}

/// A file that is there and can't be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Unusable {
    /// Why.
    pub flaw: Flaw,
    /// The same in words, with file and place.
    pub said: Diagnostic,
}

impl From<Unusable> for Diagnostic {
    fn from(unusable: Unusable) -> Self {
        unusable.said
    }
}

impl Unusable {
    pub(crate) fn damaged(said: Diagnostic) -> Self {
        let flaw = Flaw::Damaged;
        Self { flaw, said }
    }
}

/// What a file says, and in which format.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept<T> {
    /// What it says.
    pub content: T,
    /// 1 where it has no number.
    pub format: i64,
}

/// The text of a file that [`read_kept`] reads, under a header of comments, with more TOML behind the content.
pub(crate) fn text_of(
    header: &str,
    content: &impl Serialize,
    more: &str,
) -> anyhow::Result<String> {
    let content = toml::to_string(content)?;
    Ok(with_digest(format!(
        "{header}{KEY} = {FORMAT}\n{content}{more}"
    )))
}

/// Writes `content` for [`read_kept`] under a header of comments, unless the file says just that already.
///
/// # Errors
/// The file can't be read or written.
pub fn write_kept(path: &Path, header: &str, content: &impl Serialize) -> anyhow::Result<()> {
    let text = text_of(header, content, "")?;
    if read_text(path)?.is_some_and(|there| there == text) {
        return Ok(());
    }
    atomic::write(path, |out| Ok(out.write_all(text.as_bytes())?))
}

/// A text with a digest of it in a last line, for whoever reads it to see whether it is whole.
pub fn with_digest(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let digest = blake3::hash(text.as_bytes()).to_hex();
    format!("{text}{MARK}{digest}\n")
}

/// A text without the digest that [`with_digest`] gave it, if it has one.
pub fn without_digest(text: &str) -> &str {
    text.rfind(MARK).map_or(text, |place| &text[..place])
}

/// Whether a text is as [`with_digest`] gave it; nothing where it has no digest.
pub fn is_whole(text: &str) -> Option<bool> {
    let place = text.rfind(MARK)?;
    let (above, line) = text.split_at(place);
    let digest = blake3::hash(above.as_bytes()).to_hex();
    Some(line == format!("{MARK}{digest}\n"))
}

/// Reads a file that homebench wrote; nothing where there is none.
///
/// # Errors
/// A file of a newer format or with keys that are unknown, one that can't be read as a `T`, or one that was changed since it was written.
pub fn read_kept<T: DeserializeOwned>(path: &Path) -> Result<Option<Kept<T>>, Unusable> {
    let Some(text) = read_text(path).map_err(Unusable::damaged)? else {
        return Ok(None);
    };
    parse_kept(&path.display().to_string(), &text).map(Some)
}

/// The content of a text of homebench's that a file has, of which errors speak.
///
/// # Errors
/// As of [`read_kept`].
pub fn parse_kept<T: DeserializeOwned>(file: &str, text: &str) -> Result<Kept<T>, Unusable> {
    parse_kept_without(file, text, |_| {})
}

/// As [`parse_kept`], of what is left when `take` has taken what is read in another way.
pub(crate) fn parse_kept_without<T: DeserializeOwned>(
    file: &str,
    text: &str,
    take: impl FnOnce(&mut Table),
) -> Result<Kept<T>, Unusable> {
    let name = file.to_owned();
    let is_whole = is_whole(text);
    let document = || Document::new(&name, text);
    // What homebench wrote may be longer than what a person writes, so the limits of documents are for other texts.
    let own = is_whole == Some(true);
    let own = own.then(|| toml::from_str::<Table>(text).ok()).flatten();
    let mut table: Table = match own {
        Some(table) => table,
        None => document().parse().map_err(Unusable::damaged)?,
    };
    let format = match table.remove(KEY) {
        None => 1,
        Some(Value::Integer(format)) if format > FORMAT => return Err(newer(&name, format)),
        Some(Value::Integer(format)) if format >= 1 => format,
        Some(other) => {
            let message = format!("`{KEY}`: expected a whole number, found {other}");
            return Err(Unusable::damaged(Diagnostic::new(name, message)));
        }
    };
    // Every file has at least a key: one that was cut to nothing would else say that there is nothing.
    if format == 1 && table.is_empty() {
        return Err(Unusable::damaged(Diagnostic::new(name, "it is empty")));
    }
    take(&mut table);
    let content = read_value(&Value::Table(table)).map_err(|refusal| {
        let place = document().at_key(&refusal.place(), "").location;
        let said = refusal.diagnostic(&name).at(place);
        match refusal.is_of_key() {
            true => unknown_key(said),
            false => Unusable::damaged(said),
        }
    })?;
    match is_whole {
        Some(true) => {}
        None if format == 1 => {}
        Some(false) | None => return Err(altered(&name)),
    }
    Ok(Kept { content, format })
}

fn newer(name: &str, format: i64) -> Unusable {
    let message =
        format!("written by a newer homebench, format {format}; this one reads up to {FORMAT}");
    Unusable {
        flaw: Flaw::Newer,
        said: Diagnostic::new(name, message)
            .hint("use the homebench that wrote it, or a newer one; to start anew beside it, give another folder with `--out DIR`"),
    }
}

/// The spelling alone can't tell a newer program's key from a slip, so nothing is written over either.
fn unknown_key(mut said: Diagnostic) -> Unusable {
    said.message = format!(
        "{}: written by a newer homebench than this one (format {FORMAT}), or changed by hand",
        said.message
    );
    Unusable {
        flaw: Flaw::Newer,
        said: said.hint(
            "use the homebench that wrote it, or take the key out; to start anew beside it, give another folder with `--out DIR`",
        ),
    }
}

pub(crate) fn altered(name: &str) -> Unusable {
    Unusable {
        flaw: Flaw::Altered,
        said: Diagnostic::new(name, "altered since homebench wrote it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Content {
        name: String,
        count: u32,
    }

    #[test]
    fn newer_damaged_and_altered_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        assert_eq!(read_kept::<Content>(&path).unwrap(), None);
        let content = Content {
            name: "a".into(),
            count: 3,
        };
        write_kept(&path, "# A file.\n", &content).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_kept::<Content>(&path)
        };
        let kept = read(&text).unwrap().unwrap();
        assert_eq!((kept.content, kept.format), (content, 2));
        let flaw = |text: &str| read(text).unwrap_err().flaw;
        assert_eq!(flaw(&text.replace("format = 2", "format = 3")), Flaw::Newer);
        assert_eq!(flaw(&format!("schema = 2\n{text}")), Flaw::Newer);
        assert_eq!(flaw(&text.replace("count", "cuont")), Flaw::Newer);
        assert_eq!(flaw(&text.replace("count = 3", "count = 4")), Flaw::Altered);
        assert_eq!(flaw(&text.replace("# A file", "# A fine")), Flaw::Altered);
        assert_eq!(flaw(&format!("{text}\n")), Flaw::Altered);
        // Cut at its last line: a file of this format has a digest.
        assert_eq!(flaw(&text[..text.rfind('#').unwrap()]), Flaw::Altered);
        assert_eq!(flaw(&text[..30]), Flaw::Damaged);
        assert_eq!(
            flaw(&text.replace("format = 2", "format = \"2\"")),
            Flaw::Damaged
        );
        assert_eq!(flaw(""), Flaw::Damaged);
        // The first format had neither number nor digest.
        assert_eq!(
            read("name = \"b\"\ncount = 1\n").unwrap().unwrap().format,
            1
        );
    }
}
