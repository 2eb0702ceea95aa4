//! Entries of `[files]` that are many files: a folder of parts, or a pattern, with the columns that names of folders give.
//!
//! Everything that reads an entry goes through [`parts`]: the digest, preparation and `data describe` see the same files in the
//! same order.

use homebench_diagnostic::{Diagnostic, regular_file};
use std::path::{Component, Path, PathBuf};

/// What folders of a missing value are called.
const MISSING: &str = "__HIVE_DEFAULT_PARTITION__";

/// A file of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartFile {
    pub(crate) path: PathBuf,
    /// Columns that names of its folders give (`day=2022-04-08`), with the value or nothing where it is missing.
    pub(crate) constants: Vec<(String, Option<String>)>,
}

/// The files of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parts {
    /// In the order of their paths.
    pub(crate) files: Vec<PartFile>,
    /// Files without a byte, which are left out.
    pub(crate) num_empty: usize,
    /// Files whose names begin with `_` or `.`, which are left out.
    pub(crate) num_hidden: usize,
}

/// Whether a name in `[files]` stands for more than one file.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether an entry's path leads to a file, a folder, or is a pattern that at least one file matches.
pub(crate) fn is_there(path: &Path) -> bool {
    path.exists()
        || is_pattern(&path.to_string_lossy())
            && parts(path).is_ok_and(|parts| !parts.files.is_empty())
}

/// The files of an entry: the file itself, all in the folder and its folders, or all that match the pattern.
///
/// # Errors
/// A folder that can't be read, that has no file, or that holds a table's log beside files that may be deleted rows.
pub(crate) fn parts(path: &Path) -> Result<Parts, Diagnostic> {
    let whole = |path: &Path| PartFile {
        path: path.to_path_buf(),
        constants: Vec::new(),
    };
    if path.is_file() {
        return Ok(Parts {
            files: vec![whole(path)],
            ..Parts::default()
        });
    }
    if !path.is_dir() && path.exists() {
        check_is_file(path)?;
    }
    let (base, pattern) = match path.is_dir() {
        true => (path.to_path_buf(), vec!["**".to_owned(), "*".to_owned()]),
        false => divide(path),
    };
    let mut found = Parts::default();
    if base.is_dir() {
        let mut walk = FolderWalk {
            root: base
                .canonicalize()
                .map_err(|error| cant_read(&base, &error))?,
            is_deep: pattern.iter().any(|name| name == "**"),
            found: &mut found,
        };
        let before = match path.is_dir() {
            true => Vec::new(),
            false => constants_before(&base)?,
        };
        walk.folder(&base, &pattern, &before)?;
    }
    // By path, since a file system lists names in any order; a pattern with `**` may meet a file in two ways.
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    found.files.dedup();
    if found.files.is_empty() {
        let what = match path.is_dir() {
            true => "there is no file with data in this folder",
            false => "no file with data matches this pattern",
        };
        let said = Diagnostic::new(path.display().to_string(), what);
        return Err(said.hint(
            "put the files there, or correct `name` in [files]; files without a byte and those whose names begin with `_` or `.` \
             don't count",
        ));
    }
    Ok(found)
}

/// The part of a pattern without `*` and `?`, and the names behind it.
fn divide(path: &Path) -> (PathBuf, Vec<String>) {
    let mut base = PathBuf::new();
    let mut pattern = Vec::new();
    for component in path.components() {
        let name = component.as_os_str().to_string_lossy();
        if pattern.is_empty() && !is_pattern(&name) {
            base.push(component);
        } else {
            pattern.push(name.into_owned());
        }
    }
    (base, pattern)
}

/// The columns of the folders `key=value` right before a pattern.
fn constants_before(base: &Path) -> Result<Vec<(String, Option<String>)>, Diagnostic> {
    let mut constants = Vec::new();
    for component in base.components().rev() {
        let Component::Normal(name) = component else {
            break;
        };
        match constant(&name.to_string_lossy(), base)? {
            Some(constant) => constants.insert(0, constant),
            None => break,
        }
    }
    Ok(constants)
}

