//! A table as LaTeX, for a paper: `\input` it into a document that uses the package booktabs.

use super::{Cell, Table};
use homebench_diagnostic::visible_lines;
use std::fmt::Write as _;

/// Writes a `tabular` environment, numbers to the right.
pub(crate) fn table_to_latex(table: &Table) -> String {
    let columns = (0..table.header.len()).map(|column| match table.is_numeric(column) {
        true => 'r',
        false => 'l',
    });
    let mut out = format!(
        "% Needs \\usepackage{{booktabs}}.\n\\begin{{tabular}}{{{}}}\n\\toprule\n",
        columns.collect::<String>()
    );
    let header: Vec<String> = table.header.iter().map(|name| escape(name)).collect();
    let _ = writeln!(out, "{} \\\\\n\\midrule", header.join(" & "));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        let _ = writeln!(out, "{} \\\\", cells.join(" & "));
    }
    out + "\\bottomrule\n\\end{tabular}\n"
}

fn cell(cell: &Cell) -> String {
    let text = match cell.number {
        Some(_) => number(&cell.text),
        None => escape(&cell.text),
    };
    if cell.strong {
        format!("\\textbf{{{text}}}")
    } else {
        text
    }
}

/// A number with signs that are as long as they should be.
fn number(text: &str) -> String {
    // A hyphen is shorter than a minus, which LaTeX has in mathematics alone; a dash stands for no value.
    let text = match text {
        "-" => "--".to_owned(),
        _ => escape(text).replace('-', "$-$").replace('+', "$+$"),
    };
    text.replace('±', "$\\pm$")
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for letter in visible_lines(text).chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            // In text, these come out as other letters with LaTeX's first encoding.
            '<' => escaped += "$<$",
            '>' => escaped += "$>$",
            '|' => escaped += "$|$",
            '²' => escaped += "$^2$",
            '±' => escaped += "$\\pm$",
            '\n' => escaped.push(' '),
            _ => escaped.push(letter),
        }
    }
    // A row that begins with a bracket would be an argument of the line break above it.
    match escaped.starts_with('[') {
        true => format!("{{}}{escaped}"),
        false => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_booktabs_tabular_with_everything_escaped() {
        let mut table = Table::new(&["variant", "income_50k (95 % interval)"]);
        table.push(vec![
            Cell::words("home & co_1"),
            Cell::number("0.95 ± 0.01", Some(0.95)).strong_if(true),
        ]);
        table.push(vec![
            Cell::words("[x] ^~\\"),
            Cell::number("[-0.10, 0.20]", Some(-0.1)),
        ]);
        table.push(vec![Cell::words("none"), Cell::number("-", None)]);
        insta::assert_snapshot!(table_to_latex(&table), @r#"
            % Needs \usepackage{booktabs}.
            \begin{tabular}{lr}
            \toprule
            variant & income\_50k (95 \% interval) \\
            \midrule
            home \& co\_1 & \textbf{0.95 $\pm$ 0.01} \\
            {}[x] \textasciicircum{}\textasciitilde{}\textbackslash{} & {}[$-$0.10, 0.20] \\
            none & -- \\
            \bottomrule
            \end{tabular}
            "#);
    }
}
