//! Validation of the column of scenarios.

use super::check_table::column_index;
use super::{Feature, FeatureKind, path};
use homebench_diagnostic::{Diagnostic, Document};

/// The column that `scenario` names: one that a categorical feature is made from.
pub(super) fn column(
    document: &Document,
    columns: &[String],
    features: &[Feature],
    name: &str,
) -> Result<usize, Diagnostic> {
    let at = path(&["scenario"]);
    let column = column_index(document, columns, &at, name)?;
    let of_column = |feature: &&Feature| feature.column == column;
    if of_features(features, column).is_some() {
        return Ok(column);
    }
    Err(match features.iter().find(of_column) {
        Some(feature) => document
            .at_value(
                &at,
                format!("the scenario `{name}` is no category: the feature `{}` of it is of another kind", feature.name),
            )
            .hint(format!("write {} = {{ kind = \"categorical\" }} below [features]", feature.name)),
        None => document
            .at_value(&at, format!("the scenario `{name}` is no input: no feature is made from it"))
            .hint(format!("add {name} = {{ kind = \"categorical\" }} below [features]")),
    })
}

/// The place of the first categorical feature that is made from the column of scenarios.
pub(super) fn of_features(features: &[Feature], column: usize) -> Option<usize> {
    features.iter().position(|feature| {
        let is_categorical = matches!(feature.kind, FeatureKind::Categorical { .. });
        feature.column == column && is_categorical
    })
}
