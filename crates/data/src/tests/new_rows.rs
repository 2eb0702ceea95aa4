//! New rows: what is said of them, and refusals whose mends can be followed.

use super::*;
use crate::{NewRows, ScoredRows, TableFormat};
use homebench_diagnostic::Document;

const DESCRIBED: &str = r#"source = "table"
default_protocol = "all"
columns = ["row", { name = "u", type = "text" }, "x", "y"]
user = "u"
optional = ["x"]
[files.log]
name = "log.csv"
[files.users]
name = "users.csv"
[joins.user]
file = "users"
on = "u"
columns = ["u", "age"]
[split]
kind = "time"
column = "row"
validation_from = 30
test_from = 45
[features]
age = { kind = "numeric", transform = ["standardise"] }
x = { kind = "numeric" }
[tasks.y]
label = "y"
group = "a"
[protocols.all]
tasks = ["y"]
"#;

/// Users 1, 2 and 3, of whom 3 has no age.
fn dataset() -> Dataset {
    let dataset = Dataset::described(DESCRIBED, "", "");
    let mut log = "row,u,x,y\n".to_owned();
    for row in 0..60 {
        log.push_str(&format!(
            "{row},{},{},{}\n",
            row % 3 + 1,
            row % 5,
            row * 7 / 3 % 2
        ));
    }
    dataset.write("data/shop/log.csv", &log);
    dataset.write("data/shop/users.csv", "u,age\n1,10\n2,20\n3,\n");
    dataset
}

fn score(dataset: &Dataset, files: &[&str]) -> anyhow::Result<ScoredRows> {
    score_by(DESCRIBED, dataset, files)
}

fn score_by(described: &str, dataset: &Dataset, files: &[&str]) -> anyhow::Result<ScoredRows> {
    dataset.open().unwrap();
    let numbers = std::fs::read_to_string(dataset.prepared_folder().join("numbers.csv")).unwrap();
    let document = Document::new("description.toml", described);
    let description = crate::schema::Description::parse("shop", &document).unwrap();
    let canonical = description.protocol(None).unwrap().canonical();
    let digest = blake3::hash(canonical.as_bytes()).to_hex().to_string();
    let rows = NewRows::new("shop", described, "all", None, &digest, None, &numbers).unwrap();
    let files: Vec<PathBuf> = files.iter().map(|file| dataset.path(file)).collect();
    let mut model = |batch: &crate::Batch| Ok(vec![0.0; batch.num_rows]);
    let places = dataset.places();
    let scored = rows.score(
        &files,
        &places,
        Vec::new(),
        TableFormat::Csv,
        &mut model,
        &mut Notices::default(),
    )?;
    Ok(scored.1)
}

#[test]
fn rows_without_a_row_in_a_table_and_missing_numbers_are_said_as_preparation_says_them() {
    let dataset = dataset();
    // By hand: two keys that are not there and one that is missing; one age of a row that is there; two x.
    dataset.write("new.csv", "u,x\nu1,1\n1,\n3,2\n,\n");
    dataset.write("more.csv", "u,x\nu2,1\n");
    let scored = score(&dataset, &["new.csv", "more.csv"]).unwrap();
    assert_eq!(scored.num_rows, 5);
    assert_eq!(
        scored.said,
        [
            "3 of 5 rows have no row in users.csv; its columns are empty there; 1 of them have no `u`",
            "`x` is missing on 2 of 5 rows: inputs made of it are 0 after their transformation, or bucket 0",
            "`age` is missing on 1 of 5 rows, though users.csv has a row for them: inputs made of it are 0 after their transformation, \
             or bucket 0",
        ]
    );
    dataset.write("whole.csv", "u,x\n1,1\n2,0\n");
    assert_eq!(
        score(&dataset, &["whole.csv"]).unwrap().said,
        [] as [&str; 0]
    );
}

#[test]
fn a_key_that_some_files_have_is_said_of_the_one_that_lacks_it() {
    let described = DESCRIBED.replace(
        "columns = [\"row\",",
        "keys = [\"id\", \"visit\"]\ncolumns = [\"id\", \"visit\", \"row\",",
    );
    let dataset = Dataset::described(&described, "", "");
    let mut log = "id,visit,row,u,x,y\n".to_owned();
    for row in 0..60 {
        let (user, y) = (row % 3 / 2 + 1, row % 2);
        log.push_str(&format!("{row},{row},{row},{user},0,{y}\n"));
    }
    dataset.write("data/shop/log.csv", &log);
    dataset.write("data/shop/users.csv", "u,age\n1,10\n2,20\n");
    dataset.write("whole.csv", "id,visit,u,x\n7,8,1,1\n");
    dataset.write("visits.csv", "visit,u,x\n8,1,1\n");
    dataset.write("bare.csv", "x,u\n1,2\n");
    let absent = |files: &[&str]| {
        let scored = score_by(&described, &dataset, files).unwrap();
        let absent = scored.absent.into_iter().map(|absent| {
            let file = absent.file.as_deref().and_then(std::path::Path::file_name);
            let file = file.map(|name| name.to_string_lossy().into_owned());
            (absent.column, file)
        });
        absent.collect::<Vec<_>>()
    };
    let of = |column: &str, file: Option<&str>| (column.to_owned(), file.map(str::to_owned));
    assert!(absent(&["whole.csv"]).is_empty());
    assert_eq!(absent(&["bare.csv"]), [of("id", None), of("visit", None)]);
    let bare = Some("bare.csv");
    assert_eq!(
        absent(&["whole.csv", "visits.csv", "bare.csv"]),
        [of("id", Some("visits.csv")), of("visit", bare)]
    );
    assert_eq!(
        absent(&["visits.csv", "bare.csv"]),
        [of("id", None), of("visit", bare)]
    );
}

#[test]
fn hints_ask_for_another_file_and_never_for_another_description() {
    let dataset = dataset();
    for (text, message) in [
        ("u;x\n1;2\n", "there is no column `u`"),
        ("u,x\n1,none\n", "expected a number, found `none`"),
        ("u,x\n1, 2\n", "expected a number, found ` 2`"),
    ] {
        dataset.write("new.csv", text);
        let refused = score(&dataset, &["new.csv"]).unwrap_err().to_string();
        assert!(refused.contains(message), "{refused}");
        let hint = "new rows are read by the description that the cell was trained with: write them as its files are: text with \
                    \",\" between fields and a first line of names, or Parquet or Arrow";
        assert!(refused.contains(hint), "{refused}");
    }
    dataset.write("new.csv", "u,x\n1,2\n");
    assert!(score(&dataset, &["new.csv"]).is_ok());
}
