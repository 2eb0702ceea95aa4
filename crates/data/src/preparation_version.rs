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

/// Of text files, and of several parts, with a column that is computed with and has no type, or that of floats.
// 6: such a column is of integers, floats or times by all of its rows, and no longer by those that were read together; a column of floats has
// floats alone; a mark that is a number is every spelling of it, whatever the column is read as.
const OF_KINDS: u32 = 6;

/// Raised when few datasets are prepared to other bytes and no description tells which: what older rules prepared is made again, nearly
/// always to the same bytes, and keeps its hash.
// 1: numbers that differ little and lie far from 0 keep their spread; more lists in brackets are read, and fewer texts are taken for such.
// 2: parts of a joined table keep the digits of their numbers.
pub(super) const RULES: u32 = 2;

/// The versions of datasets that can be read.
pub(super) const KNOWN: [u32; 4] = [OF_ALL, OF_TYPES, OF_DAYS, OF_KINDS];

/// The version that prepares a protocol's rows from these files.
pub(super) fn preparation_version(protocol: &Protocol, sources: &[Located]) -> u32 {
    let Source::Table(plan) = &protocol.source else {
        return OF_ALL;
    };
    match knows_types(plan, sources) || says_types(plan) {
        _ if decides_kinds(plan, sources) => OF_KINDS,
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

/// Whether what is computed with a column depends on what all of its rows hold, or a mark stands for more texts than its own.
fn decides_kinds(plan: &TablePlan, sources: &[Located]) -> bool {
    let declared = |column: usize| plan.types.get(column).and_then(Option::as_ref);
    let is_open = |column: usize| matches!(declared(column), None | Some(ColumnType::Float));
    let computed_with = plan.columns_computed_with();
    let has_open = computed_with.into_iter().any(is_open);
    let own_marks = plan.missing.iter().take(plan.num_own_columns);
    let has_marks = own_marks.enumerate().any(|(column, marks)| {
        let is_number = |mark: &String| mark.parse::<f64>().is_ok();
        let is_exact = matches!(
            declared(column),
            Some(ColumnType::Text | ColumnType::Integer | ColumnType::Float)
        );
        !is_exact && marks.iter().any(is_number)
    });
    let kinds = kinds_of_files(plan, sources);
    let has_text = kinds.iter().any(|kind| !kind.knows_types());
    let has_parts = sources.iter().any(|source| source.parts().count() > 1);
    (has_open || has_marks) && (has_text || has_parts || plan.split.files().len() > 1)
}

/// Whether a file knows the types of its columns, or is libsvm's.
fn knows_types(plan: &TablePlan, sources: &[Located]) -> bool {
    let mut kinds = kinds_of_files(plan, sources).into_iter();
    kinds.any(|kind| kind.knows_types() || matches!(kind, FileKind::LibSvm))
}

/// The kinds of all files and of their parts, each as whatever reads it.
fn kinds_of_files(plan: &TablePlan, sources: &[Located]) -> Vec<FileKind> {
    let formats = |file: usize| {
        let joins = plan
            .joins
            .iter()
            .filter(move |join| join.files.contains(&file));
        let of_rows = plan.split.files().contains(&file).then_some(plan.format);
        of_rows.into_iter().chain(joins.map(|join| join.format))
    };
    let mut kinds = Vec::new();
    for source in sources {
        for format in formats(source.file) {
            let parts = source.parts();
            kinds.extend(parts.map(|part| FileKind::of_part(&source.path, part, format)));
        }
    }
    kinds
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
