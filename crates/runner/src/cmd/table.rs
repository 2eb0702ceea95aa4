//! Plain tables for the terminal.

/// Rows under a header, columns padded to their widest cell; columns that hold only numbers go to the right.
pub(super) fn align(header: &[&str], rows: &[Vec<String>]) -> String {
    let columns = header.len();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .chain([header[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let is_numeric = |column: usize| {
        let numeric = |cell: &str| cell.is_empty() || cell == "-" || cell.parse::<f64>().is_ok();
        !rows.is_empty() && rows.iter().all(|row| numeric(&row[column]))
    };
    let shape: Vec<(usize, bool)> = (0..columns).map(|c| (width(c), is_numeric(c))).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&shape)
            .map(|(cell, (width, right))| {
                if *right {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        // Padding at the end of a line would wrap on a narrow terminal.
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let body = rows
        .iter()
        .map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(line(header.to_vec())).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_to_the_right_and_words_to_the_left() {
        let rows = [
            vec!["home".into(), "10".into()],
            vec!["a".into(), "9".into()],
        ];
        assert_eq!(
            align(&["name", "n"], &rows),
            "name   n\nhome  10\na      9\n"
        );
    }
}
