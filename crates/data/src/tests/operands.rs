//! Operands of unlike types in descriptions: each right value is DuckDB's or numpy's. The product of types and operators is tested
//! in the crate of expressions.

use super::nine_days::*;
use super::*;
use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float16Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use std::sync::Arc;

/// Labels in the order of their tasks.
fn labels(tasks: &[(&str, &str)]) -> Vec<(String, String)> {
    let body = |text: &str| format!("label = \"\"\"{text}\"\"\"");
    tasks
        .iter()
        .map(|(name, text)| ((*name).to_owned(), body(text)))
        .collect()
}

/// A description of a file that has `day`, `item` and these columns.
fn described(tasks: &[(&str, &str)], columns: &[&str], optional: &str) -> String {
    let known = match tasks.iter().any(|(_, label)| label.contains("item")) {
        true => "label_sources_as_inputs = [\"item\"]",
        false => "",
    };
    let tasks = labels(tasks);
    let tasks: Vec<(&str, &str)> = tasks
        .iter()
        .map(|(name, body)| (name.as_str(), body.as_str()))
        .collect();
    with_tasks(&tasks)
        .replace(
            "\"user\", \"item\", \"x\", \"click\", \"like\"]",
            &format!("\"item\", {}]", columns.join(", ")),
        )
        .replace(
            "user = \"user\"\noptional = [\"x\"]\n",
            &format!("optional = [{optional}]\n"),
        )
        .replace(
            "x = { kind = \"numeric\", transform = [\"standardise\"] }\n",
            "",
        )
        .replace("not_inputs = [\"x\"]", known)
}

/// 360 rows of nine days as a Parquet file with columns beside `day` and `item`.
fn parquet(tasks: &[(&str, &str)], columns: Vec<(&str, ArrayRef)>, optional: &str) -> Dataset {
    let names: Vec<String> = columns
        .iter()
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let described = described(tasks, &names, optional).replace("log.csv", "log.parquet");
    let dataset = shop(&described, "");
    let days: Int64Array = (0..360).map(|row| Some(row / 40 + 1)).collect();
    let items: StringArray = (0..360).map(|row| Some(format!("i{}", row % 5))).collect();
    let mut all: Vec<(&str, ArrayRef)> = vec![("day", Arc::new(days)), ("item", Arc::new(items))];
    all.extend(columns);
    let all = all.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(all).unwrap();
    let file = std::fs::File::create(dataset.path("data/shop/log.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    dataset
}

/// Observed and positive training rows of each task.
fn positives(dataset: &Dataset) -> Vec<(usize, usize)> {
    train(&summary_of(dataset, RowSubset::All))
}

#[test]
fn a_text_beside_times_is_a_time_and_none_is_lost() {
    let day = 86_400_000_000;
    // 2022-01-01 and the days after it, every third missing.
    let times: TimestampMicrosecondArray = (0..360i64)
        .map(|row| (row % 3 != 0).then_some(1_640_995_200_000_000 + row % 12 * day))
        .collect();
    let tasks = [
        ("old", "coalesce(t, '1970-01-01') < '2000-01-01'"),
        ("late", "greatest(t, '2022-01-05') >= '2022-01-05'"),
        (
            "fifth",
            "case when item = 'i1' then t else '2022-01-05' end = '2022-01-05'",
        ),
        ("listed", "t in ('2022-01-02', '2022-01-03')"),
        ("none", "nullif(t, '2022-01-02') is null"),
    ];
    let dataset = parquet(&tasks, vec![("t", Arc::new(times))], "\"t\"");
    let count = |holds: &dyn Fn(usize) -> bool| (0..280).filter(|row| holds(*row)).count();
    let missing = count(&|row| row % 3 == 0);
    assert_eq!(
        positives(&dataset),
        [
            (280, missing),
            (280, 280),
            (
                280 - count(&|row| row % 5 == 1 && row % 3 == 0),
                count(&|row| row % 5 != 1 || row % 12 == 4)
            ),
            (280 - missing, count(&|row| matches!(row % 12, 1 | 2))),
            (280, count(&|row| row % 3 == 0 || row % 12 == 1)),
        ]
    );
    // A text that is no time is refused and never nothing.
    let times: TimestampMicrosecondArray = (0..360).map(Some).collect();
    let refused = parquet(
        &[("a", "coalesce(t, 'unknown') = 'unknown'")],
        vec![("t", Arc::new(times))],
        "\"t\"",
    )
    .refusal();
    assert!(
        refused.contains(
            "expected a time such as 2022-04-08, since the other values are times, found `unknown`"
        ) && refused.contains("cast(column as text)"),
        "{refused}"
    );
}

#[test]
fn columns_of_two_types_are_equal_by_value() {
    let big = 9_007_199_254_740_992i64;
    let integers: Int64Array = (0..360).map(|row| Some(big + row % 2)).collect();
    let decimals: Decimal128Array = (0..360).map(|_| Some(i128::from(big) * 100)).collect();
    let decimals = decimals.with_precision_and_scale(20, 2).unwrap();
    let texts: StringArray = (0..360).map(|_| Some(big.to_string())).collect();
    let flags: BooleanArray = (0..360).map(|row| Some(row % 3 == 0)).collect();
    let ones: Int64Array = (0..360).map(|_| Some(1)).collect();
    let days: Date32Array = (0..360).map(|row| Some(18_993 + row % 4)).collect();
    let day_texts: StringArray = (0..360).map(|_| Some("2022-01-01")).collect();
    let tasks = [
        ("decimal", "i = d"),
        ("text", "i = s"),
        ("order", "i <= d"),
        ("flag", "f = one"),
        ("day", "on_day = day_text"),
        ("cast", "cast(on_day as text) = '2022-01-01'"),
        ("literal", "i = '9007199254740993.0'"),
    ];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(integers)),
        ("d", Arc::new(decimals)),
        ("s", Arc::new(texts)),
        ("f", Arc::new(flags)),
        ("one", Arc::new(ones)),
        ("on_day", Arc::new(days)),
        ("day_text", Arc::new(day_texts)),
    ];
    let dataset = parquet(&tasks, columns, "");
    let thirds = (0..280).filter(|row| row % 3 == 0).count();
    let counts = [140, 140, 140, thirds, 70, 70, 140];
    assert_eq!(positives(&dataset), counts.map(|count| (280, count)));
    // A text that is no number is refused beside numbers, as DuckDB refuses it.
    let numbers: Int64Array = (0..360).map(Some).collect();
    let words: StringArray = (0..360).map(|_| Some("abc")).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![("i", Arc::new(numbers)), ("s", Arc::new(words))];
    let refused = parquet(&[("same", "i = s")], columns, "").refusal();
    assert!(
        refused.contains("log.parquet: row 1, a label, which is i = s: expected a number, since the other values are numbers, found `abc`"),
        "{refused}"
    );
}

