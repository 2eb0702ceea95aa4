//! Which vector is whose: rows of a file of vectors beside the values of a vocabulary.

use super::super::fit::Word;
use crate::pretrained::PretrainedTable;
use crate::schema::PretrainedFile;
use homebench_diagnostic::Diagnostic;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

/// Values and keys that a refusal shows, so that one sees in what they differ.
const SHOWN: usize = 3;

/// How far the vectors of a table go.
#[derive(Debug)]
pub(in crate::table) struct Coverage {
    /// Name of the embedding table.
    pub(in crate::table) table: String,
    /// Names of the files.
    pub(in crate::table) files: String,
    /// Numbers of a vector.
    pub(in crate::table) width: usize,
    /// Values of the vocabulary, and those of them that have a vector.
    pub(in crate::table) values: [u64; 2],
    /// How often all of them, and those with a vector, stand in training rows.
    pub(in crate::table) occurrences: [u64; 2],
    /// Keys of the files, and those of them that are no value of the vocabulary.
    pub(in crate::table) keys: [u64; 2],
    /// Numbers of vectors in use that aren't 0 and are too small for 32 bits, so that they became 0.
    pub(in crate::table) num_underflows: u64,
}

/// A row of a file of vectors.
#[derive(Debug, Clone, Copy)]
pub(super) struct VectorRow<'a> {
    pub(super) path: &'a Path,
    /// Counted from 1.
    pub(super) number: u64,
}

/// Vectors by value of a vocabulary, filled row by row.
pub(super) struct Alignment<'a> {
    pretrained: &'a PretrainedFile,
    words: &'a [Word],
    /// Id of each value.
    ids: HashMap<&'a [u8], u32>,
    /// Where each key was met.
    keys: HashMap<String, (usize, u64)>,
    paths: Vec<PathBuf>,
    /// Numbers of a vector, and the row that said so.
    width: Option<(usize, String)>,
    /// By id.
    vectors: HashMap<u32, Vec<f32>>,
    num_underflows: u64,
    /// The first keys.
    shown: Vec<String>,
}

impl<'a> Alignment<'a> {
    /// Of a vocabulary whose ids count from 1.
    pub(super) fn new(pretrained: &'a PretrainedFile, words: &'a [Word]) -> Self {
        let texts = words.iter().map(|word| &*word.text);
        Self {
            pretrained,
            words,
            ids: texts.zip(1..).collect(),
            keys: HashMap::new(),
            paths: Vec::new(),
            width: None,
            vectors: HashMap::new(),
            num_underflows: 0,
            shown: Vec::new(),
        }
    }

    /// Rows that were taken.
    pub(super) fn num_rows(&self) -> u64 {
        // Each has a key of its own.
        self.keys.len() as u64
    }

