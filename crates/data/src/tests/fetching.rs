use super::*;
use crate::fetch::{Fetched, fetch};
use crate::source_files::sha256_of;
use sha2::{Digest, Sha256};

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The description with checksums, a recipe nobody can follow, and a name for files put there by hand.
fn description() -> String {
    let file = |name: &str, text: &str| {
        format!(
            "name = \"{name}.csv\"\nother_names = [\"{name}.data\"]\nbytes = {}\nsha256 = \"{}\"\nrows = {}\n",
            text.len(),
            sha256(text),
            text.lines().count()
        )
    };
    let recipe = format!(
        "[fetch]\npackage = \"no-such-package-of-homebench\"\nversion = \"0\"\narchive = \"x.tar.gz\"\nsha256 = \"{}\"\n\
         [fetch.members]\ntrain = \"x/train\"\ntest = \"x/test\"\n",
        "0".repeat(64)
    );
    DESCRIPTION
        .replace("name = \"train.csv\"\n", &file("train", TRAIN))
        .replace("name = \"test.csv\"\n", &file("test", TEST))
        + &recipe
}

fn run(dataset: &Dataset) -> (Result<Fetched, String>, Vec<String>) {
    let mut notices = Notices::default();
    let fetched = fetch("shop", &dataset.places(), &mut notices);
    (fetched.map_err(|error| dataset.said(&error)), notices.0)
}

#[test]
fn files_that_are_there_and_right_are_left_alone() {
    let dataset = Dataset::described(&description(), TRAIN, TEST);
    let (fetched, notices) = run(&dataset);
    assert_eq!(
        fetched,
        Ok(Fetched::AlreadyThere(dataset.path("data/shop")))
    );
    assert!(notices.is_empty());
}

#[test]
fn a_cut_file_is_refused_by_name_before_anything_is_downloaded() {
    let dataset = Dataset::described(&description(), &TRAIN[..20], TEST);
    let expected = "/data/shop/train.csv: expected 49 bytes, found 20: the file is cut or another one\n\
                    hint: remove /data/shop/train.csv and run `homebench data fetch shop`";
    assert_eq!(run(&dataset).0.unwrap_err(), expected);
    assert_eq!(dataset.refusal(), expected);
}

#[test]
fn a_changed_file_of_the_right_size_is_refused_even_after_it_was_right() {
    let dataset = Dataset::described(&description(), TRAIN, TEST);
    dataset.open().unwrap();
    dataset.write("data/shop/train.csv", &TRAIN.replace("red", "ted"));
    let said = dataset.refusal();
    assert!(
        said.starts_with(&format!(
            "/data/shop/train.csv: expected SHA-256 {}, found ",
            sha256(TRAIN)
        )),
        "{said}"
    );
}

#[test]
fn a_missing_file_with_a_recipe_names_the_command() {
    let dataset = Dataset::described(&description(), TRAIN, TEST);
    std::fs::remove_file(dataset.path("data/shop/train.csv")).unwrap();
    assert_eq!(
        dataset.refusal(),
        "/data/shop/train.csv: the file is missing\nhint: run `homebench data fetch shop`"
    );
}

#[test]
fn a_publishers_file_put_there_by_hand_is_taken_by_its_rows_and_that_is_said() {
    let dataset = Dataset::described(&description(), TRAIN, TEST);
    std::fs::remove_file(dataset.path("data/shop/train.csv")).unwrap();
    dataset.write("data/shop/train.data", &TRAIN.replace(", ", " , "));
    let mut notices = Notices::default();
    let prepared =
        super::super::open(&DatasetRef::new("shop"), &dataset.places(), &mut notices).unwrap();
    assert_eq!(prepared.train.num_rows(), 4);
    assert!(
        notices.0[0].contains("train.data: its SHA-256 ")
            && notices.0[0].contains("accepted if it has 4 rows"),
        "{:?}",
        notices.0
    );
    // With a row missing it is no such file.
    dataset.write("data/shop/train.data", &TRAIN[..TRAIN.len() - 14]);
    assert!(
        dataset
            .refusal()
            .starts_with("/data/shop/train.data: expected 4 rows, found 3"),
        "{}",
        dataset.refusal()
    );
}

#[test]
fn the_same_bytes_under_the_publishers_name_are_the_same_dataset() {
    let dataset = Dataset::described(&description(), TRAIN, TEST);
    let before = dataset.open().unwrap().content_hash;
    std::fs::rename(
        dataset.path("data/shop/train.csv"),
        dataset.path("data/shop/train.data"),
    )
    .unwrap();
    assert_eq!(dataset.open().unwrap().content_hash, before);
}

#[test]
fn a_checksum_is_that_of_the_whole_file() {
    let dataset = Dataset::new();
    assert_eq!(
        sha256_of(&dataset.path("data/shop/train.csv")).unwrap(),
        sha256(TRAIN)
    );
}

#[test]
fn files_that_nothing_can_download_are_named_and_their_terms_are_said() {
    let described = format!("about = \"Sales.\"\nlicence = \"\"\"\nCC0\n\"\"\"\n{DESCRIPTION}");
    let dataset = Dataset::described(&described, TRAIN, TEST);
    std::fs::remove_file(dataset.path("data/shop/train.csv")).unwrap();
    let (fetched, notices) = run(&dataset);
    assert_eq!(
        fetched.unwrap_err(),
        "shop: the description has no [fetch]: nothing can download its files\n\
         hint: put train.csv, test.csv into /data/shop by hand"
    );
    assert_eq!(notices, ["Sales.", "CC0"]);
}