#[test]
fn numbers_of_16_bits_are_compared_with_literals_as_such() {
    let halves: Float16Array = arrow::compute::cast(
        &arrow::array::Float32Array::from_iter_values((0..360).map(|row| [0.1, 0.2, 0.3][row % 3])),
        &arrow::datatypes::DataType::Float16,
    )
    .map(|array| {
        array
            .as_any()
            .downcast_ref::<Float16Array>()
            .unwrap()
            .clone()
    })
    .unwrap();
    let tasks = [
        ("same", "x = 0.1"),
        ("most", "x >= 0.2"),
        ("text", "x = '0.3'"),
    ];
    let dataset = parquet(&tasks, vec![("x", Arc::new(halves))], "");
    assert_eq!(positives(&dataset), [(280, 94), (280, 186), (280, 93)]);
}

#[test]
fn casts_do_what_their_parameters_say() {
    let money: Decimal128Array = (0..360).map(|row| Some([88, 120, 250][row % 3])).collect();
    let money = money.with_precision_and_scale(10, 2).unwrap();
    let sizes: Int64Array = (0..360).map(|row| Some([300, 1, 2][row % 3])).collect();
    let tasks = [
        ("whole", "cast(x as decimal(10, 0)) = 1"),
        ("rest", "x % 0.4 = 0"),
        ("tiny", "try_cast(i as tinyint) is null"),
        ("places", "cast(x as text) = '2.50'"),
    ];
    let columns = || -> Vec<(&str, ArrayRef)> {
        vec![
            ("x", Arc::new(money.clone())),
            ("i", Arc::new(sizes.clone())),
        ]
    };
    let dataset = parquet(&tasks, columns(), "");
    assert_eq!(
        positives(&dataset),
        [(280, 187), (280, 93), (280, 94), (280, 93)]
    );
    for (cast, fix) in [
        (
            "cast(i as varchar(2)) = '1'",
            "substring(cast(column as text), 1, 2)",
        ),
        ("cast(i as decimal) = 1", "decimal(18, 3)"),
        (
            "cast(i as decimal(40, 2)) = 1",
            "a decimal has 1 to 38 digits",
        ),
        ("cast(x as real) = 1", "float (of 64 bits)"),
    ] {
        let refused = parquet(&[("a", cast)], columns(), "").refusal();
        assert!(
            refused.contains("there is no cast to") && refused.contains(fix),
            "{refused}"
        );
    }
}

