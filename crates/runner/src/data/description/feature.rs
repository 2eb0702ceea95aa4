//! Validation of features.

use super::table::column_index;
use super::wire::{WireFeature, WireFeatureKind, WireTransform};
use super::{Feature, FeatureKind, path};
use crate::diagnostic::{Diagnostic, Document};

/// Checks one feature.
pub(super) fn feature(
    document: &Document,
    columns: &[String],
    wire: &WireFeature,
    name: String,
) -> Result<Feature, Diagnostic> {
    let at = path(&["features", &name]);
    let column = match &wire.column {
        Some(column) => column_index(document, columns, &at.join("column"), column)?,
        None => columns
            .iter()
            .position(|column| *column == name)
            .ok_or_else(|| {
                let said = document.at_key(&at, format!("there is no column `{name}`"));
                match crate::diagnostic::nearest(&name, columns.iter().map(String::as_str)) {
                    Some(near) => said.hint(format!("did you mean `{near}`?")),
                    None => said.hint("name the column that it is made from: column = \"...\""),
                }
            })?,
    };
    let knobs = [
        (
            "min_count",
            wire.min_count.is_some(),
            WireFeatureKind::Categorical,
        ),
        (
            "transform",
            wire.transform.is_some(),
            WireFeatureKind::Numeric,
        ),
        ("buckets", wire.buckets.is_some(), WireFeatureKind::Bucket),
    ];
    for (knob, is_given, kind) in knobs {
        if is_given && wire.kind != kind {
            let message = format!(
                "`{knob}` has no meaning for a {} feature",
                kind_name(wire.kind)
            );
            return Err(document
                .at_key(&at.join(knob), message)
                .hint(format!("it belongs to kind = \"{}\"", kind_name(kind))));
        }
    }
    let kind = match wire.kind {
        WireFeatureKind::Categorical => FeatureKind::Categorical {
            min_count: wire.min_count.unwrap_or(1),
        },
        WireFeatureKind::Numeric => match wire.transform.as_deref().unwrap_or_default() {
            [] => numeric(false, false),
            [WireTransform::Log1p] => numeric(true, false),
            [WireTransform::Standardise] => numeric(false, true),
            [WireTransform::Log1p, WireTransform::Standardise] => numeric(true, true),
            _ => {
                let message = "the transforms don't go together in this order";
                return Err(document.at_value(&at.join("transform"), message).hint(
                    "expected one of [], [\"log1p\"], [\"standardise\"], [\"log1p\", \"standardise\"]",
                ));
            }
        },
        WireFeatureKind::Bucket => match wire.buckets {
            Some(buckets @ 2..=65_536) => FeatureKind::Bucket { buckets },
            Some(buckets) => {
                let message = format!("expected 2 to 65536 buckets, found {buckets}");
                return Err(document.at_value(&at.join("buckets"), message));
            }
            None => {
                return Err(document
                    .at_key(&at, format!("the bucket feature `{name}` has no `buckets`"))
                    .hint("add `buckets = 32`"));
            }
        },
    };
    Ok(Feature { name, column, kind })
}

fn numeric(log1p: bool, standardise: bool) -> FeatureKind {
    FeatureKind::Numeric { log1p, standardise }
}

fn kind_name(kind: WireFeatureKind) -> &'static str {
    match kind {
        WireFeatureKind::Categorical => "categorical",
        WireFeatureKind::Numeric => "numeric",
        WireFeatureKind::Bucket => "bucket",
    }
}
