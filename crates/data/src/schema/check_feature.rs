//! Validation of features.

use super::check_format::ascii;
use super::check_table::column_index;
use super::wire::{WireFeature, WireFeatureKind, WireTransform};
use super::{Feature, FeatureKind, Vocabulary, path};
use homebench_diagnostic::{Diagnostic, Document, KeyPath};

/// Most buckets of quantiles.
// Quantiles come from about 2^20 rows where there are more (`QUANTILE_ROWS`): 16 of them a bucket
// at this limit.
const MOST_BUCKETS: u64 = 65_536;
/// Most buckets of a hash of 32 bits, so that they stay even.
// A bucket has 64 of the 2^32 hashes then; one more or less is under 2 % of its size.
const MOST_HASH_BUCKETS: u64 = 1 << 26;

/// Checks one feature.
pub(super) fn feature(
    document: &Document,
    columns: &[String],
    wire: &WireFeature,
    name: String,
    protocols: &[String],
) -> Result<Feature, Diagnostic> {
    let at = path(&["features", &name]);
    let column = match &wire.column {
        Some(column) => column_index(document, columns, &at.join("column"), column)?,
        None => columns
            .iter()
            .position(|column| *column == name)
            .ok_or_else(|| {
                let said = document.at_key(&at, format!("there is no column `{name}`"));
                match homebench_diagnostic::nearest(&name, columns.iter().map(String::as_str)) {
                    Some(near) => said.hint(format!("did you mean `{near}`?")),
                    None => said.hint("name the column that it is made from: column = \"...\""),
                }
            })?,
    };
    check_knobs(document, &at, wire)?;
    let kind = match wire.kind {
        WireFeatureKind::Categorical => FeatureKind::Categorical {
            min_count: wire.min_count.unwrap_or(1),
        },
        WireFeatureKind::Numeric => numeric(document, &at, wire)?,
        WireFeatureKind::Bucket => FeatureKind::Bucket {
            buckets: buckets(document, &at, wire, &name, MOST_BUCKETS)? as usize,
        },
        WireFeatureKind::Hash => FeatureKind::Hash {
            buckets: buckets(document, &at, wire, &name, MOST_HASH_BUCKETS)? as u32,
        },
        WireFeatureKind::List => list(document, &at, wire, &name)?,
    };
    // A misspelt name would be a feature that no protocol has.
    if let Some(listed) = &wire.protocols {
        let at = at.join("protocols");
        let stranger = listed.iter().find(|name| !protocols.contains(name));
        if let Some(stranger) = stranger {
            return Err(document
                .at_value(&at, format!("there is no protocol `{stranger}`"))
                .did_you_mean(stranger, protocols.iter().map(String::as_str)));
        }
    }
    Ok(Feature {
        name,
        column,
        kind,
        table: wire.table.clone(),
        protocols: wire.protocols.clone(),
    })
}

/// Refuses knobs that belong to another kind.
fn check_knobs(document: &Document, at: &KeyPath, wire: &WireFeature) -> Result<(), Diagnostic> {
    use WireFeatureKind::{Bucket, Categorical, Hash, List, Numeric};
    // A knob that is ignored would be a setting that its author believes in.
    let knobs: [(&str, bool, &[WireFeatureKind]); 6] = [
        ("min_count", wire.min_count.is_some(), &[Categorical, List]),
        ("transform", wire.transform.is_some(), &[Numeric]),
        ("buckets", wire.buckets.is_some(), &[Bucket, Hash, List]),
        ("separator", wire.separator.is_some(), &[List]),
        ("pooling", wire.pooling.is_some(), &[List]),
        ("table", wire.table.is_some(), &[Categorical, Hash, List]),
    ];
    for (knob, is_given, kinds) in knobs {
        if is_given && !kinds.contains(&wire.kind) {
            let message = format!(
                "`{knob}` has no meaning for a {} feature",
                kind_name(wire.kind)
            );
            let kinds: Vec<String> = kinds
                .iter()
                .map(|kind| format!("\"{}\"", kind_name(*kind)))
                .collect();
            return Err(document
                .at_key(&at.join(knob), message)
                .hint(format!("it belongs to kind = {}", kinds.join(" or "))));
        }
    }
    Ok(())
}

/// Where the ids of a feature come from, as far as two features must agree to read one table; none of a feature that shares none.
fn ids(kind: FeatureKind) -> Option<Vocabulary> {
    match kind {
        FeatureKind::Categorical { min_count } => Some(Vocabulary::Learned { min_count }),
        FeatureKind::Hash { buckets } => Some(Vocabulary::Hashed { buckets }),
        FeatureKind::List { vocabulary, .. } => Some(vocabulary),
        FeatureKind::Numeric { .. } | FeatureKind::Bucket { .. } => None,
    }
}

fn said_of_ids(vocabulary: Vocabulary) -> String {
    match vocabulary {
        Vocabulary::Learned { min_count } => format!("min_count = {min_count}"),
        Vocabulary::Hashed { buckets } => format!("buckets = {buckets}"),
    }
}