/// The column that a folder's name gives.
fn constant(name: &str, path: &Path) -> Result<Option<(String, Option<String>)>, Diagnostic> {
    let Some((key, value)) = name.split_once('=').filter(|(key, _)| !key.is_empty()) else {
        return Ok(None);
    };
    let decoded = |text: &str| {
        percent_decoded(text).ok_or_else(|| {
            Diagnostic::new(
                path.display().to_string(),
                format!("the folder's name `{name}` has bytes that are no UTF-8 text"),
            )
            .hint("rename the folder")
        })
    };
    let value = match value {
        MISSING => None,
        value => Some(decoded(value)?),
    };
    Ok(Some((decoded(key)?, value)))
}

/// Text whose `%2F` and the like are the characters that they stand for.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%');
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

struct FolderWalk<'a> {
    /// Nothing outside of it is read.
    root: PathBuf,
    /// Whether the pattern goes into folders of any depth itself.
    is_deep: bool,
    found: &'a mut Parts,
}

impl FolderWalk<'_> {
    fn folder(
        &mut self,
        folder: &Path,
        pattern: &[String],
        constants: &[(String, Option<String>)],
    ) -> Result<(), Diagnostic> {
        let Some((first, rest)) = pattern.split_first() else {
            return Ok(());
        };
        if first == "**" {
            self.folder(folder, rest, constants)?;
        }
        let entries = std::fs::read_dir(folder).map_err(|error| cant_read(folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| cant_read(folder, &error))?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let is_folder = path.is_dir();
            if is_folder && (name == "_delta_log" || name == ".hoodie") {
                return Err(Diagnostic::new(
                    folder.display().to_string(),
                    format!("`{name}` says that this is a table whose log decides which files count"),
                )
                .hint("write the table's present rows as Parquet into a folder of their own, and name that"));
            }
            let matches = first == "**" || does_match(first, &name);
            if !matches {
                continue;
            }
            let is_hidden = name.starts_with(['_', '.']) && !first.starts_with(['_', '.']);
            if is_hidden {
                self.found.num_hidden += usize::from(!is_folder && first != "**");
                continue;
            }
            if is_folder {
                let mut constants = constants.to_vec();
                constants.extend(constant(&name, &path)?);
                let behind = if first == "**" { pattern } else { rest };
                // A folder that the whole pattern matches is a table in parts.
                let all = ["**".to_owned(), "*".to_owned()];
                if behind.is_empty() && self.is_deep {
                    continue;
                }
                let behind = if behind.is_empty() { &all[..] } else { behind };
                self.check_inside(&path)?;
                self.folder(&path, behind, &constants)?;
            } else if rest.is_empty() && first != "**" {
                self.file(path, constants)?;
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: PathBuf,
        constants: &[(String, Option<String>)],
    ) -> Result<(), Diagnostic> {
        self.check_inside(&path)?;
        check_is_file(&path)?;
        let metadata = std::fs::metadata(&path).map_err(|error| cant_read(&path, &error))?;
        match metadata.len() {
            0 => self.found.num_empty += 1,
            _ => self.found.files.push(PartFile {
                path,
                constants: constants.to_vec(),
            }),
        }
        Ok(())
    }

    /// Refuses a link that leads out of the folder: what it leads to is no part of the dataset.
    fn check_inside(&self, path: &Path) -> Result<(), Diagnostic> {
        let real = path
            .canonicalize()
            .map_err(|error| cant_read(path, &error))?;
        if real.starts_with(&self.root) {
            return Ok(());
        }
        let message = format!(
            "the link leads out of the data folder, to {}",
            real.display()
        );
        Err(Diagnostic::new(path.display().to_string(), message)
            .hint("put the file itself there, or name the folder that has it with --data-dir"))
    }
}

/// Refuses a pipe or a device, which has no end, at the place of a file.
fn check_is_file(path: &Path) -> Result<(), Diagnostic> {
    let opened = regular_file::open(path);
    opened.map(drop).map_err(|error| {
        let message = format!("can't read the file: {error}");
        Diagnostic::new(path.display().to_string(), message)
            .hint("put a regular file there: what comes through a pipe has to be saved first")
    })
}

fn cant_read(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(
        path.display().to_string(),
        format!("can't read the folder: {error}"),
    )
}

/// Whether a name matches a pattern of `*` (any characters) and `?` (one).
fn does_match(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stands, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == '?' || *c == name[n]) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((place, taken)) = star {
            star = Some((place, taken + 1));
            (p, n) = (place + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn names(root: &Path, parts: &Parts) -> Vec<String> {
        let name = |part: &PartFile| {
            part.path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .into_owned()
        };
        parts.files.iter().map(name).collect()
    }

    #[test]
    fn folders_and_patterns_are_their_files_in_order_without_marks_and_empty_ones() {
        let folder = folder(&[
            ("log/day=2/b.csv", "x"),
            ("log/day=10/a.csv", "x"),
            ("log/day=10/_SUCCESS", ""),
            ("log/day=10/.b.csv.crc", "x"),
            ("log/_temporary/c.csv", "x"),
            ("log/empty.csv", ""),
            ("part-1.csv", "x"),
            ("part-0.csv", "x"),
            ("other.txt", "x"),
        ]);
        let root = folder.path();
        let found = parts(&root.join("log")).unwrap();
        assert_eq!(names(root, &found), ["log/day=10/a.csv", "log/day=2/b.csv"]);
        assert_eq!((found.num_empty, found.num_hidden), (1, 2));
        let day = |value: &str| vec![("day".to_owned(), Some(value.to_owned()))];
        assert_eq!(found.files[0].constants, day("10"));
        let found = parts(&root.join("part-*.csv")).unwrap();
        assert_eq!(names(root, &found), ["part-0.csv", "part-1.csv"]);
        let found = parts(&root.join("log/**/?.csv")).unwrap();
        assert_eq!(names(root, &found), ["log/day=10/a.csv", "log/day=2/b.csv"]);
        let found = parts(&root.join("log/day=2/*")).unwrap();
        assert_eq!(found.files[0].constants, day("2"));
        let found = parts(&root.join("log/day=*")).unwrap();
        assert_eq!(names(root, &found), ["log/day=10/a.csv", "log/day=2/b.csv"]);
        assert_eq!(found.files[1].constants, day("2"));
        assert!(parts(&root.join("none-*.csv")).is_err());
        assert!(is_there(&root.join("part-*.csv")) && !is_there(&root.join("none-*.csv")));
    }

    #[test]
    fn keys_of_folders_are_decoded_and_a_missing_one_is_nothing() {
        let folder = folder(&[
            (&format!("log/city={MISSING}/day=1/a.csv"), "x"),
            ("log/city=S%C3%A3o%2FPaulo/day=a%3Db/a.csv", "x"),
        ]);
        let found = parts(&folder.path().join("log")).unwrap();
        let mut cities: Vec<_> = found
            .files
            .iter()
            .map(|part| part.constants.clone())
            .collect();
        cities.sort();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            cities,
            [
                vec![("city".to_owned(), None), ("day".to_owned(), text("1"))],
                vec![
                    ("city".to_owned(), text("São/Paulo")),
                    ("day".to_owned(), text("a=b"))
                ],
            ]
        );
    }

    #[test]
    fn links_that_lead_out_and_tables_with_a_log_are_refused() {
        let outside = folder(&[("secret.csv", "x")]);
        let inside = folder(&[
            ("log/a.csv", "x"),
            ("delta/_delta_log/0.json", "x"),
            ("delta/a.parquet", "x"),
        ]);
        std::os::unix::fs::symlink(
            outside.path().join("secret.csv"),
            inside.path().join("log/b.csv"),
        )
        .unwrap();
        let said = parts(&inside.path().join("log")).unwrap_err().to_string();
        assert!(
            said.contains("the link leads out of the data folder"),
            "{said}"
        );
        let said = parts(&inside.path().join("delta")).unwrap_err().to_string();
        assert!(said.contains("a table whose log decides"), "{said}");
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b", "aXc", false),
            ("?-*.csv", "é-1.csv", true),
            ("?", "", false),
        ] {
            assert_eq!(does_match(pattern, name), expected, "{pattern} {name}");
        }
    }
}
