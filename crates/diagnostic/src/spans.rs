//! Where the values of a document stand in its text.

use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a value stands, and the values within it: those of a table by key, those of a list by number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spans {
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
    within: BTreeMap<String, Spans>,
}

impl Spans {
    pub(super) fn of_document(root: &DeTable<'_>) -> Self {
        Self {
            key: 0..0,
            value: 0..0,
            within: of_table(root),
        }
    }

    fn of_value(key: Range<usize>, value: &Spanned<DeValue<'_>>) -> Self {
        let within = match value.get_ref() {
            DeValue::Table(table) => of_table(table),
            DeValue::Array(array) => {
                let elements = array.iter().enumerate();
                let spans = |(index, element): (usize, &Spanned<_>)| {
                    (index.to_string(), Self::of_value(element.span(), element))
                };
                elements.map(spans).collect()
            }
            _ => BTreeMap::new(),
        };
        Self {
            key,
            value: value.span(),
            within,
        }
    }

    pub(super) fn below(&self, key: &str) -> Option<&Self> {
        self.within.get(key)
    }

    /// The keys within, in the order of the text.
    pub(super) fn keys_in_order(&self) -> Vec<&str> {
        let mut keys: Vec<_> = self.within.iter().collect();
        // The table itself is sorted by name.
        keys.sort_by_key(|(_, spans)| spans.key.start);
        keys.into_iter().map(|(key, _)| key.as_str()).collect()
    }
}

fn of_table(table: &DeTable<'_>) -> BTreeMap<String, Spans> {
    let spans = table.iter().map(|(key, value)| {
        let name = key.get_ref().to_string();
        (name, Spans::of_value(key.span(), value))
    });
    spans.collect()
}
