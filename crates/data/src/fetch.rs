//! Getting source files: a package's source archive through pip, checked, unpacked, checked again, put in place.

use super::schema::{Description, FetchRecipe};
use super::source_files::{Trust, locate, sha256_of};
use super::{Observer, Places, cant_write};
use anyhow::Result;
use flate2::read::GzDecoder;
use homebench_diagnostic::Diagnostic;
use std::fs::File;
use std::io::ErrorKind;
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
/// An unknown dataset or one without a recipe, a wrong file in place, no pip, a failed download, an archive or a member
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
    let Some(recipe) = &description.fetch else {
        return Err(Diagnostic::new(
            name,
            "the description has no [fetch]: nobody knows where its files are",
        )
        .hint(format!("put them into {} by hand", folder.display()))
        .into());
    };
    std::fs::create_dir_all(&folder).map_err(|error| cant_write(&folder, &error))?;
    // Removed on every way out; what a kill leaves is under no file's name.
    let temporary = tempfile::Builder::new()
        .prefix(".fetching-")
        .tempdir_in(&folder);
    let temporary = temporary.map_err(|error| cant_write(&folder, &error))?;
    observer.notice(&format!(
        "downloading {} {} with pip",
        recipe.package, recipe.version
    ));
    let archive = download(recipe, temporary.path())?;
    check_sha256(&archive, &recipe.archive, &recipe.sha256)?;
    let members = unpack(recipe, &archive, temporary.path())?;
    put_in_place(&description, &members, &folder)?;
    check_all(observer)?;
    Ok(Fetched::Done(folder))
}

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
        // The bytes have to be on the disk before the name is, or a loss of power leaves a whole
        // name on half a file.
        let placed = File::open(member)
            .and_then(|member| member.sync_all())
            .and_then(|()| std::fs::rename(member, &place));
        placed.map_err(|error| cant_write(&place, &error))?;
    }
    Ok(())
}

/// Ways to start pip, in the order they are tried.
const PIPS: [&[&str]; 4] = [
    &["python3", "-m", "pip"],
    &["pip3"],
    &["pip"],
    &["python", "-m", "pip"],
];

fn download(recipe: &FetchRecipe, into: &Path) -> Result<PathBuf, Diagnostic> {
    let requirement = format!("{}=={}", recipe.package, recipe.version);
    let mut last_failure = None;
    for pip in PIPS {
        let mut command = Command::new(pip[0]);
        command
            .args(&pip[1..])
            // What the package depends on is nothing that a description names.
            .args(["download", "--no-deps", "--disable-pip-version-check"])
            .arg("--dest")
            .arg(into)
            // The source archive, whatever else may be published one day.
            .args(["--no-binary", &recipe.package])
            .arg(&requirement);
        match command.output() {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => last_failure = Some(error.to_string()),
            Ok(output) => {
                // pip also runs the package's set-up script to learn its metadata. It may fail; the archive counts.
                let archive = into.join(&recipe.archive);
                if archive.is_file() {
                    return Ok(archive);
                }
                last_failure = Some(String::from_utf8_lossy(&output.stderr).trim().to_owned());
            }
        }
    }
    Err(match last_failure {
        None => Diagnostic::new(&requirement, "pip is needed to download it, and there is none (tried `python3 -m pip`, `pip3`, `pip`, `python -m pip`)")
            .hint(format!(
                "install Python with pip, or download {} by other means and put the files it holds into the data folder",
                recipe.archive
            )),
        Some(failure) => Diagnostic::new(&requirement, format!("pip could not download {}: {failure}", recipe.archive))
            .hint("check the network and pip's index settings, then run the command again"),
    })
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
fn unpack(recipe: &FetchRecipe, archive: &Path, into: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let damaged = |error: std::io::Error| {
        Diagnostic::new(&recipe.archive, format!("can't unpack: {error}"))
            .hint("free some space, then run the command again")
    };
    let places: Vec<PathBuf> = (0..recipe.members.len())
        .map(|index| into.join(format!("{index}.part")))
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
        let mut place = File::create(&places[index]).map_err(damaged)?;
        std::io::copy(&mut entry, &mut place).map_err(damaged)?;
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
