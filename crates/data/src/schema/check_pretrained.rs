//! Validation of pretrained vectors: which embedding table they are of, and where they are.

use super::check_table::file_keys;
use super::wire::WirePretrained;
use super::{Feature, FeatureKind, PretrainedFile, SourceFile, Vocabulary, path};
use homebench_diagnostic::{Diagnostic, Document};
use std::collections::BTreeMap;

/// The pretrained vectors in the order of the description.
pub(super) fn pretrained(
    document: &Document,
    wire: &BTreeMap<String, WirePretrained>,
    files: &[SourceFile],
    features: &[Feature],
) -> Result<Vec<PretrainedFile>, Diagnostic> {
    let tables = document.keys_in_order(&path(&["pretrained"])).into_iter();
    let checked = tables.map(|table| {
        check_table(document, &table, features)?;
        let at = path(&["pretrained", &table]);
        let WirePretrained { file, key, vector } = &wire[&table];
        if key == vector {
            let message = format!("`{vector}` can't be both the key and the vector");
            return Err(document.at_value(&at.join("vector"), message).hint(
                "name the column or tensor of the values as `key`, that of their vectors as `vector`",
            ));
        }
        Ok(PretrainedFile {
            files: file_keys(document, &at.join("file"), file, files)?,
            key: key.clone(),
            vector: vector.clone(),
            table,
        })
    });
    checked.collect()
}

/// Refuses a table that no feature reads, or whose rows no key can name.
fn check_table(document: &Document, table: &str, features: &[Feature]) -> Result<(), Diagnostic> {
    let at = path(&["pretrained", table]);
    let Some(reader) = features.iter().find(|feature| feature.table() == table) else {
        // Of one table there is one file of vectors, under the table's own name.
        if let Some(feature) = features.iter().find(|feature| feature.name == table) {
            let other = feature.table();
            let message =
                format!("the feature `{table}` reads the table `{other}`, whose rows it shares");
            return Err(document.at_key(&at, message).hint(format!(
                "describe the vectors of that table: [pretrained.{other}]"
            )));
        }
        let learned = features
            .iter()
            .filter(|feature| what_no_key_names(feature.kind).is_none());
        let known: Vec<&str> = learned.map(Feature::table).collect();
        let said = document.at_key(&at, format!("no feature reads a table `{table}`"));
        return Err(
            match homebench_diagnostic::nearest(table, known.iter().copied()) {
                Some(near) => said.hint(format!("did you mean [pretrained.{near}]?")),
                None => said.hint(
                    "name a categorical feature or a list, or the `table` that features share",
                ),
            },
        );
    };
    match what_no_key_names(reader.kind) {
        None => Ok(()),
        Some(why) => Err(document
            .at_key(&at, format!("the feature `{}` {why}", reader.name))
            .hint(
                "name a feature of kind = \"categorical\", or of kind = \"list\" without `buckets`",
            )),
    }
}

/// Why no key can name the rows of a feature's table, where none can.
fn what_no_key_names(kind: FeatureKind) -> Option<&'static str> {
    match kind {
        FeatureKind::Categorical { .. }
        | FeatureKind::List {
            vocabulary: Vocabulary::Learned { .. },
            ..
        } => None,
        FeatureKind::Numeric { .. } => Some("is a number, and has no embedding table"),
        FeatureKind::Bucket { .. } => Some("has ids of buckets, which no key names"),
        FeatureKind::Hash { .. } | FeatureKind::List { .. } => {
            Some("has ids of a hash: values of one bucket would share a vector")
        }
    }
}
