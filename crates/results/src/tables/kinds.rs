//! What columns hold, for readers in other languages: `python/homebench/columns.json` says it for the wheel's, and a test here holds
//! it to the structs.

use super::column::{Refusal, names};
use super::*;
use serde::de::value::U64Deserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt::Write as _;

/// Kinds of a table's columns, in their order: what the struct asks of serde for each.
fn kinds<T: Table>() -> Vec<(&'static str, &'static str)> {
    let names = names::<T>().iter().enumerate();
    names
        .map(|(column, name)| {
            let mut kind = "text";
            // Refused after the first value: what is asked for is known by then.
            let _ = T::Of::<'static>::deserialize(Column {
                column: Some(column),
                kind: &mut kind,
            });
            (*name, kind)
        })
        .collect()
}

/// A row of one column.
struct Column<'a> {
    column: Option<usize>,
    kind: &'a mut &'static str,
}

impl<'de> Deserializer<'de> for Column<'_> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Column<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        let Some(column) = self.column.take() else {
            return Ok(None);
        };
        let key: U64Deserializer<Refusal> = (column as u64).into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        seed.deserialize(Kind(self.kind))
    }
}

/// A value that is asked what it is.
struct Kind<'a>(&'a mut &'static str);

impl<'de> Deserializer<'de> for Kind<'_> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::custom("nothing"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        *self.0 = "whole";
        self.deserialize_any(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        *self.0 = "number";
        self.deserialize_any(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        *self.0 = "truth";
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

fn json() -> String {
    fn table<T: Table>() -> (&'static str, Vec<(&'static str, &'static str)>) {
        (T::FILE, kinds::<T>())
    }
    let tables = [
        table::<CellsRow>(),
        table::<MetricsRow>(),
        table::<CohortsRow>(),
        table::<CurvesRow>(),
        table::<ExpertsRow>(),
        table::<GatesRow>(),
        table::<HistogramsRow>(),
        table::<ThroughputRow>(),
        table::<ModelPartsRow>(),
        table::<SettingsRow>(),
        table::<TuningRow>(),
        table::<DataWarningsRow>(),
    ];
    for name in crate::seal::names() {
        let is_there = tables.iter().any(|(file, _)| *file == name);
        assert!(is_there, "{name} is to be among the tables of this test");
    }
    let mut text = "{".to_owned();
    for (at, (file, columns)) in tables.iter().enumerate() {
        let end = if at == 0 { "" } else { "," };
        let name = file.strip_suffix(".csv").unwrap();
        let columns = columns
            .iter()
            .map(|(name, kind)| format!("\"{name}\": \"{kind}\""));
        let columns: Vec<String> = columns.collect();
        write!(text, "{end}\n  \"{name}\": {{ {} }}", columns.join(", ")).unwrap();
    }
    text + "\n}\n"
}

#[test]
fn the_python_reader_knows_what_every_column_holds() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../python/homebench/columns.json");
    let json = json();
    if std::env::var_os("HOMEBENCH_WRITE_COLUMNS").is_some() {
        std::fs::write(&file, &json).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        found, json,
        "HOMEBENCH_WRITE_COLUMNS=1 cargo test -p homebench-results kinds writes it anew"
    );
    assert!(json.contains("\"selected\": \"truth\"") && json.contains("\"cell\": \"text\""));
}
