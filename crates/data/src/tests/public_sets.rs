//! The descriptions of public datasets, on rows made up in the form of their files; digests and numbers of rows left out.

use super::*;
use crate::NOBODY;
use crate::schema::Description;
use crate::seal::{FinalPhase, FrozenSelection};
use std::path::Path;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets")
}

/// The shipped description of this name, of files of any content.
pub(super) fn of_any_files(name: &str) -> Dataset {
    let text = std::fs::read_to_string(folder().join(format!("{name}.toml"))).unwrap();
    let mut is_file = false;
    let lines = text.lines().filter(|line| {
        if line.starts_with('[') {
            is_file = line.starts_with("[files.");
        }
        let is_fixed = ["bytes = ", "sha256 = ", "rows = "].iter();
        !(is_file && is_fixed.into_iter().any(|key| line.starts_with(key)))
    });
    let dataset = Dataset::new();
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    dataset.write(&format!("descriptions/{name}.toml"), &text);
    dataset
}

/// Train, validation and test.
pub(super) fn splits(dataset: &Dataset, name: &str) -> (crate::Schema, [crate::Batch; 3]) {
    let prepared = super::super::open(
        &DatasetRef::new(name),
        &dataset.places(),
        &mut Notices::default(),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let selection = FrozenSelection::freeze(1, FinalPhase::of_a_final_cell());
    let test = prepared.test.open(&selection).unwrap();
    (
        prepared.schema,
        [all(&prepared.train), all(&prepared.validation), all(&test)],
    )
}

/// The texts that a categorical feature has ids for, from 1 on.
fn vocabulary(dataset: &Dataset, feature: &str) -> Vec<String> {
    let text = std::fs::read_to_string(dataset.prepared_folder().join("vocabularies.csv")).unwrap();
    let entries = text.lines().filter_map(|line| {
        let mut fields = line.split(',');
        (fields.next() == Some(feature)).then(|| fields.nth(1).unwrap_or_default().to_owned())
    });
    entries.collect()
}

/// The texts of a categorical feature of the rows of a split, `?` where training doesn't have it.
pub(super) fn values(
    dataset: &Dataset,
    schema: &crate::Schema,
    batch: &crate::Batch,
    feature: &str,
) -> Vec<String> {
    let texts = vocabulary(dataset, feature);
    let width = schema.categorical.len();
    let place = schema
        .categorical
        .iter()
        .position(|found| found.name == feature);
    let place = place.unwrap_or_else(|| panic!("no feature {feature}"));
    let ids = batch
        .categorical
        .chunks(width)
        .map(|row| row[place] as usize);
    ids.map(|id| match id {
        0 => "?".to_owned(),
        id => texts[id - 1].clone(),
    })
    .collect()
}

#[test]
fn a_shipped_description_that_is_fetched_names_its_licence_and_whom_to_cite() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let description = Description::load(&folder(), &stem).unwrap();
        if description.files.is_empty() {
            continue;
        }
        // Of files that somebody else made, whether they are fetched or put there by hand.
        assert!(!description.licence.is_empty(), "{stem}: no licence");
        assert!(
            description.about.contains("doi 10.") || description.about.contains("Cite "),
            "{stem}: nothing to cite"
        );
        if let Some(recipe) = &description.fetch {
            assert_eq!(recipe.sha256.len(), 64, "{stem}");
            for file in &description.files {
                let fixed = (file.sha256.is_some(), file.bytes.is_some(), file.rows);
                assert!(
                    matches!(fixed, (true, true, Some(_))),
                    "{stem}: {}",
                    file.name
                );
            }
            names.push(stem);
        }
    }
    names.sort();
    assert_eq!(
        names,
        ["census-income", "complete-journey", "movielens-100k"]
    );
}

/// The times are 4 December 1997 at 15:55:49 (a Thursday), 31 January 1998 at 23:59:59 (a Saturday), the second after it (Sunday, 1 February),
/// and Sunday, 1 March, at 0:00:00.
const RATINGS: &str = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n\
    1\t10\t5\t881250949\n2\t10\t4\t881250949\n2\t11\t3\t886291199\n1\t267\t2\t886291199\n\
    9\t10\t1\t886291200\n9\t12\t5\t888710399\n1\t11\t1\t888710400\n8\t10\t4\t893286638\n";
const PEOPLE: &str = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n\
    1\t24\tM\ttechnician\t85711\n2\t54\tF\tother\t94043\n8\t39\tM\tother\tT8H1N\n9\t24\tF\twriter\t85200\n";
const FILMS: &str = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n\
    10\tToy Story\t1995\tAnimation Children's Comedy\n11\tGoldenEye\t1990\tAction\n\
    12\tLand Before Time\tV\tAnimation Drama\n267\tunkonwn\tunkonwn\tunknown\n";