/// What the categorical feature `c` is, an expression over a log whose user and item these rows have.
fn words(expression: &str, typed: &str, fields: &[[&str; 2]]) -> Vec<String> {
    let log = log(|row, all| {
        let [user, item] = fields[row % fields.len()];
        (all[1], all[2]) = (user.to_owned(), item.to_owned());
    });
    let described = with_c(expression, typed);
    let dataset = shop(&described, &log);
    summary_of(&dataset, RowSubset::All);
    let vocabulary =
        std::fs::read_to_string(dataset.prepared_folder().join("vocabularies.csv")).unwrap();
    let words = vocabulary.lines().filter(|line| line.starts_with("c,"));
    let mut words: Vec<String> = words
        .map(|line| line.split(',').nth(2).unwrap().to_owned())
        .collect();
    words.sort();
    words
}

fn with_c(expression: &str, typed: &str) -> String {
    HEAD.replace("\"user\", \"item\"", &format!("{typed}, \"item\""))
        .replace(
            "\"click\", \"like\"]",
            &format!("\"click\", \"like\", {{ name = \"c\", expression = \"{expression}\" }}]"),
        )
        .replace(
            "user = \"user\"\noptional = [\"x\"",
            "optional = [\"x\", \"user\"",
        )
        .replace("item = { kind", "c = { kind")
}

#[test]
fn codes_that_are_chosen_keep_their_zeros() {
    let fields = [["", "08"], ["007", "08"], ["2.50", "08"]];
    for expression in [
        "coalesce(user, item)",
        "case when user is null then item else user end",
        "coalesce(nullif(user, '99'), item)",
    ] {
        assert_eq!(
            words(expression, "\"user\"", &fields),
            ["007", "08", "2.50"],
            "{expression}"
        );
    }
    let texts = [["", "q"], ["ab", "q"], ["cd", "q"]];
    assert_eq!(
        words("coalesce(user, item)", "\"user\"", &texts),
        ["ab", "cd", "q"]
    );
    // The same rule says what is equal and what becomes null.
    let log = log(|row, fields| {
        fields[1] = ["1", "01", "9007199254740993", "2"][row % 4].to_owned();
        fields[2] = ["1", "1", "9007199254740992", "1"][row % 4].to_owned();
    });
    let tasks = [
        ("same", "label = \"user = item\""),
        ("other", "label = \"user <> item\""),
        ("nothing", "label = \"nullif(user, item) is null\""),
        ("listed", "label = \"user in (item)\""),
    ];
    let described = with_tasks(&tasks).replace("not_inputs = [\"x\"]", "not_inputs = [\"item\"]");
    assert_eq!(
        train(&summary(&described, &log)),
        [(280, 140), (280, 140), (280, 140), (280, 140)]
    );
}

#[test]
fn a_text_beside_a_declared_number_is_refused_at_its_place() {
    let typed = "{ name = \"user\", type = \"integer\" }";
    for (expression, text) in [
        ("coalesce(user, 'unknown')", "'unknown'"),
        ("case when user > 18 then user else 'minor' end", "'minor'"),
        ("greatest(user, 'many')", "'many'"),
    ] {
        let described = with_c(expression, typed);
        let line = described.lines().nth(2).unwrap();
        let place = format!(".toml:3:{}: ", line.find(text).unwrap() + 1);
        let refused = shop(&described, "").refusal();
        assert!(
            refused.contains(&place) && refused.contains("expected a number, found `"),
            "{refused}"
        );
        assert!(
            refused.contains("cast the numbers: cast(column as text)"),
            "{refused}"
        );
    }
    // The hint followed.
    let followed = words(
        "coalesce(cast(user as text), 'unknown')",
        typed,
        &[["", "i"], ["7", "i"], ["030", "i"]],
    );
    assert_eq!(followed, ["30", "7", "unknown"]);
}