/// Checks that features which read one table agree on what its rows stand for.
pub(super) fn tables(document: &Document, features: &[Feature]) -> Result<(), Diagnostic> {
    for feature in features {
        let Some(table) = &feature.table else {
            continue;
        };
        let at = path(&["features", &feature.name, "table"]);
        super::check_name(
            document,
            &path(&["features", &feature.name]),
            "table",
            table,
        )?;
        let others = features
            .iter()
            .filter(|other| other.name != feature.name && other.table() == table);
        let mut others = others.peekable();
        if others.peek().is_none() {
            let known = features.iter().filter(|other| ids(other.kind).is_some());
            let known: Vec<&str> = known
                .map(Feature::table)
                .filter(|name| name != table)
                .collect();
            let message = format!("no other feature reads the table `{table}`");
            let said = document.at_value(&at, message);
            return Err(match homebench_diagnostic::nearest(table, known.iter().copied()) {
                Some(near) => said.hint(format!("did you mean \"{near}\"?")),
                None => said.hint(
                    "name another feature, whose table this one is to read, or leave `table` out",
                ),
            });
        }
        for other in others {
            let (own, its) = (ids(feature.kind), ids(other.kind));
            let (Some(own), Some(its)) = (own, its) else {
                let message = format!(
                    "`{}` has ids of buckets or none, which no other feature shares",
                    other.name
                );
                return Err(document
                    .at_value(&at, message)
                    .hint("name a categorical, hash or list feature"));
            };
            if own != its {
                let message = format!(
                    "`{}` has {}, and `{}`, which reads the same table, {}",
                    feature.name,
                    said_of_ids(own),
                    other.name,
                    said_of_ids(its)
                );
                return Err(document
                    .at_value(&at, message)
                    .hint("give both the same `min_count` or the same `buckets`: a row of the table is one value"));
            }
        }
    }
    Ok(())
}

fn numeric(
    document: &Document,
    at: &KeyPath,
    wire: &WireFeature,
) -> Result<FeatureKind, Diagnostic> {
    let transform = wire.transform.as_deref().unwrap_or_default();
    let (log1p, standardise) = transforms(document, at, transform)?;
    Ok(FeatureKind::Numeric { log1p, standardise })
}

/// What `transform` of the table at `at` asks for: log1p, standardise.
pub(super) fn transforms(
    document: &Document,
    at: &KeyPath,
    transform: &[WireTransform],
) -> Result<(bool, bool), Diagnostic> {
    match transform {
        [] => Ok((false, false)),
        [WireTransform::Log1p] => Ok((true, false)),
        [WireTransform::Standardise] => Ok((false, true)),
        [WireTransform::Log1p, WireTransform::Standardise] => Ok((true, true)),
        _ => {
            let message = "the transforms don't go together in this order";
            Err(document.at_value(&at.join("transform"), message).hint(
                "expected one of [], [\"log1p\"], [\"standardise\"], [\"log1p\", \"standardise\"]",
            ))
        }
    }
}

fn list(
    document: &Document,
    at: &KeyPath,
    wire: &WireFeature,
    name: &str,
) -> Result<FeatureKind, Diagnostic> {
    if wire.min_count.is_some() && wire.buckets.is_some() {
        let message = "`min_count` and `buckets` don't go together: hashed values are not counted";
        return Err(document
            .at_key(&at.join("min_count"), message)
            .hint("keep one of them"));
    }
    Ok(FeatureKind::List {
        separator: match wire.separator {
            None => b'|',
            Some(separator) => ascii(separator).ok_or_else(|| {
                let message = format!(
                    "expected one ASCII character that is no line end, found {separator:?}"
                );
                document.at_value(&at.join("separator"), message)
            })?,
        },
        pooling: wire.pooling.unwrap_or_default(),
        vocabulary: match wire.buckets {
            Some(_) => Vocabulary::Hashed {
                buckets: buckets(document, at, wire, name, MOST_HASH_BUCKETS)? as u32,
            },
            None => Vocabulary::Learned {
                min_count: wire.min_count.unwrap_or(1),
            },
        },
    })
}

fn buckets(
    document: &Document,
    at: &KeyPath,
    wire: &WireFeature,
    name: &str,
    most: u64,
) -> Result<u64, Diagnostic> {
    match wire.buckets {
        Some(buckets) if (2..=most).contains(&buckets) => Ok(buckets),
        Some(buckets) => {
            let message = format!("expected 2 to {most} buckets, found {buckets}");
            Err(document.at_value(&at.join("buckets"), message))
        }
        None => {
            let kind = kind_name(wire.kind);
            Err(document
                .at_key(at, format!("the {kind} feature `{name}` has no `buckets`"))
                .hint("add `buckets = 32`"))
        }
    }
}

fn kind_name(kind: WireFeatureKind) -> &'static str {
    match kind {
        WireFeatureKind::Categorical => "categorical",
        WireFeatureKind::Numeric => "numeric",
        WireFeatureKind::Bucket => "bucket",
        WireFeatureKind::Hash => "hash",
        WireFeatureKind::List => "list",
    }
}
