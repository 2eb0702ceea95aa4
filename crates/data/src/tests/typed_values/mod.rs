//! Values of one column wherever it stands: of the rows, of a joined table or in lists, in text, Parquet and Arrow.

mod layouts;
mod marks;
mod missing_numbers;
mod types;

use super::*;
use crate::DataWarning;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array,
    ListArray, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use std::fmt::Write;
use std::fs::File;
use std::sync::Arc;

/// Where the column `v` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Rows,
    Joined,
    Key,
    List,
    JoinedList,
}

const PLACES: [Place; 5] = [
    Place::Rows,
    Place::Joined,
    Place::Key,
    Place::List,
    Place::JoinedList,
];

/// Rows of every file of rows: the n values come once each, again and again.
const NUM_ROWS: usize = 30;

/// A description with one feature of `v`, which `column` declares; `more` stands before the first table.
fn described(place: Place, ending: &str, column: &str, more: &str) -> String {
    let of_rows = match place {
        Place::Rows | Place::List => format!("\"row\", {column}, \"y\""),
        Place::Key => format!("\"row\", {column}, \"y\""),
        Place::Joined | Place::JoinedList => "\"row\", \"u\", \"y\"".to_owned(),
    };
    let join = match place {
        Place::Rows | Place::List => String::new(),
        Place::Key => {
            let key = column.replace("name = \"v\"", "name = \"k\"");
            format!(
                "[joins.t]\nfile = \"table\"\non = \"v\"\nkey = \"k\"\ncolumns = [{key}, \"row_of_table\"]\n"
            )
        }
        _ => format!("[joins.t]\nfile = \"table\"\non = \"u\"\ncolumns = [\"u\", {column}]\n"),
    };
    let feature = match place {
        Place::Rows | Place::Joined => "v = { kind = \"categorical\" }",
        Place::Key => "v = { kind = \"categorical\", column = \"row_of_table\" }",
        Place::List | Place::JoinedList => "v = { kind = \"list\" }",
    };
    let table = match place {
        Place::Rows | Place::List => String::new(),
        _ => format!("[files.table]\nname = \"table.{ending}\"\n"),
    };
    format!(
        "source = \"table\"\ndefault_protocol = \"all\"\ncolumns = [{of_rows}]\n{more}[files.log]\nname = \"log.{ending}\"\n\
         {table}{join}[split]\nkind = \"time\"\ncolumn = \"row\"\nvalidation_from = 15\ntest_from = 24\n[features]\n{feature}\n\
         [tasks.y]\nlabel = \"y\"\ngroup = \"a\"\n[protocols.all]\ntasks = [\"y\"]\n"
    )
}

fn save(dataset: &Dataset, name: &str, columns: &[(&str, ArrayRef)]) {
    let path = dataset.path(&format!("data/shop/{name}"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let columns = columns
        .iter()
        .map(|(name, array)| (*name, array.clone(), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let file = File::create(&path).unwrap();
    if name.ends_with(".parquet") {
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    } else {
        let mut writer = FileWriter::try_new(file, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
    }
}

fn numbers(values: impl Iterator<Item = usize>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.map(|it| it as i64)))
}

/// Each value in a list of its own.
fn in_lists(values: &ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    let ends = OffsetBuffer::from_lengths(vec![1; values.len()]);
    Arc::new(ListArray::new(field, ends, values.clone(), None))
}

/// A dataset whose column `v` has these values in turn.
fn columnar(place: Place, ending: &str, column: &str, more: &str, values: &ArrayRef) -> Dataset {
    let dataset = Dataset::described(&described(place, ending, column, more), "", "");
    let n = values.len();
    let turns = numbers((0..NUM_ROWS).map(|row| row % n));
    let repeated = |values: &ArrayRef| arrow::compute::take(values, &turns, None).unwrap();
    let row = numbers(0..NUM_ROWS);
    let y = numbers((0..NUM_ROWS).map(|row| row * 7 / 3 % 2));
    let of_table = numbers(0..n);
    let (second, table): (_, Option<[(&str, ArrayRef); 2]>) = match place {
        Place::Rows => (("v", repeated(values)), None),
        Place::List => (("v", repeated(&in_lists(values))), None),
        Place::Key => (
            ("v", repeated(values)),
            Some([("k", values.clone()), ("row_of_table", of_table)]),
        ),
        Place::Joined => (
            ("u", turns.clone()),
            Some([("u", of_table), ("v", values.clone())]),
        ),
        Place::JoinedList => (
            ("u", turns.clone()),
            Some([("u", of_table), ("v", in_lists(values))]),
        ),
    };
    save(
        &dataset,
        &format!("log.{ending}"),
        &[("row", row), second, ("y", y)],
    );
    if let Some(table) = table {
        save(&dataset, &format!("table.{ending}"), &table);
    }
    dataset
}

fn text(place: Place, column: &str, more: &str, values: &[&str]) -> Dataset {
    let dataset = Dataset::described(&described(place, "csv", column, more), "", "");
    let is_joined = matches!(place, Place::Joined | Place::JoinedList);
    let mut log = format!("row,{},y\n", if is_joined { "u" } else { "v" });
    for row in 0..NUM_ROWS {
        let turn = row % values.len();
        let value = match is_joined {
            true => turn.to_string(),
            false => values[turn].to_owned(),
        };
        let _ = writeln!(log, "{row},{value},{}", row * 7 / 3 % 2);
    }
    dataset.write("data/shop/log.csv", &log);
    let mut table = match place {
        Place::Key => "k,row_of_table\n".to_owned(),
        _ => "u,v\n".to_owned(),
    };
    for (row, value) in values.iter().enumerate() {
        let _ = match place {
            Place::Key => writeln!(table, "{value},{row}"),
            _ => writeln!(table, "{row},{value}"),
        };
    }
    dataset.write("data/shop/table.csv", &table);
    dataset
}

/// The category, or the list's one value, of each value in turn, and what is said.
fn found(dataset: &Dataset, place: Place, n: usize) -> (Vec<String>, Vec<DataWarning>) {
    let prepared = dataset
        .open()
        .unwrap_or_else(|error| panic!("{place:?}: {error}"));
    let train = all(&prepared.train);
    let words =
        std::fs::read_to_string(dataset.prepared_folder().join("vocabularies.csv")).unwrap();
    let text = |id: u32| {
        let words = words.lines().skip(1).map(|line| {
            let mut fields = line.split(',').skip(1);
            (fields.next().unwrap(), fields.next().unwrap())
        });
        let of_id = words.into_iter().find(|(word, _)| *word == id.to_string());
        of_id.map_or("?", |(_, text)| text).to_owned()
    };
    let texts = match place {
        Place::List | Place::JoinedList => (0..n)
            .map(|row| {
                let start = row.checked_sub(1).map_or(0, |row| train.list_ends[row]);
                let ids = &train.list_ids[start as usize..train.list_ends[row] as usize];
                ids.iter().map(|id| text(*id)).collect::<Vec<_>>().join("|")
            })
            .collect(),
        _ => train.categorical[..n].iter().map(|id| text(*id)).collect(),
    };
    (texts, warnings(dataset))
}

fn warnings(dataset: &Dataset) -> Vec<DataWarning> {
    let reference = DatasetRef::new("shop");
    let summary = crate::prepare(&reference, &dataset.places(), &mut Notices::default());
    summary.unwrap().warnings
}

fn said(warnings: &[DataWarning], kind: &str) -> Vec<String> {
    let of_kind = warnings.iter().filter(|warning| warning.kind == kind);
    of_kind.map(|warning| warning.message.clone()).collect()
}