#[test]
fn numbers_are_rounded_to_the_places_of_their_row() {
    let fields = [
        ["0", "1.23456"],
        ["1", "1.23456"],
        ["2", "1.23456"],
        ["-1", "15"],
    ];
    // By numpy, and by DuckDB for the last.
    assert_eq!(
        words("round(cast(item as float), user)", "\"user\"", &fields),
        ["1", "1.2", "1.23", "20"]
    );
}

#[test]
fn a_day_that_is_computed_finds_the_row_of_its_day() {
    for typed in ["\"on_day\"", "{ name = \"on_day\", type = \"date\" }"] {
        let described = with_c("cast(user as date)", "\"user\"")
            .replace(
                "[split]",
                &format!("[files.days]\nname = \"days.csv\"\n[joins.days]\nfile = \"days\"\non = \"c\"\nkey = \"on_day\"\ncolumns = [{typed}, \"holiday\"]\n[split]"),
            )
            .replace("c = { kind = \"categorical\" }", "holiday = { kind = \"categorical\" }");
        let log = log(|row, fields| fields[1] = format!("2022-01-0{} 10:00:00", row % 3 + 1));
        let dataset = shop(&described, &log);
        let days = "on_day,holiday\n2022-01-01,H\n2022-01-02,W\n2022-01-03,W\n";
        dataset.write("data/shop/days.csv", days);
        let summary = summary_of(&dataset, RowSubset::All);
        let unmatched: Vec<&str> = kinds(&summary).into_iter().map(|(kind, _)| kind).collect();
        assert!(
            !unmatched.iter().any(|kind| kind.contains("match")),
            "{unmatched:?}"
        );
        let vocabulary =
            std::fs::read_to_string(dataset.prepared_folder().join("vocabularies.csv")).unwrap();
        assert!(vocabulary.contains("holiday,1,W,"), "{vocabulary}");
    }
}

#[test]
fn descriptions_that_bring_no_operands_together_keep_their_ids() {
    let canonical = |label: &str| {
        let dataset = shop(&with_tasks(&[("a", &format!("label = \"{label}\""))]), "");
        crate::described::canonical(&DatasetRef::new("shop"), &dataset.places()).unwrap()
    };
    for label in [
        "like = 1",
        "user == '1' or like > 0.5",
        "like + click > 1",
        "user in ('a', 'b')",
    ] {
        assert!(!canonical(label).contains("common type"), "{label}");
    }
    for label in [
        "like = click",
        "user = '01'",
        "coalesce(like, 0) = 1",
        "like % 2 = 0",
    ] {
        assert!(canonical(label).contains("common type"), "{label}");
    }
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
    for name in ["census-income", "kuairand-slice", "feed"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
        let document = homebench_diagnostic::Document::new("d.toml", &text);
        let described = crate::schema::Description::parse(name, &document).unwrap();
        for protocol in &described.protocols {
            assert!(!protocol.canonical().contains("common type"), "{name}");
        }
    }
}

#[test]
fn labels_that_compute_other_values_have_other_ids() {
    let canonical = |label: &str| {
        let dataset = shop(&with_tasks(&[("a", &format!("label = \"{label}\""))]), "");
        crate::described::canonical(&DatasetRef::new("shop"), &dataset.places()).unwrap()
    };
    // 3 * 0.1 is 0.3 in decimals and 0.30000000000000004 in 64 bits.
    assert_ne!(
        canonical("like * 0.1 = 0.3"),
        canonical("like * 1e-1 = 0.3")
    );
    assert_ne!(
        canonical("concat(user, 1.50) = 'a1.50'"),
        canonical("concat(user, 1.5) = 'a1.50'")
    );
    assert_eq!(canonical("like > 0.50"), canonical("like > 0.5"));
}

#[test]
fn descriptions_of_public_sets_keep_their_ids() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
    let mut num_protocols = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let document = homebench_diagnostic::Document::new("d.toml", &text);
        let name = path.file_stem().unwrap().to_str().unwrap();
        // Those that share columns with others need the folder beside them.
        let Ok(described) = crate::schema::Description::parse(name, &document) else {
            continue;
        };
        for protocol in &described.protocols {
            assert!(!protocol.canonical().contains(" exactly "), "{name}");
            num_protocols += 1;
        }
    }
    assert!(num_protocols >= 8, "{num_protocols}");
}
