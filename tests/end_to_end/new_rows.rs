//! Scores of new rows that come in other files, and by products of other precisions, than the training's.

use crate::harness::Bench;
use crate::shop::{MODELS, bench, bits, cells, numbers, parquet, rows, run};
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::ipc::writer::FileWriter;
use parquet::arrow::ArrowWriter;
use std::fs::File;
use std::sync::Arc;

/// The columns that inputs are made of, with their types.
fn batch(rows: &[[String; 10]]) -> RecordBatch {
    let words = |column: usize| -> ArrayRef {
        let values = rows.iter().map(|row| Some(row[column].as_str()));
        Arc::new(values.collect::<StringArray>())
    };
    let prices = rows.iter().map(|row| row[6].parse::<f64>().ok());
    let prices: ArrayRef = Arc::new(prices.collect::<Float64Array>());
    RecordBatch::try_from_iter_with_nullable([
        ("price", prices, true),
        ("tags", words(5), true),
        ("color", words(4), true),
        ("visitor", words(3), true),
        ("item", words(1), true),
    ])
    .expect("columns of one length")
}

fn write_parquet(bench: &Bench, name: &str, rows: &RecordBatch) {
    let file = File::create(bench.path(name)).expect("a file");
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).expect("Parquet");
    writer.write(rows).expect("rows");
    writer.close().expect("Parquet");
}

fn write_arrow(bench: &Bench, name: &str, rows: &RecordBatch) {
    let file = File::create(bench.path(name)).expect("a file");
    let mut writer = FileWriter::try_new(file, &rows.schema()).expect("Arrow");
    writer.write(rows).expect("rows");
    writer.finish().expect("Arrow");
}

#[test]
fn scores_of_every_precision_are_those_of_training_from_files_of_any_layout() {
    let bench = bench(&MODELS);
    let source = batch(&rows());
    std::fs::create_dir(bench.path("parts")).expect("a folder");
    write_parquet(&bench, "parts/a.parquet", &source.slice(0, 401));
    write_parquet(&bench, "parts/b.parquet", &source.slice(401, 499));
    write_arrow(&bench, "first.arrow", &source.slice(0, 7));
    write_parquet(&bench, "rest.parquet", &source.slice(7, 893));
    for precision in ["bf16", "bf16x3"] {
        let precise = format!("training.precision={precision}");
        let more = ["--predictions", "test", "--set", &precise];
        run(&bench, precision, &more).expect(0);
        for (variant, id) in cells(&bench, precision) {
            let folder = format!("{precision}/cells/{id}");
            let test = parquet(&bench, &format!("{folder}/predictions.test.parquet"));
            let places = numbers(&test, "source_row");
            for files in [&["parts"][..], &["first.arrow", "rest.parquet"]] {
                let out = ["--out", "scores.parquet", "--threads", "1"];
                let arguments = [&["predict", &folder], files, &out].concat();
                bench.run(&arguments).expect(0);
                let all = parquet(&bench, "scores.parquet");
                for task in ["score_buys", "score_stays"] {
                    let anew = bits(&all, task);
                    assert_eq!(anew.len(), 900);
                    let places = places.iter();
                    let of_test = places.map(|place| anew[place.expect("a row") as usize]);
                    let of_test: Vec<u64> = of_test.collect();
                    assert_eq!(of_test, bits(&test, task), "{variant} {task} {files:?}");
                }
            }
        }
    }
}
