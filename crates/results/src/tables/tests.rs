//! The bytes of tables, and what is read back from them.

use super::*;
use crate::outcome::Status;
use crate::phase::Phase;
use crate::sample::Sample;
use std::path::Path;

/// Numbers that the csv crate would write otherwise: small, whole, large.
const NUMBERS: [Option<f64>; 5] = [Some(1e-7), Some(1.0), Some(1e21), Some(-0.0), None];

fn text<T: Table>(rows: impl IntoIterator<Item = T>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes, rows).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn floats_are_written_as_text_is_and_text_is_quoted_where_it_must_be() {
    let scores = NUMBERS.map(|value| MetricsRow {
        cell: "aa",
        variant: "a, \"b\"",
        seed: 3,
        split: "test",
        task: "click",
        metric: "auc",
        value,
        rows: 10,
        positives: value.map(|_| 4),
    });
    insta::assert_snapshot!(text(scores), @r#"
    cell,variant,seed,split,task,metric,value,rows,positives
    aa,"a, ""b""",3,test,click,auc,0.0000001,10,4
    aa,"a, ""b""",3,test,click,auc,1,10,4
    aa,"a, ""b""",3,test,click,auc,1000000000000000000000,10,4
    aa,"a, ""b""",3,test,click,auc,-0,10,4
    aa,"a, ""b""",3,test,click,auc,,10,
    "#);
}

#[test]
fn every_table_has_its_columns_in_their_order_and_no_float_with_an_exponent() {
    let (small, none) = (Some(1e-7), None);
    let tables = [
        text([CellsRow {
            cell: "aa",
            variant: "v",
            model: "m",
            dataset: "d",
            seed: 3,
            status: Status::Failed,
            error: "too\nslow",
            selected_epoch: none,
            epochs_run: Some(2),
            validation_score: small,
            parameters: none,
            flops_per_row: none,
            phase: Some(Phase::Tuning),
            trial: Some(4),
            split_seed: none,
            tries: Some(1),
            log: Some("l".to_owned()),
        }]),
        text([TuningRow {
            variant: "v".to_owned(),
            trial: 4,
            cell: "aa".to_owned(),
            seed: 3,
            validation_score: small,
            is_selected: true,
            split_seed: Some(7),
        }]),
        text([CurvesRow {
            split: "train",
            value: small,
            ..CurvesRow::default()
        }]),
        text([ExpertsRow {
            expert: Some(1),
            value: small,
            ..ExpertsRow::default()
        }]),
        text([GatesRow {
            expert_path: "p",
            value: small,
            ..GatesRow::default()
        }]),
        text([HistogramsRow {
            low: small,
            high: small,
            ..HistogramsRow::default()
        }]),
        text([ThroughputRow {
            train_seconds: small,
            train_rows_per_second: small,
            evaluation_seconds: small,
            total_seconds: small,
            cpu_seconds: small,
            ..ThroughputRow::default()
        }]),
        text::<SettingsRow>([]),
    ];
    insta::assert_snapshot!(tables.concat(), @r#"
    cell,variant,model,dataset,seed,status,error,selected_epoch,epochs_run,validation_score,parameters,flops_per_row,phase,trial,split_seed,tries,log
    aa,v,m,d,3,failed,"too
    slow",,2,0.0000001,,,tuning,4,,1,l
    variant,trial,cell,seed,validation_score,selected,split_seed
    v,4,aa,3,0.0000001,true,7
    cell,variant,seed,epoch,step,split,task,metric,value
    ,,0,0,0,train,,,0.0000001
    cell,variant,seed,epoch,step,layer,path,expert,task,metric,value
    ,,0,0,0,0,,1,,,0.0000001
    cell,variant,seed,epoch,step,layer,path,task,expert_path,expert,metric,value
    ,,0,0,0,0,,,p,,,0.0000001
    cell,variant,seed,epoch,step,layer,path,expert,low,high,count
    ,,0,0,0,0,,0,0.0000001,0.0000001,0
    cell,variant,seed,device,threads,train_rows,train_seconds,train_rows_per_second,evaluation_rows,evaluation_seconds,total_seconds,peak_memory_bytes,cpu_seconds,tries
    ,,0,,0,,0.0000001,0.0000001,,0.0000001,0.0000001,,0.0000001,0
    cell,variant,setting,value
    "#);
}

#[test]
fn every_finite_number_is_read_back_as_it_was_to_the_last_bit() {
    let numbers = [
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        -0.0,
        0.1 + 0.2,
        1e300,
    ];
    let folder = tempfile::tempdir().unwrap();
    let rows = numbers.map(|number| MetricsRow {
        split: "test",
        value: Some(number),
        ..MetricsRow::default()
    });
    std::fs::write(folder.path().join(MetricsRow::FILE), text(rows)).unwrap();
    let read = read_rows::<MetricsRow, _>(folder.path(), |row, _| Ok(row.value)).unwrap();
    let bits = |number: f64| number.to_bits();
    assert_eq!(
        read.into_iter().map(bits).collect::<Vec<_>>(),
        numbers.map(bits)
    );
}

#[test]
fn a_number_that_is_not_finite_is_refused_where_it_would_be_written_in_every_column_of_numbers() {
    fn refusal<T: Table>(row: T) -> String {
        let mut bytes = Vec::new();
        format!("{:#}", write(&mut bytes, [row]).unwrap_err())
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let value = Some(number);
        let scored = MetricsRow {
            split: "test",
            value,
            ..MetricsRow::default()
        };
        let point = CurvesRow {
            split: "train",
            value,
            ..CurvesRow::default()
        };
        let expert = ExpertsRow {
            value,
            ..ExpertsRow::default()
        };
        let gate = GatesRow {
            value,
            ..GatesRow::default()
        };
        let low = HistogramsRow {
            low: value,
            ..HistogramsRow::default()
        };
        let high = HistogramsRow {
            high: value,
            ..HistogramsRow::default()
        };
        let seconds = ThroughputRow {
            cpu_seconds: value,
            ..ThroughputRow::default()
        };
        let trial = TuningRow {
            variant: String::new(),
            trial: 1,
            cell: String::new(),
            seed: 0,
            validation_score: value,
            is_selected: true,
            split_seed: None,
        };
        let refused = [
            (refusal(scored), "metrics.csv"),
            (refusal(point), "curves.csv"),
            (refusal(expert), "experts.csv"),
            (refusal(gate), "gates.csv"),
            (refusal(low), "expert_histograms.csv"),
            (refusal(high), "expert_histograms.csv"),
            (refusal(seconds), "throughput.csv"),
            (refusal(trial), "tuning.csv"),
        ];
        for (said, file) in refused {
            assert_eq!(
                said,
                format!("writing {file}: expected a finite number or nothing, found {number}")
            );
        }
    }
}

/// Text of each row, or why the table is refused.
fn read(folder: &Path) -> Result<Vec<String>, String> {
    let seen = |row: ThroughputRow| {
        let (cell, seconds) = (row.cell, row.total_seconds);
        format!("{cell} {:?} {seconds:?} {}", row.variant, row.tries)
    };
    let read = read_rows::<ThroughputRow, _>(folder, |row, _| Ok(Some(seen(row))));
    read.map_err(|error| {
        let text = error.to_string();
        text.replace(&format!("{}/", folder.display()), "")
    })
}

#[test]
fn columns_are_found_by_name_and_only_later_ones_may_be_absent() {
    const HEADER: &str = "tries,total_seconds,unknown,cell,device,threads,train_rows,train_seconds,train_rows_per_second,\
                          evaluation_rows,evaluation_seconds,peak_memory_bytes\n";
    let folder = tempfile::tempdir().unwrap();
    let written = |text: String| {
        std::fs::write(folder.path().join(ThroughputRow::FILE), text).unwrap();
        read(folder.path())
    };
    let row = "2,1.5,x,aa,cpu,1,,,,,,\n";
    assert_eq!(
        written(format!("{HEADER}{row}")).unwrap(),
        ["aa \"\" Some(1.5) 2"]
    );
    let refused = [
        written(HEADER.replace("tries,", "")),
        written(format!("{HEADER}{}", row.replace("2,", "-2,"))),
        written(format!("{HEADER}{row}{}", row.replace("1.5", "NaN"))),
    ];
    let refused = refused.map(Result::unwrap_err).join("\n");
    insta::assert_snapshot!(refused, @r"
    throughput.csv, line 1: expected a column `tries`, found total_seconds,unknown,cell,device,threads,train_rows,train_seconds,train_rows_per_second,evaluation_rows,evaluation_seconds,peak_memory_bytes
    throughput.csv, line 2, column `tries`: expected a whole number, found `-2`
    throughput.csv, line 3, column `total_seconds`: expected a finite number or nothing, found `NaN`
    ");
}

#[test]
fn a_packed_table_is_read_like_a_plain_one_which_counts_where_both_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join(ThroughputRow::FILE);
    let of = |cell| ThroughputRow {
        cell,
        ..ThroughputRow::default()
    };
    let packed = zstd::encode_all(text([of("packed")]).as_bytes(), 1).unwrap();
    std::fs::write(packed_path(&plain), &packed).unwrap();
    assert_eq!(read(folder.path()).unwrap(), ["packed \"\" None 0"]);
    std::fs::write(&plain, text([of("plain")])).unwrap();
    assert_eq!(read(folder.path()).unwrap(), ["plain \"\" None 0"]);
    std::fs::remove_file(&plain).unwrap();
    std::fs::write(packed_path(&plain), &packed[..packed.len() - 4]).unwrap();
    let cut = read(folder.path()).unwrap_err();
    assert!(cut.starts_with("throughput.csv.zst: "), "{cut}");
    std::fs::remove_file(packed_path(&plain)).unwrap();
    let absent = read(folder.path()).unwrap_err();
    assert!(absent.starts_with("throughput.csv: No such"), "{absent}");
    // What the system says is in the error's own words, so no cause repeats it.
    let absent = read_rows::<ThroughputRow, _>(folder.path(), |_, _| Ok(Some(()))).unwrap_err();
    assert!(std::error::Error::source(&absent).is_none());
}

#[test]
fn a_value_that_no_person_reads_is_refused_by_its_place_and_shown_in_part() {
    let folder = Sample::sized(4, 2, 1).write();
    let path = folder.path().join("metrics.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    let with = |length: usize| {
        let name = "x".repeat(length);
        let (header, rows) = text.split_once('\n').unwrap();
        let (first, rest) = rows.split_once('\n').unwrap();
        let mut values: Vec<&str> = first.split(',').collect();
        values[4] = &name;
        std::fs::write(&path, format!("{header}\n{}\n{rest}", values.join(","))).unwrap();
        read_rows::<MetricsRow, _>(folder.path(), |_, _| Ok(Some(())))
            .map_err(|error| error.to_string())
    };
    assert!(with(2000).is_ok());
    let said = with(1_000_000).unwrap_err();
    assert!(
        said.contains(
            "metrics.csv, line 2, column `task`: expected at most 2000 bytes, found `xxx"
        ),
        "{said}"
    );
    assert!(said.len() < 1000, "{said}");
}
