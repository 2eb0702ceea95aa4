//! A line of a CSV file as serde reads a struct from it: columns by name, and of a bad value the column and what it should have held.
//! The csv crate's own deserializer says neither.

use super::Row;
use serde::Deserialize;
use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Columns of a row, in order, as the struct's fields name them.
pub(super) fn names<R: Row>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // Refused on purpose: what is asked for is the list that serde hands over before any value.
    let _ = R::Of::<'static>::deserialize(Names(&mut names));
    names
}

/// Why a value is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Place among [`names`].
    pub(super) column: usize,
    /// What the column holds.
    pub(super) expected: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.expected)
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    /// The message is what was expected.
    fn custom<T: fmt::Display>(expected: T) -> Self {
        Self {
            // Known to whoever hands the value over.
            column: 0,
            expected: expected.to_string(),
        }
    }
}

fn refuse<T, E: de::Error>(expected: &str) -> Result<T, E> {
    Err(E::custom(expected))
}

/// The text, where it is among the names.
pub(super) fn one_of<'de, E: de::Error>(names: &[&str], text: &'de str) -> Result<&'de str, E> {
    if names.contains(&text) {
        return Ok(text);
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    refuse(&quoted.join(" or "))
}

struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Refusal;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Refusal> {
        *self.0 = fields;
        refuse("nothing")
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        unreachable!("a row is a struct")
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Fields of a line, each with the place of its column in the struct.
pub(super) struct Line<'de> {
    /// Places in the struct and in the line; none of a column that is absent.
    pub(super) columns: &'de [(usize, usize)],
    pub(super) record: &'de csv::StringRecord,
}

impl<'de> MapAccess<'de> for Line<'de> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        let Some((column, _)) = self.columns.first() else {
            return Ok(None);
        };
        // serde takes a field's number for its name: no text is compared for each value of long tables.
        let key: U64Deserializer<Refusal> = (*column as u64).into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        let ((column, place), rest) = self.columns.split_first().expect("a key came before");
        self.columns = rest;
        let value = seed.deserialize(Value(&self.record[*place]));
        value.map_err(|refusal| Refusal {
            column: *column,
            ..refusal
        })
    }
}

struct Value<'de>(&'de str);

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0 {
            "" => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0.parse() {
            Ok(count) => visitor.visit_u64(count),
            Err(_) => refuse("a whole number"),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0.parse::<f64>() {
            Ok(number) if number.is_finite() => visitor.visit_f64(number),
            _ => refuse("a finite number or nothing"),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_bool(one_of::<Refusal>(&["true", "false"], self.0)? == "true")
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let name: StrDeserializer<Refusal> = one_of(variants, self.0)?.into_deserializer();
        visitor.visit_enum(name)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
