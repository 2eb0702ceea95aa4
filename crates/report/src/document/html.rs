//! A document as one HTML file that needs no other: style, script and figures are inside.

use super::{Block, Cell, Document, Span, Table};
use homebench_diagnostic::visible_lines;
use std::fmt::Write as _;

// Inside the page and not beside it: a report is sent and archived as one file, and opened without a network.
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Letters of a cell from which it may take several lines.
const LONG: usize = 24;
// At this, a figure's labels of 6.5 points are .88 rem high, a little less than the text around them.
/// How wide an inch of a figure's paper is shown.
const REMS_PER_INCH: f64 = 9.8;

/// Writes the document.
pub(crate) fn to_html(document: &Document) -> String {
    let title = escape_markup(&document.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    let is_heading = |block: &Block| matches!(block, Block::Heading(_));
    let first = document.blocks.iter().position(is_heading);
    let (answer, sections) = document
        .blocks
        .split_at(first.unwrap_or(document.blocks.len()));
    out += "<div class=\"answer\">\n";
    for block in answer {
        write_block(&mut out, block);
    }
    out += "</div>\n";
    out += &contents(document);
    let is_next = |_: &Block, next: &Block| !is_heading(next);
    for section in sections.chunk_by(is_next) {
        write_section(&mut out, section);
    }
    let _ = write!(
        out,
        "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
    out
}

/// Writes a heading with what is below it, folded.
fn write_section(out: &mut String, section: &[Block]) {
    let Some((Block::Heading(title), blocks)) = section.split_first() else {
        return;
    };
    let (name, title) = (anchor(title), escape_markup(title));
    *out += &format!(
        "<details class=\"section\" id=\"{name}\">\n<summary><h2>{title}</h2></summary>\n"
    );
    for block in blocks {
        write_block(out, block);
    }
    *out += "</details>\n";
}

/// Links to the headings.
fn contents(document: &Document) -> String {
    let links = document.blocks.iter().filter_map(|block| match block {
        Block::Heading(text) => Some(format!(
            "<a href=\"#{}\">{}</a>\n",
            anchor(text),
            escape_markup(text)
        )),
        _ => None,
    });
    format!(
        "<nav aria-label=\"Contents\">\n{}</nav>\n",
        links.collect::<String>()
    )
}

/// A heading's words as the name of its place.
fn anchor(text: &str) -> String {
    let letters = text.chars().map(|letter| match letter.is_alphanumeric() {
        true => letter.to_ascii_lowercase(),
        false => '-',
    });
    letters.collect()
}

fn write_block(out: &mut String, block: &Block) {
    // Writing into a string can't fail.
    let _ = match block {
        Block::Heading(text) => writeln!(out, "<h2>{}</h2>", escape_markup(text)),
        Block::Subheading(text) => writeln!(out, "<h3>{}</h3>", escape_markup(text)),
        Block::Paragraph(spans) => writeln!(out, "<p>{}</p>", line(spans)),
        Block::List(items) => writeln!(out, "<ul>\n{}</ul>", list_items(items)),
        Block::Claims(items) => {
            writeln!(out, "<ul class=\"claims\">\n{}</ul>", list_items(items))
        }
        Block::Table(table) => {
            write_table(out, table);
            Ok(())
        }
        Block::Figure {
            description,
            svg,
            narrow_svg,
            width_inches,
            keeps_paper,
            ..
        } => {
            let paper = if *keeps_paper { "paper" } else { "dark" };
            // As wide as its text is as large as that of the other figures.
            let width = REMS_PER_INCH * width_inches;
            let drawn = match narrow_svg {
                None => format!("<div class=\"drawn\" tabindex=\"0\">{svg}</div>"),
                Some(narrow) => {
                    format!("<div class=\"wide\">{svg}</div>\n<div class=\"narrow\">{narrow}</div>")
                }
            };
            writeln!(
                out,
                "<figure class=\"{paper}\" style=\"max-width: {width:.1}rem; --full: {width:.1}rem\">\n{drawn}\n<figcaption>{}</figcaption>\n</figure>",
                escape_markup(description)
            )
        }
        Block::Commands(lines) | Block::Lines(lines) => {
            writeln!(out, "<pre><code>{}</code></pre>", escape_markup(lines))
        }
        Block::Details { summary, blocks } => {
            let _ = writeln!(
                out,
                "<details>\n<summary>{}</summary>",
                escape_markup(summary)
            );
            for block in blocks {
                write_block(out, block);
            }
            writeln!(out, "</details>")
        }
    };
}

fn list_items(items: &[Vec<Span>]) -> String {
    let item = |item: &Vec<Span>| format!("<li>{}</li>\n", line(item));
    items.iter().map(item).collect()
}

fn write_table(out: &mut String, table: &Table) {
    let kind = |column, text: &str| match table.is_numeric(column) {
        true => " class=\"number\"",
        false if text.chars().count() > LONG => " class=\"long\"",
        false => "",
    };
    // A wide table scrolls in a box of its own, which the keyboard has to reach.
    *out += "<div class=\"table\" tabindex=\"0\"><table>\n<thead><tr>";
    for (column, name) in table.header.iter().enumerate() {
        let kind = kind(column, "");
        let name = escape_markup(name);
        let _ = write!(
            out,
            "<th scope=\"col\"{kind}><button type=\"button\">{name}</button></th>"
        );
    }
    *out += "</tr></thead>\n<tbody>\n";
    for row in &table.rows {
        *out += "<tr>";
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(
                out,
                "<td{}{}>{}</td>",
                kind(column, &cell.text),
                sort_key(cell),
                content(cell)
            );
        }
        *out += "</tr>\n";
    }
    *out += "</tbody>\n</table></div>\n";
}

fn sort_key(cell: &Cell) -> String {
    // A cell without a key is absent to the script, which keeps it last in either order.
    let number = cell.number.filter(|number| number.is_finite());
    number.map_or(String::new(), |number| format!(" data-sort=\"{number}\""))
}

fn content(cell: &Cell) -> String {
    let text = escape_markup(&cell.text);
    if cell.strong {
        format!("<strong>{text}</strong>")
    } else {
        text
    }
}

fn line(spans: &[Span]) -> String {
    spans.iter().map(span).collect()
}

fn span(span: &Span) -> String {
    match span {
        // A number keeps its percent sign.
        Span::Text(text) => escape_markup(text).replace(" %", "\u{a0}%"),
        Span::Code(text) => format!("<code>{}</code>", escape_markup(text)),
        Span::Strong(text) => format!("<strong>{}</strong>", escape_markup(text)),
        Span::Link { text, target } => {
            format!(
                "<a href=\"{}\">{}</a>",
                escape_markup(target),
                escape_markup(text)
            )
        }
    }
}

/// The text with what HTML and SVG would read as markup escaped.
pub(crate) fn escape_markup(text: &str) -> String {
    // XML, and so SVG, can't hold most of them in any form.
    let text = visible_lines(text);
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        let document = Document {
            title: "<b>&".to_owned(),
            blocks: vec![Block::Paragraph(vec![text(
                "</p><script>alert(\"x\")</script>",
            )])],
        };
        let html = to_html(&document);
        assert!(html.contains("<title>&lt;b&gt;&amp;</title>"));
        assert_eq!(html.matches("<script>").count(), 1, "only our own");
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let html = to_html(&Document {
            title: String::new(),
            blocks: Vec::new(),
        });
        for reference in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!html.contains(reference), "{reference}");
        }
    }

    #[test]
    fn numbers_carry_what_they_are_sorted_by() {
        let mut table = Table::new(&["value"]);
        table.rows.push(vec![Cell::number("1,000", Some(1000.0))]);
        table.rows.push(vec![Cell::number("-", None)]);
        let mut out = String::new();
        write_table(&mut out, &table);
        assert!(
            out.contains("<td class=\"number\" data-sort=\"1000\">1,000</td>"),
            "{out}"
        );
        assert!(out.contains("<td class=\"number\">-</td>"), "{out}");
    }
}
