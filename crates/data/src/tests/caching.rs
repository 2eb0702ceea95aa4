//! The cache: damage is found, what is in use or somebody else's stays.

use super::*;
use crate::{Clearing, DescriptionState, RowSubset, cached_datasets, clear_cache, open_checked};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

fn open_noting(dataset: &Dataset, checked: Option<&str>) -> (Prepared, Vec<String>) {
    let mut notices = Notices::default();
    let reference = DatasetRef::new("shop");
    let prepared = open_checked(&reference, &dataset.places(), checked, &mut notices).unwrap();
    notices.0.retain(|notice| notice.contains("is not whole"));
    (prepared, notices.0)
}

fn identity(dataset: &Dataset) -> String {
    let reference = DatasetRef::new("shop");
    let summary = crate::prepare(&reference, &dataset.places(), &mut Notices::default()).unwrap();
    summary.hold.identity().to_owned()
}

/// Changes one byte of a file in place.
fn flip(path: &Path, place: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[place] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn any_changed_byte_of_any_file_is_found_and_the_dataset_made_again() {
    let dataset = Dataset::new();
    let rows = all(&dataset.open().unwrap().train);
    let folder = dataset.prepared_folder();
    let files = names(&folder);
    assert!(files.len() > 5, "{files:?}");
    for name in files
        .iter()
        .filter(|name| !["CACHEDIR.TAG", "in-use"].contains(&name.as_str()))
    {
        let checked = identity(&dataset);
        let bytes = std::fs::metadata(folder.join(name)).unwrap().len() as usize;
        for place in [0, bytes / 3, bytes / 2, bytes - 1] {
            flip(&folder.join(name), place);
            // Also where somebody has read the files before they were changed.
            let (prepared, notices) = open_noting(&dataset, Some(&checked));
            assert_eq!(notices.len(), 1, "{name} {place}: {notices:?}");
            assert!(notices[0].contains(name.as_str()), "{name}: {notices:?}");
            let again = all(&prepared.train);
            assert_eq!(
                (again.categorical, again.labels),
                (rows.categorical.clone(), rows.labels.clone())
            );
            assert!(open_noting(&dataset, None).1.is_empty());
        }
    }
}

#[test]
fn files_that_another_process_has_read_are_known_again_and_no_others_are() {
    let dataset = Dataset::new();
    let first = identity(&dataset);
    assert_eq!(identity(&dataset), first);
    assert_eq!(first.len(), 64);
    // The same bytes in another file are to be read again.
    let path = dataset.prepared_folder().join("train.arrow");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    assert_ne!(identity(&dataset), first);
    assert!(open_noting(&dataset, Some(&first)).1.is_empty());
}

#[test]
fn a_change_while_rows_are_read_is_told_and_a_touch_or_a_removal_is_none() {
    let dataset = Dataset::new();
    let prepared = dataset.open().unwrap();
    let folder = dataset.prepared_folder();
    let path = folder.join("validation.arrow");
    prepared.watch.check().unwrap();
    let touched = File::options().append(true).open(&path).unwrap();
    touched.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    prepared.watch.check().unwrap();
    flip(&path, 100);
    let said = dataset.said(&prepared.watch.check().unwrap_err().into());
    assert!(
        said.contains("validation.arrow: the prepared dataset was changed while it was read"),
        "{said}"
    );
    assert!(
        said.ends_with("hint: run this again: the dataset is prepared again"),
        "{said}"
    );
    flip(&path, 100);
    std::fs::remove_dir_all(&folder).unwrap();
    prepared.watch.check().unwrap();
}

#[test]
fn what_killed_preparations_left_goes_with_the_next_of_any_dataset() {
    let dataset = Dataset::new();
    let cache = dataset.path("cache");
    let left = |name: &str, locked: bool| {
        let folder = cache.join(format!(".building-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("train.arrow"), "cut").unwrap();
        std::fs::write(folder.join("test.spill"), "cut").unwrap();
        let lock = File::create(folder.join("in-use")).unwrap();
        if locked {
            lock.lock().unwrap();
        }
        lock
    };
    drop(left("0123456789abcdef-dead", false));
    let _alive = left("0123456789abcdef-alive", true);
    drop(left("fedcba9876543210-mine", false));
    dataset.write("cache/.building-fedcba9876543210-mine/notes.md", "mine");
    // Of a version that locks no folders, but holds a lock beside them.
    let old = left("00000000deadbeef-old", false);
    std::fs::remove_file(cache.join(".building-00000000deadbeef-old/in-use")).unwrap();
    drop(old);
    let lock = File::create(cache.join("feed-00000000deadbeef.lock")).unwrap();
    lock.lock().unwrap();
    std::os::unix::fs::symlink("/", cache.join(".building-link")).unwrap();
    dataset.open().unwrap();
    let mut building = names(&cache);
    building.retain(|name| name.starts_with(".building-"));
    assert_eq!(
        building,
        [
            ".building-00000000deadbeef-old",
            ".building-0123456789abcdef-alive",
            ".building-fedcba9876543210-mine",
            ".building-link"
        ]
    );
    assert_eq!(
        names(&cache.join(".building-fedcba9876543210-mine")),
        ["notes.md"]
    );
}

#[test]
fn the_cache_is_listed_with_what_descriptions_say_of_it_today() {
    let dataset = Dataset::new();
    assert!(cached_datasets(&dataset.places()).unwrap().is_empty());
    drop(dataset.open().unwrap());
    let one = |expected: DescriptionState| {
        let found = cached_datasets(&dataset.places()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "shop");
        assert_eq!(found[0].rows, Some(6));
        assert!(found[0].bytes > 1000 && !found[0].is_in_use);
        assert_eq!(found[0].description, expected);
    };
    one(DescriptionState::Same);
    dataset.write(
        "descriptions/shop.toml",
        &DESCRIPTION.replace("buckets = 4", "buckets = 3"),
    );
    one(DescriptionState::Changed);
    std::fs::remove_file(dataset.path("descriptions/shop.toml")).unwrap();
    one(DescriptionState::Gone);
}

#[test]
fn only_datasets_that_nobody_uses_and_only_files_of_the_cache_are_cleared() {
    let dataset = Dataset::new();
    let part = DatasetRef {
        rows: RowSubset::TrainRows(2),
        ..DatasetRef::new("shop")
    };
    let used = dataset.open().unwrap();
    drop(crate::prepare(&part, &dataset.places(), &mut Notices::default()).unwrap());
    dataset.write(
        "cache/notes-0123456789abcdef/manifest.toml",
        "mine = true\n",
    );
    dataset.write("cache/notes.md", "mine");
    let clear = |wanted: &Clearing, is_trial: bool| -> Vec<Option<String>> {
        let cleared = clear_cache(&dataset.places(), wanted, is_trial).unwrap();
        cleared.into_iter().map(|cleared| cleared.kept).collect()
    };
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    assert!(clear(&Clearing::UnusedSince(long_ago), false).is_empty());
    let mut kept = clear(&Clearing::All, true);
    kept.sort();
    assert_eq!(kept, [None, Some("it is in use".to_owned())]);
    assert_eq!(cached_datasets(&dataset.places()).unwrap().len(), 2);
    clear(&Clearing::Named("shop".to_owned()), false);
    let left = cached_datasets(&dataset.places()).unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].is_in_use);
    drop(used);
    // Something of somebody's in the folder keeps all of it.
    std::fs::write(left[0].folder.join("notes.md"), "mine").unwrap();
    let kept = clear(&Clearing::All, false);
    assert!(
        kept[0]
            .as_ref()
            .unwrap()
            .ends_with("notes.md was not made by homebench"),
        "{kept:?}"
    );
    std::fs::remove_file(left[0].folder.join("notes.md")).unwrap();
    assert_eq!(clear(&Clearing::All, false), [None]);
    assert!(
        dataset
            .path("cache/notes-0123456789abcdef/manifest.toml")
            .exists()
    );
    assert!(dataset.path("cache/notes.md").exists());
    let said = clear_cache(
        &dataset.places(),
        &Clearing::Named("shpo".to_owned()),
        false,
    )
    .unwrap_err();
    assert!(
        said.message
            .contains("no prepared dataset has the name `shpo`"),
        "{said}"
    );
}

#[test]
fn a_dataset_named_by_the_path_of_its_description_is_prepared_in_the_cache() {
    let dataset = Dataset::new();
    let path = dataset.path("descriptions/shop");
    let reference = DatasetRef::new(path.to_str().unwrap());
    let places = Places {
        data: dataset.path("data/shop"),
        ..dataset.places()
    };
    crate::prepare(&reference, &places, &mut Notices::default()).unwrap();
    assert_eq!(names(&dataset.path("descriptions")), ["shop.toml"]);
    assert!(dataset.prepared_folder().starts_with(dataset.path("cache")));
}

#[test]
fn a_damaged_dataset_with_a_strangers_file_is_left_to_its_owner() {
    let dataset = Dataset::new();
    drop(dataset.open().unwrap());
    let folder = dataset.prepared_folder();
    std::fs::write(folder.join("notes.md"), "mine").unwrap();
    flip(&folder.join("train.arrow"), 9);
    let said = dataset.refusal();
    assert!(
        said.contains("notes.md: something that homebench did not make"),
        "{said}"
    );
    assert!(folder.join("notes.md").exists());
}