#[test]
fn movielens_has_four_tasks_of_one_rating_and_is_divided_by_time() {
    let dataset = of_any_files("movielens-100k");
    for (name, text) in [("inter", RATINGS), ("user", PEOPLE), ("item", FILMS)] {
        dataset.write(&format!("data/movielens-100k/ml-100k.{name}"), text);
    }
    let (schema, [train, validation, test]) = splits(&dataset, "movielens-100k");
    let tasks: Vec<_> = schema.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(tasks, ["like", "love", "dislike", "hate"]);
    assert_eq!(schema.groups, ["praise", "blame"]);
    // Ratings 5, 4, 3 and 2; then 1 and 5; then 1 and 4.
    assert_eq!(
        train.labels,
        [
            [1., 1., 0., 0.],
            [1., 0., 0., 0.],
            [0., 0., 0., 0.],
            [0., 0., 1., 0.]
        ]
        .concat()
    );
    assert_eq!(validation.labels, [0., 0., 1., 1., 1., 1., 0., 0.]);
    assert_eq!(test.labels, [0., 0., 1., 1., 1., 0., 0., 0.]);
    // GAUC is by user. The rating is no input, nor is its time.
    assert_eq!(train.users.len(), 4);
    assert_eq!(train.users[0], train.users[3]);
    let inputs = schema.categorical.iter().map(|feature| &feature.name);
    for name in inputs.chain(&schema.numeric) {
        assert!(!["rating", "timestamp"].contains(&name.as_str()), "{name}");
    }
    let read = |batch, feature| values(&dataset, &schema, batch, feature);
    assert_eq!(read(&train, "hour"), ["15", "15", "23", "23"]);
    assert_eq!(read(&validation, "hour"), ["?", "23"]);
    assert_eq!(read(&train, "weekday"), ["4", "4", "6", "6"]);
    assert_eq!(read(&validation, "gender"), ["F", "F"]);
    assert_eq!(read(&test, "zip_region"), ["8", "?"]);
    assert_eq!(read(&test, "user_id"), ["1", "?"]);
    // Ages 24, 54, 54, 24: the mean is 39 and the deviation 15. The film's age is ln(1 + 2), twice, ln(1 + 8), and missing, which is the mean.
    let width = schema.numeric.len();
    let numbers = |batch: &crate::Batch, name: &str| -> Vec<f32> {
        let place = schema
            .numeric
            .iter()
            .position(|found| found == name)
            .unwrap();
        batch.numeric.chunks(width).map(|row| row[place]).collect()
    };
    assert_eq!(numbers(&train, "age"), [-1., 1., 1., -1.]);
    assert_eq!(numbers(&test, "age"), [-1., 0.]);
    let film_age = numbers(&train, "film_age");
    assert_eq!(film_age[0], film_age[1]);
    assert_eq!(film_age[3], 0.0);
    // Three numbers of which two are the same: -1 / sqrt(2), twice, and sqrt(2), whatever they are.
    assert!(
        (f64::from(film_age[2]) - 2f64.sqrt()).abs() < 1e-6,
        "{film_age:?}"
    );
    assert!(
        (f64::from(film_age[0]) + 0.5f64.sqrt()).abs() < 1e-6,
        "{film_age:?}"
    );
    // Ids by count, then by text: Animation, Children's and Comedy twice each, then Action and unknown. Drama is new in validation.
    assert_eq!(schema.lists[0].name, "genres");
    assert_eq!(train.list_ids, [1, 2, 3, 1, 2, 3, 4, 5]);
    assert_eq!(validation.list_ids, [1, 2, 3, 1, 0]);
}

#[test]
fn the_id_of_a_user_is_an_input_of_movielens_unless_it_is_left_out() {
    let description = Description::load(&folder(), "movielens-100k").unwrap();
    let names = |protocol: &str| {
        let source = description.protocol(Some(protocol)).unwrap().source.clone();
        let crate::schema::Source::Table(plan) = source else {
            panic!()
        };
        let features = plan.features.iter().map(|feature| feature.name.clone());
        features.collect::<Vec<_>>()
    };
    let [without, with] = [names("without-user-id"), names("opinions")];
    assert!(!without.contains(&"user_id".to_owned()));
    assert_eq!(with.len(), without.len() + 1);
    assert!(with.contains(&"user_id".to_owned()));
}

/// A file of a header and of rows that are all `0` but for these columns.
fn table(header: &[String], rows: &[&[(&str, &str)]]) -> String {
    let mut text = header.join(",") + "\n";
    for row in rows {
        let value = |name: &String| {
            let found = row.iter().find(|(column, _)| column == name);
            found.map_or("0", |(_, value)| value)
        };
        let fields: Vec<&str> = header.iter().map(value).collect();
        text += &(fields.join(",") + "\n");
    }
    text
}

