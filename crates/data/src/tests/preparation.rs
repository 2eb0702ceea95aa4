use super::*;
use crate::packed::{Widths, map};
use crate::{RowSubset, Summary, prepare, verify};

fn summary(dataset: &Dataset, rows: RowSubset) -> (Summary, Vec<String>) {
    let mut notices = Notices::default();
    let reference = DatasetRef {
        rows,
        ..DatasetRef::new("shop")
    };
    let summary = prepare(&reference, &dataset.places(), &mut notices).unwrap();
    (summary, notices.0)
}

/// A table large enough for several pieces and record batches.
fn large() -> Dataset {
    let rows = |count: u32, factor: u32| {
        (0..count)
            .map(|row| {
                let value = row.wrapping_mul(factor);
                format!(
                    "shade {:<8}, {}, {}\n",
                    value % 977,
                    f64::from(value % 1000) / 8.0,
                    ["no", "yes"][usize::from(value % 7 == 0)]
                )
            })
            .collect::<String>()
    };
    Dataset::described(
        DESCRIPTION,
        &rows(150_000, 2_654_435_761),
        &rows(140_000, 2_246_822_519),
    )
}

#[test]
fn vocabularies_and_statistics_come_from_train_alone() {
    let dataset = Dataset::new();
    let prepared = dataset.open().unwrap();
    let names: Vec<_> = prepared
        .schema
        .categorical
        .iter()
        .map(|f| (f.name.as_str(), f.vocabulary_size))
        .collect();
    assert_eq!(names, [("color", 4), ("size_bucket", 5)]);
    assert_eq!(prepared.schema.numeric, ["size"]);
    let train = all(&prepared.train);
    // red is the most frequent, then by text: blue, green. Buckets: one for each of four sizes.
    assert_eq!(train.categorical, [1, 1, 2, 2, 1, 3, 3, 4]);
    assert_eq!(train.labels, [1.0, 0.0, 0.0, 1.0]);
    let deviation = 1.25f64.sqrt();
    let expected = [-1.5, -0.5, 0.5, 1.5].map(|value: f64| (value / deviation) as f32);
    assert_eq!(train.numeric, expected);
    // The held-out rows, one each: blue of size 1, and white, which no training row has, of size 4.
    let widths = Widths {
        categorical: 2,
        lists: 0,
        numeric: 1,
        labels: 1,
        user: 0,
        weight: 0,
    };
    let path = dataset.prepared_folder().join("test.arrow");
    let test = map(&std::fs::File::open(&path).unwrap(), &path, widths).unwrap();
    let mut held_out = [
        all(&prepared.validation).categorical,
        test.blocks[0].categorical.to_vec(),
    ];
    held_out.sort();
    assert_eq!(held_out, [[0, 4], [2, 1]]);
    assert_eq!(prepared.test.num_rows(), 1);
}

#[test]
fn a_summary_tells_rows_and_rates_but_nothing_of_the_test_labels() {
    let dataset = Dataset::new();
    let (summary, notices) = summary(&dataset, RowSubset::All);
    assert_eq!(
        (
            summary.train.rows,
            summary.validation.rows,
            summary.test_rows
        ),
        (4, 1, 1)
    );
    assert_eq!(summary.train.positive_rate(0), Some(0.5));
    assert_eq!(
        notices,
        [
            "the one value of the feature `color` in the test split was not seen in training",
            "no label of the task `buys` is positive in the validation split (1 rows): it has no AUC there"
        ]
    );
    let manifest =
        std::fs::read_to_string(dataset.prepared_folder().join("manifest.toml")).unwrap();
    let test = &manifest[manifest.find("split = \"test\"").unwrap()..];
    assert!(test[..test.find("bytes").unwrap()].contains("positives = []"));
}

#[test]
fn the_cache_is_the_same_at_any_number_of_threads() {
    let dataset = large();
    let bytes = |threads: usize, cache: &str| {
        let places = Places {
            cache: dataset.path(cache),
            ..dataset.places()
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| prepare(&DatasetRef::new("shop"), &places, &mut Notices::default()))
            .unwrap();
        let folder = std::fs::read_dir(&places.cache)
            .unwrap()
            .map(|e| e.unwrap().path())
            .find(|p| p.is_dir())
            .unwrap();
        [
            "manifest.toml",
            "train.arrow",
            "validation.arrow",
            "test.arrow",
            "vocabularies.csv",
            "numbers.csv",
        ]
        .map(|name| std::fs::read(folder.join(name)).unwrap())
    };
    assert!(bytes(1, "cache-a") == bytes(5, "cache-b"));
}

