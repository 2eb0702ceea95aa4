//! The files of reports and figures: which of them are homebench's own. `.drawn.toml` lists what was written with its digest, so that a
//! file of somebody else, or one that was changed since, is never written over or removed.

use super::files::write_whole;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::{
    self as record, Flaw, bytes_digest, create_dir_inside, file_digest, read_kept, refuse_link,
    set_aside, write_kept,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const LIST: &str = ".drawn.toml";

/// A file to be.
pub(crate) struct NewFile {
    /// Its path in the results folder.
    name: String,
    bytes: Vec<u8>,
    digest: String,
}

impl NewFile {
    pub(crate) fn new(name: String, bytes: Vec<u8>) -> Self {
        let digest = bytes_digest(&bytes);
        Self {
            name,
            bytes,
            digest,
        }
    }
}

/// What earlier calls wrote into a results folder.
pub(crate) struct Drawn {
    root: PathBuf,
    /// Digests by path: several of a file whose writing was ended. Nothing where there is no list, as in a folder of an older homebench or
    /// out of a repository.
    known: BTreeMap<String, Vec<String>>,
    /// What has to be said.
    notes: Vec<String>,
}

/// Whether a path is one that reports and figures have.
fn is_drawn(name: &str) -> bool {
    let is_plain = |name: &str| !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    let (folder, file) = name.split_once('/').unwrap_or(("", name));
    match folder {
        "" => ["report.md", "report.html"].contains(&file),
        "tables" | "figures" => is_plain(file),
        _ => false,
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    files: BTreeMap<String, Vec<String>>,
}

/// Checks that the list of what was drawn in a folder is none of a newer homebench, before hours are spent on what would be drawn.
///
/// # Errors
/// It is.
pub fn check_drawn(results: &Path) -> std::result::Result<(), Diagnostic> {
    match read_kept::<List>(&results.join(LIST)) {
        Err(unusable) if unusable.flaw == Flaw::Newer => Err(unusable.said),
        _ => Ok(()),
    }
}

impl Drawn {
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let path = root.join(LIST);
        let mut notes = Vec::new();
        let known = match read_kept::<List>(&path) {
            Ok(kept) => {
                let mut files = kept.map(|kept| kept.content.files).unwrap_or_default();
                // What else a list names was not drawn by homebench.
                files.retain(|name, _| is_drawn(name));
                files
            }
            Err(unusable) if unusable.flaw == Flaw::Newer => return Err(unusable.said.into()),
            Err(unusable) => {
                let aside = set_aside(root, Path::new(LIST), "damaged")?;
                notes.push(format!(
                    "{}; kept as {}, so nothing of an earlier report is removed",
                    unusable.said,
                    aside.display()
                ));
                BTreeMap::new()
            }
        };
        Ok(Self {
            root: root.to_owned(),
            known,
            notes,
        })
    }

    /// Writes files, and removes those of the list that `is_of` these and are no longer made. Gives the new files' paths.
    pub(crate) fn replace(
        mut self,
        files: &[NewFile],
        is_of: impl Fn(&str) -> bool,
    ) -> Result<(Vec<PathBuf>, Vec<String>)> {
        let mut missing = Vec::new();
        for file in files {
            if self.make_room(file)? {
                missing.push(file);
            }
        }
        let mut list = std::mem::take(&mut self.known);
        let is_made = |name: &String| files.iter().any(|file| file.name == *name);
        let (old, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = list
            .into_iter()
            .partition(|(name, _)| is_of(name) && !is_made(name));
        list = kept;
        // Before they are written: a file is in the list whenever this is killed.
        let mut digests = BTreeMap::new();
        for file in files {
            let known = list.entry(file.name.clone()).or_default();
            if !known.contains(&file.digest) {
                known.push(file.digest.clone());
            }
            digests.insert(file.name.clone(), vec![file.digest.clone()]);
        }
        let mut before = old.clone();
        before.extend(list.clone());
        self.write_list(before)?;
        let write = |file: &&NewFile| write_whole(&self.root.join(&file.name), &file.bytes);
        missing.par_iter().try_for_each(write)?;
        for (name, digests) in &old {
            self.remove(name, digests)?;
        }
        list.extend(digests);
        self.write_list(list)?;
        let paths = files.iter().map(|file| self.root.join(&file.name));
        Ok((paths.collect(), self.notes))
    }

    /// Sees to the file's folder, and puts a file that is not known to be homebench's out of its way. Gives whether the file has to be
    /// written: the same bytes may be there already.
    fn make_room(&mut self, file: &NewFile) -> Result<bool> {
        if let Some(folder) = Path::new(&file.name).parent() {
            create_dir_inside(&self.root, folder)?;
        }
        let path = self.root.join(&file.name);
        if std::fs::symlink_metadata(&path).is_err() {
            return Ok(true);
        }
        let now = file_digest(&path).filter(|_| !path.is_symlink());
        if now.as_ref() == Some(&file.digest) {
            return Ok(false);
        }
        let known = self.known.get(&file.name);
        let is_own = now.is_some_and(|now| known.is_some_and(|known| known.contains(&now)));
        if !is_own {
            let aside = set_aside(&self.root, Path::new(&file.name), "kept")?;
            self.notes.push(format!(
                "{} is not known to be as homebench wrote it: kept as {}",
                path.display(),
                aside.display()
            ));
        }
        Ok(true)
    }

    fn remove(&mut self, name: &str, digests: &[String]) -> Result<()> {
        let path = self.root.join(name);
        if std::fs::symlink_metadata(&path).is_err() {
            return Ok(());
        }
        if let Some(folder) = path.parent()
            && folder != self.root
        {
            refuse_link(folder)?;
        }
        let now = file_digest(&path).filter(|_| !path.is_symlink());
        if now.is_some_and(|now| digests.contains(&now)) {
            record::remove(&path)?;
            self.notes
                .push(format!("removed {}: it is no longer made", path.display()));
        } else {
            self.notes.push(format!(
                "{} is no longer made, and was changed since homebench wrote it: kept",
                path.display()
            ));
        }
        Ok(())
    }

    fn write_list(&self, files: BTreeMap<String, Vec<String>>) -> Result<()> {
        const HEADER: &str =
            "# What `homebench report` and `homebench figures` wrote, with digests (blake3).\n";
        write_kept(&self.root.join(LIST), HEADER, &List { files })
    }
}
