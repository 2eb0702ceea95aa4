//! Which columns can stay with rows: those that the description has, and expressions over them.

use crate::expression::{Columns, Expression};
use crate::schema::{Protocol, Source, TablePlan};
use homebench_diagnostic::Diagnostic;

/// The protocol with every one of `texts` as a column, a column's name or an expression over columns, and the places of these columns.
/// Nothing where rows are made by an embedded source.
///
/// # Errors
/// A text that is neither, or that needs a joined table which the protocol doesn't read; `description` is named as the place.
pub(crate) fn with_columns(
    description: &str,
    protocol: &Protocol,
    texts: &[&str],
) -> Result<Option<(Protocol, Vec<usize>)>, Diagnostic> {
    let mut protocol = protocol.clone();
    let name = protocol.name.clone();
    let Source::Table(plan) = &mut protocol.source else {
        return Ok(None);
    };
    let mut columns = Vec::with_capacity(texts.len());
    for text in texts {
        let column = match plan.columns.iter().position(|column| column == text) {
            Some(column) => column,
            None => computed(description, plan, text)?,
        };
        check_is_read(description, &name, plan, column)?;
        columns.push(column);
    }
    Ok(Some((protocol, columns)))
}

/// The place of an expression as a column of its own, called by its text.
fn computed(description: &str, plan: &mut TablePlan, text: &str) -> Result<usize, Diagnostic> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    if text.chars().all(is_name) {
        let said = Diagnostic::new(description, format!("there is no column `{text}`"));
        return Err(said.did_you_mean(text, plan.columns.iter().map(String::as_str)));
    }
    let known = Columns {
        names: &plan.columns,
        types: &plan.types,
        later: &[],
    };
    let parsed = Expression::parse(text, known).map_err(|error| {
        let said = Diagnostic::new(description, error.message);
        match error.hint {
            Some(hint) => said.hint(hint),
            None => said,
        }
    });
    plan.derived.push(parsed?);
    plan.columns.push(text.to_owned());
    plan.types.resize(plan.columns.len(), None);
    Ok(plan.columns.len() - 1)
}

/// Refuses a column that comes, itself or by what it is computed from, out of a table that isn't read.
fn check_is_read(
    description: &str,
    protocol: &str,
    plan: &TablePlan,
    column: usize,
) -> Result<(), Diagnostic> {
    if let Some(index) = column.checked_sub(plan.first_derived()) {
        let mut sources = plan.derived[index].columns().into_iter();
        return sources.try_for_each(|source| check_is_read(description, protocol, plan, source));
    }
    let is_joined = column >= plan.num_own_columns;
    let mut joins = plan.joins.iter();
    let is_read =
        joins.any(|join| (join.first..join.first + join.columns.len() - 1).contains(&column));
    if !is_joined || is_read {
        return Ok(());
    }
    let name = &plan.columns[column];
    let message = format!(
        "the column `{name}` is one of a joined table that the protocol `{protocol}` doesn't read"
    );
    Err(Diagnostic::new(description, message)
        .hint(format!("add \"{name}\" to `keys` of the description")))
}