#[test]
fn gathering_gives_the_rows_that_reading_gives() {
    let prepared = large().open().unwrap();
    let (split, num_rows) = (&prepared.train, prepared.train.num_rows());
    assert_eq!(num_rows, 150_000);
    let whole = all(split);
    let order: Vec<u32> = (0..5000u32)
        .map(|i| i.wrapping_mul(2_654_435_761) % num_rows as u32)
        .collect();
    let mut batch = crate::Batch::default();
    split.gather(&order, &mut batch).unwrap();
    for (at, row) in order.iter().map(|row| *row as usize).enumerate() {
        assert_eq!(
            batch.categorical[at * 2..at * 2 + 2],
            whole.categorical[row * 2..row * 2 + 2]
        );
        assert_eq!(batch.numeric[at], whole.numeric[row]);
        assert_eq!(batch.labels[at], whole.labels[row]);
    }
    // Across the edge of two record batches.
    split.read(65_530..65_550, &mut batch).unwrap();
    assert_eq!(batch.categorical, whole.categorical[65_530 * 2..65_550 * 2]);
    let error = split.gather(&[0, num_rows as u32], &mut batch).unwrap_err();
    assert_eq!(
        error.to_string(),
        "row 150000 was asked for, the split has 150000"
    );
    assert!(split.read(149_999..150_001, &mut batch).is_err());
}

#[test]
fn a_row_subset_is_another_dataset_of_exactly_that_many_rows() {
    let dataset = large();
    let (whole, _) = summary(&dataset, RowSubset::All);
    let (some, _) = summary(&dataset, RowSubset::TrainRows(3_000));
    assert_eq!(
        (some.train.rows, some.validation.rows, some.test_rows),
        (3_000, 1_400, 1_400)
    );
    assert_ne!(some.content_hash, whole.content_hash);
    let (_, notices) = summary(&dataset, RowSubset::TrainRows(200_000));
    assert_eq!(
        notices[0],
        "200000 training rows were asked for, there are 150000; all are used"
    );
}

#[test]
fn the_content_hash_follows_files_and_meaning_but_not_prose() {
    let hash = |description: &str, train: &str| {
        Dataset::described(description, train, TEST)
            .open()
            .unwrap()
            .content_hash
    };
    let first = hash(DESCRIPTION, TRAIN);
    assert_eq!(
        first,
        hash(&format!("about = \"prose\"\n{DESCRIPTION}"), TRAIN)
    );
    assert_ne!(first, hash(DESCRIPTION, &TRAIN.replace("red", "rose")));
    assert_ne!(
        first,
        hash(&DESCRIPTION.replace("buckets = 4", "buckets = 3"), TRAIN)
    );
    assert_ne!(
        first,
        hash(
            &DESCRIPTION.replace("group = \"shop\"", "group = \"other\""),
            TRAIN
        )
    );
}

#[test]
fn a_cut_cache_file_is_noticed_and_made_again() {
    let dataset = Dataset::new();
    let before = all(&dataset.open().unwrap().train);
    let file = dataset.prepared_folder().join("train.arrow");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let (_, notices) = summary(&dataset, RowSubset::All);
    assert_eq!(notices.len(), 3, "{notices:?}");
    assert!(
        notices[0].contains("train.arrow has ") && notices[0].ends_with("it is prepared again"),
        "{notices:?}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    assert_eq!(
        all(&dataset.open().unwrap().train).categorical,
        before.categorical
    );
}

#[test]
fn verify_finds_a_flipped_byte_that_opening_does_not() {
    let dataset = Dataset::new();
    dataset.open().unwrap();
    let check = || {
        verify(
            &DatasetRef::new("shop"),
            &dataset.places(),
            &mut Notices::default(),
        )
    };
    assert_eq!(check().unwrap().prepared, Some(dataset.prepared_folder()));
    let file = dataset.prepared_folder().join("validation.arrow");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let said = dataset.said(&check().unwrap_err());
    assert!(
        said.contains("the prepared dataset is damaged: ")
            && said.contains("validation.arrow has other bytes"),
        "{said}"
    );
    assert!(said.ends_with("hint: remove the folder; it is made again when it is needed"));
}

#[test]
fn what_a_killed_preparation_leaves_is_never_read_and_is_removed() {
    let dataset = Dataset::new();
    dataset.open().unwrap();
    let folder = dataset.prepared_folder();
    let hash = folder
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .replace("shop-", "");
    let leftover = dataset.path("cache").join(format!(".building-{hash}-x1"));
    std::fs::rename(&folder, &leftover).unwrap();
    std::fs::remove_file(leftover.join("manifest.toml")).unwrap();
    dataset.open().unwrap();
    assert!(folder.join("manifest.toml").is_file() && !leftover.exists());
}

#[test]
fn a_changed_source_file_is_prepared_anew() {
    let dataset = Dataset::new();
    let before = dataset.open().unwrap();
    dataset.write("data/shop/train.csv", &TRAIN.replace("green", "black!"));
    let after = dataset.open().unwrap();
    assert_ne!(before.content_hash, after.content_hash);
}

#[test]
fn many_threads_that_open_at_once_prepare_once() {
    let dataset = large();
    let hashes: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| dataset.open().unwrap().content_hash))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    dataset.prepared_folder();
}

#[test]
fn a_header_and_quotes_are_read_as_described() {
    let description = DESCRIPTION.replace("has_header = false", "has_header = true\nquotes = true");
    let header = "color,size,label\r\n";
    let train =
        format!("{header}\"red, dark\",1,yes\r\n\"two\nlines\",2,no\r\n\"red, dark\",3,no\r\n");
    let dataset = Dataset::described(&description, &train, &format!("{header}{TEST}"));
    let prepared = dataset.open().unwrap();
    assert_eq!(prepared.train.num_rows(), 3);
    assert_eq!(prepared.schema.categorical[0].vocabulary_size, 3);
    assert_eq!(all(&prepared.train).labels, [1.0, 0.0, 0.0]);
}