    /// Takes a row: its key and the numbers of its vector, as far as they are there.
    pub(super) fn add(
        &mut self,
        row: VectorRow<'_>,
        key: Option<&str>,
        vector: Option<&[Option<f64>]>,
    ) -> Result<(), Diagnostic> {
        // As in rows, where a text of length 0 is missing too.
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return Err(self
                .refuse(row, &self.pretrained.key, "there is no key")
                .hint("give the row a key, or leave it out"));
        };
        let Some(vector) = vector else {
            return Err(self
                .refuse(row, &self.pretrained.vector, "there is no vector")
                .hint("give the row a vector, or leave it out"));
        };
        let numbers = self.numbers(row, vector)?;
        self.check_width(row, numbers.len())?;
        self.check_new(row, key)?;
        if let Some(id) = self.ids.get(key.as_bytes()) {
            let pairs = vector.iter().zip(&numbers);
            let lost = pairs.filter(|(said, kept)| **kept == 0.0 && **said != Some(0.0));
            self.num_underflows += lost.count() as u64;
            self.vectors.insert(*id, numbers);
        }
        Ok(())
    }

    fn refuse(&self, row: VectorRow<'_>, column: &str, what: impl std::fmt::Display) -> Diagnostic {
        let message = format!("row {}, column `{column}`: {what}", row.number);
        Diagnostic::new(row.path.display().to_string(), message)
    }

    /// A vector whose numbers are all there and finite in 32 bits.
    fn numbers(&self, row: VectorRow<'_>, vector: &[Option<f64>]) -> Result<Vec<f32>, Diagnostic> {
        let refuse = |place: usize, found: String| {
            let message = format!("number {} of the vector {found}", place + 1);
            self.refuse(row, &self.pretrained.vector, message)
                .hint("give the row finite numbers, or leave it out")
        };
        let number = |(place, value): (usize, &Option<f64>)| match value {
            None => Err(refuse(place, "is missing".to_owned())),
            Some(value) if (*value as f32).is_finite() => Ok(*value as f32),
            Some(value) if value.is_finite() => Err(refuse(
                place,
                format!("is {value:e}, which 32 bits don't hold"),
            )),
            Some(value) => Err(refuse(place, format!("is {value}"))),
        };
        vector.iter().enumerate().map(number).collect()
    }

    fn check_width(&mut self, row: VectorRow<'_>, found: usize) -> Result<(), Diagnostic> {
        if found == 0 {
            return Err(self
                .refuse(row, &self.pretrained.vector, "the vector is empty")
                .hint("give the row a vector, or leave it out"));
        }
        match &self.width {
            None => self.width = Some((found, place_of(row))),
            Some((width, first)) if *width != found => {
                let message = format!("a vector of {found}, and that of {first} has {width}");
                return Err(self
                    .refuse(row, &self.pretrained.vector, message)
                    .hint("write vectors of one length"));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Refuses a key that an earlier row has.
    fn check_new(&mut self, row: VectorRow<'_>, key: &str) -> Result<(), Diagnostic> {
        if self.paths.last().map(PathBuf::as_path) != Some(row.path) {
            self.paths.push(row.path.to_path_buf());
        }
        let (path, number) = match self.keys.entry(key.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert((self.paths.len() - 1, row.number));
                if self.shown.len() < SHOWN {
                    self.shown.push(key.to_owned());
                }
                return Ok(());
            }
            Entry::Occupied(entry) => *entry.get(),
        };
        let first = VectorRow {
            path: &self.paths[path],
            number,
        };
        let first = match first.path == row.path {
            true => format!("row {number}"),
            false => place_of(first),
        };
        Err(self
            .refuse(
                row,
                &self.pretrained.key,
                format!("{first} has the key `{key}` too"),
            )
            .hint("keep one row for each key"))
    }

    /// The vectors in the order of ids, and how far they go; `file` is named where there is nothing.
    pub(super) fn finish(
        mut self,
        file: &Path,
        files: String,
    ) -> Result<(PretrainedTable, Coverage), Diagnostic> {
        let Some((width, _)) = self.width else {
            return Err(
                Diagnostic::new(file.display().to_string(), "there is no row")
                    .hint("write a row for each value, or take the table out of [pretrained]"),
            );
        };
        if self.vectors.is_empty() {
            return Err(self.nothing_matches(file));
        }
        let mut ids: Vec<u32> = self.vectors.keys().copied().collect();
        ids.sort_unstable();
        let vectors = ids.iter().filter_map(|id| self.vectors.remove(id));
        let vectors: Vec<f32> = vectors.flatten().collect();
        let words = self.words;
        let with_vector = ids.iter().map(|id| words[*id as usize - 1].count);
        let coverage = Coverage {
            table: self.pretrained.table.clone(),
            files,
            width,
            values: [words.len() as u64, ids.len() as u64],
            occurrences: [words.iter().map(|word| word.count).sum(), with_vector.sum()],
            keys: [self.keys.len() as u64, (self.keys.len() - ids.len()) as u64],
            num_underflows: self.num_underflows,
        };
        let table = PretrainedTable {
            width,
            ids,
            vectors,
        };
        Ok((table, coverage))
    }

    fn nothing_matches(&self, file: &Path) -> Diagnostic {
        let PretrainedFile { table, key, .. } = self.pretrained;
        let values = self.words.iter().take(SHOWN);
        let values = values.map(|word| String::from_utf8_lossy(&word.text).into_owned());
        let message = format!(
            "no key of the column `{key}` is a value of the table `{table}` in training rows: keys are such as {}, values such as {}",
            quoted(self.shown.iter().cloned()),
            quoted(values),
        );
        Diagnostic::new(file.display().to_string(), message).hint(
            "name the column that has the feature's values as `key`, or write its keys as the feature's column writes them",
        )
    }
}

fn place_of(row: VectorRow<'_>) -> String {
    format!("row {} of {}", row.number, row.path.display())
}

fn quoted(texts: impl Iterator<Item = String>) -> String {
    let quoted: Vec<String> = texts.map(|text| format!("`{text}`")).collect();
    quoted.join(", ")
}
