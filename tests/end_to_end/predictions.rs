//! Predictions of cells, and scores of rows that no cell has seen.

use crate::harness::{Bench, repository};
use crate::shop::{
    DESCRIPTION, MODELS, auc, bench, bits, cells, csv_of, numbers, parquet, rows, run, spec,
};
use arrow::array::AsArray;
use arrow::datatypes::DataType;

#[test]
fn predictions_of_every_model_name_their_rows_and_are_what_the_model_says_of_them_anew() {
    let bench = bench(&MODELS);
    run(&bench, "one", &["--predictions", "validation,test"]).expect(0);
    let source = rows();
    // Nothing of the training is left but the results and the joined table.
    std::fs::rename(bench.path("data/shop/rows.csv"), bench.path("new.csv")).expect("a file");
    std::fs::remove_file(bench.path("descriptions/shop.toml")).expect("a file");
    bench.write("bare.csv", &csv_of(&source, &[6, 5, 4, 3, 1]));
    let metrics = bench.rows("one/metrics.csv");
    let cells = cells(&bench, "one");
    assert_eq!(cells.len(), MODELS.len());
    for (variant, id) in &cells {
        let folder = format!("one/cells/{id}");
        let test = parquet(&bench, &format!("{folder}/predictions.test.parquet"));
        let validation = parquet(&bench, &format!("{folder}/predictions.validation.parquet"));
        let names: Vec<String> = test
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        assert_eq!(
            names,
            [
                "row",
                "source_row",
                "visitor",
                "session",
                "item",
                "seen",
                "label_buys",
                "observed_buys",
                "score_buys",
                "label_stays",
                "observed_stays",
                "score_stays",
            ]
        );
        assert_eq!(*test.schema().field(3).data_type(), DataType::Int64);
        let places: Vec<usize> = numbers(&test, "source_row")
            .iter()
            .map(|row| row.unwrap() as usize)
            .collect();
        // The days of the test, as far as the filter keeps their rows: a price that is missing is not known to be below 90.
        let expected: Vec<usize> = (0..source.len())
            .filter(|row| source[*row][9].as_str() >= "2024-01-08")
            .filter(|row| {
                source[*row][6]
                    .parse::<f64>()
                    .is_ok_and(|price| price < 90.0)
            })
            .collect();
        assert_eq!(places, expected, "{variant}");
        let (stays, buys) = (numbers(&test, "label_stays"), numbers(&test, "label_buys"));
        for (row, place) in places.iter().enumerate() {
            let stay: f64 = source[*place][7].parse().unwrap();
            assert_eq!(stays[row], Some(stay));
            let bought: f64 = source[*place][8].parse().unwrap();
            assert_eq!(buys[row], (stay > 2.0).then_some(bought));
            assert_eq!(
                test.column(3)
                    .as_primitive::<arrow::datatypes::Int64Type>()
                    .value(row)
                    .to_string(),
                source[*place][0]
            );
        }
        // The metrics of the table, from the file alone.
        for (split, rows) in [("test", &test), ("validation", &validation)] {
            let pairs = numbers(rows, "score_buys")
                .into_iter()
                .zip(numbers(rows, "label_buys"));
            let (scores, labels): (Vec<f64>, Vec<f64>) = pairs
                .filter_map(|(score, label)| Some((score?, label?)))
                .unzip();
            let row = metrics.iter().find(|row| {
                row[0] == *id && &row[3] == split && &row[4] == "buys" && &row[5] == "auc"
            });
            let written: f64 = row.expect("an AUC")[6].parse().expect("a number");
            assert!(
                (auc(&scores, &labels) - written).abs() < 1e-12,
                "{variant} {split}"
            );
        }
        // The same rows as new ones, with and without labels and keys.
        for file in ["new.csv", "bare.csv"] {
            let ran = bench
                .run(&[
                    "predict",
                    &folder,
                    file,
                    "--out",
                    "scores.parquet",
                    "--threads",
                    "2",
                ])
                .expect(0);
            assert!(ran.stderr.contains("900 rows scored"), "{}", ran.stderr);
            assert!(
                ran.stderr
                    .contains("the filter of the description is not applied"),
                "{}",
                ran.stderr
            );
            assert!(
                ran.stderr.contains("color: 1 of 900 values"),
                "{}",
                ran.stderr
            );
            assert_eq!(
                ran.stderr.contains("the files have no session, seen"),
                file == "bare.csv",
                "{}",
                ran.stderr
            );
            let all = parquet(&bench, "scores.parquet");
            for task in ["score_buys", "score_stays"] {
                let anew = bits(&all, task);
                let of_test: Vec<u64> = places.iter().map(|place| anew[*place]).collect();
                assert_eq!(of_test, bits(&test, task), "{variant} {task} {file}");
            }
        }
    }
    // CSV on stdout has the same scores.
    let folder = format!("one/cells/{}", cells["mmoe"]);
    let ran = bench.run(&["predict", &folder, "bare.csv"]).expect(0);
    bench
        .run(&["predict", &folder, "bare.csv", "--out", "scores.parquet"])
        .expect(0);
    let all = parquet(&bench, "scores.parquet");
    let mut reader = csv::Reader::from_reader(ran.stdout.as_bytes());
    let mut name = |name: &str| {
        reader
            .headers()
            .expect("names")
            .iter()
            .position(|other| other == name)
    };
    let place = name("score_buys");
    let read: Vec<u64> = (reader.records())
        .map(|row| {
            row.expect("a row")[place.unwrap()]
                .parse::<f64>()
                .expect("a score")
                .to_bits()
        })
        .collect();
    assert_eq!(read, bits(&all, "score_buys"));
}

