//! A document as Markdown (GitHub's, for its tables).

use super::{Block, Cell, Document, Span, Table};
use homebench_diagnostic::visible;
use std::fmt::Write as _;

/// Columns of a terminal, in which a report has to be readable as it is.
const WIDTH: usize = 80;

/// Writes the document.
pub(crate) fn to_markdown(document: &Document) -> String {
    let mut out = format!("# {}\n", escape(&document.title));
    for block in &document.blocks {
        out.push('\n');
        write_block(&mut out, block);
    }
    out
}

fn write_block(out: &mut String, block: &Block) {
    match block {
        Block::Heading(text) => *out += &format!("## {}\n", escape(text)),
        Block::Subheading(text) => *out += &format!("### {}\n", escape(text)),
        Block::Paragraph(spans) => *out += &format!("{}\n", wrapped(&line(spans), "")),
        Block::List(items) | Block::Claims(items) => {
            for item in items {
                let _ = writeln!(out, "- {}", wrapped(&line(item), "  "));
            }
        }
        Block::Table(table) => write_table(out, table),
        Block::Figure {
            name,
            description,
            is_lead,
            ..
        } => {
            let description = escape(description);
            let _ = match is_lead {
                true => writeln!(out, "![{description}](figures/{name}.svg)"),
                // No link: a folder in a repository has it only once `homebench figures` has drawn it.
                false => writeln!(out, "`figures/{name}.svg`: {description}"),
            };
        }
        Block::Commands(lines) => *out += &format!("```sh\n{lines}\n```\n"),
        Block::Lines(lines) => *out += &format!("```toml\n{lines}\n```\n"),
        Block::Details { summary, blocks } => {
            let _ = writeln!(out, "<details><summary>{}</summary>", escape(summary));
            for block in blocks {
                out.push('\n');
                write_block(out, block);
            }
            *out += "\n</details>\n";
        }
    }
}

/// Text on lines of at most 80 columns, which Markdown reads as one; those after the first begin with the indentation.
fn wrapped(text: &str, indentation: &str) -> String {
    let options = textwrap::Options::new(WIDTH - indentation.len())
        .break_words(false)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
    let lines = textwrap::wrap(text, options);
    let mut out = String::new();
    for (place, line) in lines.iter().enumerate() {
        if place > 0 {
            out.push('\n');
            out += indentation;
        }
        match line.split_once(' ').filter(|_| place > 0) {
            Some((word, rest)) if begins_block(word) => {
                let (start, mark) = word.split_at(word.len() - 1);
                out += &format!("{start}\\{mark} {rest}");
            }
            _ => out += line,
        }
    }
    out
}

/// Whether Markdown would read a line that begins with this word as an item of a list.
fn begins_block(word: &str) -> bool {
    let number = word.strip_suffix(['.', ')']);
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|it| it.is_ascii_digit());
    ["-", "+", "="].contains(&word) || number.is_some_and(is_number)
}

/// Writes a table alone.
pub(crate) fn table_to_markdown(table: &Table) -> String {
    let mut out = String::new();
    write_table(&mut out, table);
    out
}

fn write_table(out: &mut String, table: &Table) {
    let header: Vec<String> = table.header.iter().map(|name| escape(name)).collect();
    let rule = |column| {
        if table.is_numeric(column) {
            "---:"
        } else {
            "---"
        }
    };
    let rule: Vec<&str> = (0..header.len()).map(rule).collect();
    let _ = writeln!(out, "| {} |\n| {} |", header.join(" | "), rule.join(" | "));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
}

fn cell(cell: &Cell) -> String {
    let text = escape(&cell.text);
    if cell.strong {
        format!("**{text}**")
    } else {
        text
    }
}

fn line(spans: &[Span]) -> String {
    spans.iter().map(span).collect()
}

fn span(span: &Span) -> String {
    match span {
        Span::Text(text) => escape(text),
        // Nothing is escaped within backticks, not even a backtick.
        Span::Code(text) => format!("`{}`", visible(&text.replace('`', "'"))),
        Span::Strong(text) => format!("**{}**", escape(text)),
        Span::Link { text, target } => format!("[{}]({target})", escape(text)),
    }
}

/// The text on one line, with what Markdown would read as its own escaped.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    // A line's end would end a row of a table.
    let line = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    for letter in visible(&line).chars() {
        if "\\`*_|<>#".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    // Words at the ends of a span keep their distance from its neighbours.
    let before = if text.starts_with(char::is_whitespace) {
        " "
    } else {
        ""
    };
    let after = if text.ends_with(char::is_whitespace) && !escaped.is_empty() {
        " "
    } else {
        ""
    };
    // A list of intervals must not become a link.
    format!("{before}{escaped}{after}").replace("](", "]\\(")
}

#[cfg(test)]
mod tests {
    use super::super::{code, link, strong, text};
    use super::*;

    #[test]
    fn what_markdown_would_read_is_escaped() {
        assert_eq!(escape("a|b *c* <d>\ne_f"), "a\\|b \\*c\\* \\<d\\> e\\_f");
        assert_eq!(escape("a\x1b[2Jb"), "a\\\\u{1b}[2Jb");
        let spans = [
            text("see "),
            code("a`b"),
            text(" and "),
            strong("x|y"),
            text(": "),
            link("t", "t.csv"),
        ];
        assert_eq!(line(&spans), "see `a'b` and **x\\|y**: [t](t.csv)");
    }

    #[test]
    fn paragraphs_have_lines_of_eighty_columns_and_no_word_of_theirs_begins_a_list() {
        let long = format!(
            "{} wo - 12. {}",
            "word ".repeat(15).trim_end(),
            "more ".repeat(30)
        );
        let lines = wrapped(&long, "  ");
        assert!(lines.lines().all(|line| line.len() <= 80), "{lines}");
        assert!(lines.contains("\n  \\- 12. more"), "{lines}");
        let number = format!("{} wo 12. more", "word ".repeat(15).trim_end());
        assert!(wrapped(&number, "").contains("\n12\\. more"));
        let unwrapped = lines.replace("\n  ", " ").replace('\\', "");
        assert_eq!(unwrapped, long.trim_end());
    }

    #[test]
    fn columns_of_numbers_go_to_the_right() {
        let mut table = Table::new(&["name", "value"]);
        table.rows.push(vec![
            Cell::words("a"),
            Cell::number("1.0", Some(1.0)).strong_if(true),
        ]);
        table
            .rows
            .push(vec![Cell::words("b"), Cell::number("-", None)]);
        let mut out = String::new();
        write_table(&mut out, &table);
        assert_eq!(
            out,
            "| name | value |\n| --- | ---: |\n| a | **1.0** |\n| b | - |\n"
        );
    }
}
