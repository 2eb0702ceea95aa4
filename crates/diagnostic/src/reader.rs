//! Values of TOML read as types, with a [`Refusal`] that knows where it is.

use super::refusal::{Fault, one_of};
use super::{KeyPath, Refusal};
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use toml::de::{DeValue, ValueDeserializer};
use toml::{Spanned, Table, Value};

/// Reads a value as a `T`.
///
/// # Errors
/// The first unknown or missing key or wrong type, with its path in `value`.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Refusal> {
    let path = KeyPath::default();
    T::deserialize(Reader { value, path })
}

/// The keys that a table may have to be read as a `T`.
///
/// # Panics
/// With a type that takes any key, or that is read from no table.
pub fn keys_of<T: DeserializeOwned>() -> &'static [&'static str] {
    // serde tells a struct's fields to nobody but to who gives it a key that is none of them.
    let stranger = Value::Table(Table::from_iter([(String::new(), Value::Boolean(true))]));
    match read::<T>(&stranger).map_err(|refusal| refusal.fault) {
        Err(Fault::UnknownKey { known, .. }) => known,
        _ => panic!("{} refuses no key", std::any::type_name::<T>()),
    }
}

/// A deserialiser of its own, because that of toml gives its errors as text alone.
struct Reader<'a> {
    value: &'a Value,
    path: KeyPath,
}

impl<'a> Reader<'a> {
    fn below(&self, key: impl Into<String>, value: &'a Value) -> Self {
        let path = self.path.join(key);
        Self { value, path }
    }

    fn refuse(&self, expected: &str) -> Refusal {
        let found = match self.value {
            Value::String(text) => Unexpected::Str(text),
            Value::Integer(number) => Unexpected::Signed(*number),
            Value::Float(number) => Unexpected::Float(*number),
            Value::Boolean(boolean) => Unexpected::Bool(*boolean),
            Value::Datetime(_) => Unexpected::Other("date or time"),
            Value::Array(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
        };
        Refusal::invalid_type(found, &expected).at(&self.path)
    }
}

impl<'de> IntoDeserializer<'de, Refusal> for Reader<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Methods that read whatever is there, and what a user is told to write where that is the wrong type.
macro_rules! told_plainly {
    ($($method:ident: $expected:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            let path = self.path.clone();
            self.deserialize_any(visitor).map_err(|refusal| refusal.expecting($expected, &path))
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let read = match self.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(boolean) => visitor.visit_bool(*boolean),
            // How a date goes through serde is known to toml alone.
            Value::Datetime(date) => {
                let expected = (&visitor as &dyn Expected).to_string();
                let date = Spanned::new(0..0, DeValue::Datetime(*date));
                let read = ValueDeserializer::from(date).deserialize_any(visitor);
                read.map_err(|_| self.refuse(&expected))
            }
            Value::Array(values) => {
                let elements = values.iter().enumerate();
                let readers = elements.map(|(index, value)| self.below(index.to_string(), value));
                visitor.visit_seq(SeqDeserializer::new(readers))
            }
            Value::Table(table) => {
                let entries = table.iter();
                let readers = entries.map(|(key, value)| (key.as_str(), self.below(key, value)));
                visitor.visit_map(MapDeserializer::new(readers))
            }
        };
        read.map_err(|refusal| refusal.at(&self.path))
    }

    /// A value that is there; `None` is a key that is not.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.value {
            Value::Table(_) => self.deserialize_any(visitor),
            // serde would read a list as the fields in their order.
            _ => Err(self.refuse("a table")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        // Names alone: no document has a variant with content.
        let Value::String(name) = self.value else {
            return Err(self.refuse(&one_of(variants)));
        };
        let read = visitor.visit_enum(name.as_str().into_deserializer());
        read.map_err(|refusal: Refusal| refusal.at(&self.path))
    }

    told_plainly! {
        deserialize_u8: "a whole number, 0 or more";
        deserialize_u16: "a whole number, 0 or more";
        deserialize_u32: "a whole number, 0 or more";
        deserialize_u64: "a whole number, 0 or more";
        deserialize_i32: "a whole number";
        deserialize_i64: "a whole number";
        deserialize_f32: "a number";
        deserialize_f64: "a number";
        deserialize_seq: "a list";
        deserialize_map: "a table";
    }

    forward_to_deserialize_any! {
        bool i8 i16 i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Flat,
        Curved,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        kind: Kind,
        sizes: Option<Vec<u32>>,
        #[serde(default)]
        parts: BTreeMap<String, Shape>,
        #[serde(default)]
        free: Table,
    }

    fn shape(text: &str) -> Result<Shape, Refusal> {
        read(&Value::Table(text.parse().unwrap()))
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let text = "kind = 'flat'\nsizes = [1, 2]\nfree = { a = 2020-01-01, b = [1.5, true, {}] }\n[parts.a]\nkind = 'curved'";
        let read = shape(text).unwrap();
        assert_eq!((read.kind, read.sizes), (Kind::Flat, Some(vec![1, 2])));
        assert_eq!(read.parts["a"].kind, Kind::Curved);
        assert_eq!(
            Value::Table(read.free),
            text.parse::<Table>().unwrap()["free"]
        );
    }

    #[test]
    fn what_is_wrong_has_its_path_however_deep_it_is() {
        let told = |text: &str| {
            let refusal = shape(text).unwrap_err();
            (refusal.place().to_string(), refusal.diagnostic("").message)
        };
        let pair = |place: &str, message: &str| (place.to_owned(), message.to_owned());
        assert_eq!(
            told("kind = 'flat'\nsizes = [1, -2]"),
            pair(
                "sizes.1",
                "`sizes.1`: expected a whole number, 0 or more, found integer `-2`"
            )
        );
        assert_eq!(
            told("kind = 'flat'\n[parts.a]\nkind = 'flat'\n[parts.a.parts.b]"),
            pair(
                "parts.a.parts.b",
                "the key `kind` is missing in [parts.a.parts.b]"
            )
        );
        assert_eq!(
            told("kind = 'flat'\n[parts.a]\nknd = 'flat'"),
            pair(
                "parts.a.knd",
                "unknown key `knd` in [parts.a]; expected one of `kind`, `sizes`, `parts`, `free`"
            )
        );
        assert_eq!(
            told("kind = 'bent'"),
            pair(
                "kind",
                "unknown value `bent` for `kind`; expected one of `flat`, `curved`"
            )
        );
        assert_eq!(
            told("kind = 3"),
            pair(
                "kind",
                "`kind`: expected one of `flat`, `curved`, found integer `3`"
            )
        );
        assert_eq!(
            told("kind = 'flat'\nsizes = 2020-01-01"),
            pair("sizes", "`sizes`: expected a list, found date or time")
        );
        assert_eq!(
            told("kind = 'flat'\nparts.a = ['flat']"),
            pair("parts.a", "`parts.a`: expected a table, found sequence")
        );
    }

    #[test]
    fn a_type_tells_its_keys() {
        assert_eq!(keys_of::<Shape>(), ["kind", "sizes", "parts", "free"]);
    }
}