#[test]
fn predictions_asked_for_later_train_nothing_and_have_the_same_bytes_and_are_sealed() {
    let bench = bench(&MODELS[..2]);
    // As docs/predictions.md has it.
    let page = repository().join("docs/predictions.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, block) = page.split_once("```toml\n").expect("an example");
    let (block, _) = block.split_once("```").expect("its end");
    assert!(block.contains("predictions ="), "{block}");
    bench.write(
        "asks.toml",
        &format!("{}{block}jobs = 2\n", spec(&MODELS[..2])),
    );
    let run = |spec: &str, out: &str, more: &[&str]| {
        let mut arguments = vec!["run", spec, "--out", out, "--descriptions", "descriptions"];
        arguments.extend(more);
        bench.run(&arguments)
    };
    run("asks.toml", "at_once", &["--threads", "1"]).expect(0);
    run("shop.toml", "later", &["--threads", "2"]).expect(0);
    let cells = cells(&bench, "later");
    let before: Vec<String> = cells
        .values()
        .map(|id| bench.read(&format!("later/cells/{id}/throughput.csv")))
        .collect();
    assert!(
        !bench
            .path(&format!(
                "later/cells/{}/predictions.test.parquet",
                cells["logistic"]
            ))
            .exists()
    );
    let ran = run("shop.toml", "later", &["--predictions", "validation,test"]).expect(0);
    assert!(ran.stderr.contains("nothing is trained"), "{}", ran.stderr);
    let after: Vec<String> = cells
        .values()
        .map(|id| bench.read(&format!("later/cells/{id}/throughput.csv")))
        .collect();
    assert_eq!(before, after);
    // The specs differ in [run], which is no part of the resolved spec.
    bench.assert_same_results("later", "at_once");
    bench.run(&["status", "later"]).expect(0);
    let file = format!("later/cells/{}/predictions.test.parquet", cells["logistic"]);
    let mut bytes = std::fs::read(bench.path(&file)).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(bench.path(&file), bytes).expect("a file");
    let ran = bench.run(&["status", "later"]).expect(1);
    assert!((ran.stdout + &ran.stderr).contains("predictions.test.parquet"));
}

#[test]
fn what_can_not_be_predicted_is_refused_with_its_place_and_a_mend() {
    let bench = bench(&MODELS[..1]);
    run(&bench, "one", &[]).expect(0);
    let cells = cells(&bench, "one");
    let folder = format!("one/cells/{}", cells["logistic"]);
    let placed = |arguments: &[&str], words: &[&str]| {
        let ran = bench.run(arguments).expect(2);
        for words in words {
            assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        }
        ran.stderr
    };
    let refused = |arguments: &[&str], words: &[&str]| {
        let said = placed(arguments, words);
        assert!(said.contains("hint:"), "{said}");
    };
    let source = rows();
    bench.write("no_color.csv", &csv_of(&source, &[6, 5, 3, 1]));
    refused(
        &["predict", &folder, "no_color.csv"],
        &["there is no column `color`", "no_color.csv"],
    );
    bench.write(
        "text.csv",
        "color,visitor,item,tags,price\nred,v1,i1,a,cheap\n",
    );
    placed(
        &["predict", &folder, "text.csv"],
        &["price", "cheap", "text.csv"],
    );
    placed(&["predict", &folder, "gone.csv"], &["gone.csv"]);
    refused(&["predict", "one", "new.csv"], &["cell.toml"]);
    bench.write("new.csv", &csv_of(&source, &[1, 3, 4, 5, 6]));
    refused(
        &["predict", &folder, "new.csv", "--out", "scores.txt"],
        &[".parquet", ".csv"],
    );
    refused(
        &["predict", &folder, "new.csv", "--out", "new.csv"],
        &["this command reads it"],
    );
    // Nor is anything of a results folder that homebench wrote.
    let before = bench.files("one", &[]);
    for out in ["one/metrics.csv", "one/cells/../cells.csv"] {
        refused(
            &["predict", &folder, "new.csv", "--out", out],
            &["homebench itself writes there", "name another file"],
        );
    }
    for out in ["one/metrics.csv", &format!("{folder}/weights.safetensors")] {
        refused(
            &["relatedness", &folder, "--out", out],
            &["can't be written"],
        );
    }
    assert_eq!(bench.files("one", &[]), before);
    refused(
        &[
            "run",
            "shop.toml",
            "--set",
            "run.predictions=[\"tets\"]",
            "--out",
            "two",
            "--descriptions",
            "descriptions",
        ],
        &["tets", "test"],
    );
    let clashing = DESCRIPTION
        .replace("\"session\", \"item\", { name", "\"row\", \"item\", { name")
        .replace("keys = [\"session\"", "keys = [\"row\"");
    bench.write("descriptions/clash.toml", &clashing);
    std::fs::create_dir(bench.path("data/clash")).expect("a folder");
    bench.write(
        "data/clash/rows.csv",
        &csv_of(&source, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).replacen("session", "row", 1),
    );
    bench.write("data/clash/brands.csv", &bench.read("data/shop/brands.csv"));
    refused(
        &[
            "run",
            "shop.toml",
            "--set",
            "dataset.name=clash",
            "--predictions",
            "test",
            "--out",
            "two",
            "--descriptions",
            "descriptions",
        ],
        &["the column `row` has the name of another column of predictions"],
    );
    // What is kept of the data, one after another.
    let kept = std::fs::read_dir(bench.path("one/data")).expect("a folder");
    let kept = kept.flatten().next().expect("a dataset").path();
    let moved = bench.path("brands.csv");
    std::fs::rename(bench.path("data/shop/brands.csv"), &moved).expect("a file");
    refused(
        &["predict", &folder, "new.csv"],
        &["brands.csv", "--data-dir"],
    );
    std::fs::rename(&moved, bench.path("data/shop/brands.csv")).expect("a file");
    for file in [
        "description.toml",
        "numbers.csv",
        "vocabularies.csv.zst",
        "data.toml",
    ] {
        let path = kept.join(file);
        let bytes = std::fs::read(&path).expect("a file");
        std::fs::write(&path, [&bytes[..], b"\n"].concat()).expect("a file");
        refused(&["predict", &folder, "new.csv"], &[file, "altered"]);
        let ran = bench.run(&["status", "one"]).expect(1);
        assert!((ran.stdout + &ran.stderr).contains(file));
        std::fs::remove_file(&path).expect("a file");
        let ran = bench.run(&["predict", &folder, "new.csv"]).expect(2);
        assert!(ran.stderr.contains("hint:"), "{}", ran.stderr);
        std::fs::write(&path, bytes).expect("a file");
    }
    let said = bench.run(&["predict", &folder, "new.csv"]).expect(0).stderr;
    assert!(!said.contains("is not the table"), "{said}");
    let table = bench.path("data/shop/brands.csv");
    let bytes = std::fs::read(&table).expect("a file");
    std::fs::write(&table, [&bytes[..], b"zz9,nobody\n"].concat()).expect("a file");
    let said = bench.run(&["predict", &folder, "new.csv"]).expect(0).stderr;
    assert!(
        said.contains("data/shop/brands.csv is not the table that training read: rows are joined to what it holds now"),
        "{said}"
    );
    std::fs::write(&table, bytes).expect("a file");
    let weights = bench.path(&format!("{folder}/weights.safetensors"));
    let bytes = std::fs::read(&weights).expect("a file");
    std::fs::write(&weights, &bytes[1..]).expect("a file");
    refused(
        &["predict", &folder, "new.csv"],
        &["weights.safetensors", "altered"],
    );
}

#[test]
fn rows_of_an_embedded_source_have_predictions_and_no_new_rows() {
    let bench = Bench::new();
    bench
        .quickstart("one", &["--predictions", "test", "--only", "*/1"])
        .expect(0);
    let cells = cells(&bench, "one");
    let (_, id) = cells.first_key_value().expect("a cell");
    let test = parquet(&bench, &format!("one/cells/{id}/predictions.test.parquet"));
    assert!(test.num_rows() > 100);
    let schema = test.schema();
    assert_eq!(schema.field(0).name(), "row");
    assert!(schema.field(2).name().starts_with("label_"), "{schema}");
    assert_eq!(numbers(&test, "row")[7], Some(7.0));
    bench.write("new.csv", "a\n1\n");
    let ran = bench
        .run(&["predict", &format!("one/cells/{id}"), "new.csv"])
        .expect(2);
    assert!(ran.stderr.contains("embedded source"), "{}", ran.stderr);
    let report = bench.read("one/report.md");
    assert!(
        report.contains("## Data") && report.contains("inputs:"),
        "{report}"
    );
}
