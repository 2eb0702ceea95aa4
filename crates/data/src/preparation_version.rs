//! Which version of preparation made a dataset: raised only for what is prepared to other bytes than before, so that all other
//! datasets keep their content hashes, and the cells on them their ids.

use super::expression::ColumnType;
use super::schema::{FeatureKind, FileKind, Protocol, Source, TablePlan};
use super::source_files::Located;

/// Raised when preparation gives other bytes for the same description.
// It is part of every content hash. Without raising it, folders that older code prepared would be
// taken for what this code prepares.
// 2: what is missing is unknown in conditions and nobody among users; times are compared as times; labels are centred in 64
// bits; `rows` counts training rows whatever the split. 3: logarithms, powers and sines are those of `libm` on every system.
const OF_ALL: u32 = 3;

/// Of files that know their types or number their columns, and of what a description says of types.
// 4: marks of missing values are compared exactly in the column's own type, decimals have one text whatever their places, parts of two
// types become one; types of joined tables and of lists hold; two-digit years 69 are 1969; a Parquet file's clock times are
// refused where clocks skip them, as text is; zeros before an index of libsvm say nothing.
const OF_TYPES: u32 = 4;

/// The versions of datasets that can be read.
pub(super) const KNOWN: [u32; 2] = [OF_ALL, OF_TYPES];

/// The version that prepares a protocol's rows from these files.
pub(super) fn preparation_version(protocol: &Protocol, sources: &[Located]) -> u32 {
    let Source::Table(plan) = &protocol.source else {
        return OF_ALL;
    };
    match knows_types(plan, sources) || says_types(plan) {
        true => OF_TYPES,
        false => OF_ALL,
    }
}

/// Whether a file knows the types of its columns, or is libsvm's.
fn knows_types(plan: &TablePlan, sources: &[Located]) -> bool {
    let formats = |file: usize| {
        let joins = plan
            .joins
            .iter()
            .filter(move |join| join.files.contains(&file));
        let of_rows = plan.split.files().contains(&file).then_some(plan.format);
        of_rows.into_iter().chain(joins.map(|join| join.format))
    };
    sources.iter().any(|source| {
        formats(source.file).any(|format| {
            let mut parts = source.parts();
            parts.any(|part| {
                let kind = FileKind::of_part(&source.path, part, format);
                matches!(kind, FileKind::Parquet | FileKind::Arrow | FileKind::LibSvm)
            })
        })
    })
}

/// Whether the description gives a type that holds now where it didn't, or years of two digits.
fn says_types(plan: &TablePlan) -> bool {
    let has_type = |declared: &Option<ColumnType>| matches!(declared, Some(declared) if *declared != ColumnType::Text);
    let of_lists = plan.features.iter().any(|feature| {
        matches!(feature.kind, FeatureKind::List { .. }) && has_type(&plan.types[feature.column])
    });
    let of_joins = plan.joins.iter().flat_map(|join| &join.types).any(has_type);
    let short_years = plan.types.iter().flatten().any(|declared| match declared {
        ColumnType::Time(rule) => {
            let format = rule.format.as_deref().unwrap_or_default();
            [
                "%y", "%-y", "%_y", "%0y", "%D", "%x", "%g", "%-g", "%_g", "%0g",
            ]
            .iter()
            .any(|letters| format.contains(letters))
        }
        _ => false,
    });
    of_lists || of_joins || short_years
}
