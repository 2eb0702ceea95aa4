//! Plain tables for the terminal.

use homebench_diagnostic::visible;

/// Spaces between columns.
const GAP: usize = 2;

/// A column of a plain table.
#[derive(Clone)]
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
    pub(crate) fn of_rows(header: &[&str], rows: &[Vec<String>]) -> Vec<Self> {
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

/// As [`align_rows`], for a terminal of this width: where a row is wider it takes several lines, of which those after the first are
/// indented, and no word is cut. Nothing is broken where no width is given.
pub fn align_rows_within(header: &[&str], rows: &[Vec<String>], width: Option<usize>) -> String {
    let columns = Column::of_rows(header, rows);
    let table = align(&columns, false);
    let fits = |width: &usize| table.lines().all(|line| line.chars().count() <= *width);
    match width {
        Some(width) if !fits(&width) => folded(&columns, width),
        _ => table,
    }
}

/// Stands for a space at which no line is broken: as wide as one, and in no text of ours.
const KEPT: &str = "\u{1}";
/// Before the second line of a row, and each after it.
const INDENTATION: &str = "    ";

fn folded(columns: &[Column], width: usize) -> String {
    // Columns of each line: as many as fit.
    let mut lines: Vec<Vec<&Column>> = Vec::new();
    let mut used = 0;
    for column in columns {
        match lines.last_mut() {
            Some(line) if used + GAP + column.width() <= width => {
                used += GAP + column.width();
                line.push(column);
            }
            _ => {
                let indentation = if lines.is_empty() {
                    0
                } else {
                    INDENTATION.len()
                };
                used = indentation + column.width();
                lines.push(vec![column]);
            }
        }
    }
    let num_rows = columns.first().map_or(0, |column| column.cells.len());
    let mut text = String::new();
    for row in std::iter::once(None).chain((0..num_rows).map(Some)) {
        for (place, line) in lines.iter().enumerate() {
            let indentation = if place == 0 { "" } else { INDENTATION };
            let cell = |column: &&Column| {
                let text = row.map_or(&column.header, |row| &column.cells[row]);
                // A column of its own line is text, which is broken rather than padded.
                let room = if line.len() == 1 { 0 } else { column.width() };
                match column.right && line.len() > 1 {
                    true => format!("{text:>room$}"),
                    false => format!("{text:<room$}"),
                }
            };
            let words = line.iter().map(cell).collect::<Vec<_>>().join("  ");
            if words.trim().is_empty() {
                continue;
            }
            let line = format!("{indentation}{}", words.trim_end());
            text += &match line.chars().count() <= width {
                true => line,
                false => broken(words.trim(), indentation, width),
            };
            text.push('\n');
        }
    }
    text
}

/// The text in lines of at most this width, of which those after the first begin with the indentation; no word is cut, and what stands
/// between backticks, such as a command, stays on one line.
pub fn in_lines(text: &str, indentation: &str, width: usize) -> String {
    let options = textwrap::Options::new(width)
        .subsequent_indent(indentation)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(place, part)| match place % 2 {
        0 => part.to_owned(),
        _ => part.replace(' ', KEPT),
    });
    let text = parts.collect::<Vec<_>>().join("`");
    textwrap::fill(&text, options).replace(KEPT, " ")
}

/// Words on several lines of a terminal, none of which is cut.
fn broken(words: &str, indentation: &str, width: usize) -> String {
    let options = textwrap::Options::new(width)
        .initial_indent(indentation)
        .subsequent_indent(INDENTATION)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(words, options)
}

/// The columns in groups of at most this width, each of which begins with the first column, so that no line of a terminal wraps.
pub(crate) fn fitting(columns: Vec<Column>, width: usize) -> Vec<Vec<Column>> {
    let mut columns = columns.into_iter();
    let Some(first) = columns.next() else {
        return Vec::new();
    };
    let mut groups: Vec<Vec<Column>> = vec![vec![first.clone()]];
    let mut used = first.width();
    for column in columns {
        let more = GAP + column.width();
        let group = groups.last_mut().expect("there is a group");
        if group.len() > 1 && used + more > width {
            used = first.width() + more;
            groups.push(vec![first.clone(), column]);
        } else {
            used += more;
            group.push(column);
        }
    }
    groups
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
    fn a_row_that_is_too_wide_takes_several_lines_and_no_word_is_cut() {
        let rows = [
            vec!["3f2a9b".into(), "home".into(), "12345".into(), "".into()],
            vec![
                "77aa10".into(),
                "mmoe".into(),
                "9".into(),
                "the loss became NaN at step seven".into(),
            ],
        ];
        let header = ["cell", "variant", "parameters", "note"];
        assert_eq!(
            align_rows_within(&header, &rows, Some(24)),
            "cell    variant\n    parameters  note\n3f2a9b  home\n         12345\n77aa10  mmoe\n"
                .replace("    parameters  note", "    parameters\n    note")
                .replace("         12345", "    12345")
                + "    9\n    the loss became NaN\n    at step seven\n"
        );
        let wide = align_rows_within(&header, &rows, Some(200));
        assert_eq!(wide, align_rows_within(&header, &rows, None));
    }

    #[test]
    fn no_word_and_no_command_is_broken() {
        let text = "run `homebench report a` to see it";
        assert_eq!(
            in_lines(text, "  ", 16),
            "run\n  `homebench report a`\n  to see it"
        );
        assert_eq!(in_lines(text, "  ", 80), text);
        assert_eq!(in_lines("a\nb c", "", 3), "a\nb c");
    }

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