#[test]
fn a_constant_number_is_said_and_is_zero() {
    let dataset = Dataset::described(DESCRIPTION, "red, 5, yes\nblue, 5, no\n", TEST);
    let (_, notices) = summary(&dataset, RowSubset::All);
    assert_eq!(
        notices,
        [
            "the feature `size` is the same (5) on every training row; it is 0 everywhere",
            "the feature `size_bucket` is the same (5) on every training row",
            "the one value of the feature `color` in the test split was not seen in training",
            "no label of the task `buys` is positive in the validation split (1 rows): it has no AUC there"
        ]
    );
    assert_eq!(all(&dataset.open().unwrap().train).numeric, [0.0, 0.0]);
    let rounded = "red, 0.7, yes\nblue, 0.7000000000000001, no\n";
    let dataset = Dataset::described(DESCRIPTION, rounded, TEST);
    let (_, notices) = summary(&dataset, RowSubset::All);
    assert_eq!(
        notices[0],
        "the feature `size` is the same (0.7 but for rounding) on every training row; it is 0 everywhere"
    );
    assert_eq!(all(&dataset.open().unwrap().train).numeric, [0.0, 0.0]);
}

#[test]
fn a_row_that_is_not_observed_has_no_label_and_is_not_counted() {
    let described = DESCRIPTION.replace(
        "group = \"shop\"",
        "group = \"shop\"\nobserved = 'color != \"red\"'",
    );
    let dataset = Dataset::described(&described, TRAIN, TEST);
    let labels = all(&dataset.open().unwrap().train).labels;
    // red and red are left out; blue is negative, green positive.
    assert!(labels[0].is_nan() && labels[2].is_nan(), "{labels:?}");
    assert_eq!([labels[1], labels[3]], [0.0, 1.0]);
    let (summary, _) = summary(&dataset, RowSubset::All);
    assert_eq!(
        (summary.train.rows, &*summary.train.observed),
        (4, &[2][..])
    );
    assert_eq!(summary.train.positive_rate(0), Some(0.5));
    // Another mask is another dataset.
    let other = described.replace("!= \"red\"", "!= \"mauve\"");
    let other = Dataset::described(&other, TRAIN, TEST);
    assert_ne!(
        other.open().unwrap().content_hash,
        dataset.open().unwrap().content_hash
    );
}

#[test]
fn a_task_that_no_row_observes_is_refused() {
    let described = DESCRIPTION.replace(
        "group = \"shop\"",
        "group = \"shop\"\nobserved = 'color == \"mauve\"'",
    );
    assert_eq!(
        Dataset::described(&described, TRAIN, TEST).refusal(),
        "/data/shop/train.csv: no row of the train split is observed by the task `buys`: its `observed` is (`color` = 'mauve')\n\
         hint: correct `observed` of the task, or leave the task out of the protocol"
    );
}

#[test]
fn a_broken_mask_is_refused_where_it_is_broken() {
    let described =
        DESCRIPTION.replace("group = \"shop\"", "group = \"shop\"\nobserved = 'size ='");
    let said = Dataset::described(&described, TRAIN, TEST).refusal();
    assert!(
        said.contains("shop.toml:21:19: expected a value or a condition, found the end"),
        "{said}"
    );
}

#[test]
fn users_are_numbered_over_all_splits_and_weights_are_kept() {
    let described =
        DESCRIPTION.replace("[format]", "user = \"color\"\nweight = \"size\"\n[format]");
    let dataset = Dataset::described(&described, TRAIN, TEST);
    let prepared = dataset.open().unwrap();
    assert_eq!(prepared.schema.user.as_deref(), Some("color"));
    let train = all(&prepared.train);
    assert_eq!(train.users, [0, 1, 0, 2]);
    assert_eq!(train.weights, [1.0, 2.0, 3.0, 4.0]);
    let validation = all(&prepared.validation);
    // Blue was seen in training, white was not.
    assert!(
        [vec![1], vec![3]].contains(&validation.users),
        "{:?}",
        validation.users
    );
}

#[test]
fn a_user_or_weight_that_is_no_column_and_a_negative_weight_are_refused() {
    let with = |lines: &str| DESCRIPTION.replace("[format]", &format!("{lines}\n[format]"));
    let said = Dataset::described(&with("user = \"colour\""), TRAIN, TEST).refusal();
    assert!(
        said.contains("there is no column `colour`\nhint: did you mean `color`?"),
        "{said}"
    );
    let said = Dataset::described(&with("weight = \"size\""), "red, -1, yes\n", TEST).refusal();
    assert_eq!(
        said,
        "/data/shop/train.csv:1:6: column `size`: expected a weight of 0 or more, found `-1`\nhint: correct the row, or leave it out with filter = \"size >= 0\""
    );
}
