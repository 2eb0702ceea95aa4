//! Which version of preparation made a dataset: raised only for what is prepared to other bytes than before, so that all other
//! datasets keep their content hashes, and the cells on them their ids.

use super::expression::{ColumnType, Expression};
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

/// Of descriptions that have days or cast to days, years of four digits, or numbers as marks of missing values.
// 5: %Y is a year of four digits; a date beside an offset is the day that is written, also in a cast; a limit may lie between two days; in a text file a
// mark that is a number is every spelling of it.
const OF_DAYS: u32 = 5;

/// Raised when few datasets are prepared to other bytes and no description tells which: what older rules prepared is made again, nearly
/// always to the same bytes, and keeps its hash.
// 1: numbers that differ little and lie far from 0 keep their spread; more lists in brackets are read, and fewer texts are taken for such.
pub(super) const RULES: u32 = 1;

/// The versions of datasets that can be read.
pub(super) const KNOWN: [u32; 3] = [OF_ALL, OF_TYPES, OF_DAYS];

/// The version that prepares a protocol's rows from these files.
pub(super) fn preparation_version(protocol: &Protocol, sources: &[Located]) -> u32 {
    let Source::Table(plan) = &protocol.source else {
        return OF_ALL;
    };
    match knows_types(plan, sources) || says_types(plan) {
        _ if says_days(plan) => OF_DAYS,
        true => OF_TYPES,
        false => OF_ALL,
    }
}

/// Whether the description has days, years of four digits, or numbers as marks of missing values.
fn says_days(plan: &TablePlan) -> bool {
    let of_joins = plan.joins.iter().flat_map(|join| &join.types);
    let mut types = plan.types.iter().chain(of_joins).flatten();
    let has_days = types.any(|declared| match declared {
        ColumnType::Time(rule) => {
            let format = rule.format.as_deref().unwrap_or_default();
            let letters = ["%Y", "%-Y", "%_Y", "%0Y", "%F"];
            rule.is_date || letters.iter().any(|letters| format.contains(letters))
        }
        _ => false,
    });
    let of_joins = plan.joins.iter().flat_map(|join| &join.missing);
    let mut marks = plan.missing.iter().chain(of_joins).flatten();
    has_days
        || plan.expressions().any(Expression::casts_to_days)
        || marks.any(|mark| mark.parse::<f64>().is_ok())
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
