//! Plain tables for the terminal.

use homebench_diagnostic::visible;

/// A column of a plain table.
pub(crate) struct Column {
    /// What stands above it.
    pub(crate) header: String,
    /// Its cells, as many as every other column has.
    pub(crate) cells: Vec<String>,
    /// Whether its cells go to the right, as numbers do.
    pub(crate) right: bool,
}

impl Column {
    /// Columns of rows under a header; those that hold only numbers go to the right.
    fn of_rows(header: &[&str], rows: &[Vec<String>]) -> Vec<Self> {
        let numeric = |cell: &String| cell.is_empty() || cell == "-" || cell.parse::<f64>().is_ok();
        let column = |(place, name): (usize, &&str)| {
            // A name or a reason out of a file may hold anything.
            let cells = rows.iter().map(|row| visible(&row[place]).into_owned());
            let cells: Vec<String> = cells.collect();
            Self {
                header: (*name).to_owned(),
                right: !cells.is_empty() && cells.iter().all(numeric),
                cells,
            }
        };
        header.iter().enumerate().map(column).collect()
    }

    /// Letters of its widest cell.
    fn width(&self) -> usize {
        let texts = self.cells.iter().chain([&self.header]);
        // Letters and not bytes: a ± is one column of a terminal, and two bytes.
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    }
}

/// Rows under a header, columns padded to their widest cell; columns that hold only numbers go to the right.
pub fn align_rows(header: &[&str], rows: &[Vec<String>]) -> String {
    align(&Column::of_rows(header, rows), false)
}

/// The columns side by side, each padded to its widest cell; a ruled one has a line under its header.
pub(crate) fn align(columns: &[Column], is_ruled: bool) -> String {
    let widths: Vec<usize> = columns.iter().map(Column::width).collect();
    let line = |pick: &dyn Fn(usize) -> String| {
        let padded = columns.iter().zip(&widths).enumerate();
        let padded = padded.map(|(place, (column, &width))| match column.right {
            true => format!("{:>width$}", pick(place)),
            false => format!("{:<width$}", pick(place)),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let header = line(&|place| columns[place].header.clone());
    let rule = is_ruled.then(|| line(&|place| "-".repeat(widths[place])));
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let body = (0..rows).map(|row| line(&|place| columns[place].cells[row].clone()));
    std::iter::once(header).chain(rule).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_to_the_right_and_words_to_the_left() {
        let rows = [
            vec!["home".into(), "10".into()],
            vec!["a ± b".into(), "9".into()],
        ];
        assert_eq!(
            align_rows(&["name", "n"], &rows),
            "name    n\nhome   10\na ± b   9\n"
        );
        assert_eq!(
            align(&Column::of_rows(&["name", "n"], &rows), true),
            "name    n\n-----  --\nhome   10\na ± b   9\n"
        );
    }
}