#[test]
fn aliexpress_compares_products_of_a_search_and_a_purchase_comes_after_a_click() {
    let dataset = of_any_files("aliexpress-nl");
    let mut header = vec!["search_id".to_owned()];
    header.extend((1..=16).map(|number| format!("categorical_{number}")));
    header.extend((1..=63).map(|number| format!("numerical_{number}")));
    header.extend(["click".to_owned(), "conversion".to_owned()]);
    let train = table(
        &header,
        &[
            &[
                ("search_id", "3"),
                ("categorical_1", "8"),
                ("numerical_1", "1.0"),
                ("click", "1"),
            ],
            &[
                ("search_id", "3"),
                ("categorical_1", "9"),
                ("click", "1"),
                ("conversion", "1"),
            ],
            &[
                ("search_id", "4"),
                ("categorical_1", "9"),
                ("numerical_1", "1.0"),
            ],
            &[
                ("search_id", "4"),
                ("categorical_1", "9"),
                ("numerical_1", "0.0"),
            ],
        ],
    );
    let test = table(&header, &[&[("search_id", "3")] as &[_]; 6]);
    dataset.write("data/aliexpress-nl/train.csv", &train);
    dataset.write("data/aliexpress-nl/test.csv", &test);
    let (schema, [train, validation, test]) = splits(&dataset, "aliexpress-nl");
    assert_eq!(train.labels, [1., 0., 1., 1., 0., 0., 0., 0.]);
    assert_eq!(schema.after(), [None, Some(0)]);
    assert_eq!((schema.categorical.len(), schema.numeric.len()), (16, 63));
    assert_eq!([validation.num_rows, test.num_rows], [3, 3]);
    assert_eq!(train.users[0], train.users[1]);
    assert_ne!(train.users[1], train.users[2]);
    let read = |batch, feature| values(&dataset, &schema, batch, feature);
    assert_eq!(read(&train, "categorical_1"), ["8", "9", "9", "9"]);
    let first: Vec<f32> = train.numeric.chunks(63).map(|row| row[0]).collect();
    assert_eq!(first, [1., -1., 1., -1.]);
}

#[test]
fn ali_ccp_has_a_scenario_and_rare_users_are_nobody() {
    let dataset = of_any_files("ali-ccp");
    let ids = "101,121,122,124,125,126,127,128,129,205,206,207,210,216,508,509,702,853,301,109_14,110_14,127_14,150_14";
    let header =
        format!("click,purchase,{ids},D109_14,D110_14,D127_14,D150_14,D508,D509,D702,D853");
    let header: Vec<String> = header.split(',').map(str::to_owned).collect();
    let train = table(
        &header,
        &[
            &[
                ("101", "1"),
                ("205", "7"),
                ("301", "1"),
                ("D508", "0.5605"),
                ("click", "1"),
            ],
            &[
                ("101", "1"),
                ("205", "2"),
                ("301", "2"),
                ("click", "1"),
                ("purchase", "1"),
            ],
            &[("101", "0"), ("205", "2"), ("301", "1"), ("D508", "0.5605")],
            &[("101", "0"), ("205", "2"), ("301", "3")],
        ],
    );
    let held: [&[(&str, &str)]; 4] = [&[("101", "1"), ("301", "2")]; 4];
    dataset.write("data/ali-ccp/ali_ccp_train.csv", &train);
    dataset.write("data/ali-ccp/ali_ccp_val.csv", &table(&header, &held));
    dataset.write("data/ali-ccp/ali_ccp_test.csv", &table(&header, &held));
    let (schema, [train, validation, test]) = splits(&dataset, "ali-ccp");
    assert_eq!(train.labels, [1., 0., 1., 1., 0., 0., 0., 0.]);
    assert_eq!(schema.after(), [None, Some(0)]);
    assert_eq!((schema.categorical.len(), schema.numeric.len()), (23, 8));
    assert_eq!([validation.num_rows, test.num_rows], [4, 4]);
    assert_eq!(train.users[0], train.users[1]);
    assert_eq!(train.users[2..], [NOBODY, NOBODY]);
    let scenario = &schema.categorical[schema.scenario.unwrap()];
    assert_eq!(
        (scenario.name.as_str(), scenario.vocabulary_size),
        ("position", 4)
    );
    let read = |batch, feature| values(&dataset, &schema, batch, feature);
    assert_eq!(read(&train, "item_id"), ["7", "2", "2", "2"]);
    let place = schema
        .numeric
        .iter()
        .position(|name| name == "category_match_count");
    let counts = train.numeric.chunks(8).map(|row| row[place.unwrap()]);
    assert_eq!(counts.collect::<Vec<_>>(), [1., -1., 1., -1.]);
}
