//! `include`: variants that several experiments share, each file read once.

use super::source::Source;
use super::wire::WireIncluded;
use homebench_diagnostic::{Diagnostic, Document, KeyPath, regular_file};
use std::path::{Path, PathBuf};
use toml::Value;

const FORM: &str = "write `include = \"models.toml\"`, or a list of such paths";

/// A file that was included.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Included {
    pub(super) document: Document,
    /// Names of its variants, in its order.
    pub(super) variants: Vec<String>,
}

/// Files on the way to the one that is read, and those that were read.
struct Reader {
    way: Vec<(PathBuf, String)>,
    read: Vec<PathBuf>,
    included: Vec<Included>,
}

/// Every file that `value`, the `include` of the spec at `path`, names, and those that they name, in the order of reading.
///
/// # Errors
/// A file that is not there or no list of variants, a circle, or a variant that is defined twice, each at its place.
pub(super) fn read(
    value: &Value,
    path: &Path,
    source: &Source,
) -> Result<Vec<Included>, Diagnostic> {
    let mut reader = Reader {
        way: vec![(identity(path), path.display().to_string())],
        read: Vec::new(),
        included: Vec::new(),
    };
    let refuse = |at: &KeyPath, message: String| source.at_value(at, message);
    reader.follow(value, path, &refuse)?;
    Ok(reader.included)
}

/// The same file by whatever path.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

impl Reader {
    fn follow(
        &mut self,
        value: &Value,
        from: &Path,
        refuse: &dyn Fn(&KeyPath, String) -> Diagnostic,
    ) -> Result<(), Diagnostic> {
        let at = KeyPath::new(["include"]);
        let names: Vec<(KeyPath, &Value)> = match value {
            Value::Array(values) => values
                .iter()
                .enumerate()
                .map(|(index, value)| (at.join(index.to_string()), value))
                .collect(),
            one => vec![(at, one)],
        };
        for (at, name) in names {
            let Some(name) = name.as_str() else {
                let message = format!("`{at}`: expected a path, found {}", name.type_str());
                return Err(refuse(&at, message).hint(FORM));
            };
            let path = from.parent().unwrap_or(Path::new("")).join(name);
            self.one(&path, &|message| refuse(&at, format!("`{at}`: {message}")))?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        path: &Path,
        refuse: &dyn Fn(String) -> Diagnostic,
    ) -> Result<(), Diagnostic> {
        let shown = path.display().to_string();
        // Not `Document::read`, which would tell of this file; it is the `include` that is wrong.
        let document = match regular_file::read_text(path) {
            Ok(text) => Document::new(&shown, text),
            Err(error) => return Err(unreadable(path, &error, refuse)),
        };
        let file = identity(path);
        // Before the files that were read: one that is still open is among them, and would pass as read.
        if let Some(start) = self.way.iter().position(|(other, _)| *other == file) {
            let between: Vec<&str> = self.way[start + 1..]
                .iter()
                .map(|(_, name)| name.as_str())
                .collect();
            let by_way = match between.as_slice() {
                [] => String::new(),
                names => format!(", by way of {}", names.join(", ")),
            };
            return Err(refuse(format!("{shown} includes itself{by_way}"))
                .hint("a file that is included has to end the chain: remove one `include`"));
        }
        // By two ways to one file its variants come in once.
        if self.read.contains(&file) {
            return Ok(());
        }
        self.read.push(file.clone());
        let wire: WireIncluded = document.parse()?;
        self.way.push((file, shown));
        if let Some(value) = &wire.include {
            let refuse = |at: &KeyPath, message: String| document.at_value(at, message);
            self.follow(value, path, &refuse)?;
        }
        self.way.pop();
        let variants = document.keys_in_order(&KeyPath::new(["variants"]));
        let included = Included { document, variants };
        for name in &included.variants {
            let mut others = self.included.iter();
            if let Some(other) = others.find(|other| other.variants.contains(name)) {
                return Err(twice(name, &included.document, &other.document));
            }
        }
        self.included.push(included);
        Ok(())
    }
}

fn unreadable(
    path: &Path,
    error: &std::io::Error,
    refuse: &dyn Fn(String) -> Diagnostic,
) -> Diagnostic {
    let said = refuse(format!("can't read {}: {error}", path.display()));
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let names: Vec<String> = std::fs::read_dir(folder.unwrap_or(Path::new(".")))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    let asked = path.file_name().unwrap_or_default().to_string_lossy();
    said.hint("paths are relative to the file that includes")
        .did_you_mean(&asked, names.iter().map(String::as_str))
}

/// What a user reads where `later` defines a variant that `earlier` has.
pub(super) fn twice(name: &str, later: &Document, earlier: &Document) -> Diagnostic {
    let path = KeyPath::new(["variants", name]);
    let place = earlier
        .key_location(&path)
        .map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column));
    let message = format!(
        "the variant `{name}` is defined in {}{place} as well",
        earlier.name()
    );
    later.at_key(&path, message).hint(
        "rename one of the two; to change a knob of a shared variant, use --set or [defaults]",
    )
}
