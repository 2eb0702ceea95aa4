//! The files of reports and figures: which of them are homebench's own. `.drawn.toml` lists what was written with its digest, so that a
//! file of somebody else, or one that was changed since, is never written over or removed.

use super::files::write_whole;
use anyhow::Result;
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
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// Whether it has times, so that a repeat writes others. It is not in the list, which is the same on a repeat.
    pub(crate) has_times: bool,
}

/// What earlier calls wrote into a results folder.
pub(crate) struct Drawn {
    root: PathBuf,
    /// Digests by path: several of a file whose writing was ended. Nothing where there is no list, as of a folder of an older homebench or
    /// out of a repository.
    known: Option<BTreeMap<String, Vec<String>>>,
    /// What has to be said.
    notes: Vec<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    files: BTreeMap<String, Vec<String>>,
}

impl Drawn {
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let path = root.join(LIST);
        let mut notes = Vec::new();
        let known = match read_kept::<List>(&path) {
            Ok(kept) => kept.map(|kept| kept.content.files),
            Err(unusable) if unusable.flaw == Flaw::Newer => return Err(unusable.said.into()),
            Err(unusable) => {
                let aside = set_aside(&path, "damaged")?;
                notes.push(format!(
                    "{}; kept as {}, so nothing of an earlier report is removed",
                    unusable.said,
                    aside.display()
                ));
                None
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
        // Without an entry of these, as in a folder of an older homebench or out of a repository, it can't be told whose they are.
        let has_entries = self
            .known
            .as_ref()
            .is_some_and(|known| known.keys().any(|name| is_of(name)));
        for file in files {
            self.make_room(file, has_entries)?;
        }
        let mut list = self.known.take().unwrap_or_default();
        let is_made = |name: &String| files.iter().any(|file| file.name == *name);
        let (old, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = list
            .into_iter()
            .partition(|(name, _)| is_of(name) && !is_made(name));
        list = kept;
        // Before they are written: a file is in the list whenever this is killed.
        let mut digests = BTreeMap::new();
        for file in files.iter().filter(|file| !file.has_times) {
            let digest = bytes_digest(&file.bytes);
            let known = list.entry(file.name.clone()).or_default();
            if !known.contains(&digest) {
                known.push(digest.clone());
            }
            digests.insert(file.name.clone(), vec![digest]);
        }
        let mut before = old.clone();
        before.extend(list.clone());
        self.write_list(before)?;
        let written: Result<Vec<PathBuf>> = files.par_iter().map(|file| self.write(file)).collect();
        let paths = written?;
        for (name, digests) in &old {
            self.remove(name, digests)?;
        }
        list.extend(digests);
        self.write_list(list)?;
        Ok((paths, self.notes))
    }

    /// Sees to the file's folder, and puts a file that is not homebench's out of its way.
    fn make_room(&mut self, file: &NewFile, has_entries: bool) -> Result<()> {
        if let Some(folder) = Path::new(&file.name).parent() {
            create_dir_inside(&self.root, folder)?;
        }
        let path = self.root.join(&file.name);
        let Some(known) = self
            .known
            .as_ref()
            .filter(|_| has_entries && !file.has_times)
        else {
            return Ok(());
        };
        if std::fs::symlink_metadata(&path).is_err() {
            return Ok(());
        }
        let now = file_digest(&path).filter(|_| !path.is_symlink());
        let is_own = now.is_some_and(|now| {
            let is_new = now == bytes_digest(&file.bytes);
            is_new
                || known
                    .get(&file.name)
                    .is_some_and(|known| known.contains(&now))
        });
        if !is_own {
            let aside = set_aside(&path, "kept")?;
            self.notes.push(format!(
                "{} is not as homebench wrote it: kept as {}",
                path.display(),
                aside.display()
            ));
        }
        Ok(())
    }

    fn write(&self, file: &NewFile) -> Result<PathBuf> {
        let path = self.root.join(&file.name);
        // What is there already need not be written again.
        let is_there = !path.is_symlink()
            && file_digest(&path).is_some_and(|now| now == bytes_digest(&file.bytes));
        if !is_there {
            write_whole(&path, &file.bytes)?;
        }
        Ok(path)
    }

    fn remove(&mut self, name: &str, digests: &[String]) -> Result<()> {
        let path = self.root.join(name);
        let is_plain = Path::new(name)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if !is_plain || std::fs::symlink_metadata(&path).is_err() {
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
